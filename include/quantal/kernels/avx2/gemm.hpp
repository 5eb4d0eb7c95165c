// AVX2 leaves of integer products: exact for every combination of signs and zero points.
//
// Both operands are widened to s16 with the lhs zero point subtracted ([-255, 255]); vpmaddwd multiplies pairs and adds
// them in s32: |sum of a pair| <= 2 * 255 * 255, nothing saturates. (vpmaddubsw, twice as wide, saturates in s16 and
// gives wrong sums for full-range weights; it is used only where its operands provably fit, see gemv.hpp.)
//
//   block 6 x 16: 12 accumulators + 2 weight vectors + 1 broadcast = 15 registers; per pair of depths
//   acc[i][0..7], acc[i][8..15] += madd(broadcast(lhs[i][d, d + 1]), weights[0..7 | 8..15][d, d + 1])
//
// Two multiplies and two additions a cycle fill the pipes: there is no slot for widening. So a panel that several row
// blocks share is widened once, into the workspace, by the first group of rows on its way; with few rows the packed
// bytes are widened on the fly. A call takes eight such groups: where depth is small, calls and the store's constants
// cost as much as products.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/gemv.hpp"
#include "quantal/kernels/avx2/pack.hpp"
#include "quantal/kernels/avx2/store.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 6;    // in registers
inline constexpr int32_t block_rows = 48;  // of a block: eight times, for one call and one start of the store

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

// The sums of one row += its two depths at `lhs` times w. As one statement, for compilers left alone spill: GCC 12 adds
// the products of two pairs first, clang 14 keeps products of several rows.
inline void add_row(__m256i (&sum)[2], const uint8_t* lhs, const __m256i (&w)[2]) noexcept {
#if defined(QUANTAL_EMULATE)
  const __m256i x = load_pair(lhs);
  for (int32_t h = 0; h < 2; ++h) sum[h] = _mm256_add_epi32(sum[h], _mm256_madd_epi16(x, w[h]));
#else
  using any_s32 [[gnu::may_alias, gnu::aligned(1)]] = int32_t;
  __m256i x, y;
  __asm__(
      "vpbroadcastd {%4, %2|%2, %4}\n\tvpmaddwd {%5, %2, %3|%3, %2, %5}\n\tvpmaddwd {%6, %2, %2|%2, %2, %6}\n\t"
      "vpaddd {%3, %0, %0|%0, %0, %3}\n\tvpaddd {%2, %1, %1|%1, %1, %2}"
      : "+x"(sum[0]), "+x"(sum[1]), "=&x"(x), "=&x"(y)
      : "m"(*reinterpret_cast<const any_s32*>(lhs)), "x"(w[0]), "x"(w[1]));
#endif
}

inline void add_row(__m256i (&sum)[1], const uint8_t* lhs, const __m256i (&w)[1]) noexcept {
  sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(load_pair(lhs), w[0]));
}

// Two depths of all rows and 8 * `Halves` columns, whose weights are `w`.
template <int32_t Rows, int32_t Halves>
inline void add_pair(__m256i (&sum)[Rows][Halves], const uint8_t* const (&row)[Rows], int64_t d,
                     const __m256i (&w)[Halves]) noexcept {
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) add_row(sum[i], row[i] + d, w);
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

// The same with packed weights: groups of four depths and the half of each that is meant. `Keep`: the widened ones go
// to `wide`.
template <bool Keep, int32_t Rows, int32_t Halves>
inline void add_packed(__m256i (&sum)[Rows][Halves], const uint8_t* const (&row)[Rows], int64_t d,
                       const uint8_t* groups, const int8_t* order, uint8_t* wide = nullptr) noexcept {
  __m256i w[Halves];
#pragma GCC unroll 2
  for (int32_t h = 0; h < Halves; ++h) {
    w[h] = widen_pair(groups + 32 * h, order);
    if constexpr (Keep) store_ymm(wide + 32 * h, w[h]);
  }
  add_pair(sum, row, d, w);
}

// Where a block's weights come from. `widening`: packed, of a panel whose widened form is left behind for other rows.
enum class weights { packed, wide, widening };

