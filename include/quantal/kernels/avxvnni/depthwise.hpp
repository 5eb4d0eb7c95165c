// AVX-VNNI leaf of depthwise convolution: 32 channels a block, two pixels at a time (8 sums of 16 registers). The words
// are u8 (the unsigned operand of vpdpbusd), the weights s8. See kernels/depthwise_quad.hpp. Speed modelled only
// (docs/kernels.md).
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVXVNNI__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avxvnni/dot.hpp"
#include "quantal/kernels/depthwise_quad.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avxvnni {
inline namespace QUANTAL_KERNEL_COPY {

struct quad_ymm {
  using words = __m256i;
  using sums = __m256i;
  static constexpr int32_t lanes = 2, pixels = 2;
  static constexpr lhs_form form = lhs_form::u8;

  static words load(const void* p) noexcept { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static void store(void* p, words x) noexcept { _mm256_storeu_si256(static_cast<__m256i*>(p), x); }
  static sums load_sums(const int32_t* p) noexcept { return load(p); }
  static void store_sums(void* p, sums x) noexcept { store(p, x); }
  static sums zero() noexcept { return _mm256_setzero_si256(); }
  static words flip(words x) noexcept { return _mm256_xor_si256(x, _mm256_set1_epi8(-128)); }
  static sums dot(sums sum, words x, words w) noexcept {
    add_dot(sum, x, w);
    return sum;
  }

  static void interleave(const words (&row)[4], words (&out)[4]) noexcept {
    const words a = _mm256_unpacklo_epi8(row[0], row[1]), b = _mm256_unpackhi_epi8(row[0], row[1]);
    const words c = _mm256_unpacklo_epi8(row[2], row[3]), d = _mm256_unpackhi_epi8(row[2], row[3]);
    out[0] = _mm256_unpacklo_epi16(a, c);
    out[1] = _mm256_unpackhi_epi16(a, c);
    out[2] = _mm256_unpacklo_epi16(b, d);
    out[3] = _mm256_unpackhi_epi16(b, d);
  }

  template <bool Wide>
  static __m256i steps(sums sum, const float* ratio) noexcept {
    __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(ratio));
    if constexpr (Wide) x = _mm256_min_ps(x, _mm256_set1_ps(2147483520.0f));  // too large converts to INT_MIN
    return _mm256_cvtps_epi32(x);
  }

  template <bool Unsigned, bool Wide>
  static words codes(const sums (&sum)[4], const depthwise_row& a) noexcept {
    const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(a.zero_point));
    const __m256i low = _mm256_set1_epi8(static_cast<char>(a.codes.min));
    const __m256i high = _mm256_set1_epi8(static_cast<char>(a.codes.max));
    const __m256i first = _mm256_packs_epi32(steps<Wide>(sum[0], a.ratio), steps<Wide>(sum[1], a.ratio + 8));
    const __m256i second = _mm256_packs_epi32(steps<Wide>(sum[2], a.ratio + 16), steps<Wide>(sum[3], a.ratio + 24));
    const __m256i x = _mm256_adds_epi16(first, zero), y = _mm256_adds_epi16(second, zero);
    if constexpr (Unsigned)
      return _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(x, y), low), high);
    else
      return _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(x, y), low), high);
  }
};

inline constexpr depthwise_leaf depthwise = depthwise_quads<quad_ymm>::leaf("avxvnni", /*layout*/ 3);

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avxvnni
#endif
