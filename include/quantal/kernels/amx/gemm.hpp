// AMX leaf of integer products: 16 rows x 32 columns in two tiles of sums.
//
//   per step of 64 depths:   load lhs (16 rows x 64), load weights 0, multiply, load weights 1, multiply
//   tiles:                   0 1 sums   2 lhs   3 weights   |   4 5 6: the same for at most 8 rows
//
// Only four tiles are live at a time. With eight (the textbook 2 x 2) a core whose sibling thread is busy runs out of
// physical tiles and falls to less than half the speed; three loads for two products still hide under the products
// (16 cycles each, a load 8). A product takes max(10, rows) cycles, so blocks of up to 8 rows have tiles of their own:
// one configuration serves a whole task. The previous block's epilogue is woven in, a few rows per step: the tile unit
// works on under vector code.
//
// Where 16 (8) rows at equal distances cannot be read, rows are gathered through a 1 KiB copy, one step ahead. Both
// signs of lhs codes are multiplied as they are; weights are s8. Sums are exact modulo 2^32.
//
// Not for few rows (below about 6) or tiny products: 1 of 16 rows would be useful, and configuring costs 0.1 us. Speed
// was modelled on measurements of prototypes on Sapphire Rapids, not measured with this code (docs/kernels.md).
#pragma once
#include "quantal/kernels/amx/tiles.hpp"
#include "quantal/kernels/avx512vnni/store.hpp"

#if ((defined(__AMX_INT8__) || defined(__AMXINT8__)) && defined(__AVX512BW__) && defined(__AVX512VL__)) || \
    defined(QUANTAL_EMULATE_TILES)
namespace quantal::kernels::amx {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 16, short_rows = 8;
inline constexpr int32_t gemm_columns = 32;
inline constexpr int32_t gemm_depth = 64;
inline constexpr int64_t tile_bytes = 1024;  // of weights: [16][16 columns][4]

constexpr tile_config make_config() noexcept {
  tile_config c;
  for (int32_t t = 0; t < 7; ++t) {
    c.bytes[t] = 64;
    c.rows[t] = t < 4 ? gemm_rows : short_rows;
  }
  return c;
}
inline constexpr tile_config gemm_config = make_config();

inline void begin_task() noexcept {
  load_config(gemm_config);
}
inline void end_task() noexcept {
  release();
}

// Which tiles a block of that many rows uses.
template <bool Short>
struct numbers {
  static constexpr int sum0 = Short ? 4 : 0, sum1 = Short ? 5 : 1, lhs = Short ? 6 : 2, weights = 3;
  static constexpr int32_t rows = Short ? short_rows : gemm_rows;
};

// Copies of 64 bytes of each row, for rows that a tile load cannot reach; two, so that the next step's copy is made
// while this one's is being read.
struct gathered {
  alignas(64) uint8_t bytes[2][gemm_rows * gemm_depth];

  void clear_rows(int32_t first, int32_t last) noexcept {
    for (int32_t i = first; i < last; ++i)
      for (int32_t half = 0; half < 2; ++half)
        _mm512_storeu_si512(bytes[half] + i * gemm_depth, _mm512_setzero_si512());
  }
  void copy(const block_args& a, int32_t half, int64_t at) noexcept {
    for (int32_t i = 0; i < a.live_rows; ++i)
      _mm512_storeu_si512(bytes[half] + i * gemm_depth,
                          _mm512_loadu_si512(static_cast<const uint8_t*>(a.rows[i]) + at));
  }
};

// The previous block on its way out, `per_step` rows at a time.
struct trickle {
  const store_args* args;
  int32_t next = 0, per_step = 2;

  trickle(const store_args* pending, int64_t steps) noexcept : args(pending) {
    if (args == nullptr) return;
    const int64_t needed = steps > 0 ? (args->rows + steps - 1) / steps : args->rows;
    if (needed > per_step) per_step = static_cast<int32_t>(needed);
  }
  void step() noexcept {
    if (args != nullptr && next < args->rows) store_to(next + per_step);
  }
  void finish() noexcept {
    if (args != nullptr) store_to(args->rows);
  }

