// AVX-512 VNNI leaf of integer products: vpdpbusd on 512 bits, acc(s32) += 4 products u8 * s8, exact (no saturation).
//
//   block 6 x 64: 24 accumulators + 4 weight vectors + 1 broadcast = 29 registers;  panel [k / 4][64 columns][4]
//
// s8 lhs codes are flipped to u8 while they are copied; their zero point is then 128 more, which the bias carries. A
// block with fewer live columns leaves out whole vectors of 16. The accumulation has a latency of 4-5 cycles at two a
// cycle, so less than ten accumulators are multiplied by `sets`: independent sums over every sets-th group. Measured
// as a prototype only (docs/kernels.md): 84 % of the instruction's peak with GCC, if nothing spills.
#pragma once
#include "quantal/kernels/copy.hpp"
#if (defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)) || \
    defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/pack.hpp"
#include "quantal/kernels/avx512vnni/store.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 6, gemm_columns = 64;  // in registers
inline constexpr int32_t block_rows = 24;                   // of a block: four times, for one call and one store

constexpr int32_t sets_of(int32_t rows, int32_t vectors) noexcept {
  const int32_t sums = rows * vectors;
  return sums >= 10 ? 1 : sums >= 5 ? 2 : 4;
}

inline __m512i load_four(const void* p) noexcept {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return _mm512_set1_epi32(four);
}

inline __m512i fenced(__m512i x) noexcept {
#if !defined(QUANTAL_EMULATE)
  __asm__("" : "+v"(x));
#endif
  return x;
}

// One group of four depths.
template <int32_t Rows, int32_t Vectors>
inline void add_group(__m512i (&sum)[Rows][Vectors], const uint8_t* const (&row)[Rows], int64_t d,
                      const uint8_t* panel) noexcept {
  __m512i w[Vectors];
#pragma GCC unroll 4
  for (int32_t v = 0; v < Vectors; ++v) {
    w[v] = _mm512_loadu_si512(panel + 64 * v);
    if constexpr (Rows == 2 || Rows == 3) w[v] = fenced(w[v]);  // loaded once, not as an operand of each product
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
    const __m512i x = load_four(row[i] + d);
#pragma GCC unroll 4
    for (int32_t v = 0; v < Vectors; ++v) sum[i][v] = _mm512_dpbusd_epi32(sum[i][v], x, w[v]);
  }
}

template <int32_t Rows, int32_t Vectors>
inline void block_of(const block_args& a, int32_t first) noexcept {
  int32_t* acc = a.acc + gemm_columns * first;
  constexpr int32_t sets = sets_of(Rows, Vectors);
  __m512i sum[sets][Rows][Vectors];
#pragma GCC unroll 4
  for (int32_t s = 0; s < sets; ++s)
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 4
      for (int32_t v = 0; v < Vectors; ++v)
        sum[s][i][v] =
            a.accumulate && s == 0 ? _mm512_loadu_si512(acc + gemm_columns * i + 16 * v) : _mm512_setzero_si512();
  const uint8_t* panel = static_cast<const uint8_t*>(a.panel);
  const int64_t bytes = a.steps * 4, whole = bytes / (4 * sets) * (4 * sets);
  const bool far = Rows <= 3 && a.steps >= 512;  // panels so deep come from L3 or memory
  for (int32_t t = 0; t < a.tap_count; ++t) {
    const uint8_t* row[Rows];
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i) row[i] = static_cast<const uint8_t*>(a.rows[first + i]) + a.taps[t];
    int64_t d = 0;
    if (whole > 0) {
      do {
        if (far)
          for (int32_t i = 0; i < sets; ++i)
            for (int32_t line = 0; line < 256; line += 64)
              _mm_prefetch(reinterpret_cast<const char*>(panel + 4096 + 256 * i + line), _MM_HINT_T0);
#pragma GCC unroll 4
        for (int32_t s = 0; s < sets; ++s) add_group<Rows, Vectors>(sum[s], row, d + 4 * s, panel + 256 * s);
        panel += 256 * sets;
        d += 4 * sets;
      } while (d < whole);
    }
    if constexpr (sets > 1)
      for (; d < bytes; d += 4, panel += 256) add_group<Rows, Vectors>(sum[0], row, d, panel);
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int32_t v = 0; v < Vectors; ++v) {
#pragma GCC unroll 4
      for (int32_t s = 1; s < sets; ++s) sum[0][i][v] = _mm512_add_epi32(sum[0][i][v], sum[s][i][v]);
      _mm512_storeu_si512(acc + gemm_columns * i + 16 * v, sum[0][i][v]);
    }
}

