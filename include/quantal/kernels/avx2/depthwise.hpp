// AVX2 leaf of depthwise convolution: exact for all codes and zero points.
//
// Words are pairs of s16 (two image rows, zero point subtracted), vpmaddwd + vpaddd make 16 exact products of 8
// channels. A block is 16 channels in two vectors. 3 x 3 needs two units: 6 taps x 2 vectors of weights stay in 12
// registers, and an output pixel costs 12 vpmaddwd with memory operands, 12 additions and an epilogue of about ten
// instructions. Larger kernels take four pixels at a time and read the weights from L1.
//
//   row r    a0 a1 ... a15  ── vpmovzxbw, - zero point ──┐  vpunpcklwd: a0 b0 .. a3 b3 | a8 b8 .. a11 b11     vector 0
//   row r+1  b0 b1 ... b15  ─────────────────────────────┘  vpunpckhwd: a4 b4 .. a7 b7 | a12 b12 .. a15 b15   vector 1
//   vpackssdw(vector 0, vector 1) is the channels' order again.
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
  __m256i* to = static_cast<__m256i*>(a.out);
  for (int64_t x = 0; x < a.pixels; ++x, first += a.steps[0], second += a.steps[1], to += 2) {
    const __m256i p = centred<Unsigned>(first, zero), q = centred<Unsigned>(second, zero);
    _mm256_storeu_si256(to, _mm256_unpacklo_epi16(p, q));
    _mm256_storeu_si256(to + 1, _mm256_unpackhi_epi16(p, q));
  }
}

// Sums with bias of 16 channels -> s16 codes before clamping.
template <bool Wide>
inline __m256i steps16(__m256i sum0, __m256i sum1, const float* ratio, __m256i zero_point) noexcept {
  __m256 x0 = _mm256_mul_ps(_mm256_cvtepi32_ps(sum0), _mm256_loadu_ps(ratio));
  __m256 x1 = _mm256_mul_ps(_mm256_cvtepi32_ps(sum1), _mm256_loadu_ps(ratio + 8));
  if constexpr (Wide) {  // too large converts to INT_MIN; too small does so rightly
    const __m256 most = _mm256_set1_ps(2147483520.0f);
    x0 = _mm256_min_ps(x0, most);
    x1 = _mm256_min_ps(x1, most);
  }
  return _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(x0), _mm256_cvtps_epi32(x1)), zero_point);
}

template <bool Unsigned>
inline __m128i codes16(__m256i steps, __m128i low, __m128i high) noexcept {
  const __m128i a = _mm256_castsi256_si128(steps), b = _mm256_extracti128_si256(steps, 1);
  if constexpr (Unsigned)
    return _mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(a, b), low), high);
  else
    return _mm_min_epi8(_mm_max_epi8(_mm_packs_epi16(a, b), low), high);
}

inline void store_live(uint8_t* to, __m128i codes, int32_t live) noexcept {
  alignas(16) uint8_t bounce[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bounce), codes);
  for (int32_t c = 0; c < live; ++c) to[c] = bounce[c];
}

// Where the results of a row go.
template <bool Unsigned, bool Wide>
struct to_codes {
  const depthwise_row& a;
  __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(a.zero_point));
  __m128i low = _mm_set1_epi8(static_cast<char>(a.codes.min)), high = _mm_set1_epi8(static_cast<char>(a.codes.max));
  uint8_t* to = static_cast<uint8_t*>(a.out);

  __m256i start(int32_t half) const noexcept { return load256(a.bias + 8 * half); }
  void put(__m256i sum0, __m256i sum1) noexcept {
    const __m128i codes = codes16<Unsigned>(steps16<Wide>(sum0, sum1, a.ratio, zero_point), low, high);
    if (a.live_channels == 16)
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
    else
      store_live(to, codes, a.live_channels);
    to += a.out_stride;
  }
};

struct to_sums {
  const depthwise_row& a;
  __m256i* to = static_cast<__m256i*>(a.out);

  __m256i start(int32_t) const noexcept { return _mm256_setzero_si256(); }
  void put(__m256i sum0, __m256i sum1) noexcept {
    _mm256_storeu_si256(to, sum0);
    _mm256_storeu_si256(to + 1, sum1);
    to += 2;
  }
};

// Two units, three columns: the weights stay in registers.
template <class Sink>
inline void row_2x3(const depthwise_row& a) noexcept {
  Sink sink{a};
  __m256i w[6][2];
#pragma GCC unroll 6
  for (int32_t t = 0; t < 6; ++t) {
    w[t][0] = load256(a.weights + 64 * t);
    w[t][1] = load256(a.weights + 64 * t + 32);
  }
  const uint8_t *top = a.units[0], *bottom = a.units[1];
  for (int64_t n = a.pixels; n > 0; --n, top += a.pixel_step, bottom += a.pixel_step) {
    __m256i sum0 = sink.start(0), sum1 = sink.start(1);
#pragma GCC unroll 6
    for (int32_t t = 0; t < 6; ++t) {
      const uint8_t* from = (t < 3 ? top : bottom) + t % 3 * a.tap_step;
      sum0 = _mm256_add_epi32(sum0, _mm256_madd_epi16(w[t][0], load256(from)));
      sum1 = _mm256_add_epi32(sum1, _mm256_madd_epi16(w[t][1], load256(from + 32)));
    }
    sink.put(sum0, sum1);
  }
}

template <int32_t Pixels, class Sink>
inline void pixels_any(const depthwise_row& a, Sink& sink, int64_t at) noexcept {
  __m256i sum[Pixels][2];
#pragma GCC unroll 4
  for (int32_t p = 0; p < Pixels; ++p) {
    sum[p][0] = sink.start(0);
    sum[p][1] = sink.start(1);
  }
  const uint8_t* weights = a.weights;
  for (int32_t u = 0; u < a.unit_count; ++u) {
    const uint8_t* from = a.units[u] + at;
    for (int64_t k = 0; k < a.kernel_w; ++k, from += a.tap_step, weights += 64) {
      const __m256i w0 = load256(weights), w1 = load256(weights + 32);
#pragma GCC unroll 4
      for (int32_t p = 0; p < Pixels; ++p) {
        sum[p][0] = _mm256_add_epi32(sum[p][0], _mm256_madd_epi16(w0, load256(from + p * a.pixel_step)));
        sum[p][1] = _mm256_add_epi32(sum[p][1], _mm256_madd_epi16(w1, load256(from + p * a.pixel_step + 32)));
      }
    }
  }
#pragma GCC unroll 4
  for (int32_t p = 0; p < Pixels; ++p) sink.put(sum[p][0], sum[p][1]);
}

template <class Sink>
inline void row_any(const depthwise_row& a) noexcept {
  Sink sink{a};
  int64_t x = 0;
  for (; x + 4 <= a.pixels; x += 4) pixels_any<4>(a, sink, x * a.pixel_step);
  for (; x < a.pixels; ++x) pixels_any<1>(a, sink, x * a.pixel_step);
}

template <class Sink>
inline void row(const depthwise_row& a) noexcept {
  if (a.unit_count == 2 && a.kernel_w == 3)
    row_2x3<Sink>(a);
  else
    row_any<Sink>(a);
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
