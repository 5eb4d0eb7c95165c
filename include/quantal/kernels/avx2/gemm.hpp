// AVX2 leaves of integer products: exact for every combination of signs and zero points.
//
// Both operands are widened to s16 with the lhs zero point subtracted ([-255, 255]); vpmaddwd multiplies pairs and adds
// them in s32: |sum of a pair| <= 2 * 255 * 255, nothing saturates. (vpmaddubsw, twice as wide, saturates in s16 and
// gives wrong sums for full-range weights; it is used only where its operands provably fit, see gemv.hpp.)
//
//   block 6 x 16: 12 accumulators + 2 weight vectors + 1 broadcast = 15 registers; per pair of depths
//   acc[i][0..7], acc[i][8..15] += madd(broadcast(lhs[i][d, d + 1]), weights[0..7 | 8..15][d, d + 1])
//
// Two multiplies and four additions a cycle: the adds fill what the multiplies leave, there is no slot for widening. So
// a panel that several row blocks share is widened once into the workspace; with few rows the packed bytes are widened on the fly.
// A call takes four such blocks of rows: where depth is small, calls and the store's constants cost as much as products.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/gemv.hpp"
#include "quantal/kernels/avx2/pack.hpp"
#include "quantal/kernels/avx2/store.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 6;    // in registers
inline constexpr int32_t block_rows = 24;  // of a block: four times, for one call and one start of the store

inline __m256i load_pair(const void* p) noexcept {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

// How a pair of depths is taken out of 4 columns' groups of four: bytes into the upper halves of s16, then shifted
// down.
alignas(32) inline constexpr int8_t pair_order[2][32] = {{-1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13,
                                                          -1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13},
                                                         {-1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15,
                                                          -1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15}};

inline __m256i widen_pair(const uint8_t* groups, const int8_t* order) noexcept {
  return _mm256_srai_epi16(_mm256_shuffle_epi8(load_ymm(groups), load_ymm(order)), 8);
}

// sum += x, in its register: GCC 12 left alone adds the products of two pairs first, and spills.
inline void add_to(__m256i& sum, __m256i x) noexcept {
#if defined(QUANTAL_EMULATE)
  sum = _mm256_add_epi32(sum, x);
#else
  __asm__("vpaddd {%1, %0, %0|%0, %0, %1}" : "+x"(sum) : "x"(x));
#endif
}

// Two depths of all rows and 8 * `Halves` columns, whose weights are `w`.
template <int32_t Rows, int32_t Halves>
inline void add_pair(__m256i (&sum)[Rows][Halves], const uint8_t* const (&row)[Rows], int64_t d,
                     const __m256i (&w)[Halves]) noexcept {
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
    const __m256i x = load_pair(row[i] + d);
    __m256i product[Halves];
#pragma GCC unroll 2
    for (int32_t h = 0; h < Halves; ++h) product[h] = _mm256_madd_epi16(x, w[h]);
#pragma GCC unroll 2
    for (int32_t h = 0; h < Halves; ++h) add_to(sum[i][h], product[h]);
  }
}

// The same with weights from a widened panel.
template <int32_t Rows, int32_t Halves>
inline void add_wide(__m256i (&sum)[Rows][Halves], const uint8_t* const (&row)[Rows], int64_t d,
                     const uint8_t* wide) noexcept {
  __m256i w[Halves];
#pragma GCC unroll 2
  for (int32_t h = 0; h < Halves; ++h) w[h] = load_ymm(wide + 32 * h);
  add_pair(sum, row, d, w);
}

// The same with packed weights: groups of four depths and the half of each that is meant.
template <int32_t Rows, int32_t Halves>
inline void add_packed(__m256i (&sum)[Rows][Halves], const uint8_t* const (&row)[Rows], int64_t d,
                       const uint8_t* groups, const int8_t* order) noexcept {
  __m256i w[Halves];
#pragma GCC unroll 2
  for (int32_t h = 0; h < Halves; ++h) w[h] = widen_pair(groups + 32 * h, order);
  add_pair(sum, row, d, w);
}