template <int32_t Vectors>
inline void block_vectors(const block_args& a, int32_t first, int32_t live) noexcept {
  switch (live) {
    case 1: block_of<1, Vectors>(a, first); break;
    case 2: block_of<2, Vectors>(a, first); break;
    case 3: block_of<3, Vectors>(a, first); break;
    case 4: block_of<4, Vectors>(a, first); break;
    case 5: block_of<5, Vectors>(a, first); break;
    default: block_of<6, Vectors>(a, first);
  }
}

// Rows [first, first + live).
inline void block_group(const block_args& a, int32_t first, int32_t live) noexcept {
  switch ((a.live_columns + 15) / 16) {
    case 1: block_vectors<1>(a, first, live); break;
    case 2: block_vectors<2>(a, first, live); break;
    case 3: block_vectors<3>(a, first, live); break;
    default: block_vectors<4>(a, first, live);
  }
}

// As AVX2's: up to four groups of rows, as even as possible.
inline void block_any(const block_args& a) noexcept {
  const int32_t groups = (a.live_rows + gemm_rows - 1) / gemm_rows;
  const int32_t fewest = a.live_rows / groups, larger = a.live_rows - fewest * groups;
  for (int32_t i = 0, first = 0; i < groups; ++i) {
    const int32_t live = fewest + (i < larger ? 1 : 0);
    block_group(a, first, live);
    first += live;
  }
}

// One group of rows meets several panels in one call: what surrounds a panel's products costs as much as these.
inline void block_panels(const block_args& a) noexcept {
  block_args one = a;
  one.live_columns = gemm_columns;
  for (int32_t i = 0; i < a.panels; ++i) {
    if (i + 1 == a.panels) one.live_columns = a.live_columns;
    block_group(one, 0, a.live_rows);
    one.panel = static_cast<const uint8_t*>(one.panel) + a.panel_step;
    one.acc += a.live_rows * gemm_columns;
  }
}

inline void prepare_u8(const void* codes, bool is_unsigned, int32_t, int64_t k, int64_t padded, void* out) noexcept {
  avx2::flip_copy(codes, !is_unsigned, k, padded, out);
}

inline constexpr panel_layout layout64 = {/*id*/ 5, gemm_columns, /*tile_columns*/ gemm_columns, /*group*/ 4,
                                          /*depth*/ 4};

constexpr gemm_leaf make_leaf() noexcept {
  gemm_leaf leaf;
  leaf.isa = "avx512vnni";
  leaf.layout = layout64;
  leaf.form = lhs_form::u8;
  leaf.prepare = prepare_u8;
  leaf.sum = avx2::sum_codes;
  leaf.pack = avx2::pack_panel<layout64>;
  leaf.store = store_block<gemm_columns>;
  return leaf;
}
constexpr gemm_leaf make_gemv() noexcept {
  gemm_leaf leaf = make_leaf();
  leaf.rows = gemm_rows;
  leaf.panels = 4;
  leaf.block = block_panels;
  return leaf;
}
inline constexpr gemm_leaf gemv = make_gemv();

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf = make_leaf();
  leaf.rows = block_rows;
  leaf.register_rows = gemm_rows;
  leaf.block = block_any;
  leaf.chunk_steps = 96;  // 24 KiB of weights: every line that comes from L2 costs half a cycle
  leaf.few_rows = &gemv;
  leaf.few_rows_limit = gemm_rows;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
