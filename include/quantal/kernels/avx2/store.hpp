// Stores of finished blocks of 16 columns with AVX2: what ref/epilogue.hpp says, for every output type and contract.
//
// 8-bit under fp32_rne: two rows at a time. s16 narrowing saturates, adding the zero point saturates, 8-bit narrowing
// saturates, and the clamps are those of bytes. Where x may leave s32, f32 is clamped from above before (what is too low
// converts to INT_MIN, which is low enough). No product may be contracted with an addition: `fenced`. The fixed-point contracts:
// fixed_simd.hpp, one row at a time.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/fixed.hpp"
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

inline __m256i load_ymm(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline void store_ymm(void* p, __m256i x) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}

// x, as a value in a register that the compiler cannot contract, reassociate or split.
inline __m256 fenced(__m256 x) noexcept {
#if !defined(QUANTAL_EMULATE)
  __asm__("" : "+x"(x));
#endif
  return x;
}
inline __m256i fenced(__m256i x) noexcept {
#if !defined(QUANTAL_EMULATE)
  __asm__("" : "+x"(x));
#endif
  return x;
}

// The first `count` bytes of x, and no other byte of memory. count in [1, 16].
inline void store_bytes(uint8_t* to, __m128i x, int32_t count) noexcept {
  alignas(16) uint8_t bytes[16];
  if (count == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), x);
    return;
  }
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), x);
  if (count >= 8) {
    __builtin_memcpy(to, bytes, 8);
    __builtin_memcpy(to + count - 8, bytes + count - 8, 8);
  } else if (count >= 4) {
    __builtin_memcpy(to, bytes, 4);
    __builtin_memcpy(to + count - 4, bytes + count - 4, 4);
  } else {
    for (int32_t c = 0; c < count; ++c) to[c] = bytes[c];
  }
}

inline __m128i load_bytes(const uint8_t* from, int32_t count) noexcept {
  if (count == 16) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  alignas(16) uint8_t bytes[16] = {};
  for (int32_t c = 0; c < count; ++c) bytes[c] = from[c];
  return _mm_load_si128(reinterpret_cast<const __m128i*>(bytes));
}

enum class second_input { none, u8, s8 };

// What the rows of a block share.
struct code_scale {
  __m256i bias[2];
  __m256 ratio[2];
  __m256 high, residual_ratio;
  __m256i zero_point, residual_zero_point;  // s16 and s32 lanes
  __m256i low, top;                         // bytes
};

// Ratios below 1 keep the s32 range: |x| <= 2^31 (1 - 2^-24), a float that converts.
inline bool below_one(const code_scale& s) noexcept {
  const __m256 larger = _mm256_max_ps(s.ratio[0], s.ratio[1]);
  return _mm256_movemask_ps(_mm256_cmp_ps(larger, _mm256_set1_ps(1.0f), _CMP_GE_OQ)) == 0;
}

// 8 accumulators -> steps from the zero point, not yet clamped from below, nor from above where they are `InRange`.
template <second_input Second, bool InRange>
inline __m256i steps_of(const code_scale& s, const int32_t* acc, int32_t half, __m128i residual) noexcept {
  const __m256i sum = _mm256_add_epi32(load_ymm(acc + 8 * half), s.bias[half]);
  __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), s.ratio[half]);
  if constexpr (Second != second_input::none) {
    const __m128i eight = half == 0 ? residual : _mm_srli_si128(residual, 8);
    const __m256i code = Second == second_input::u8 ? _mm256_cvtepu8_epi32(eight) : _mm256_cvtepi8_epi32(eight);
    const __m256 other = _mm256_cvtepi32_ps(_mm256_sub_epi32(code, s.residual_zero_point));
    x = _mm256_add_ps(fenced(x), fenced(_mm256_mul_ps(other, s.residual_ratio)));
  }
  return _mm256_cvtps_epi32(InRange ? x : _mm256_min_ps(x, s.high));
}

// 16 steps of a row -> s16 with the zero point, lanes 0-3 8-11 | 4-7 12-15.
template <second_input Second, bool InRange>
inline __m256i row_codes(const store_args& a, const code_scale& s, int32_t row) noexcept {
  const int32_t* acc = a.acc + 16 * row;
  __m128i residual = _mm_setzero_si128();
  if constexpr (Second != second_input::none)
    residual = load_bytes(static_cast<const uint8_t*>(a.residual) + row * a.residual_stride, a.live_columns);
  const __m256i low = steps_of<Second, InRange>(s, acc, 0, residual),
                high = steps_of<Second, InRange>(s, acc, 1, residual);
  return _mm256_adds_epi16(_mm256_packs_epi32(low, high), s.zero_point);
}