// One half: only the first 8 columns are live, the sums of the others are not formed.
template <int32_t Rows, int32_t Halves, bool Wide>
inline void block_of(const block_args& a, int32_t first) noexcept {
  int32_t* acc = a.acc + 16 * first;
  __m256i sum[Rows][Halves];
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int32_t h = 0; h < Halves; ++h)
      sum[i][h] = a.accumulate ? load_ymm(acc + 16 * i + 8 * h) : _mm256_setzero_si256();
  const uint8_t* panel = static_cast<const uint8_t*>(a.panel);
  const int64_t bytes = a.steps * 8;
  for (int32_t t = 0; t < a.tap_count && bytes > 0; ++t) {
    const uint8_t* row[Rows];
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i) row[i] = static_cast<const uint8_t*>(a.rows[first + i]) + a.taps[t];
    int64_t d = 0;
    do {
      if constexpr (Wide) {
        add_wide(sum, row, d, panel);
        add_wide(sum, row, d + 4, panel + 64);
        panel += 128;
        d += 8;
      } else if constexpr (Rows <= 4) {
        const uint8_t* groups = panel + d * 8;
        add_packed(sum, row, d, groups, pair_order[0]);
        add_packed(sum, row, d + 4, groups, pair_order[1]);
        d += 8;
      } else {
        add_packed(sum, row, d, panel + (d & ~int64_t{7}) * 8, pair_order[0] + (d & 4) * 8);
        d += 4;
      }
    } while (d < bytes);
    if constexpr (!Wide) panel += bytes * 8;
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int32_t h = 0; h < Halves; ++h) store_ymm(acc + 16 * i + 8 * h, sum[i][h]);
}

// Rows [first, first + live).
template <int32_t Halves, bool Wide>
inline void block_group(const block_args& a, int32_t first, int32_t live) noexcept {
  switch (live) {
    case 1: block_of<1, Halves, Wide>(a, first); break;
    case 2: block_of<2, Halves, Wide>(a, first); break;
    case 3: block_of<3, Halves, Wide>(a, first); break;
    case 4: block_of<4, Halves, Wide>(a, first); break;
    case 5: block_of<5, Halves, Wide>(a, first); break;
    default: block_of<6, Halves, Wide>(a, first);
  }
}

template <bool Wide>
inline void block_any(const block_args& a) noexcept {
  const int32_t groups = (a.live_rows + gemm_rows - 1) / gemm_rows;
  const int32_t fewest = a.live_rows / groups, larger = a.live_rows - fewest * groups;
  for (int32_t i = 0, first = 0; i < groups; ++i) {
    const int32_t live = fewest + (i < larger ? 1 : 0);
    if (a.live_columns <= 8)
      block_group<1, Wide>(a, first, live);
    else
      block_group<2, Wide>(a, first, live);
    first += live;
  }
}

inline void prepare_s16(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded,
                        void* out) noexcept {
  const int8_t* from = static_cast<const int8_t*>(codes);
  int16_t* to = static_cast<int16_t*>(out);
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
  int64_t d = 0;
  for (; d + 16 <= k; d += 16) {
    const __m128i bytes = load_xmm(from + d);
    const __m256i wide = is_unsigned ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
    store_ymm(to + d, _mm256_sub_epi16(wide, zero));
  }
  for (; d < k; ++d) {
    const int32_t code = is_unsigned ? int32_t{static_cast<uint8_t>(from[d])} : int32_t{from[d]};
    to[d] = static_cast<int16_t>(code - zero_point);
  }
  for (; d < padded; ++d) to[d] = 0;
}

inline void widen_panel(const void* panel, int64_t steps, void* out) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(panel);
  uint8_t* to = static_cast<uint8_t*>(out);
  for (int64_t g = 0; g < steps; ++g, from += 64, to += 128) {
    store_ymm(to, widen_pair(from, pair_order[0]));
    store_ymm(to + 32, widen_pair(from + 32, pair_order[0]));
    store_ymm(to + 64, widen_pair(from, pair_order[1]));
    store_ymm(to + 96, widen_pair(from + 32, pair_order[1]));
  }
}

inline constexpr panel_layout layout16 = {/*id*/ 4, /*columns*/ 16, /*tile_columns*/ 16, /*group*/ 4, /*depth*/ 4};

constexpr gemm_leaf make_gemv() noexcept {
  gemm_leaf leaf;
  leaf.isa = "avx2";
  leaf.layout = layout16;
  leaf.rows = 3;
  leaf.panels = 8;
  leaf.form = lhs_form::u8_nibbles;
  leaf.prepare = prepare_nibbles;
  leaf.sum = sum_codes;
  leaf.pack = pack_panel<layout16>;
  leaf.block = block_nibbles;
  leaf.store = store_panels;
  return leaf;
}
inline constexpr gemm_leaf gemv = make_gemv();

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf;
  leaf.isa = "avx2";
  leaf.layout = layout16;
  leaf.rows = block_rows;
  leaf.register_rows = gemm_rows;
  leaf.half_columns = 8;
  leaf.wide_from = 2 * gemm_rows + 1;
  leaf.form = lhs_form::s16_centred;
  leaf.prepare = prepare_s16;
  leaf.sum = sum_codes;
  leaf.pack = pack_panel<layout16>;
  leaf.block = block_any<false>;
  leaf.widen = widen_panel;
  leaf.block_wide = block_any<true>;
  leaf.wide_bytes = 128;
  leaf.store = store_block;
  leaf.few_rows = &gemv;
  leaf.few_rows_limit = 3;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2

#endif
