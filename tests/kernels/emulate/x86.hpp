// x86 intrinsics for a CPU without them: SIMDe (Debian: libsimde-dev) under the compiler's names, and plain loops for
// those that SIMDe 0.7.4 lacks. Kernel headers take this in place of <immintrin.h> when QUANTAL_EMULATE names it
// (kernels/intrinsics.hpp).
//
// The loops follow the operation sections of the Intel Intrinsics Guide: lane by lane, masked lanes of memory neither
// read nor written. Trap: rounding conversions assume the default mode (nearest even), as kernels may when they run.
// emulate_test.cpp checks SIMDe's and these against known values.
#pragma once
#if defined(_IMMINTRIN_H_INCLUDED) || defined(__IMMINTRIN_H)
#error "the compiler's intrinsics are already here: this translation unit would run them natively"
#endif
#define SIMDE_ENABLE_NATIVE_ALIASES
#if defined(__GNUC__)
#pragma GCC system_header
#endif
#include <math.h>
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#include <stdint.h>
#include <string.h>

using __mmask8 = simde__mmask8;
using __mmask16 = simde__mmask16;
using __mmask32 = simde__mmask32;
using __mmask64 = simde__mmask64;
#if !defined(_MM_FROUND_NO_EXC)
#define _MM_FROUND_TO_NEAREST_INT 0
#define _MM_FROUND_NO_EXC 8
#endif

