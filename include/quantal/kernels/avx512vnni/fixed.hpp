// The 64-bit steps of fixed_simd.hpp with AVX-512: sixteen s32, or eight s64 in their place.
#pragma once
#include "quantal/kernels/copy.hpp"
#if (defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/fixed_simd.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

struct fixed_lanes {
  using s32 = __m512i;
  static constexpr size_t width = 16;

  static s32 load(const int32_t* p) noexcept { return _mm512_loadu_si512(p); }
  static s32 load64(const int64_t* p) noexcept { return _mm512_loadu_si512(p); }
  static s32 set(int32_t x) noexcept { return _mm512_set1_epi32(x); }
  static s32 set64(int64_t x) noexcept { return _mm512_set1_epi64(x); }
  static s32 sub(s32 a, s32 b) noexcept { return _mm512_sub_epi32(a, b); }
  static s32 bit_and(s32 a, s32 b) noexcept { return _mm512_and_si512(a, b); }
  static s32 sllv(s32 x, s32 by) noexcept { return _mm512_sllv_epi32(x, by); }
  static s32 srav(s32 x, s32 by) noexcept { return _mm512_srav_epi32(x, by); }
  template <int By>
  static s32 srl(s32 x) noexcept {
    return _mm512_srli_epi32(x, By);
  }
  template <int By>
  static s32 sra(s32 x) noexcept {
    return _mm512_srai_epi32(x, By);
  }
  // x + 1 where a > b.
  static s32 add_if_greater(s32 x, s32 a, s32 b) noexcept {
    return _mm512_mask_add_epi32(x, _mm512_cmpgt_epi32_mask(a, b), x, set(1));
  }
  static s32 shift_left_saturated(s32 x, s32 by) noexcept {
    const s32 wrapped = sllv(x, by), limit = _mm512_xor_si512(sra<31>(x), set(INT32_MAX));
    return _mm512_mask_blend_epi32(_mm512_cmpeq_epi32_mask(srav(wrapped, by), x), limit, wrapped);
  }
  static s32 add_saturated(s32 a, s32 b) noexcept {
    const s32 sum = _mm512_add_epi32(a, b), limit = _mm512_xor_si512(sra<31>(a), set(INT32_MAX));
    const s32 over = _mm512_andnot_si512(_mm512_xor_si512(a, b), _mm512_xor_si512(a, sum));  // in the sign
    return _mm512_mask_blend_epi32(_mm512_cmpgt_epi32_mask(set(0), over), sum, limit);
  }

  // s64:
  static s32 odd(s32 x) noexcept { return _mm512_srli_epi64(x, 32); }
  static s32 mul_even(s32 a, s32 b) noexcept { return _mm512_mul_epi32(a, b); }
  static s32 add64(s32 a, s32 b) noexcept { return _mm512_add_epi64(a, b); }
  static s32 sub64(s32 a, s32 b) noexcept { return _mm512_sub_epi64(a, b); }
  template <int By>
  static s32 srl64(s32 x) noexcept {
    return _mm512_srli_epi64(x, By);
  }
  template <int By>
  static s32 sll64(s32 x) noexcept {
    return _mm512_slli_epi64(x, By);
  }
  static s32 srlv64(s32 x, s32 by) noexcept { return _mm512_srlv_epi64(x, by); }
  static s32 clamp64(s32 x) noexcept {
    return _mm512_min_epi64(_mm512_max_epi64(x, set64(INT32_MIN)), set64(INT32_MAX));
  }
  // Low halves of `even`, high halves of `odd`.
  static s32 merge(s32 even, s32 odd) noexcept { return _mm512_mask_blend_epi32(0xaaaa, even, odd); }
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