// One half: only the first 8 columns are live, the sums of the others are not formed.
template <int32_t Rows, int32_t Halves, weights From>
inline void block_of(const block_args& a, int32_t first, uint8_t* wide = nullptr) noexcept {
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
      if constexpr (From == weights::wide) {
        add_wide(sum, row, d, panel);
        add_wide(sum, row, d + 4, panel + 64);
        panel += 128;
        d += 8;
      } else if constexpr (From == weights::widening) {
        const uint8_t* groups = panel + d * 8;
        __builtin_prefetch(groups + bytes * 8, 0, 2);  // of the next chunk
        const int8_t* order = pair_order[0];
#if !defined(QUANTAL_EMULATE)
        __asm__("" : "+r"(order));  // no register for what it points at: all hold sums
#endif
        add_packed<true>(sum, row, d, groups, order, wide);
        add_packed<true>(sum, row, d + 4, groups, order + 32, wide + 64);
        wide += 128;
        d += 8;
      } else if constexpr (Rows <= 4) {
        const uint8_t* groups = panel + d * 8;
        add_packed<false>(sum, row, d, groups, pair_order[0]);
        add_packed<false>(sum, row, d + 4, groups, pair_order[1]);
        d += 8;
      } else {
        add_packed<false>(sum, row, d, panel + (d & ~int64_t{7}) * 8, pair_order[0] + (d & 4) * 8);
        d += 4;
      }
    } while (d < bytes);
    if constexpr (From != weights::wide) panel += bytes * 8;
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 2
    for (int32_t h = 0; h < Halves; ++h) store_ymm(acc + 16 * i + 8 * h, sum[i][h]);
}

// Rows [first, first + live).
template <int32_t Halves, weights From>
inline void block_group(const block_args& a, int32_t first, int32_t live, uint8_t* wide) noexcept {
  switch (live) {
    case 1: block_of<1, Halves, From>(a, first, wide); break;
    case 2: block_of<2, Halves, From>(a, first, wide); break;
    case 3: block_of<3, Halves, From>(a, first, wide); break;
    case 4: block_of<4, Halves, From>(a, first, wide); break;
    case 5: block_of<5, Halves, From>(a, first, wide); break;
    default: block_of<6, Halves, From>(a, first, wide);
  }
}

// Groups [begin, end) of a block's rows.
template <weights From>
inline void block_groups(const block_args& a, int32_t begin, int32_t end, uint8_t* wide = nullptr) noexcept {
  const int32_t groups = (a.live_rows + gemm_rows - 1) / gemm_rows;
  const int32_t fewest = a.live_rows / groups, larger = a.live_rows - fewest * groups;
  int32_t first = 0;
  for (int32_t i = 0; i < end && i < groups; ++i) {
    const int32_t live = fewest + (i < larger ? 1 : 0);
    if (i >= begin && a.live_columns <= 8 && From != weights::widening)
      block_group<1, From>(a, first, live, wide);
    else if (i >= begin)
      block_group<2, From>(a, first, live, wide);
    first += live;
  }
}

template <weights From>
inline void block_any(const block_args& a) noexcept {
  block_groups<From>(a, 0, block_rows);
}

// From packed weights; the first group of rows widens them on the way.
inline void block_widening(const block_args& a, void* wide) noexcept {
  block_groups<weights::widening>(a, 0, 1, static_cast<uint8_t*>(wide));
  block_args rest = a;
  rest.panel = wide;
  block_groups<weights::wide>(rest, 1, block_rows);
}

template <bool Unsigned>
inline void prepare_codes(const int8_t* from, int32_t zero_point, int64_t k, int64_t padded, int16_t* to) noexcept {
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
  const auto sixteen = [from, to, zero](int64_t d) noexcept {
    const __m128i bytes = load_xmm(from + d);
    const __m256i wide = Unsigned ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
    store_ymm(to + d, _mm256_sub_epi16(wide, zero));
  };
  int64_t d = 0;
  for (; d + 64 <= k; d += 64) {
    sixteen(d);
    sixteen(d + 16);
    sixteen(d + 32);
    sixteen(d + 48);
  }
  for (; d + 16 <= k; d += 16) sixteen(d);
  for (; d < k; ++d) {
    const int32_t code = Unsigned ? int32_t{static_cast<uint8_t>(from[d])} : int32_t{from[d]};
    to[d] = static_cast<int16_t>(code - zero_point);
  }
  for (; d < padded; ++d) to[d] = 0;
}

inline void prepare_s16(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded,
                        void* out) noexcept {
  const int8_t* from = static_cast<const int8_t*>(codes);
  int16_t* to = static_cast<int16_t*>(out);
  if (is_unsigned)
    prepare_codes<true>(from, zero_point, k, padded, to);
  else
    prepare_codes<false>(from, zero_point, k, padded, to);
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
  leaf.block = block_any<weights::packed>;
  leaf.widen = widen_panel;
  leaf.block_wide = block_any<weights::wide>;
  leaf.block_widening = block_widening;
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
