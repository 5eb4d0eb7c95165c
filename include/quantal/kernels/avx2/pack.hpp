// Packing for leaves whose panels hold [k / 4][16 columns][4 depths] (AVX2, AVX-VNNI) or strips of such (AVX-512 VNNI,
// AMX tiles): byte transposes in registers, column sums on the way.
//
//   16 depths x 16 columns of rhs, row-major      rows a b c d:  unpack bytes (a b)(c d), then words: 4 columns x abcd
//                              (32 columns where there are so many)
//                              or column-major    4 columns x 16 bytes: transpose dwords
//
// Tails (fewer columns or depths) pass through a zeroed 16 x 16 square. Compile with -mavx2.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

// 16 columns under work. `out` is where group 0 goes, groups are `group_step` bytes apart.
struct strip {
  __m128i flip;
  __m128i sums[4];  // of columns 4 i .. 4 i + 3, s32
};

inline __m128i load_xmm(const void* p) noexcept {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

inline __m256i load_32(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline void store_32(void* p, __m256i x) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}

// Four columns' groups of four -> memory and sums.
inline void put_group(strip& s, int32_t quarter, __m128i bytes, uint8_t* out) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16 * quarter), bytes);
  const __m128i pairs = _mm_maddubs_epi16(_mm_set1_epi8(1), bytes);
  s.sums[quarter] = _mm_add_epi32(s.sums[quarter], _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
}

inline void pack_row_major(strip& s, const uint8_t* codes, int64_t row_stride, int64_t group_step,
                           uint8_t* out) noexcept {
  for (int32_t g = 0; g < 4; ++g, codes += 4 * row_stride, out += group_step) {
    const __m128i a = _mm_xor_si128(load_xmm(codes), s.flip);
    const __m128i b = _mm_xor_si128(load_xmm(codes + row_stride), s.flip);
    const __m128i c = _mm_xor_si128(load_xmm(codes + 2 * row_stride), s.flip);
    const __m128i d = _mm_xor_si128(load_xmm(codes + 3 * row_stride), s.flip);
    const __m128i ab0 = _mm_unpacklo_epi8(a, b), ab1 = _mm_unpackhi_epi8(a, b);
    const __m128i cd0 = _mm_unpacklo_epi8(c, d), cd1 = _mm_unpackhi_epi8(c, d);
    put_group(s, 0, _mm_unpacklo_epi16(ab0, cd0), out);
    put_group(s, 1, _mm_unpackhi_epi16(ab0, cd0), out);
    put_group(s, 2, _mm_unpacklo_epi16(ab1, cd1), out);
    put_group(s, 3, _mm_unpackhi_epi16(ab1, cd1), out);
  }
}

// The same from column-major weights, for `blocks` times 16 depths; block i goes to `out` + at[i]. Four columns at a
// time: columns 4 KiB apart share one set of L1, which holds a line of 8 of them, and each line serves four blocks.
inline void pack_column_major(strip& s, const uint8_t* codes, int64_t column_stride, int64_t group_step, uint8_t* out,
                              const int64_t* at, int32_t blocks) noexcept {
  for (int32_t q = 0; q < 4; ++q, codes += 4 * column_stride) {
    for (int32_t i = 0; i < blocks; ++i) {
      const uint8_t* from = codes + 16 * i;
      uint8_t* to = out + at[i];
      const __m128i a = _mm_xor_si128(load_xmm(from), s.flip);
      const __m128i b = _mm_xor_si128(load_xmm(from + column_stride), s.flip);
      const __m128i c = _mm_xor_si128(load_xmm(from + 2 * column_stride), s.flip);
      const __m128i d = _mm_xor_si128(load_xmm(from + 3 * column_stride), s.flip);
      const __m128i ab0 = _mm_unpacklo_epi32(a, b), ab1 = _mm_unpackhi_epi32(a, b);
      const __m128i cd0 = _mm_unpacklo_epi32(c, d), cd1 = _mm_unpackhi_epi32(c, d);
      put_group(s, q, _mm_unpacklo_epi64(ab0, cd0), to);
      put_group(s, q, _mm_unpackhi_epi64(ab0, cd0), to + group_step);
      put_group(s, q, _mm_unpacklo_epi64(ab1, cd1), to + 2 * group_step);
      put_group(s, q, _mm_unpackhi_epi64(ab1, cd1), to + 3 * group_step);
    }
  }
}