namespace quantal_emulate {

// The elements of a vector as an array and back.
template <class T, class Vector>
struct lanes {
  static constexpr int count = static_cast<int>(sizeof(Vector) / sizeof(T));
  T at[count] = {};
  lanes() = default;
  explicit lanes(Vector v) { memcpy(at, &v, sizeof v); }
  Vector vector() const {
    Vector v;
    memcpy(&v, at, sizeof v);
    return v;
  }
};

// to[i] = f(from[i]) for the lanes that both have.
template <class To, class ToVector, class From, class FromVector, class F>
ToVector map(FromVector from, F f) {
  const lanes<From, FromVector> a(from);
  lanes<To, ToVector> r;
  for (int i = 0; i < lanes<To, ToVector>::count && i < a.count; ++i) r.at[i] = f(a.at[i]);
  return r.vector();
}

template <class T, class Vector>
Vector load_masked(uint64_t mask, const void* p) {
  lanes<T, Vector> r;
  for (int i = 0; i < r.count; ++i)
    if (((mask >> i) & 1) != 0)
      memcpy(&r.at[i], static_cast<const char*>(p) + i * static_cast<int>(sizeof(T)), sizeof(T));
  return r.vector();
}

template <class T, class Vector>
void store_masked(void* p, uint64_t mask, Vector v) {
  const lanes<T, Vector> a(v);
  for (int i = 0; i < a.count; ++i)
    if (((mask >> i) & 1) != 0) memcpy(static_cast<char*>(p) + i * static_cast<int>(sizeof(T)), &a.at[i], sizeof(T));
}

// Out of range, NaN: the integer indefinite.
inline int32_t to_s32(float x) {
  return x >= -2147483648.0F && x < 2147483648.0F ? static_cast<int32_t>(x) : INT32_MIN;
}
template <class T>
T saturate(int64_t x, int64_t low, int64_t high) {
  return static_cast<T>(x < low ? low : x > high ? high : x);
}

// Four u8 x s8 products of each s32 lane are added to it, modulo 2^32.
template <class Vector>
Vector dpbusd(Vector sum, Vector a, Vector b) {
  const lanes<uint8_t, Vector> u(a);
  const lanes<int8_t, Vector> s(b);
  lanes<uint32_t, Vector> r(sum);
  for (int i = 0; i < u.count; ++i) r.at[i / 4] += static_cast<uint32_t>(int32_t{u.at[i]} * int32_t{s.at[i]});
  return r.vector();
}

// Operations that kernels ask for in nearest even only, whatever the mode argument says.
inline __m512 mul_nearest(__m512 a, __m512 b) {
  const lanes<float, __m512> x(a), y(b);
  lanes<float, __m512> r;
  for (int i = 0; i < r.count; ++i) r.at[i] = x.at[i] * y.at[i];
  return r.vector();
}
inline __m512 add_nearest(__m512 a, __m512 b) {
  const lanes<float, __m512> x(a), y(b);
  lanes<float, __m512> r;
  for (int i = 0; i < r.count; ++i) r.at[i] = x.at[i] + y.at[i];
  return r.vector();
}
inline __m512i cvtps_epi32(__m512 x) {
  return map<int32_t, __m512i, float>(x, [](float f) { return to_s32(nearbyintf(f)); });
}
inline __m512i cvttps_epi32(__m512 x) {
  return map<int32_t, __m512i, float>(x, [](float f) { return to_s32(truncf(f)); });
}
inline __m512 cvtepi32_ps(__m512i x) {
  return map<float, __m512, int32_t>(x, [](int32_t i) { return static_cast<float>(i); });
}
inline __m128i cvtusepi32_epi8(__m512i x) {
  return map<uint8_t, __m128i, uint32_t>(x, [](uint32_t i) { return saturate<uint8_t>(i, 0, 255); });
}
inline __m128i cvtepi32_epi8(__m512i x) {
  return map<uint8_t, __m128i, uint32_t>(x, [](uint32_t i) { return static_cast<uint8_t>(i); });
}
inline __m256i cvtusepi16_epi8(__m512i x) {
  return map<uint8_t, __m256i, uint16_t>(x, [](uint16_t i) { return saturate<uint8_t>(i, 0, 255); });
}
template <class From>
__m512i widen_to_s32(__m128i x) {
  return map<int32_t, __m512i, From>(x, [](From i) { return int32_t{i}; });
}
template <class From>
__m512i widen_to_s32(__m256i x) {
  return map<int32_t, __m512i, From>(x, [](From i) { return int32_t{i}; });
}
template <class From>
__m512i widen_to_s16(__m256i x) {
  return map<int16_t, __m512i, From>(x, [](From i) { return int16_t{i}; });
}
// One rounding; SIMDe multiplies, rounds and adds.
inline __m512 fused(__m512 a, __m512 b, __m512 c, float sign) {
  const lanes<float, __m512> x(a), y(b), z(c);
  lanes<float, __m512> r;
  for (int i = 0; i < r.count; ++i) r.at[i] = fmaf(sign * x.at[i], y.at[i], z.at[i]);
  return r.vector();
}
inline __m512i srav_epi32(__m512i x, __m512i by) {
  lanes<int32_t, __m512i> a(x);
  const lanes<uint32_t, __m512i> b(by);
  for (int i = 0; i < a.count; ++i) a.at[i] >>= b.at[i] > 31 ? 31 : b.at[i];
  return a.vector();
}
inline uint32_t cmpeq_epi16_mask(__m512i x, __m512i y) {
  const lanes<int16_t, __m512i> a(x), b(y);
  uint32_t mask = 0;
  for (int i = 0; i < a.count; ++i) mask |= static_cast<uint32_t>(a.at[i] == b.at[i] ? 1 : 0) << i;
  return mask;
}
inline int32_t reduce_add_epi32(__m512i x) {
  const lanes<uint32_t, __m512i> a(x);
  uint32_t sum = 0;
  for (const uint32_t i : a.at) sum += i;
  return static_cast<int32_t>(sum);
}

}  // namespace quantal_emulate

