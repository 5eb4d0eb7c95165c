// Where the sums of AVX2 depthwise convolution go: to codes (contract fp32_rne) or to memory. `put` takes 16 channels
// in word order of some pixels at a time.
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

// Sums with bias of 8 channels of two pixels -> steps in s16: [pixel 0, pixel 1 | pixel 0, pixel 1], 4 channels each.
template <bool Wide>
[[gnu::always_inline]] inline __m256i steps_of_two(__m256i sum0, __m256i sum1, __m256 ratio) noexcept {
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

  [[gnu::always_inline]] __m256i start(int32_t vector) const noexcept { return load256(bias + 8 * vector); }

  // sum[vector][pixel], `Pixels` of them from pixel x on.
  template <int32_t Pixels>
  [[gnu::always_inline]] void put(const __m256i (&sum)[2][Pixels], int64_t x) const noexcept {
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

  [[gnu::always_inline]] __m256i start(int32_t) const noexcept { return _mm256_setzero_si256(); }
  template <int32_t Pixels>
  [[gnu::always_inline]] void put(const __m256i (&sum)[2][Pixels], int64_t x) const noexcept {
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

template <int32_t Count>
struct pixel_count {
  static constexpr int32_t value = Count;
};

// body(pixel_count<n>, first) over a row's pixels, four at a time. Of 7 the last three go by themselves (rows of 7 and
// 15 are common); one or two are done with others before them once more. One call of each: they are to be inlined.
template <class Body>
[[gnu::always_inline]] inline void in_groups(int64_t pixels, Body&& body) noexcept {
  const bool three = pixels % 4 == 3;
  const int64_t end = three ? pixels - 3 : pixels;
  if (end >= 4)
    for (int64_t x = 0; x < end; x += 4) body(pixel_count<4>{}, x + 4 <= end ? x : end - 4);
  else
    for (int64_t x = 0; x < end; ++x) body(pixel_count<1>{}, x);
  if (three) body(pixel_count<3>{}, end);
}

}  // namespace depthwise_detail
}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2

#endif