// Columns [first, first + 16) of one panel, depths [d, k); columns at or above a.live_columns become 0. d: a multiple of
// 16.
inline void pack_strip(const pack_args& a, const panel_layout& l, int32_t first, int64_t d) noexcept {
  const int32_t live = a.live_columns - first < 16 ? (a.live_columns > first ? a.live_columns - first : 0) : 16;
  const __m128i zero = _mm_setzero_si128();
  strip s;
  s.flip = _mm_set1_epi8(static_cast<char>(a.flip));
  for (int32_t q = 0; q < 4; ++q) s.sums[q] = zero;
  const uint8_t* codes = a.codes + first * a.column_stride + d * a.row_stride;
  const int64_t group_step = l.tile_columns * 4;
  uint8_t* out = static_cast<uint8_t*>(a.out);
  const bool fast = live == 16 && (a.column_stride == 1 || a.row_stride == 1);
  const int64_t padded = (a.k + l.depth - 1) / l.depth * l.depth;
  const auto place = [&l, first](int64_t depth) noexcept {  // panel_offset(l, depth, first)
    return depth / l.depth * l.depth * l.columns + first / l.tile_columns * l.depth * l.tile_columns +
           depth % l.depth * l.tile_columns + first % l.tile_columns * 4;
  };
  for (; fast && a.column_stride != 1 && d + 16 <= a.k;) {
    int64_t at[4];
    int32_t blocks = 0;
    for (; blocks < 4 && d + 16 <= a.k; ++blocks, d += 16) at[blocks] = place(d);
    pack_column_major(s, codes, a.column_stride, group_step, out, at, blocks);
    codes += 16 * blocks;
  }
  for (; d < padded; d += 16, codes += 16 * a.row_stride) {
    const int64_t at = place(d);
    if (fast && d + 16 <= a.k) {
      pack_row_major(s, codes, a.row_stride, group_step, out + at);
      continue;
    }
    uint8_t square[16][16] = {}, packed[4][64];
    for (int64_t i = 0; i < 16 && d + i < a.k; ++i)
      for (int32_t c = 0; c < live; ++c)
        square[i][c] = static_cast<uint8_t>(codes[i * a.row_stride + c * a.column_stride] ^ a.flip);
    const __m128i flip = s.flip;
    s.flip = zero;
    pack_row_major(s, square[0], 16, 64, packed[0]);
    s.flip = flip;
    for (int32_t g = 0; g < 4 && d + 4 * g < padded; ++g) __builtin_memcpy(out + at + g * group_step, packed[g], 64);
  }
  for (int32_t c = 0; c < live; ++c) {
    alignas(16) int32_t four[4];
    _mm_store_si128(reinterpret_cast<__m128i*>(four), s.sums[c / 4]);
    a.column_sums[first + c] += four[c % 4];
  }
}

// Panel `i` of several.
inline pack_args panel_of(const pack_args& a, const panel_layout& l, int32_t i) noexcept {
  pack_args one = a;
  one.codes += i * l.columns * a.column_stride;
  one.out = static_cast<uint8_t*>(one.out) + i * a.panel_step;
  one.column_sums += i * a.panel_step / 4;
  if (i + 1 < a.panels) one.live_columns = l.columns;
  return one;
}

// sums += those of the four bytes in each s32.
inline void add_group_sums(int32_t* sums, __m256i pairs) noexcept {
  store_32(sums, _mm256_add_epi32(load_32(sums), _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))));
}

