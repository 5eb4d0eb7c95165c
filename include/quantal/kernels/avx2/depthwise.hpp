// AVX2 leaf of depthwise convolution: exact for all codes and zero points.
//
// Words are pairs of s16 (two image rows, zero point subtracted), vpmaddwd + vpaddd make 16 exact products of 8
// channels. A block is 16 channels in two vectors. 3 x 3 needs two units: 6 taps x 2 vectors of weights stay in 12
// registers, and an output pixel costs 12 vpmaddwd with memory operands, 12 additions and an epilogue of about ten
// instructions. Larger kernels take four pixels at a time and read the weights from L1.
//
//   row r    a0 a1 ... a15  ── vpmovzxbw, - zero point ──┐  vpunpcklwd: a0 b0 .. a3 b3 | a8 b8 .. a11 b11     vector 0
//   row r+1  b0 b1 ... b15  ─────────────────────────────┘  vpunpckhwd: a4 b4 .. a7 b7 | a12 b12 .. a15 b15   vector 1
//   vpackssdw and vpacksswb of two pixels leave dwords of four channels, which one vpermd puts in order.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/depthwise_leaf.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {
namespace depthwise_detail {

inline __m256i load256(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

template <bool Unsigned>
inline __m256i centred(const uint8_t* p, __m256i zero) noexcept {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_sub_epi16(Unsigned ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes), zero);
}

template <bool Unsigned>
inline void interleave(const interleave_args& a) noexcept {
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(a.zero_point));
  const uint8_t *first = a.rows[0], *second = a.rows[1];
  const int64_t first_step = a.steps[0], second_step = a.steps[1];
  __m256i* to = static_cast<__m256i*>(a.out);
  for (int64_t n = a.pixels; n > 0; --n, first += first_step, second += second_step, to += 2) {
    const __m256i p = centred<Unsigned>(first, zero), q = centred<Unsigned>(second, zero);
    _mm256_storeu_si256(to, _mm256_unpacklo_epi16(p, q));
    _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi16(p, q));
  }
}

// Sums with bias of 8 channels of two pixels -> steps in s16: [pixel 0, pixel 1 | pixel 0, pixel 1], 4 channels each.
template <bool Wide>
inline __m256i steps_of_two(__m256i sum0, __m256i sum1, __m256 ratio) noexcept {
  __m256 x0 = _mm256_mul_ps(_mm256_cvtepi32_ps(sum0), ratio);
  __m256 x1 = _mm256_mul_ps(_mm256_cvtepi32_ps(sum1), ratio);
  if constexpr (Wide) {  // too large converts to INT_MIN; too small does so rightly
    const __m256 most = _mm256_set1_ps(2147483520.0f);
    x0 = _mm256_min_ps(x0, most);
    x1 = _mm256_min_ps(x1, most);
  }
  return _mm256_packs_epi32(_mm256_cvtps_epi32(x0), _mm256_cvtps_epi32(x1));
}

// Where the results of a row go: `two` takes the steps of both vectors of two pixels.
template <bool Unsigned, bool Wide>
struct to_codes {
  const depthwise_row& a;
  int64_t stride = a.out_stride;
  __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(a.zero_point));
  __m256i low = _mm256_set1_epi8(static_cast<char>(a.codes.min));
  __m256i high = _mm256_set1_epi8(static_cast<char>(a.codes.max));
  const int32_t* bias = a.bias;
  const float* ratio = a.ratio;
  uint8_t* out = static_cast<uint8_t*>(a.out);

  __m256i start(int32_t vector) const noexcept { return load256(bias + 8 * vector); }

  // sum[vector][pixel], `Pixels` of them from pixel x on.
  template <int32_t Pixels>
  void put(const __m256i (&sum)[2][Pixels], int64_t x) const noexcept {
    const __m256 ratio0 = _mm256_loadu_ps(ratio), ratio1 = _mm256_loadu_ps(ratio + 8);
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7);
    uint8_t* to = out + x * stride;
#pragma GCC unroll 2
    for (int32_t p = 0; p < Pixels; p += 2) {
      const int32_t q = p + 1 < Pixels ? p + 1 : p;
      const __m256i first = _mm256_adds_epi16(steps_of_two<Wide>(sum[0][p], sum[0][q], ratio0), zero_point);
      const __m256i second = _mm256_adds_epi16(steps_of_two<Wide>(sum[1][p], sum[1][q], ratio1), zero_point);
      __m256i codes = Unsigned ? _mm256_packus_epi16(first, second) : _mm256_packs_epi16(first, second);
      codes = Unsigned ? _mm256_min_epu8(_mm256_max_epu8(codes, low), high)
                       : _mm256_min_epi8(_mm256_max_epi8(codes, low), high);
      codes = _mm256_permutevar8x32_epi32(codes, order);  // [pixel p | pixel q], 16 channels each
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + p * stride), _mm256_castsi256_si128(codes));
      if (q != p) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + q * stride), _mm256_extracti128_si256(codes, 1));
    }
  }
};

struct to_sums {
  const depthwise_row& a;

  __m256i start(int32_t) const noexcept { return _mm256_setzero_si256(); }
  template <int32_t Pixels>
  void put(const __m256i (&sum)[2][Pixels], int64_t x) const noexcept {
    __m256i* to = static_cast<__m256i*>(a.out) + 2 * x;
#pragma GCC unroll 4
    for (int32_t p = 0; p < Pixels; ++p, to += 2) {
      _mm256_storeu_si256(to, sum[0][p]);
      _mm256_storeu_si256(to + 1, sum[1][p]);
    }
  }
};

