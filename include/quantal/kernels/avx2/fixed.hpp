// The 64-bit steps of fixed_simd.hpp with AVX2: eight s32, or four s64 in their place.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/fixed_simd.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

struct fixed_lanes {
  using s32 = __m256i;
  static constexpr size_t width = 8;

  static s32 load(const int32_t* p) noexcept { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static s32 load64(const int64_t* p) noexcept { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static s32 set(int32_t x) noexcept { return _mm256_set1_epi32(x); }
  static s32 set64(int64_t x) noexcept { return _mm256_set1_epi64x(x); }
  static s32 sub(s32 a, s32 b) noexcept { return _mm256_sub_epi32(a, b); }
  static s32 bit_and(s32 a, s32 b) noexcept { return _mm256_and_si256(a, b); }
  static s32 sllv(s32 x, s32 by) noexcept { return _mm256_sllv_epi32(x, by); }
  static s32 srav(s32 x, s32 by) noexcept { return _mm256_srav_epi32(x, by); }
  template <int By>
  static s32 srl(s32 x) noexcept {
    return _mm256_srli_epi32(x, By);
  }
  template <int By>
  static s32 sra(s32 x) noexcept {
    return _mm256_srai_epi32(x, By);
  }
  // x + 1 where a > b.
  static s32 add_if_greater(s32 x, s32 a, s32 b) noexcept { return _mm256_sub_epi32(x, _mm256_cmpgt_epi32(a, b)); }
  static s32 shift_left_saturated(s32 x, s32 by) noexcept {
    const s32 wrapped = sllv(x, by), limit = _mm256_xor_si256(sra<31>(x), set(INT32_MAX));
    return _mm256_blendv_epi8(limit, wrapped, _mm256_cmpeq_epi32(srav(wrapped, by), x));
  }
  static s32 add_saturated(s32 a, s32 b) noexcept {
    const s32 sum = _mm256_add_epi32(a, b), limit = _mm256_xor_si256(sra<31>(a), set(INT32_MAX));
    const s32 over = _mm256_andnot_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(a, sum));  // in the sign
    return _mm256_blendv_epi8(sum, limit, sra<31>(over));
  }

  // s64:
  static s32 odd(s32 x) noexcept { return _mm256_srli_epi64(x, 32); }
  static s32 mul_even(s32 a, s32 b) noexcept { return _mm256_mul_epi32(a, b); }
  static s32 add64(s32 a, s32 b) noexcept { return _mm256_add_epi64(a, b); }
  static s32 sub64(s32 a, s32 b) noexcept { return _mm256_sub_epi64(a, b); }
  template <int By>
  static s32 srl64(s32 x) noexcept {
    return _mm256_srli_epi64(x, By);
  }
  template <int By>
  static s32 sll64(s32 x) noexcept {
    return _mm256_slli_epi64(x, By);
  }
  static s32 srlv64(s32 x, s32 by) noexcept { return _mm256_srlv_epi64(x, by); }
  static s32 clamp64(s32 x) noexcept {
    const s32 high = set64(INT32_MAX), low = set64(INT32_MIN);
    x = _mm256_blendv_epi8(x, high, _mm256_cmpgt_epi64(x, high));
    return _mm256_blendv_epi8(x, low, _mm256_cmpgt_epi64(low, x));
  }
  // Low halves of `even`, high halves of `odd`.
  static s32 merge(s32 even, s32 odd) noexcept { return _mm256_blend_epi32(even, odd, 0xaa); }
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
#endif
