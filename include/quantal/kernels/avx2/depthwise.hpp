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
#include "quantal/kernels/avx2/depthwise_3x3.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {
namespace depthwise_detail {

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

// One vector (8 channels) of up to four pixels `Stride` columns apart, two units, three kernel columns: each word is
// loaded once for all pixels that it belongs to.
template <int32_t Stride, int32_t Pixels>
[[gnu::always_inline]] inline void pixels_2x3(const uint8_t* top, const uint8_t* bottom, const uint8_t* weights,
                                              __m256i start, __m256i (&sum)[Pixels]) noexcept {
  constexpr int32_t word_bytes = 64;  // a pixel's words of the block
#pragma GCC unroll 4
  for (int32_t p = 0; p < Pixels; ++p) sum[p] = start;
#pragma GCC unroll 2
  for (int32_t u = 0; u < 2; ++u) {
    const uint8_t* from = u == 0 ? top : bottom;
    __m256i w[3];
#pragma GCC unroll 3
    for (int32_t k = 0; k < 3; ++k) w[k] = load256(weights + (3 * u + k) * word_bytes);
#pragma GCC unroll 9
    for (int32_t c = 0; c < (Pixels - 1) * Stride + 3; ++c) {
      const __m256i x = load256(from + c * word_bytes);
#pragma GCC unroll 4
      for (int32_t p = 0; p < Pixels; ++p) {
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
  in_groups(
      a.pixels, [&](auto count, int64_t x) __attribute__((always_inline)) {
        const int64_t at = x * (64 * Stride);
        __m256i sum[2][count.value];
        pixels_2x3<Stride, count.value>(top + at, bottom + at, weights, sink.start(0), sum[0]);
        pixels_2x3<Stride, count.value>(top + at + 32, bottom + at + 32, weights + 32, sink.start(1), sum[1]);
        sink.template put<count.value>(sum, x);
      });
}

template <int32_t Pixels, class Sink>
[[gnu::always_inline]] inline void pixels_any(const depthwise_row& a, const Sink& sink, int64_t x) noexcept {
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
  if (a.unit_count == 2 && a.kernel_w == 3 && a.tap_step == 64) {
    if (a.pixel_step == 64) return row_2x3<1, Sink>(a);
    if (a.pixel_step == 128) return row_2x3<2, Sink>(a);
  }
  const Sink sink{a};
  in_groups(
      a.pixels, [&](auto count, int64_t x) __attribute__((always_inline)) { pixels_any<count.value>(a, sink, x); });
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
                                             depthwise_codes, depthwise_sums,        /*plain*/ false,
                                             &depthwise_3x3};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2

#endif