// s16 of two rows -> codes, one row in each half.
template <bool Unsigned>
inline __m256i two_rows_of_codes(const code_scale& s, __m256i first, __m256i second) noexcept {
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  if constexpr (Unsigned) {
    const __m256i codes = _mm256_packus_epi16(first, second);
    return _mm256_permutevar8x32_epi32(_mm256_min_epu8(_mm256_max_epu8(codes, s.low), s.top), order);
  } else {
    const __m256i codes = _mm256_packs_epi16(first, second);
    return _mm256_permutevar8x32_epi32(_mm256_min_epi8(_mm256_max_epi8(codes, s.low), s.top), order);
  }
}

// `Full`: all 16 columns are live. The loop over whole pairs of rows must stay free of calls.
template <bool Unsigned, second_input Second, bool InRange, bool Full>
inline void store_rows(const store_args& a, const code_scale& s) noexcept {
  uint8_t* to = static_cast<uint8_t*>(a.out);
  int32_t i = 0;
  for (; Full && i + 2 <= a.rows; i += 2, to += 2 * a.out_stride) {
    const __m256i first = row_codes<Second, InRange>(a, s, i), second = row_codes<Second, InRange>(a, s, i + 1);
    const __m256i codes = two_rows_of_codes<Unsigned>(s, first, second);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(codes));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + a.out_stride), _mm256_extracti128_si256(codes, 1));
  }
  for (; i < a.rows; ++i, to += a.out_stride) {
    const __m256i one = row_codes<Second, InRange>(a, s, i);
    store_bytes(to, _mm256_castsi256_si128(two_rows_of_codes<Unsigned>(s, one, one)), Full ? 16 : a.live_columns);
  }
}

template <bool Unsigned, second_input Second>
inline bool store_codes(const store_args& a) noexcept {
  code_scale s;
  for (int32_t half = 0; half < 2; ++half) {
    s.bias[half] = load_ymm(a.bias + 8 * half);
    s.ratio[half] = _mm256_loadu_ps(a.ratio + 8 * half);
  }
  s.high = _mm256_set1_ps(a.high);
  s.residual_ratio = _mm256_set1_ps(a.residual_ratio);
  s.zero_point = _mm256_set1_epi16(static_cast<int16_t>(a.zero_point));
  s.residual_zero_point = _mm256_set1_epi32(a.residual_zero_point);
  s.low = _mm256_set1_epi8(static_cast<char>(a.codes.min));
  s.top = _mm256_set1_epi8(static_cast<char>(a.codes.max));
  if (a.live_columns < 16)
    store_rows<Unsigned, Second, false, false>(a, s);
  else if (Second == second_input::none && below_one(s))
    store_rows<Unsigned, Second, true, true>(a, s);
  else
    store_rows<Unsigned, Second, false, true>(a, s);
  return true;
}

// Product: of fixed_simd.hpp. Sums of two products saturate to s32, s32 to s16 to codes.
template <bool Unsigned, class Product>
inline bool store_fixed(const store_args& a) noexcept {
  using lanes = fixed_lanes;
  const Product first[2] = {Product(a.multiplier), Product(a.multiplier + 8)}, other(&a.residual_multiplier, 0);
  const __m256i bias[2] = {load_ymm(a.bias), load_ymm(a.bias + 8)};
  const __m256i zero_point = _mm256_set1_epi16(static_cast<int16_t>(a.zero_point));
  const __m256i residual_zero_point = _mm256_set1_epi32(a.residual_zero_point);
  const __m128i low = _mm_set1_epi8(static_cast<char>(a.codes.min)),
                high = _mm_set1_epi8(static_cast<char>(a.codes.max));
  uint8_t* to = static_cast<uint8_t*>(a.out);
  for (int32_t i = 0; i < a.rows; ++i, to += a.out_stride) {
    __m256i steps[2];
    for (int32_t half = 0; half < 2; ++half)
      steps[half] = first[half](_mm256_add_epi32(load_ymm(a.acc + 16 * i + 8 * half), bias[half]));
    if (a.residual_type != dtype::none) {
      const uint8_t* from = static_cast<const uint8_t*>(a.residual) + i * a.residual_stride;
      const __m128i codes = load_bytes(from, a.live_columns);
      for (int32_t half = 0; half < 2; ++half) {
        const __m128i eight = half == 0 ? codes : _mm_srli_si128(codes, 8);
        const __m256i wide = a.residual_type == dtype::u8 ? _mm256_cvtepu8_epi32(eight) : _mm256_cvtepi8_epi32(eight);
        steps[half] = lanes::add_saturated(steps[half], other(_mm256_sub_epi32(wide, residual_zero_point)));
      }
    }
    // Lanes 0-3 8-11 | 4-7 12-15, put in order as s16.
    const __m256i narrow = _mm256_adds_epi16(_mm256_packs_epi32(steps[0], steps[1]), zero_point);
    const __m256i ordered = _mm256_permute4x64_epi64(narrow, 0xd8);
    const __m128i left = _mm256_castsi256_si128(ordered), right = _mm256_extracti128_si256(ordered, 1);
    __m128i codes;
    if constexpr (Unsigned)
      codes = _mm_min_epu8(_mm_max_epu8(_mm_packus_epi16(left, right), low), high);
    else
      codes = _mm_min_epi8(_mm_max_epi8(_mm_packs_epi16(left, right), low), high);
    store_bytes(to, codes, a.live_columns);
  }
  return true;
}

