// AMX leaf of integer products: 16 rows x 32 columns in two tiles of sums, or, where one block of rows meets the panels
// and weights stream by, up to 16 rows x 64 columns (two panels) in four.
//
//   per step of 64 depths:   load lhs (16 rows x 64), then for each tile of columns: load weights, multiply
//   tiles, 1 x 2 and 1 x 4:  0 1 (4 5) sums   2 lhs   3 weights
//   tiles, blocks of any size (convolution): 0 1 sums   2 lhs   3 weights   |   4 5 6: the same for at most 8 rows
//
// Four tiles are live in a 1 x 2, six in a 1 x 4. With eight (the textbook 2 x 2) a core whose sibling thread is busy
// runs out of physical tiles and falls to less than half the speed; three loads for two products still hide under the
// products (16 cycles each, a load 8), five for four all the more. A product takes max(10, rows) cycles: tiles are
// configured for the rows that all blocks have, and anew once for the rest of the rows. The previous block's epilogue
// is woven in, a few rows per step: the tile unit works on under vector code.
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

// [0]: blocks of any size; [r]: of r rows.
struct tile_configs {
  tile_config of[gemm_rows + 1];
};
constexpr tile_configs make_configs() noexcept {
  tile_configs c{};
  for (int32_t rows = 0; rows <= gemm_rows; ++rows) {
    for (int32_t t = 0; t < 7; ++t) {
      const bool used = rows == 0 || t < 6, weights = t == 3;
      const int32_t own = rows != 0 ? rows : t < 4 ? gemm_rows : short_rows;
      c.of[rows].bytes[t] = used ? 64 : 0;
      c.of[rows].rows[t] = static_cast<uint8_t>(!used ? 0 : weights ? gemm_rows : own);
    }
  }
  return c;
}
inline constexpr tile_configs gemm_configs = make_configs();

