// Finished sums -> output with AVX-512, 16 columns at a time, for every output type; see store_args for the order of
// operations. `Columns` is the width of the sums' rows (of the panel). AMX uses it too, a few rows at a time between
// its products.
//
// Traps: the rounding forms (*_round_ps) cannot be fused into an FMA by -ffp-contract=fast. Clamping from above comes
// before the conversion, in which what does not fit s32 becomes INT_MIN; what is too small may, as the narrowings
// saturate and a maximum of codes clamps. Products round as MXCSR says: to nearest even when stores run.
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

// Sums [c, c + 16) of a row -> steps from the zero point, not yet clamped from below (too small ones: INT_MIN). Columns
// that are not live: 0.
template <bool Residual>
inline __m512i steps_of(const store_args& a, const int32_t* acc, int32_t c, int32_t row) noexcept {
  if (c >= a.live_columns) return _mm512_setzero_si512();
  const __m512 sum = _mm512_cvtepi32_ps(load_sums(a, acc, c)), ratio = _mm512_loadu_ps(a.ratio + c);
  __m512 x;
  if constexpr (Residual) {
    const uint8_t* residual = static_cast<const uint8_t*>(a.residual) + row * a.residual_stride + c;
    const __m512 other = residual_steps(a, residual, first_lanes(a.live_columns - c));
    x = _mm512_add_round_ps(_mm512_mul_round_ps(sum, ratio, nearest_even), other, nearest_even);
  } else {
    x = _mm512_mul_ps(sum, ratio);  // nothing follows that it could be fused with
  }
  return _mm512_cvt_roundps_epi32(_mm512_min_ps(x, _mm512_set1_ps(a.high)), nearest_even);
}

// The first `live` bytes of x.
inline void store_live(uint8_t* to, __m512i x, int32_t live) noexcept {
  if (live >= 64)
    _mm512_storeu_si512(to, x);
  else
    _mm512_mask_storeu_epi8(to, (__mmask64{1} << live) - 1, x);
}
inline void store_live(uint8_t* to, __m256i x, int32_t live) noexcept {
  if (live >= 32)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x);
  else
    _mm256_mask_storeu_epi8(to, (__mmask32{1} << live) - 1, x);
}

// Four vectors at a time, one row of 64 columns or two of 32: narrowed together, to s16 and then to codes, they take 2
// packings, 2 additions and a permutation; one by one, a narrowing and a store each. Both narrowings saturate.
template <int32_t Columns, bool Residual>
[[gnu::noinline]] inline void store_rows_of_codes(const store_args& a, int32_t first, int32_t last) noexcept {
  static_assert(Columns == 32 || Columns == 64);
  constexpr int32_t at_once = 64 / Columns, vectors = Columns / 16;
  const __m512i zero_point = _mm512_set1_epi16(static_cast<int16_t>(a.zero_point));
  const __m512i low = _mm512_set1_epi8(static_cast<char>(a.codes.min));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  uint8_t* to = static_cast<uint8_t*>(a.out) + first * a.out_stride;
  for (int32_t row = first; row < last; row += at_once, to += at_once * a.out_stride) {
    const bool two = at_once == 2 && row + 1 < last;
    __m512i steps[4];
#pragma GCC unroll 4
    for (int32_t v = 0; v < 4; ++v) {
      const int32_t own = v < vectors || !two ? row : row + 1;
      steps[v] = steps_of<Residual>(a, a.acc + own * Columns, v % vectors * 16, own);
    }
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(steps[0], steps[1]), zero_point);
    const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(steps[2], steps[3]), zero_point);
    __m512i codes = a.type == dtype::u8 ? _mm512_max_epu8(_mm512_packus_epi16(ab, cd), low)
                                        : _mm512_max_epi8(_mm512_packs_epi16(ab, cd), low);
    codes = _mm512_permutexvar_epi32(order, codes);
    if constexpr (at_once == 1) {
      store_live(to, codes, a.live_columns);
    } else {
      store_live(to, _mm512_castsi512_si256(codes), a.live_columns);
      if (two) store_live(to + a.out_stride, _mm512_extracti64x4_epi64(codes, 1), a.live_columns);
    }
  }
}

inline void store_row_of_reals(const store_args& a, const int32_t* acc, int32_t columns, int32_t row) noexcept {
  float* out = static_cast<float*>(a.out) + row * a.out_stride;
  for (int32_t c = 0; c < columns && c < a.live_columns; c += 16) {
    __m512 ratio = _mm512_loadu_ps(a.ratio + c);
    if (a.row_scale != nullptr) ratio = _mm512_mul_round_ps(_mm512_set1_ps(a.row_scale[row]), ratio, nearest_even);
    __m512 x = _mm512_mul_round_ps(_mm512_cvtepi32_ps(load_sums(a, acc, c)), ratio, nearest_even);
    if (a.real_bias != nullptr) x = _mm512_add_round_ps(x, _mm512_loadu_ps(a.real_bias + c), nearest_even);
    x = _mm512_min_ps(_mm512_set1_ps(a.high), _mm512_max_ps(_mm512_set1_ps(a.low), x));
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

// Rows [first, last) of a block. Once, not in each of its callers.
template <int32_t Columns>
[[gnu::noinline]] inline void store_rows(const store_args& a, int32_t first, int32_t last) noexcept {
  if (a.type == dtype::u8 || a.type == dtype::s8) {
    if (a.rule == contract::fp32_rne)
      return a.residual == nullptr ? store_rows_of_codes<Columns, false>(a, first, last)
                                   : store_rows_of_codes<Columns, true>(a, first, last);
    if (a.rule == contract::fixed_double)
      return store_rows_fixed<Columns, simd::rounded_twice<fixed_lanes>>(a, first, last);
    return store_rows_fixed<Columns, simd::rounded_once<fixed_lanes>>(a, first, last);
  }
  for (int32_t row = first; row < last; ++row) {
    const int32_t* acc = a.acc + row * Columns;
    if (a.type == dtype::s32)
      store_row_of_sums(a, acc, Columns, row);
    else
      store_row_of_reals(a, acc, Columns, row);
  }
}

// A block of one panel or several.
template <int32_t Columns>
inline bool store_block(const store_args& a) noexcept {
  if (a.panels == 1 || a.rows == 0) {
    store_rows<Columns>(a, 0, a.rows);
    return true;
  }
  store_args one = a;
  one.live_columns = Columns;
  for (int32_t i = 1; i < a.panels; ++i, next_panel(one, Columns)) store_rows<Columns>(one, 0, a.rows);
  one.live_columns = a.live_columns;
  store_rows<Columns>(one, 0, a.rows);
  return true;
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
