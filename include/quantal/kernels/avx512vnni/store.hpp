// Finished sums -> output with AVX-512, 16 columns at a time, for every output type; see store_args for the order of
// operations. `Columns` is the width of the sums' rows (of the panel). AMX uses it too, a few rows at a time between
// its products.
//
// Traps: the rounding forms (*_round_ps) cannot be fused into an FMA by -ffp-contract=fast, and round to nearest even
// whatever MXCSR says. Clamping comes before the conversion, so the codes fit and narrowing needs no saturation.
// Output and residual are touched in live columns only; bias, ratio and sums are read in whole vectors.
#pragma once
#if (defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx512vnni/fixed.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int nearest_even = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;

// The first `live` of 16 lanes.
inline __mmask16 first_lanes(int32_t live) noexcept {
  return static_cast<__mmask16>(live >= 16 ? 0xffff : (1 << live) - 1);
}

inline __m512i load_sums(const store_args& a, const int32_t* acc, int32_t c) noexcept {
  return _mm512_add_epi32(_mm512_loadu_si512(acc + c), _mm512_loadu_si512(a.bias + c));
}

// 16 codes of the residual, centred, in output steps.
inline __m512 residual_steps(const store_args& a, const uint8_t* residual, __mmask16 live) noexcept {
  const __m128i codes = _mm_maskz_loadu_epi8(live, residual);
  const __m512i wide = a.residual_type == dtype::u8 ? _mm512_cvtepu8_epi32(codes) : _mm512_cvtepi8_epi32(codes);
  const __m512i centred = _mm512_sub_epi32(wide, _mm512_set1_epi32(a.residual_zero_point));
  return _mm512_mul_round_ps(_mm512_cvtepi32_ps(centred), _mm512_set1_ps(a.residual_ratio), nearest_even);
}

inline void store_row_of_codes(const store_args& a, const int32_t* acc, int32_t columns, int32_t row) noexcept {
  uint8_t* out = static_cast<uint8_t*>(a.out) + row * a.out_stride;
  const uint8_t* residual =
      a.residual == nullptr ? nullptr : static_cast<const uint8_t*>(a.residual) + row * a.residual_stride;
  for (int32_t c = 0; c < columns && c < a.live_columns; c += 16) {
    const __mmask16 live = first_lanes(a.live_columns - c);
    const __m512 sum = _mm512_cvtepi32_ps(load_sums(a, acc, c));
    __m512 x = _mm512_mul_round_ps(sum, _mm512_loadu_ps(a.ratio + c), nearest_even);
    if (residual != nullptr) x = _mm512_add_round_ps(x, residual_steps(a, residual + c, live), nearest_even);
    x = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(a.low)), _mm512_set1_ps(a.high));
    const __m512i code = _mm512_add_epi32(_mm512_cvt_roundps_epi32(x, nearest_even), _mm512_set1_epi32(a.zero_point));
    _mm_mask_storeu_epi8(out + c, live, _mm512_cvtepi32_epi8(code));
  }
}

inline void store_row_of_reals(const store_args& a, const int32_t* acc, int32_t columns, int32_t row) noexcept {
  float* out = static_cast<float*>(a.out) + row * a.out_stride;
  for (int32_t c = 0; c < columns && c < a.live_columns; c += 16) {
    __m512 ratio = _mm512_loadu_ps(a.ratio + c);
    if (a.row_scale != nullptr) ratio = _mm512_mul_round_ps(_mm512_set1_ps(a.row_scale[row]), ratio, nearest_even);
    __m512 x = _mm512_mul_round_ps(_mm512_cvtepi32_ps(load_sums(a, acc, c)), ratio, nearest_even);
    if (a.real_bias != nullptr) x = _mm512_add_round_ps(x, _mm512_loadu_ps(a.real_bias + c), nearest_even);
    _mm512_mask_storeu_ps(out + c, first_lanes(a.live_columns - c), x);
  }
}

inline void store_row_of_sums(const store_args& a, const int32_t* acc, int32_t columns, int32_t row) noexcept {
  int32_t* out = static_cast<int32_t*>(a.out) + row * a.out_stride;
  for (int32_t c = 0; c < columns && c < a.live_columns; c += 16)
    _mm512_mask_storeu_epi32(out + c, first_lanes(a.live_columns - c), load_sums(a, acc, c));
}

// The fixed-point contracts; Product: of fixed_simd.hpp. Sums of two products saturate to s32.
template <int32_t Columns, class Product>
inline void store_rows_fixed(const store_args& a, int32_t first, int32_t last) noexcept {
  using lanes = fixed_lanes;
  const Product other(&a.residual_multiplier, 0);
  const __m512i low = _mm512_set1_epi32(a.codes.min - a.zero_point);
  const __m512i high = _mm512_set1_epi32(a.codes.max - a.zero_point);
  for (int32_t c = 0; c < Columns && c < a.live_columns; c += 16) {
    const Product product(a.multiplier + c);
    const __mmask16 live = first_lanes(a.live_columns - c);
    for (int32_t row = first; row < last; ++row) {
      __m512i steps = product(load_sums(a, a.acc + row * Columns, c));
      if (a.residual_type != dtype::none) {
        const uint8_t* from = static_cast<const uint8_t*>(a.residual) + row * a.residual_stride + c;
        const __m128i codes = _mm_maskz_loadu_epi8(live, from);
        const __m512i wide = a.residual_type == dtype::u8 ? _mm512_cvtepu8_epi32(codes) : _mm512_cvtepi8_epi32(codes);
        steps = lanes::add_saturated(steps, other(_mm512_sub_epi32(wide, _mm512_set1_epi32(a.residual_zero_point))));
      }
      steps = _mm512_min_epi32(_mm512_max_epi32(steps, low), high);
      const __m512i code = _mm512_add_epi32(steps, _mm512_set1_epi32(a.zero_point));
      _mm_mask_storeu_epi8(static_cast<uint8_t*>(a.out) + row * a.out_stride + c, live, _mm512_cvtepi32_epi8(code));
    }
  }
}

// Rows [first, last) of a block.
template <int32_t Columns>
inline void store_rows(const store_args& a, int32_t first, int32_t last) noexcept {
  if ((a.type == dtype::u8 || a.type == dtype::s8) && a.rule != contract::fp32_rne) {
    if (a.rule == contract::fixed_double)
      return store_rows_fixed<Columns, simd::rounded_twice<fixed_lanes>>(a, first, last);
    return store_rows_fixed<Columns, simd::rounded_once<fixed_lanes>>(a, first, last);
  }
  for (int32_t row = first; row < last; ++row) {
    const int32_t* acc = a.acc + row * Columns;
    if (a.type == dtype::s32)
      store_row_of_sums(a, acc, Columns, row);
    else if (a.type == dtype::f32)
      store_row_of_reals(a, acc, Columns, row);
    else
      store_row_of_codes(a, acc, Columns, row);
  }
}

template <int32_t Columns>
inline bool store_block(const store_args& a) noexcept {
  store_rows<Columns>(a, 0, a.rows);
  return true;
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
