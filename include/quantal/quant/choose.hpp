// choose_params: scale and zero point from a real range.
//
//   affine     [min, max] widened to contain 0:   scale = (max - min) / (qmax - qmin)
//                                                 zero_point = round(qmin - min / scale)
//   symmetric  a = max(|min|, |max|):             scale = a / divisor
//                                                 zero_point = middle code (0 if signed)
//
// The preset row says in which precision, with which divisor and rounding (default: float64 and round half to even, the
// arithmetic of ONNX Runtime's tools). A range too small for a normal f32 scale (all zeros: nothing to represent) is
// defined: scale 1, zero point 0, all codes dequantize to what they were. The trap: the zero point of the affine
// formula uses the scale *before* it is rounded to f32. Freestanding (f64 by soft-float where the target has none).
#pragma once
#include "quantal/quant/params.hpp"
#include "quantal/quant/preset.hpp"

namespace quantal {

enum class code_choice : uint8_t {
  preset,  // as the preset has it: symmetric signed types are narrow in the default recipe
  full,    // every code of the type
  narrow,  // a signed type without its lowest code: s8 [-127, 127]
};

struct choose_options {
  dtype type = dtype::u8;
  bool symmetric = false;
  bool reduce_range = false;  // one bit less: u8 [0, 127], s8 [-64, 64]; for CPUs whose 8-bit dot product saturates
  bool power_of_two = false;  // scale rounded up to a power of two
  const preset_row* preset = nullptr;  // nullptr: Quantal's own recipe
  code_choice codes = code_choice::preset;
  double minimum_range = 0;  // a smaller affine range is widened upwards to it
};

namespace detail {

constexpr bool is_signed_code(code_limits c) noexcept {
  return c.min < 0;
}

// x rounded to f32 when the preset computes in f32.
constexpr double rounded(double x, precision p) noexcept {
  return p == precision::f32 ? double{static_cast<float>(x)} : x;
}

// The smallest power of two that is not below x (x positive and normal).
constexpr double power_of_two_above(double x) noexcept {
  const uint64_t b = bits_of_f64(x);
  const uint64_t fraction = b & ((uint64_t{1} << 52) - 1);
  return f64_of_bits((b - fraction) + (fraction != 0 ? uint64_t{1} << 52 : 0));
}

// In f32 every intermediate result is rounded: f32 operations done in f64 and rounded once are the same
// (f64 has more than twice f32's bits, so the second rounding is harmless).
struct range_maths {
  precision p;
  constexpr double subtract(double a, double b) const noexcept { return rounded(a - b, p); }
  constexpr double divide(double a, double b) const noexcept { return rounded(a / b, p); }
};

constexpr int64_t zero_point_of(double min, double max, double scale, code_limits codes,
                                const preset_row& row) noexcept {
  const range_maths m{row.arithmetic};
  const double low = m.divide(min, scale);
  if (row.zero_point_end == zero_point_from::nearest_end) {
    const double high = m.divide(max, scale);
    const double low_error = absolute(double(codes.min)) + absolute(low);
    const double high_error = absolute(double(codes.max)) + absolute(high);
    const double point = low_error < high_error ? codes.min - low : codes.max - high;
    return round_to_int(point, row.zero_point_rounding);
  }
  // torch rounds the quotient and subtracts in integers; on ties this differs from rounding the difference.
  if (row.arithmetic == precision::f32) return codes.min - round_to_int(low, row.zero_point_rounding);
  return round_to_int(codes.min - low, row.zero_point_rounding);
}

}  // namespace detail

// The codes that options allow. Error: dtype.
constexpr status codes_for(const choose_options& options, code_limits& out) noexcept {
  const preset_row& row = options.preset != nullptr ? *options.preset : presets[0];
  code_limits codes;
  if (!code_limits_of(options.type, codes)) return status::dtype;
  const bool is_signed = detail::is_signed_code(codes);
  if (options.reduce_range) {
    const int32_t top = codes.max / 2;
    const bool wide = is_signed && row.reduced_includes_top && codes.max > 7;  // ONNX Runtime: s4 keeps [-4, 3]
    out = {is_signed ? -top - 1 : 0, wide ? top + 1 : top};
    return status::ok;
  }
  const bool narrow =
      options.codes == code_choice::narrow ||
      (options.codes == code_choice::preset && options.symmetric && row.narrow_symmetric && codes.max >= 127);
  if (narrow && is_signed) codes.min = -codes.max;
  out = codes;
  return status::ok;
}

// Errors: nan_value (NaN bound), range (infinite bound, min > max, or a range no f32 scale can span), dtype.
constexpr status choose_params(double min, double max, const choose_options& options, quant_params& out) noexcept {
  const preset_row& row = options.preset != nullptr ? *options.preset : presets[0];
  if (is_nan(min) || is_nan(max)) return status::nan_value;
  if (!is_finite(min) || !is_finite(max) || min > max) return status::range;
  code_limits codes;
  if (const status s = codes_for(options, codes); s != status::ok) return s;
  const detail::range_maths m{row.arithmetic};
  min = detail::rounded(min < 0 ? min : 0, row.arithmetic);
  max = detail::rounded(max > 0 ? max : 0, row.arithmetic);
  if (max - min < options.minimum_range) max = min + options.minimum_range;

  double scale = 0;
  if (options.symmetric) {
    const double largest = -min > max ? -min : max;
    double divisor = (double(codes.max) - double(codes.min)) / 2;
    if (row.divisor == symmetric_divisor::highest_code) divisor = codes.max;
    if (row.divisor == symmetric_divisor::lowest_code && codes.min < 0) divisor = -double(codes.min);
    scale = m.divide(largest, divisor);
  } else {
    const double span = detail::rounded(double(codes.max) - double(codes.min), row.arithmetic);
    scale = m.divide(m.subtract(max, min), span);
  }
  if (scale < double{row.minimum_scale}) scale = double{row.minimum_scale};
  if (scale < 0x1p-126) {  // also 0: nothing to represent
    out = {1.0f, 0};
    return status::ok;
  }
  if (options.power_of_two || row.power_of_two) scale = detail::power_of_two_above(scale);
  if (!(scale <= 0x1.fffffep127)) return status::range;

  int64_t zero_point = 0;
  if (options.symmetric) {
    zero_point = round_to_int((double(codes.min) + double(codes.max)) / 2, rounding::half_even);
  } else {
    zero_point = detail::zero_point_of(min, max, scale, codes, row);
    if (zero_point < codes.min) zero_point = codes.min;
    if (zero_point > codes.max) zero_point = codes.max;
  }
  out = {static_cast<float>(scale), static_cast<int32_t>(zero_point)};
  return status::ok;
}

}  // namespace quantal