// Lanes below `live` of 8: all ones.
inline __m256i lanes_below(int32_t live) noexcept {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(live), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

[[gnu::noinline]] inline bool store_sums(const store_args& a) noexcept {
  int32_t* to = static_cast<int32_t*>(a.out);
  const __m256i bias0 = load_ymm(a.bias), bias1 = load_ymm(a.bias + 8);
  const __m256i mask0 = lanes_below(a.live_columns), mask1 = lanes_below(a.live_columns - 8);
  for (int32_t i = 0; i < a.rows; ++i, to += a.out_stride) {
    _mm256_maskstore_epi32(to, mask0, _mm256_add_epi32(load_ymm(a.acc + 16 * i), bias0));
    if (a.live_columns > 8)
      _mm256_maskstore_epi32(to + 8, mask1, _mm256_add_epi32(load_ymm(a.acc + 16 * i + 8), bias1));
  }
  return true;
}

inline __m256 real8(const store_args& a, int32_t row, int32_t at) noexcept {
  const __m256i sum = _mm256_add_epi32(load_ymm(a.acc + 16 * row + at), load_ymm(a.bias + at));
  __m256 scale = _mm256_loadu_ps(a.ratio + at);
  if (a.row_scale != nullptr) scale = fenced(_mm256_mul_ps(_mm256_set1_ps(a.row_scale[row]), scale));
  __m256 x = fenced(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), scale));
  if (a.real_bias != nullptr) x = _mm256_add_ps(x, _mm256_loadu_ps(a.real_bias + at));
  return _mm256_min_ps(_mm256_set1_ps(a.high), _mm256_max_ps(_mm256_set1_ps(a.low), x));
}

[[gnu::noinline]] inline bool store_reals(const store_args& a) noexcept {
  float* to = static_cast<float*>(a.out);
  const __m256i mask0 = lanes_below(a.live_columns), mask1 = lanes_below(a.live_columns - 8);
  for (int32_t i = 0; i < a.rows; ++i, to += a.out_stride) {
    _mm256_maskstore_ps(to, mask0, real8(a, i, 0));
    if (a.live_columns > 8) _mm256_maskstore_ps(to + 8, mask1, real8(a, i, 8));
  }
  return true;
}

template <bool Unsigned>
inline bool store_codes_of(const store_args& a) noexcept {
  if (a.rule == contract::fixed_double) return store_fixed<Unsigned, simd::rounded_twice<fixed_lanes>>(a);
  if (a.rule == contract::fixed_single) return store_fixed<Unsigned, simd::rounded_once<fixed_lanes>>(a);
  if (a.residual_type == dtype::none) return store_codes<Unsigned, second_input::none>(a);
  if (a.residual_type == dtype::u8) return store_codes<Unsigned, second_input::u8>(a);
  return store_codes<Unsigned, second_input::s8>(a);
}

inline bool store_block(const store_args& a) noexcept {
  if (a.rows == 0) return true;
  if (a.type == dtype::u8) return store_codes_of<true>(a);
  if (a.type == dtype::s8) return store_codes_of<false>(a);
  return a.type == dtype::f32 ? store_reals(a) : store_sums(a);
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
#endif
