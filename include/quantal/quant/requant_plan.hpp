// The parameter calculator: from the real scales of a layer to what its integer kernel needs, or the reason why not.
//
//   ratio = input scale * weight scale / output scale      (f64, then rounded to f32 and to multiplier and shift)
//   bias  = RNE(real bias / (input scale * weight scale))  as s32
//
// A bias that does not fit s32 is a real defect (tiny weight scale, large bias): the plan reports it and
// `weight_scale_for_bias` gives the scale that would hold it (ONNX Runtime's guard, quant_utils and PR #22020). Host
// side, but freestanding.
#pragma once
#include "quantal/quant/requant.hpp"

namespace quantal {

struct requant_request {
  double input_scale = 1, weight_scale = 1, output_scale = 1;
  double bias = 0;                        // real
  bool allow_zero = false;                // a ratio below 2^-32 becomes multiplier 0 instead of an error
  precision arithmetic = precision::f64;  // f32: f32(f32(input * weight) / output), as ONNX Runtime's QLinear kernels
};

struct requant_plan {
  float ratio = 1;
  fixed_multiplier multiplier;
  int32_t bias = 0;
  bool bias_saturated = false;  // bias did not fit s32 and was clamped
};

// Errors: scale (one of the scales, or a product of them, is not a positive normal f32), range (ratio outside the
// fixed-point contracts), nan_value (bias NaN or infinite).
constexpr status plan_requant(const requant_request& request, requant_plan& out) noexcept {
  const bool in_f32 = request.arithmetic == precision::f32;
  const double scales[] = {request.input_scale, request.weight_scale, request.output_scale};
  for (const double s : scales) {
    if (!is_positive_normal(s) || s < 0x1p-126 || s > 0x1.fffffep127) return status::scale;
  }
  if (!is_finite(request.bias)) return status::nan_value;
  double product = request.input_scale * request.weight_scale;
  if (in_f32) product = double{static_cast<float>(product)};
  const double ratio = product / request.output_scale;
  if (!(ratio >= 0x1p-126) || ratio > 0x1.fffffep127) return status::scale;
  requant_plan plan;
  plan.ratio = static_cast<float>(ratio);
  if (!is_positive_normal(plan.ratio)) return status::scale;
  const double for_multiplier = in_f32 ? double{plan.ratio} : ratio;
  if (const status s = fixed_multiplier_of(for_multiplier, plan.multiplier, request.allow_zero); s != status::ok)
    return s;
  const int64_t bias = round_to_int(request.bias / product);
  plan.bias = saturate_s32(bias);
  plan.bias_saturated = plan.bias != bias;
  out = plan;
  return status::ok;
}

// The smallest weight scale (not below `weight_scale`) at which a bias of this magnitude fits s32 with ORT's margin.
constexpr double weight_scale_for_bias(double input_scale, double weight_scale, double largest_bias) noexcept {
  const double needed = 1.0001 * 2 * largest_bias / 4294967294.0;  // scale of the bias: 2 max|b| / (2^32 - 2)
  return input_scale * weight_scale < needed ? needed / input_scale : weight_scale;
}

}  // namespace quantal