inline void begin_task(int32_t rows) noexcept {
  load_config(gemm_configs.of[rows]);
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

// The previous block on its way out, `per_step` rows of a panel at a time.
struct trickle {
  store_args part;  // of one panel
  int32_t panels = 0, last_columns = 0, next = 0, per_step = 2;

  trickle(const store_args* pending, int64_t steps) noexcept {
    if (pending == nullptr) return;
    part = *pending;
    panels = pending->panels;
    last_columns = pending->live_columns;
    if (panels > 1) part.live_columns = gemm_columns;
    const int64_t rows = part.rows * panels, needed = steps > 0 ? (rows + steps - 1) / steps : rows;
    if (needed > per_step) per_step = static_cast<int32_t>((needed + 1) & ~int64_t{1});  // the store takes two at once
  }
  void step() noexcept {
    if (panels > 0) store_some();
  }
  void finish() noexcept {
    while (panels > 0) store_some();
  }

 private:
  // Once, not in each kind of block: the loops of products stay small.
  [[gnu::noinline]] void store_some() noexcept {
    const int32_t end = part.rows - next > per_step ? next + per_step : part.rows;
    avx512vnni::store_rows<gemm_columns>(part, next, end);
    next = end;
    if (next < part.rows) return;
    next = 0;
    if (--panels == 0) return;
    next_panel(part, gemm_columns);
    if (panels == 1) part.live_columns = last_columns;
  }
};

// The same for what is most common, codes by fp32_rne of 32 live columns: inlined, so that constants stay in registers
// and two rows take 30 instructions; what fits beside two products decides how much of the store is hidden.
struct code_trickle {
  __m512i bias[2], zero_point, low, flip, order;
  __m512 ratio[2], high;
  const int32_t* acc;
  uint8_t* to;
  int64_t stride;
  int32_t pairs, per_step = 1;
  bool odd;

  static bool takes(const store_args* pending) noexcept {
    return pending != nullptr && (pending->type == dtype::u8 || pending->type == dtype::s8) &&
           pending->rule == contract::fp32_rne && pending->residual == nullptr && pending->panels == 1 &&
           pending->live_columns == gemm_columns && pending->rows >= 2;
  }
  code_trickle(const store_args& a, int64_t steps) noexcept
      : acc(a.acc), to(static_cast<uint8_t*>(a.out)), stride(a.out_stride), pairs(a.rows / 2), odd(a.rows % 2 != 0) {
    // u8 codes are formed as s8, 128 less, and flipped.
    const int32_t less = a.type == dtype::u8 ? 128 : 0;
    for (int32_t i = 0; i < 2; ++i) {
      bias[i] = _mm512_loadu_si512(a.bias + 16 * i);
      ratio[i] = _mm512_loadu_ps(a.ratio + 16 * i);
    }
    high = _mm512_set1_ps(a.high);
    zero_point = _mm512_set1_epi16(static_cast<int16_t>(a.zero_point - less));
    low = _mm512_set1_epi8(static_cast<char>(a.codes.min - less));
    flip = _mm512_set1_epi8(static_cast<char>(less));
    order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    if (pairs > steps) per_step = static_cast<int32_t>((pairs + steps - 1) / steps);
  }

  __m512i steps_of(int32_t at, int32_t half) const noexcept {
    const __m512i sum = _mm512_add_epi32(_mm512_loadu_si512(acc + at), bias[half]);
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), ratio[half]);
    return _mm512_cvt_roundps_epi32(_mm512_min_ps(x, high), avx512vnni::nearest_even);
  }
  void store_pair() noexcept {
    const __m512i first = _mm512_packs_epi32(steps_of(0, 0), steps_of(16, 1));
    const __m512i second = _mm512_packs_epi32(steps_of(32, 0), steps_of(48, 1));
    const __m512i narrow =
        _mm512_packs_epi16(_mm512_adds_epi16(first, zero_point), _mm512_adds_epi16(second, zero_point));
    const __m512i codes = _mm512_permutexvar_epi32(order, _mm512_xor_si512(_mm512_max_epi8(narrow, low), flip));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(codes));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + stride), _mm512_extracti64x4_epi64(codes, 1));
  }
  void step() noexcept {
    for (int32_t i = per_step; i > 0 && pairs > 0; --i, --pairs, acc += 2 * gemm_columns, to += 2 * stride)
      store_pair();
  }
  void finish() noexcept {
    while (pairs > 0) step();
    if (!odd) return;
    acc -= gemm_columns;  // the last row, with the one before it once more
    to -= stride;
    store_pair();
  }
};

inline bool store_panels(const store_args& a) noexcept {
  if (a.rows > 0) trickle(&a, 0).finish();
  return true;
}

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

template <bool Short, bool Two, bool Unsigned, class Store>
inline void sum_in_place(const block_args& a, Store& out) noexcept {
  const uint8_t* weights = static_cast<const uint8_t*>(a.panel);
  const int64_t bytes = a.steps * gemm_depth, row_step = a.row_step;
  for (int32_t t = 0; t < a.tap_count; ++t) {
    const uint8_t* lhs = static_cast<const uint8_t*>(a.rows[0]) + a.taps[t];
    for (const uint8_t* end = lhs + bytes; lhs != end; lhs += gemm_depth, weights += 2 * tile_bytes) {
      multiply_step<Short, Two, Unsigned>(lhs, row_step, weights);
      out.step();
    }
  }
}

