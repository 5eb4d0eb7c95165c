// The meaning of everything after the integer sum, shared by matrix product, convolution and depthwise convolution.
//
//   sum  = acc + bias[channel]     modulo 2^32, as s32; of more than max_gemm_depth products exactly, saturated to s32
//   s32    sum
//   f32    clamp(f32(sum) * ratio [* row scale, multiplied to the ratio first] [+ real bias])   each step rounds to f32
//   8-bit  fp32_rne   x = f32(sum) * ratio;  with a residual  x = x + f32(code - its zero point) * its ratio
//                     q = clamp(ties-to-even(x) + zero_point)
//          fixed_*    q = clamp(multiply(sum) + multiply(code - its zero point) + zero_point)   each product rounds
//          then       table[q as a byte] if there is a table (its result is not clamped again)
//
// A fused ReLU is the clamp, whose min and max are codes, or for f32 the real numbers themselves (0, 6). s32 has none. The residual (the other input of an Add that follows) joins before the one rounding, so
// the fused result is closer to the real sum than two operators in a row. Freestanding.
#pragma once
#include "quantal/quant/requant.hpp"

namespace quantal {

inline constexpr int64_t max_gemm_depth = 33025;  // 2^31 / (255 * 255): no s32 sum of products can overflow

// The second 8-bit input of a fused addition: its codes are stepped like the output.
struct residual_input {
  dtype type = dtype::none;  // none, u8, s8
  int32_t zero_point = 0;
  float ratio = 0;              // its scale / output scale (fp32_rne)
  fixed_multiplier multiplier;  // the same, for the fixed contracts
};

struct epilogue {
  requantizer requant;  // 8-bit out: all of it; f32 out: ratios, count, clamp; s32 out: not read, and no clamp
  residual_input residual;
  const uint8_t* table = nullptr;  // 256 bytes: code (as a byte) -> code; null: none
  bool row_scales = false;         // f32 out: a run brings one scale per row
};

// Above it a residual could meet an infinite product and make NaN.
inline constexpr float max_residual_ratio = 0x1p100f;

// Errors: as check_requantizer; dtype, zero_point, scale, range (residual); unsupported (what this output cannot have).
constexpr status check_epilogue(const epilogue& e, dtype out, size_t channels, size_t* bad = nullptr) noexcept {
  const bool to_codes = out == dtype::u8 || out == dtype::s8;
  if (!to_codes && out != dtype::s32 && out != dtype::f32) return status::dtype;
  if (!to_codes && (e.residual.type != dtype::none || e.table != nullptr)) return status::unsupported;
  if (out != dtype::f32 && e.row_scales) return status::unsupported;
  const bool clamps = e.requant.min != INT32_MIN || e.requant.max != INT32_MAX;
  if (out == dtype::s32 && clamps) return status::unsupported;
  if (channels == 0 || out == dtype::s32) return status::ok;
  if (out == dtype::f32) {
    if (e.requant.min > e.requant.max) return status::range;
    if (e.requant.ratios == nullptr) return status::null_pointer;
    if (e.requant.count != 1 && e.requant.count != channels) return status::count;
    for (size_t i = 0; i < e.requant.count; ++i) {
      if (is_positive_normal_f32(load_bits(e.requant.ratios + i))) continue;
      if (bad != nullptr) *bad = i;
      return status::scale;
    }
    return status::ok;
  }
  if (const status s = check_requantizer(e.requant, out, channels, bad); s != status::ok) return s;
  const residual_input& r = e.residual;
  if (r.type == dtype::none) return status::ok;
  if (r.type != dtype::u8 && r.type != dtype::s8) return status::dtype;
  code_limits codes;
  code_limits_of(r.type, codes);
  if (r.zero_point < codes.min || r.zero_point > codes.max) return status::zero_point;
  if (e.requant.rule != contract::fp32_rne) return check_fixed_multiplier(r.multiplier);
  if (!is_positive_normal_f32(load_bits(&r.ratio))) return status::scale;
  return r.ratio < max_residual_ratio ? status::ok : status::range;
}

// The clamp of an f32 output.
struct real_limits {
  float low = -__builtin_inff(), high = __builtin_inff();
};
constexpr real_limits real_limits_of(const requantizer& r) noexcept {
  real_limits l;
  if (r.min != INT32_MIN) l.low = static_cast<float>(r.min);
  if (r.max != INT32_MAX) l.high = static_cast<float>(r.max);
  return l;
}

namespace ref {

// `acc` is the exact sum of `depth` products.
constexpr int32_t add_bias(int64_t acc, int32_t bias, int64_t depth) noexcept {
  if (depth > max_gemm_depth) return saturate_s32(acc + bias);
  return static_cast<int32_t>(static_cast<uint32_t>(static_cast<uint64_t>(acc)) + static_cast<uint32_t>(bias));
}

// One code; `residual` is the code of the second input (not read without one), `codes` the allowed codes.
inline int32_t finish_code(int32_t acc, int32_t bias, size_t channel, int32_t residual, const epilogue& e,
                           code_limits codes) noexcept {
  const requantizer& q = e.requant;
  int32_t code = 0;
  if (e.residual.type == dtype::none) {
    code = requantize_value(acc, bias, q, channel, codes);
  } else {
    const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(acc) + static_cast<uint32_t>(bias));
    const int32_t other = residual - e.residual.zero_point;
    int64_t steps = 0;
    if (q.rule == contract::fp32_rne) {
      const float product = fence(static_cast<float>(sum) * q.ratios[q.count == 1 ? 0 : channel]);
      const float added = fence(static_cast<float>(other) * e.residual.ratio);
      steps = round_to_int(fence(product + added), rounding::half_even);
    } else {
      const requantizer second{q.rule, nullptr, &e.residual.multiplier, 1, 0, INT32_MIN, INT32_MAX};
      steps = int64_t{multiply(sum, q, channel)} + multiply(other, second, 0);
    }
    const int64_t shifted = (steps > INT32_MAX ? INT32_MAX : steps < INT32_MIN ? INT32_MIN : steps) + q.zero_point;
    code = static_cast<int32_t>(shifted < codes.min ? codes.min : shifted > codes.max ? codes.max : shifted);
  }
  if (e.table != nullptr) return e.table[static_cast<uint8_t>(code)];  // a byte, whatever the sign of the type
  return code;
}

// One real; `row_scale` and `real_bias` may be null. NaN (infinity times 0) and -0 pass the clamp.
inline float finish_real(int32_t acc, int32_t bias, float ratio, const float* row_scale, const float* real_bias,
                         real_limits limits) noexcept {
  const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(acc) + static_cast<uint32_t>(bias));
  const float scale = row_scale == nullptr ? ratio : fence(*row_scale * ratio);
  const float product = fence(static_cast<float>(sum) * scale);
  const float x = real_bias == nullptr ? product : fence(product + *real_bias);
  return x < limits.low ? limits.low : x > limits.high ? limits.high : x;
}

}  // namespace ref
}  // namespace quantal