 private:
  void store_to(int32_t end) noexcept {
    if (end > args->rows) end = args->rows;
    avx512vnni::store_rows<gemm_columns>(*args, next, end);
    next = end;
  }
};

// One step: lhs (in memory or its copy) against one or two tiles of weights.
template <bool Short, bool Two, bool Unsigned>
inline void multiply_step(const void* lhs, int64_t stride, const uint8_t* weights) noexcept {
  using t = numbers<Short>;
  load<t::lhs>(lhs, stride);
  load<t::weights>(weights, 64);
  multiply<t::sum0, t::lhs, t::weights, Unsigned, false>();
  if constexpr (Two) {
    load<t::weights>(weights + tile_bytes, 64);
    multiply<t::sum1, t::lhs, t::weights, Unsigned, false>();
  }
}

template <bool Short, bool Two, bool Unsigned>
inline void sum_in_place(const block_args& a, trickle& out) noexcept {
  const uint8_t* weights = static_cast<const uint8_t*>(a.panel);
  for (int32_t t = 0; t < a.tap_count; ++t) {
    const uint8_t* lhs = static_cast<const uint8_t*>(a.rows[0]) + a.taps[t];
    for (int64_t s = 0; s < a.steps; ++s, lhs += gemm_depth, weights += 2 * tile_bytes) {
      multiply_step<Short, Two, Unsigned>(lhs, a.row_step, weights);
      out.step();
    }
  }
}

template <bool Short, bool Two, bool Unsigned>
inline void sum_gathered(const block_args& a, trickle& out) noexcept {
  const uint8_t* weights = static_cast<const uint8_t*>(a.panel);
  gathered copies;
  copies.clear_rows(a.live_rows, numbers<Short>::rows);
  if (a.steps > 0 && a.tap_count > 0) copies.copy(a, 0, a.taps[0]);
  int32_t half = 0;
  for (int32_t t = 0; t < a.tap_count; ++t) {
    for (int64_t s = 0; s < a.steps; ++s, weights += 2 * tile_bytes) {
      multiply_step<Short, Two, Unsigned>(copies.bytes[half], gemm_depth, weights);
      half ^= 1;
      if (s + 1 < a.steps)
        copies.copy(a, half, a.taps[t] + (s + 1) * gemm_depth);
      else if (t + 1 < a.tap_count)
        copies.copy(a, half, a.taps[t + 1]);
      out.step();
    }
  }
}

// Sums of a block that has fewer rows than its tiles, on their way from or to acc.
template <int32_t Rows>
struct bounce {
  alignas(64) int32_t sums[Rows * gemm_columns];

  void move(const int32_t* from, int32_t* to, int32_t rows) noexcept {
    for (int32_t i = 0; i < rows * gemm_columns; i += 16) _mm512_storeu_si512(to + i, _mm512_loadu_si512(from + i));
  }
};

template <bool Short, bool Two, bool Unsigned>
inline void block_of(const block_args& a) noexcept {
  using t = numbers<Short>;
  constexpr int64_t acc_stride = gemm_columns * sizeof(int32_t);
  const bool partial = a.live_rows < t::rows;
  bounce<t::rows> between;
  int32_t* acc = partial ? between.sums : a.acc;
  if (a.accumulate) {
    if (partial) between.move(a.acc, acc, a.live_rows);
    load<t::sum0>(acc, acc_stride);
    if constexpr (Two) load<t::sum1>(acc + 16, acc_stride);
  } else {
    zero<t::sum0>();
    if constexpr (Two) zero<t::sum1>();
  }
  trickle out(a.pending, a.tap_count * a.steps);
  if (partial || a.row_step == 0)
    sum_gathered<Short, Two, Unsigned>(a, out);
  else
    sum_in_place<Short, Two, Unsigned>(a, out);
  store<t::sum0>(acc, acc_stride);
  if constexpr (Two) store<t::sum1>(acc + 16, acc_stride);
  if (partial) between.move(acc, a.acc, a.live_rows);
  if constexpr (Short) {  // tiles that hold something slow the others down
    zero<t::sum0>();
    zero<t::sum1>();
    zero<t::lhs>();
  }
  out.finish();
}

template <bool Short, bool Unsigned>
inline void block_by_columns(const block_args& a) noexcept {
  if (a.live_columns > 16)
    block_of<Short, true, Unsigned>(a);
  else
    block_of<Short, false, Unsigned>(a);
}

inline void block(const block_args& a) noexcept {
  if (a.live_rows <= short_rows)
    a.lhs_unsigned ? block_by_columns<true, true>(a) : block_by_columns<true, false>(a);
  else
    a.lhs_unsigned ? block_by_columns<false, true>(a) : block_by_columns<false, false>(a);
}

// Rows that are copied (their ends, bad strides): the codes as they are, zeros up to padded_k.
inline void prepare_lhs(const void* codes, bool, int32_t, int64_t k, int64_t padded_k, void* out) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  uint8_t* to = static_cast<uint8_t*>(out);
  for (int64_t d = 0; d < padded_k; d += 64) {
    const int64_t left = k - d;
    const uint64_t live = left >= 64 ? ~uint64_t{0} : left <= 0 ? 0 : (uint64_t{1} << left) - 1;
    _mm512_storeu_si512(to + d, _mm512_maskz_loadu_epi8(live, from + d));
  }
}

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf;
  leaf.isa = "amx";
  leaf.layout = {/*id*/ 5, gemm_columns, /*tile_columns*/ 16, /*group*/ 4, gemm_depth};
  leaf.rows = gemm_rows;
  leaf.form = lhs_form::codes;
  leaf.prepare = prepare_lhs;
  leaf.block = block;
  leaf.store = avx512vnni::store_block<gemm_columns>;
  leaf.begin = begin_task;
  leaf.end = end_task;
  leaf.overlaps = true;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::amx
#endif