// Two neighbouring strips of row-major weights, all 32 columns live: depths [0, k) without the last k % 16. Half a line
// of each row is read at once: lines of rows 4 KiB apart share one set of L1 and do not stay. Two lines further are
// fetched, since no stream goes on from page to page.
template <const panel_layout& Layout>
inline void pack_two_strips(const pack_args& a, int32_t strip) noexcept {
  constexpr int32_t strips = Layout.columns / 16;
  const pack_args to[2] = {panel_of(a, Layout, strip / strips), panel_of(a, Layout, (strip + 1) / strips)};
  const int32_t first[2] = {strip % strips * 16, (strip + 1) % strips * 16};
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(a.flip)), one = _mm256_set1_epi8(1);
  const uint8_t* row = a.codes + 16 * strip;
  const int64_t whole = a.k & ~int64_t{15}, step = a.row_stride;
  for (int64_t d = 0; d < whole;) {
    __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    const int64_t end = whole - d < 256 ? whole : d + 256;  // s16 sums of 64 groups fit
    for (; d < end; d += 4, row += 4 * step) {
      for (int32_t i = 0; i < 4; ++i) _mm_prefetch(reinterpret_cast<const char*>(row + i * step + 128), _MM_HINT_T1);
      const __m256i r0 = _mm256_xor_si256(load_32(row), flip), r1 = _mm256_xor_si256(load_32(row + step), flip);
      const __m256i r2 = _mm256_xor_si256(load_32(row + 2 * step), flip),
                    r3 = _mm256_xor_si256(load_32(row + 3 * step), flip);
      const __m256i ab0 = _mm256_unpacklo_epi8(r0, r1), ab1 = _mm256_unpackhi_epi8(r0, r1);
      const __m256i cd0 = _mm256_unpacklo_epi8(r2, r3), cd1 = _mm256_unpackhi_epi8(r2, r3);
      // Columns 0-3 16-19 | 4-7 20-23 | 8-11 24-27 | 12-15 28-31 of groups.
      const __m256i q0 = _mm256_unpacklo_epi16(ab0, cd0), q1 = _mm256_unpackhi_epi16(ab0, cd0);
      const __m256i q2 = _mm256_unpacklo_epi16(ab1, cd1), q3 = _mm256_unpackhi_epi16(ab1, cd1);
      const __m256i groups[4] = {_mm256_permute2x128_si256(q0, q1, 0x20), _mm256_permute2x128_si256(q2, q3, 0x20),
                                 _mm256_permute2x128_si256(q0, q1, 0x31), _mm256_permute2x128_si256(q2, q3, 0x31)};
      for (int32_t i = 0; i < 4; ++i) {
        store_32(static_cast<uint8_t*>(to[i / 2].out) + panel_offset(Layout, d, first[i / 2]) + i % 2 * 32, groups[i]);
        sums[i] = _mm256_add_epi16(sums[i], _mm256_maddubs_epi16(one, groups[i]));
      }
    }
    for (int32_t i = 0; i < 4; ++i) add_group_sums(to[i / 2].column_sums + first[i / 2] + i % 2 * 8, sums[i]);
  }
}

template <const panel_layout& Layout>
inline void pack_panel(const pack_args& a) noexcept {
  constexpr int32_t strips = Layout.columns / 16;
  const int32_t all = a.panels * strips, live = (a.panels - 1) * Layout.columns + a.live_columns;
  for (int32_t s = 0; s < all;) {
    const bool two = a.column_stride == 1 && a.k >= 16 && 16 * s + 32 <= live;
    if (two) pack_two_strips<Layout>(a, s);
    const int64_t done = two ? a.k & ~int64_t{15} : 0;
    for (const int32_t end = two ? s + 2 : s + 1; s < end; ++s)
      if (done < a.k || done % Layout.depth != 0)
        pack_strip(panel_of(a, Layout, s / strips), Layout, s % strips * 16, done);
  }
}

// k codes as bytes, those of the other sign flipped; zero up to padded_k.
inline void flip_copy(const void* codes, bool flip, int64_t k, int64_t padded_k, void* out) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  uint8_t* to = static_cast<uint8_t*>(out);
  const uint8_t mask = flip ? 0x80 : 0;
  const __m256i flips = _mm256_set1_epi8(static_cast<char>(mask));
  int64_t d = 0;
  for (; d + 32 <= k; d += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + d));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + d), _mm256_xor_si256(x, flips));
  }
  for (; d < k; ++d) to[d] = static_cast<uint8_t>(from[d] ^ mask);
  for (; d < padded_k; ++d) to[d] = 0;
}

// Sum of k codes.
inline int32_t sum_codes(const void* codes, bool is_unsigned, int64_t k) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  const uint8_t mask = is_unsigned ? 0 : 0x80;  // s8 + 128 is u8
  const __m256i flips = _mm256_set1_epi8(static_cast<char>(mask));
  __m256i sums = _mm256_setzero_si256();
  int64_t d = 0;
  for (; d + 32 <= k; d += 32) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + d));
    sums = _mm256_add_epi64(sums, _mm256_sad_epu8(_mm256_xor_si256(x, flips), _mm256_setzero_si256()));
  }
  alignas(32) int64_t four[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(four), sums);
  int64_t total = four[0] + four[1] + four[2] + four[3];
  for (; d < k; ++d) total += from[d] ^ mask;
  return static_cast<int32_t>(is_unsigned ? total : total - 128 * k);
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
#endif
