// AVX512-VNNI leaf of depthwise convolution: 64 channels a block, four pixels at a time (16 sums of 32 registers). The
// words are u8 (the unsigned operand of vpdpbusd), the weights s8. See kernels/depthwise_quad.hpp. Speed modelled only
// (docs/kernels.md).
#pragma once
#include "quantal/kernels/copy.hpp"
#if (defined(__AVX512VNNI__) && defined(__AVX512BW__)) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx512vnni/dot.hpp"
#include "quantal/kernels/depthwise_quad.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

struct quad_zmm {
  using words = __m512i;
  using sums = __m512i;
  static constexpr int32_t lanes = 4, pixels = 4;
  static constexpr lhs_form form = lhs_form::u8;

  static words load(const void* p) noexcept { return _mm512_loadu_si512(p); }
  static void store(void* p, words x) noexcept { _mm512_storeu_si512(p, x); }
  static sums load_sums(const int32_t* p) noexcept { return load(p); }
  static void store_sums(void* p, sums x) noexcept { store(p, x); }
  static sums zero() noexcept { return _mm512_setzero_si512(); }
  static words flip(words x) noexcept { return _mm512_xor_si512(x, _mm512_set1_epi8(-128)); }
  static sums dot(sums sum, words x, words w) noexcept {
    add_dot(sum, x, w);
    return sum;
  }

  static void interleave(const words (&row)[4], words (&out)[4]) noexcept {
    const words a = _mm512_unpacklo_epi8(row[0], row[1]), b = _mm512_unpackhi_epi8(row[0], row[1]);
    const words c = _mm512_unpacklo_epi8(row[2], row[3]), d = _mm512_unpackhi_epi8(row[2], row[3]);
    out[0] = _mm512_unpacklo_epi16(a, c);
    out[1] = _mm512_unpackhi_epi16(a, c);
    out[2] = _mm512_unpacklo_epi16(b, d);
    out[3] = _mm512_unpackhi_epi16(b, d);
  }

  template <bool Wide>
  static __m512i steps(sums sum, const float* ratio) noexcept {
    __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(ratio));
    if constexpr (Wide) x = _mm512_min_ps(x, _mm512_set1_ps(2147483520.0f));  // too large converts to INT_MIN
    return _mm512_cvtps_epi32(x);
  }

  template <bool Unsigned, bool Wide>
  static words codes(const sums (&sum)[4], const depthwise_row& a) noexcept {
    const __m512i zero = _mm512_set1_epi16(static_cast<int16_t>(a.zero_point));
    const __m512i low = _mm512_set1_epi8(static_cast<char>(a.codes.min));
    const __m512i high = _mm512_set1_epi8(static_cast<char>(a.codes.max));
    const __m512i first = _mm512_packs_epi32(steps<Wide>(sum[0], a.ratio), steps<Wide>(sum[1], a.ratio + 16));
    const __m512i second = _mm512_packs_epi32(steps<Wide>(sum[2], a.ratio + 32), steps<Wide>(sum[3], a.ratio + 48));
    const __m512i x = _mm512_adds_epi16(first, zero), y = _mm512_adds_epi16(second, zero);
    if constexpr (Unsigned)
      return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(x, y), low), high);
    else
      return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(x, y), low), high);
  }
};

inline constexpr depthwise_leaf depthwise = depthwise_quads<quad_zmm>::leaf("avx512vnni", /*layout*/ 4);

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