template <bool Short, bool Two, bool Unsigned>
inline void sum_gathered(const block_args& a, trickle& out) noexcept {
  const uint8_t* weights = static_cast<const uint8_t*>(a.panel);
  gathered copies;
  if (a.begun == 0) copies.clear_rows(a.live_rows, numbers<Short>::rows);
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

// Four tiles of columns, or three: two panels against a block of exactly the rows that were begun.
template <int32_t Tiles, bool Unsigned, bool InPlace>
inline void two_panels(const block_args& a) noexcept {
  constexpr int64_t acc_stride = gemm_columns * sizeof(int32_t);
  const uint8_t *first = static_cast<const uint8_t*>(a.panel), *second = first + a.panel_step;
  int32_t* acc[2] = {a.acc, a.acc + a.live_rows * gemm_columns};
  if (a.accumulate) {
    load<0>(acc[0], acc_stride);
    load<1>(acc[0] + 16, acc_stride);
    load<4>(acc[1], acc_stride);
    if constexpr (Tiles == 4) load<5>(acc[1] + 16, acc_stride);
  } else {
    zero<0>();
    zero<1>();
    zero<4>();
    if constexpr (Tiles == 4) zero<5>();
  }
  trickle out(a.pending, a.tap_count * a.steps);
  [[maybe_unused]] gathered copies;
  for (int32_t t = 0; t < a.tap_count; ++t) {
    for (int64_t s = 0; s < a.steps; ++s, first += 2 * tile_bytes, second += 2 * tile_bytes) {
      const int64_t at = a.taps[t] + s * gemm_depth;
      if constexpr (InPlace) {
        load<2>(static_cast<const uint8_t*>(a.rows[0]) + at, a.row_step);
      } else {
        copies.copy(a, static_cast<int32_t>(s & 1), at);
        load<2>(copies.bytes[s & 1], gemm_depth);
      }
      load<3>(first, 64);
      multiply<0, 2, 3, Unsigned, false>();
      load<3>(first + tile_bytes, 64);
      multiply<1, 2, 3, Unsigned, false>();
      load<3>(second, 64);
      multiply<4, 2, 3, Unsigned, false>();
      if constexpr (Tiles == 4) {
        load<3>(second + tile_bytes, 64);
        multiply<5, 2, 3, Unsigned, false>();
      }
      out.step();
    }
  }
  store<0>(acc[0], acc_stride);
  store<1>(acc[0] + 16, acc_stride);
  store<4>(acc[1], acc_stride);
  if constexpr (Tiles == 4) store<5>(acc[1] + 16, acc_stride);
  out.finish();
}

template <bool Unsigned>
inline void two_panels_by_columns(const block_args& a) noexcept {
  if (a.row_step != 0)
    a.live_columns > 16 ? two_panels<4, Unsigned, true>(a) : two_panels<3, Unsigned, true>(a);
  else
    a.live_columns > 16 ? two_panels<4, Unsigned, false>(a) : two_panels<3, Unsigned, false>(a);
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
  const bool partial = a.live_rows < t::rows && a.begun == 0;
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
  const bool in_place = !partial && a.row_step != 0;
  if (Two && !Short && in_place && code_trickle::takes(a.pending)) {
    code_trickle out(*a.pending, a.tap_count * a.steps);
    sum_in_place<Short, Two, Unsigned>(a, out);
    store<t::sum0>(acc, acc_stride);
    store<t::sum1>(acc + 16, acc_stride);
    out.finish();
    return;
  }
  trickle out(a.pending, a.tap_count * a.steps);
  if (in_place)
    sum_in_place<Short, Two, Unsigned>(a, out);
  else
    sum_gathered<Short, Two, Unsigned>(a, out);
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
  if (a.panels == 2)
    a.lhs_unsigned ? two_panels_by_columns<true>(a) : two_panels_by_columns<false>(a);
  else if (a.begun == 0 && a.live_rows <= short_rows)
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
  leaf.layout = {/*id*/ 8, gemm_columns, /*tile_columns*/ 16, /*group*/ 4, gemm_depth};
  leaf.rows = gemm_rows;
  leaf.form = lhs_form::codes;
  leaf.prepare = prepare_lhs;
  leaf.block = block;
  leaf.panels = 2;
  leaf.store = store_panels;
  leaf.begin = begin_task;
  leaf.end = end_task;
  leaf.overlaps = true;
  leaf.whole_blocks = true;
  // 24 KiB of weights: with the rows that pass by (12 KiB a block) and the sums they stay in 48 KiB of L1. Prototypes
  // that kept 32 KiB there were a quarter slower at depth 1024 than at 768.
  leaf.chunk_steps = 12;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::amx
#endif
