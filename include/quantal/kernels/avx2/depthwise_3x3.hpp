// AVX2 leaf of 3 x 3 depthwise convolution at stride 2, from rows of s8 codes (u8 codes are flipped when the row
// is copied into its padded unit). It saves what interleaving costs, which at stride 2 is as much as the sums:
//
//   rows 0, 1   column c: vpmovsxbw a, b ── vpunpck ──> pairs {a b}, used by every pixel whose window holds column c
//   row 2       neighbours c, c + 1:        vpunpck ──> pairs {c c+1} for one pixel, and as {c ·} for another
//
// Four pixels of 16 channels at a time: 8 sums stay in registers, weights are memory operands. Exact for all codes and
// zero points: weights are s16 with their zero point subtracted, the input's is in the bias.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/depthwise_sinks.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {
namespace depthwise_detail {

struct pairs {  // of the 16 channels of two pixels, in word order
  __m256i low, high;
};
[[gnu::always_inline]] inline pairs pair_up(__m256i first, __m256i second) noexcept {
  return {_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)};
}
inline __m256i widen_s8(const uint8_t* p) noexcept {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// x * weights, with the weights read by the multiplication: in registers they would drive sums onto the stack.
[[gnu::always_inline]] inline __m256i times(__m256i x, const uint8_t* weights) noexcept {
#if !defined(QUANTAL_EMULATE)
  __m256i product;
  __asm__("vpmaddwd %2, %1, %0" : "=x"(product) : "x"(x), "m"(*reinterpret_cast<const __m256i_u*>(weights)));
  return product;
#else
  return _mm256_madd_epi16(x, load256(weights));
#endif
}

// sum[vector][pixel] += pairs * word
template <int32_t Pixels>
[[gnu::always_inline]] inline void add_word(__m256i (&sum)[2][Pixels], int32_t pixel, const pairs& x,
                                            const uint8_t* word) noexcept {
  sum[0][pixel] = _mm256_add_epi32(sum[0][pixel], times(x.low, word));
  in_order(sum[0][pixel]);
  sum[1][pixel] = _mm256_add_epi32(sum[1][pixel], times(x.high, word + 32));
  in_order(sum[1][pixel]);
}

// `Pixels` pixels from byte `at` of the rows on, their columns `step` bytes apart.
template <int32_t Pixels, class Sink>
[[gnu::always_inline]] inline void window_3x3(const depthwise_row& a, const Sink& sink, int64_t x) noexcept {
  constexpr int32_t stride = 2, columns = (Pixels - 1) * stride + 3, word = 64;
  const int64_t step = a.tap_step;
  const uint8_t *top = a.units[0] + x * a.pixel_step, *middle = a.units[1] + x * a.pixel_step,
                *bottom = a.units[2] + x * a.pixel_step, *weights = a.weights;
  __m256i sum[2][Pixels];
#pragma GCC unroll 4
  for (int32_t p = 0; p < Pixels; ++p) {
    sum[0][p] = sink.start(0);
    sum[1][p] = sink.start(1);
  }
  __m256i before = _mm256_setzero_si256();
  int64_t at = 0;
#pragma GCC unroll 9
  for (int32_t c = 0; c < columns; ++c, at += step) {
    const pairs upper = pair_up(widen_s8(top + at), widen_s8(middle + at));
#pragma GCC unroll 4
    for (int32_t p = 0; p < Pixels; ++p) {
      if (c >= p * stride && c < p * stride + 3) add_word(sum, p, upper, weights + (c - p * stride) * word);
    }
    const __m256i here = widen_s8(bottom + at);
    // The first two columns of window p are a pair, and its third one is the first of the next window's pair.
    if (c % 2 == 1) {
      const pairs lower = pair_up(before, here);
      add_word(sum, c / 2, lower, weights + 3 * word);
      if (c > 1) add_word(sum, c / 2 - 1, lower, weights + 4 * word);
    }
    if (c == columns - 1) add_word(sum, Pixels - 1, pair_up(here, here), weights + 4 * word);
    before = here;
  }
  sink.template put<Pixels>(sum, x);
}

template <class Sink>
inline void row_3x3(const depthwise_row& a) noexcept {
  const Sink sink{a};
  in_groups(
      a.pixels, [&](auto count, int64_t x) __attribute__((always_inline)) { window_3x3<count.value>(a, sink, x); });
}

// Codes of one pixel: whole vectors, the last one overlapping; or byte by byte.
template <bool Flip>
inline void copy_codes(const uint8_t* from, int64_t count, uint8_t* to) noexcept {
  const __m256i flip = _mm256_set1_epi8(Flip ? -128 : 0);
  const auto copy16 = [&](int64_t c) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + c));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + c), Flip ? _mm_xor_si128(x, _mm256_castsi256_si128(flip)) : x);
  };
  int64_t c = 0;
  for (; c + 32 <= count; c += 32) {
    const __m256i x = load256(from + c);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + c), Flip ? _mm256_xor_si256(x, flip) : x);
  }
  if (c + 16 <= count) copy16(c), c += 16;
  if (c == count) return;
  if (count >= 16) return copy16(count - 16);
  for (; c < count; ++c) to[c] = static_cast<uint8_t>(from[c] ^ (Flip ? 0x80 : 0));
}

template <bool Flip>
inline void copy_row(const interleave_args& a) noexcept {
  const uint8_t* from = a.rows[0];
  uint8_t* to = static_cast<uint8_t*>(a.out);
  if (a.steps[0] == a.codes && a.out_step == a.codes) return copy_codes<Flip>(from, a.pixels * a.codes, to);
  for (int64_t n = a.pixels; n > 0; --n, from += a.steps[0], to += a.out_step) copy_codes<Flip>(from, a.codes, to);
}

}  // namespace depthwise_detail

inline void depthwise_3x3_copy(const interleave_args& a) noexcept {
  a.is_unsigned ? depthwise_detail::copy_row<true>(a) : depthwise_detail::copy_row<false>(a);
}

inline void depthwise_3x3_codes(const depthwise_row& a) noexcept {
  using namespace depthwise_detail;
  if (a.out_unsigned)
    a.wide_ratio ? row_3x3<to_codes<true, true>>(a) : row_3x3<to_codes<true, false>>(a);
  else
    a.wide_ratio ? row_3x3<to_codes<false, true>>(a) : row_3x3<to_codes<false, false>>(a);
}

inline void depthwise_3x3_sums(const depthwise_row& a) noexcept {
  depthwise_detail::row_3x3<depthwise_detail::to_sums>(a);
}

inline constexpr depthwise_leaf depthwise_3x3 = {
    "avx2",
    /*layout*/ 6,
    /*vectors*/ 2,
    /*lanes*/ 2,
    /*unit_rows*/ 1,
    /*unit_step*/ 1, lhs_form::s8, depthwise_3x3_copy, depthwise_3x3_codes, depthwise_3x3_sums,
    /*plain*/ true};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2

#endif