// Macros, so that they win over the compiler's functions should those be declared too.
#undef _mm256_dpbusd_avx_epi32
#define _mm256_dpbusd_avx_epi32(c, a, b) quantal_emulate::dpbusd<__m256i>(c, a, b)
#undef _mm256_dpbusd_epi32
#define _mm256_dpbusd_epi32(c, a, b) quantal_emulate::dpbusd<__m256i>(c, a, b)
#undef _mm512_dpbusd_epi32
#define _mm512_dpbusd_epi32(c, a, b) quantal_emulate::dpbusd<__m512i>(c, a, b)
#undef _mm512_madd_epi16  // SIMDe 0.7.4 gives it the masked form's arguments
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#undef _mm512_mul_round_ps
#undef _mm512_add_round_ps
#define _mm512_mul_round_ps(a, b, mode) quantal_emulate::mul_nearest(a, b)
#define _mm512_add_round_ps(a, b, mode) quantal_emulate::add_nearest(a, b)
#define _mm512_cvtps_epi32(x) quantal_emulate::cvtps_epi32(x)
#define _mm512_cvt_roundps_epi32(x, mode) quantal_emulate::cvtps_epi32(x)  // kernels ask for nearest even only
#define _mm512_cvttps_epi32(x) quantal_emulate::cvttps_epi32(x)
#define _mm512_cvtepi32_ps(x) quantal_emulate::cvtepi32_ps(x)
#define _mm512_cvtusepi32_epi8(x) quantal_emulate::cvtusepi32_epi8(x)
#define _mm512_cvtepi32_epi8(x) quantal_emulate::cvtepi32_epi8(x)
#define _mm512_cvtusepi16_epi8(x) quantal_emulate::cvtusepi16_epi8(x)
#define _mm512_cvtepi8_epi32(x) quantal_emulate::widen_to_s32<int8_t>(x)
#define _mm512_cvtepi16_epi32(x) quantal_emulate::widen_to_s32<int16_t>(x)
#define _mm512_cvtepu8_epi32(x) quantal_emulate::widen_to_s32<uint8_t>(x)
#define _mm512_cvtepu8_epi16(x) quantal_emulate::widen_to_s16<uint8_t>(x)
#undef _mm512_fmadd_ps
#undef _mm512_fnmadd_ps
#define _mm512_fmadd_ps(a, b, c) quantal_emulate::fused(a, b, c, 1.0F)
#define _mm512_fnmadd_ps(a, b, c) quantal_emulate::fused(a, b, c, -1.0F)
#undef _mm512_srav_epi32
#define _mm512_srav_epi32(x, by) quantal_emulate::srav_epi32(x, by)
#undef _mm512_srai_epi32
#define _mm512_srai_epi32(x, by) quantal_emulate::srav_epi32(x, simde_mm512_set1_epi32(by))
#undef _mm512_cmpeq_epi16_mask
#define _mm512_cmpeq_epi16_mask(a, b) quantal_emulate::cmpeq_epi16_mask(a, b)
#define _mm512_reduce_add_epi32(x) quantal_emulate::reduce_add_epi32(x)
#define _mm_mask_storeu_epi8(p, m, v) quantal_emulate::store_masked<uint8_t, __m128i>(p, m, v)
#define _mm256_mask_storeu_epi8(p, m, v) quantal_emulate::store_masked<uint8_t, __m256i>(p, m, v)
#define _mm512_mask_storeu_epi8(p, m, v) quantal_emulate::store_masked<uint8_t, __m512i>(p, m, v)
#define _mm512_mask_storeu_epi32(p, m, v) quantal_emulate::store_masked<uint32_t, __m512i>(p, m, v)
#define _mm512_mask_storeu_ps(p, m, v) quantal_emulate::store_masked<uint32_t, __m512>(p, m, v)
#define _mm_maskz_loadu_epi8(m, p) quantal_emulate::load_masked<uint8_t, __m128i>(m, p)
#define _mm256_maskz_loadu_epi8(m, p) quantal_emulate::load_masked<uint8_t, __m256i>(m, p)
#define _mm512_maskz_loadu_epi8(m, p) quantal_emulate::load_masked<uint8_t, __m512i>(m, p)
#define _mm512_maskz_loadu_epi32(m, p) quantal_emulate::load_masked<uint32_t, __m512i>(m, p)
#define _mm512_maskz_loadu_ps(m, p) quantal_emulate::load_masked<uint32_t, __m512>(m, p)
#define _mm512_mask_cvtusepi32_storeu_epi8(p, m, v) \
  quantal_emulate::store_masked<uint8_t, __m128i>(p, m, quantal_emulate::cvtusepi32_epi8(v))
#define _mm512_mask_cvtsepi32_storeu_epi8(p, m, v) \
  quantal_emulate::store_masked<uint8_t, __m128i>(p, m, _mm512_cvtsepi32_epi8(v))
#define _mm512_mask_cvtepi32_storeu_epi8(p, m, v) \
  quantal_emulate::store_masked<uint8_t, __m128i>(p, m, quantal_emulate::cvtepi32_epi8(v))
#define _mm_prefetch(p, hint) static_cast<void>(p)
#undef _MM_HINT_T0
#define _MM_HINT_T0 0