// Integer sums are associative, and GCC makes trees of them that need more registers than there are.
inline void in_order(__m256i& sum) noexcept {
#if !defined(QUANTAL_EMULATE)
  __asm__("" : "+x"(sum));
#else
  static_cast<void>(sum);
#endif
}

// One vector (8 channels) of four pixels `Stride` columns apart, two units, three kernel columns: each word is loaded
// once for all pixels that it belongs to.
template <int32_t Stride>
inline void four_pixels(const uint8_t* top, const uint8_t* bottom, const uint8_t* weights, __m256i start,
                        __m256i (&sum)[4]) noexcept {
  constexpr int32_t word_bytes = 64;  // a pixel's words of the block
#pragma GCC unroll 4
  for (int32_t p = 0; p < 4; ++p) sum[p] = start;
#pragma GCC unroll 2
  for (int32_t u = 0; u < 2; ++u) {
    const uint8_t* from = u == 0 ? top : bottom;
    __m256i w[3];
#pragma GCC unroll 3
    for (int32_t k = 0; k < 3; ++k) w[k] = load256(weights + (3 * u + k) * word_bytes);
#pragma GCC unroll 9
    for (int32_t c = 0; c < 3 * Stride + 3; ++c) {
      const __m256i x = load256(from + c * word_bytes);
#pragma GCC unroll 4
      for (int32_t p = 0; p < 4; ++p) {
        if (c < p * Stride || c >= p * Stride + 3) continue;
        sum[p] = _mm256_add_epi32(sum[p], _mm256_madd_epi16(x, w[c - p * Stride]));
        in_order(sum[p]);
      }
    }
  }
}

template <int32_t Stride, class Sink>
inline void row_2x3(const depthwise_row& a) noexcept {
  const Sink sink{a};
  const uint8_t *top = a.units[0], *bottom = a.units[1], *weights = a.weights;
  const int64_t pixels = a.pixels;
  for (int64_t x = 0; x < pixels; x += 4) {
    const int64_t at = x + 4 <= pixels ? x : pixels - 4;  // the last four may have been done in part
    __m256i sum[2][4];
    four_pixels<Stride>(top + at * (64 * Stride), bottom + at * (64 * Stride), weights, sink.start(0), sum[0]);
    four_pixels<Stride>(top + at * (64 * Stride) + 32, bottom + at * (64 * Stride) + 32, weights + 32, sink.start(1),
                        sum[1]);
    sink.template put<4>(sum, at);
  }
}

template <int32_t Pixels, class Sink>
inline void pixels_any(const depthwise_row& a, const Sink& sink, int64_t x) noexcept {
  const int64_t tap_step = a.tap_step, pixel_step = a.pixel_step;
  __m256i sum[2][Pixels];
#pragma GCC unroll 4
  for (int32_t p = 0; p < Pixels; ++p) {
    sum[0][p] = sink.start(0);
    sum[1][p] = sink.start(1);
  }
  const uint8_t* weights = a.weights;
  for (int32_t u = 0; u < a.unit_count; ++u) {
    const uint8_t* from = a.units[u] + x * pixel_step;
    for (int64_t k = 0; k < a.kernel_w; ++k, from += tap_step, weights += 64) {
      const __m256i w0 = load256(weights), w1 = load256(weights + 32);
#pragma GCC unroll 4
      for (int32_t p = 0; p < Pixels; ++p) {
        sum[0][p] = _mm256_add_epi32(sum[0][p], _mm256_madd_epi16(w0, load256(from + p * pixel_step)));
        sum[1][p] = _mm256_add_epi32(sum[1][p], _mm256_madd_epi16(w1, load256(from + p * pixel_step + 32)));
      }
    }
  }
  sink.template put<Pixels>(sum, x);
}

template <class Sink>
inline void row(const depthwise_row& a) noexcept {
  if (a.unit_count == 2 && a.kernel_w == 3 && a.tap_step == 64 && a.pixels >= 4) {
    if (a.pixel_step == 64) return row_2x3<1, Sink>(a);
    if (a.pixel_step == 128) return row_2x3<2, Sink>(a);
  }
  const Sink sink{a};
  int64_t x = 0;
  for (; x + 4 <= a.pixels; x += 4) pixels_any<4>(a, sink, x);
  for (; x < a.pixels; ++x) pixels_any<1>(a, sink, x);
}

}  // namespace depthwise_detail

inline void depthwise_interleave(const interleave_args& a) noexcept {
  a.is_unsigned ? depthwise_detail::interleave<true>(a) : depthwise_detail::interleave<false>(a);
}

inline void depthwise_codes(const depthwise_row& a) noexcept {
  using namespace depthwise_detail;
  if (a.out_unsigned)
    a.wide_ratio ? row<to_codes<true, true>>(a) : row<to_codes<true, false>>(a);
  else
    a.wide_ratio ? row<to_codes<false, true>>(a) : row<to_codes<false, false>>(a);
}

inline void depthwise_sums(const depthwise_row& a) noexcept {
  depthwise_detail::row<depthwise_detail::to_sums>(a);
}

inline constexpr depthwise_leaf depthwise = {"avx2",
                                             /*layout*/ 1,
                                             /*vectors*/ 2,
                                             /*lanes*/ 2,
                                             /*unit_rows*/ 2,
                                             /*unit_step*/ 2, lhs_form::s16_centred, depthwise_interleave,
                                             depthwise_codes, depthwise_sums};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2

#endif
