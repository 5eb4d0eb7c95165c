// Vectors of SSE4.1: four f32 or s32. No fused multiply-add, so quotients are divided.
// Empty where the compiler may not use these instructions.
#pragma once
#if defined(__SSE4_1__)
#include <smmintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "quantal/kernels/copy.hpp"

namespace quantal::kernels::sse41 {
inline namespace QUANTAL_KERNEL_COPY {

struct vec {
  using f32 = __m128;
  using s32 = __m128i;
  using bytes = __m128i;
  using mask = __m128;
  static constexpr size_t width = 4;
  static constexpr size_t byte_width = 16;
  static constexpr bool has_fma = false;
  static constexpr bool impossible_is_lowest = true;  // to_s32 of NaN and of what does not fit

  static f32 set(float x) noexcept { return _mm_set1_ps(x); }
  static s32 set(int32_t x) noexcept { return _mm_set1_epi32(x); }
  static f32 load(const float* p) noexcept { return _mm_loadu_ps(p); }
  static void store(float* p, f32 x) noexcept { _mm_storeu_ps(p, x); }
  static s32 load(const int32_t* p) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static void store(int32_t* p, s32 x) noexcept { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), x); }
  static f32 mul(f32 a, f32 b) noexcept { return _mm_mul_ps(a, b); }
  static f32 add(f32 a, f32 b) noexcept { return _mm_add_ps(a, b); }
  // No expression is contracted across it.
  static f32 fence(f32 x) noexcept {
    __asm__("" : "+x"(x));
    return x;
  }
  static f32 div(f32 a, f32 b) noexcept { return _mm_div_ps(a, b); }
  static f32 min(f32 a, f32 b) noexcept { return _mm_min_ps(a, b); }
  static f32 max(f32 a, f32 b) noexcept { return _mm_max_ps(a, b); }
  static s32 min(s32 a, s32 b) noexcept { return _mm_min_epi32(a, b); }
  static s32 max(s32 a, s32 b) noexcept { return _mm_max_epi32(a, b); }
  static s32 max_unsigned(s32 a, s32 b) noexcept { return _mm_max_epu32(a, b); }
  static s32 load_bits(const float* p) noexcept { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static s32 add(s32 a, s32 b) noexcept { return _mm_add_epi32(a, b); }
  static s32 bit_and(s32 a, s32 b) noexcept { return _mm_and_si128(a, b); }
  static s32 sub(s32 a, s32 b) noexcept { return _mm_sub_epi32(a, b); }
  static s32 to_s32(f32 x) noexcept { return _mm_cvtps_epi32(x); }  // round to nearest even: default_fp_env
  static f32 to_f32(s32 x) noexcept { return _mm_cvtepi32_ps(x); }
  static f32 replace_nan(f32 x, f32 value) noexcept { return _mm_blendv_ps(x, value, _mm_cmpunord_ps(x, x)); }

  // The number of x and acc that is smaller (larger); a NaN in x leaves acc.
  static f32 min_number(f32 x, f32 acc) noexcept { return _mm_min_ps(x, acc); }
  static f32 max_number(f32 x, f32 acc) noexcept { return _mm_max_ps(x, acc); }
  static mask no_mask() noexcept { return _mm_setzero_ps(); }
  static mask unordered(f32 a, f32 b) noexcept { return _mm_cmpunord_ps(a, b); }
  static mask either(mask a, mask b) noexcept { return _mm_or_ps(a, b); }
  static bool any(mask m) noexcept { return _mm_movemask_ps(m) != 0; }

  static __m128i load4(const void* p) noexcept {
    int32_t bytes;
    memcpy(&bytes, p, 4);
    return _mm_cvtsi32_si128(bytes);
  }
  static s32 load_codes(const int8_t* p) noexcept { return _mm_cvtepi8_epi32(load4(p)); }
  static s32 load_codes(const uint8_t* p) noexcept { return _mm_cvtepu8_epi32(load4(p)); }

  static bytes load_bytes(const void* p) noexcept { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static void store_bytes(void* p, bytes x) noexcept { _mm_storeu_si128(static_cast<__m128i*>(p), x); }
  template <class Code>
  static bytes max_bytes(bytes a, bytes b) noexcept {
    return Code(-1) < Code(0) ? _mm_max_epi8(a, b) : _mm_max_epu8(a, b);
  }
  static bytes fence(bytes x) noexcept {
    __asm__("" : "+x"(x));
    return x;
  }
  static bytes set_bytes(uint8_t x) noexcept { return _mm_set1_epi8(static_cast<char>(x)); }
  static bytes broadcast_16(const void* p) noexcept { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static bytes exclusive_or(bytes a, bytes b) noexcept { return _mm_xor_si128(a, b); }
  static bytes subtract_bytes(bytes a, bytes b) noexcept { return _mm_sub_epi8(a, b); }
  static bytes subtract_saturated(bytes a, bytes b) noexcept { return _mm_subs_epi8(a, b); }
  // table[x & 15] of each 16 bytes, 0 where bit 7 of x is set.
  static bytes shuffle_16(bytes table, bytes x) noexcept { return _mm_shuffle_epi8(table, x); }

  // Adds codes, each of them code_offset too large, to sums.
  template <class Code>
  static constexpr int32_t code_offset = Code(-1) < Code(0) ? 128 : 0;
  template <class Code>
  static s32 add_codes(s32 sums, bytes codes) noexcept {
    if constexpr (Code(-1) < Code(0)) codes = _mm_xor_si128(codes, _mm_set1_epi8(-128));
    return _mm_add_epi32(sums, _mm_sad_epu8(codes, _mm_setzero_si128()));
  }

  // Sums of 16 bits: adds two vectors of codes, place by place. The order of the sums is that of unpacked bytes.
  using s16 = __m128i;
  static s16 no_sums() noexcept { return _mm_setzero_si128(); }
  template <class Code>
  static s16 pair_sums(bytes pairs) noexcept {
    const __m128i ones = _mm_set1_epi8(1);
    return Code(-1) < Code(0) ? _mm_maddubs_epi16(ones, pairs) : _mm_maddubs_epi16(pairs, ones);
  }
  template <class Code>
  static void add_two(s16 (&sums)[2], bytes a, bytes b) noexcept {
    sums[0] = _mm_add_epi16(sums[0], pair_sums<Code>(_mm_unpacklo_epi8(a, b)));
    sums[1] = _mm_add_epi16(sums[1], pair_sums<Code>(_mm_unpackhi_epi8(a, b)));
  }
  // Vector I of the four of s32, places in order.
  template <int I>
  static s32 widened(const s16 (&s)[2]) noexcept {
    return _mm_cvtepi16_epi32(I % 2 == 0 ? s[I / 2] : _mm_srli_si128(s[I / 2], 8));
  }

  // Four vectors of code - zero point, exact: a byte in the low bits of 2^23 is the float 2^23 + byte. Their order is
  // that of unpacking within 128 bits; narrowing::store_unpacked undoes it.
  template <class Code>
  struct centred {
    f32 zero;
    explicit centred(int32_t zero_point) noexcept
        : zero(_mm_set1_ps(8388608.0f + static_cast<float>(zero_point + (Code(-1) < Code(0) ? 128 : 0)))) {}
    void operator()(const Code* p, f32 (&x)[4]) const noexcept {
      const __m128i nothing = _mm_setzero_si128(), exponent = _mm_set1_epi16(0x4b00);
      __m128i codes = load_bytes(p);
      if constexpr (Code(-1) < Code(0)) codes = _mm_xor_si128(codes, _mm_set1_epi8(-128));
      const __m128i low = _mm_unpacklo_epi8(codes, nothing), high = _mm_unpackhi_epi8(codes, nothing);
      x[0] = _mm_sub_ps(_mm_castsi128_ps(_mm_unpacklo_epi16(low, exponent)), zero);
      x[1] = _mm_sub_ps(_mm_castsi128_ps(_mm_unpackhi_epi16(low, exponent)), zero);
      x[2] = _mm_sub_ps(_mm_castsi128_ps(_mm_unpacklo_epi16(high, exponent)), zero);
      x[3] = _mm_sub_ps(_mm_castsi128_ps(_mm_unpackhi_epi16(high, exponent)), zero);
    }
  };

  // Four vectors of steps -> 16 codes: narrow to s16, add the zero point, narrow to 8 bits, clamp.
  template <class Code, bool Clamped = true>
  struct narrowing {
    __m128i zero, low, high;

    narrowing(int32_t zero_point, int32_t min, int32_t max) noexcept
        : zero(_mm_set1_epi16(static_cast<int16_t>(zero_point))),
          low(_mm_set1_epi8(static_cast<char>(min))),
          high(_mm_set1_epi8(static_cast<char>(max))) {}

    void finish(Code* q, __m128i ab, __m128i cd) const noexcept {
      ab = _mm_adds_epi16(ab, zero);
      cd = _mm_adds_epi16(cd, zero);
      __m128i codes;
      if constexpr (Code(-1) < Code(0)) {
        codes = _mm_packs_epi16(ab, cd);
        if constexpr (Clamped) codes = _mm_min_epi8(_mm_max_epi8(codes, low), high);
      } else {
        codes = _mm_packus_epi16(ab, cd);
        if constexpr (Clamped) codes = _mm_min_epu8(_mm_max_epu8(codes, low), high);
      }
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q), codes);
    }
    void store(Code* q, __m128i a, __m128i b, __m128i c, __m128i d) const noexcept {
      finish(q, _mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
    }
    // The same of vectors in the order of `centred`.
    void store_unpacked(Code* q, __m128i a, __m128i b, __m128i c, __m128i d) const noexcept {
      finish(q, _mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
    }
    // Stores nothing and returns false if a step is below -32767.
    bool store_if_sure(Code* q, __m128i a, __m128i b, __m128i c, __m128i d) const noexcept {
      const __m128i ab = _mm_packs_epi32(a, b), cd = _mm_packs_epi32(c, d);
      const __m128i found = _mm_cmpeq_epi16(_mm_min_epi16(ab, cd), _mm_set1_epi16(INT16_MIN));
      if (_mm_testz_si128(found, found) == 0) return false;
      finish(q, ab, cd);
      return true;
    }
  };
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::sse41
#endif
