// Vectors of AVX-512 (F, BW, DQ, VL): sixteen f32 or s32.
// Empty where the compiler may not use these instructions.
#pragma once
#include "quantal/kernels/copy.hpp"
#if (defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)) || \
    defined(QUANTAL_EMULATE)
#include <stddef.h>
#include <stdint.h>

#include "quantal/kernels/avx512vnni/fixed.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

struct vec {
  using f32 = __m512;
  using s32 = __m512i;
  using fixed_lanes = avx512vnni::fixed_lanes;
  using bytes = __m512i;
  using mask = __mmask16;
  static constexpr size_t width = 16;
  static constexpr size_t byte_width = 64;
  static constexpr bool has_fma = true;
  static constexpr bool impossible_is_lowest = true;  // to_s32 of NaN and of what does not fit

  static f32 set(float x) noexcept { return _mm512_set1_ps(x); }
  static s32 set(int32_t x) noexcept { return _mm512_set1_epi32(x); }
  static f32 load(const float* p) noexcept { return _mm512_loadu_ps(p); }
  static void store(float* p, f32 x) noexcept { _mm512_storeu_ps(p, x); }
  static s32 load(const int32_t* p) noexcept { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, s32 x) noexcept { _mm512_storeu_si512(p, x); }
  static f32 mul(f32 a, f32 b) noexcept { return _mm512_mul_ps(a, b); }
  static f32 add(f32 a, f32 b) noexcept { return _mm512_add_ps(a, b); }
  static f32 div(f32 a, f32 b) noexcept { return _mm512_div_ps(a, b); }
  static f32 fma(f32 a, f32 b, f32 c) noexcept { return _mm512_fmadd_ps(a, b, c); }
  static f32 fnma(f32 a, f32 b, f32 c) noexcept { return _mm512_fnmadd_ps(a, b, c); }
  static f32 min(f32 a, f32 b) noexcept { return _mm512_min_ps(a, b); }
  static f32 max(f32 a, f32 b) noexcept { return _mm512_max_ps(a, b); }
  static s32 min(s32 a, s32 b) noexcept { return _mm512_min_epi32(a, b); }
  static s32 max(s32 a, s32 b) noexcept { return _mm512_max_epi32(a, b); }
  static s32 max_unsigned(s32 a, s32 b) noexcept { return _mm512_max_epu32(a, b); }
  static s32 load_bits(const float* p) noexcept { return _mm512_loadu_si512(p); }
  static s32 add(s32 a, s32 b) noexcept { return _mm512_add_epi32(a, b); }
  static s32 bit_and(s32 a, s32 b) noexcept { return _mm512_and_si512(a, b); }
  static s32 sub(s32 a, s32 b) noexcept { return _mm512_sub_epi32(a, b); }
  static s32 to_s32(f32 x) noexcept { return _mm512_cvtps_epi32(x); }  // round to nearest even: default_fp_env
  static f32 to_f32(s32 x) noexcept { return _mm512_cvtepi32_ps(x); }
  static f32 replace_nan(f32 x, f32 value) noexcept {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), value);
  }

  // The number of x and acc that is smaller (larger); a NaN in x leaves acc.
  static f32 min_number(f32 x, f32 acc) noexcept { return _mm512_min_ps(x, acc); }
  static f32 max_number(f32 x, f32 acc) noexcept { return _mm512_max_ps(x, acc); }
  static mask no_mask() noexcept { return 0; }
  static mask unordered(f32 a, f32 b) noexcept { return _mm512_cmp_ps_mask(a, b, _CMP_UNORD_Q); }
  static mask either(mask a, mask b) noexcept { return static_cast<mask>(a | b); }
  static bool any(mask m) noexcept { return m != 0; }

  static s32 load_codes(const int8_t* p) noexcept {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static s32 load_codes(const uint8_t* p) noexcept {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  static bytes load_bytes(const void* p) noexcept { return _mm512_loadu_si512(p); }
  static void store_bytes(void* p, bytes x) noexcept { _mm512_storeu_si512(p, x); }
  template <class Code>
  static bytes max_bytes(bytes a, bytes b) noexcept {
    return Code(-1) < Code(0) ? _mm512_max_epi8(a, b) : _mm512_max_epu8(a, b);
  }
  static bytes set_bytes(uint8_t x) noexcept { return _mm512_set1_epi8(static_cast<char>(x)); }
  static bytes broadcast_16(const void* p) noexcept {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static bytes exclusive_or(bytes a, bytes b) noexcept { return _mm512_xor_si512(a, b); }
  static bytes subtract_bytes(bytes a, bytes b) noexcept { return _mm512_sub_epi8(a, b); }
  static bytes subtract_saturated(bytes a, bytes b) noexcept { return _mm512_subs_epi8(a, b); }
  // table[x & 15] of each 16 bytes, 0 where bit 7 of x is set.
  static bytes shuffle_16(bytes table, bytes x) noexcept { return _mm512_shuffle_epi8(table, x); }

  // Adds codes, each of them code_offset too large, to sums.
  template <class Code>
  static constexpr int32_t code_offset = Code(-1) < Code(0) ? 128 : 0;
  template <class Code>
  static s32 add_codes(s32 sums, bytes codes) noexcept {
    if constexpr (Code(-1) < Code(0)) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
    return _mm512_add_epi32(sums, _mm512_sad_epu8(codes, _mm512_setzero_si512()));
  }

  // Sums of 16 bits: adds two vectors of codes, place by place. The order of the sums is that of unpacked bytes.
  using s16 = __m512i;
  static s16 no_sums() noexcept { return _mm512_setzero_si512(); }
  template <class Code>
  static s16 pair_sums(bytes pairs) noexcept {
    const __m512i ones = _mm512_set1_epi8(1);
    return Code(-1) < Code(0) ? _mm512_maddubs_epi16(ones, pairs) : _mm512_maddubs_epi16(pairs, ones);
  }
  template <class Code>
  static void add_two(s16 (&sums)[2], bytes a, bytes b) noexcept {
    sums[0] = _mm512_add_epi16(sums[0], pair_sums<Code>(_mm512_unpacklo_epi8(a, b)));
    sums[1] = _mm512_add_epi16(sums[1], pair_sums<Code>(_mm512_unpackhi_epi8(a, b)));
  }
  // Vector I of the four of s32, places in order.
  template <int I>
  static s32 widened(const s16 (&s)[2]) noexcept {
    const __m128i low = _mm512_extracti32x4_epi32(s[0], I), high = _mm512_extracti32x4_epi32(s[1], I);
    return _mm512_cvtepi16_epi32(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1));
  }

  // Four vectors of code - zero point, exact: a byte in the low bits of 2^23 is the float 2^23 + byte. Their order is
  // that of unpacking within 128 bits; narrowing::store_unpacked undoes it.
  template <class Code>
  struct centred {
    f32 zero;
    explicit centred(int32_t zero_point) noexcept
        : zero(_mm512_set1_ps(8388608.0f + static_cast<float>(zero_point + (Code(-1) < Code(0) ? 128 : 0)))) {}
    void operator()(const Code* p, f32 (&x)[4]) const noexcept {
      const __m512i nothing = _mm512_setzero_si512(), exponent = _mm512_set1_epi16(0x4b00);
      __m512i codes = load_bytes(p);
      if constexpr (Code(-1) < Code(0)) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
      const __m512i low = _mm512_unpacklo_epi8(codes, nothing), high = _mm512_unpackhi_epi8(codes, nothing);
      x[0] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpacklo_epi16(low, exponent)), zero);
      x[1] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpackhi_epi16(low, exponent)), zero);
      x[2] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpacklo_epi16(high, exponent)), zero);
      x[3] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_unpackhi_epi16(high, exponent)), zero);
    }
  };

  // Four vectors of steps -> 64 codes: narrow to s16, add the zero point, narrow to 8 bits, clamp. Both narrowings
  // saturate and work within 128-bit lanes, hence the permutation.
  template <class Code, bool Clamped = true>
  struct narrowing {
    __m512i zero, low, high;

    narrowing(int32_t zero_point, int32_t min, int32_t max) noexcept
        : zero(_mm512_set1_epi16(static_cast<int16_t>(zero_point))),
          low(_mm512_set1_epi8(static_cast<char>(min))),
          high(_mm512_set1_epi8(static_cast<char>(max))) {}

    template <bool Ordered>
    void finish(Code* q, __m512i ab, __m512i cd) const noexcept {
      ab = _mm512_adds_epi16(ab, zero);
      cd = _mm512_adds_epi16(cd, zero);
      __m512i codes;
      if constexpr (Code(-1) < Code(0)) {
        codes = _mm512_packs_epi16(ab, cd);
        if constexpr (Clamped) codes = _mm512_min_epi8(_mm512_max_epi8(codes, low), high);
      } else {
        codes = _mm512_packus_epi16(ab, cd);
        if constexpr (Clamped) codes = _mm512_min_epu8(_mm512_max_epu8(codes, low), high);
      }
      const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
      if constexpr (Ordered) codes = _mm512_permutexvar_epi32(order, codes);
      _mm512_storeu_si512(q, codes);
    }
    void store(Code* q, __m512i a, __m512i b, __m512i c, __m512i d) const noexcept {
      finish<true>(q, _mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    }
    // The same of vectors in the order of `centred`.
    void store_unpacked(Code* q, __m512i a, __m512i b, __m512i c, __m512i d) const noexcept {
      finish<false>(q, _mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
    }
    // Stores nothing and returns false if a step is below -32767.
    bool store_if_sure(Code* q, __m512i a, __m512i b, __m512i c, __m512i d) const noexcept {
      const __m512i ab = _mm512_packs_epi32(a, b), cd = _mm512_packs_epi32(c, d);
      if (_mm512_cmpeq_epi16_mask(_mm512_min_epi16(ab, cd), _mm512_set1_epi16(INT16_MIN)) != 0) return false;
      finish<true>(q, ab, cd);
      return true;
    }
  };

  // No expression is contracted across it.
  static f32 fence(f32 x) noexcept {
#if !defined(QUANTAL_EMULATE)
    __asm__("" : "+v"(x));
#endif
    return x;
  }
  static bytes fence(bytes x) noexcept {
#if !defined(QUANTAL_EMULATE)
    __asm__("" : "+v"(x));
#endif
    return x;
  }
  // fma(*x, b, c), x read by the instruction itself: a load that the compiler shares with another use is one more.
  static f32 fma_of(const float* x, f32 b, f32 c) noexcept {
#if defined(QUANTAL_EMULATE)
    return fma(load(x), b, c);
#else
    __asm__("vfmadd231ps %1, %2, %0" : "+v"(c) : "m"(*reinterpret_cast<const float(*)[width]>(x)), "v"(b));
    return c;
#endif
  }
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
