// Requantization: an s32 accumulator becomes an 8-bit (or other) code. The one place where its rounding is stated.
//
//   q = clamp(round((acc + bias) * ratio) + zero_point, lowest, highest)
//   ratio = input scale * weight scale / output scale
//
//   contract      round((acc + bias) * ratio) is                          who computes so
//   fp32_rne      RNE(f32(acc + bias) * ratio): one f32 product           ONNX Runtime, oneDNN, XNNPACK, FBGEMM
//   fixed_double  SRDHM, then a rounding shift (num/fixed_point.hpp)      TFLite's built-in kernels, CMSIS-NN
//   fixed_single  one 64-bit product, one rounding shift, ties up         newer TFLite, ruy
//
// acc + bias wraps modulo 2^32, as every vector unit does; plans see to it that the sum of products fits (more than
// max_gemm_depth of kernels/ref/epilogue.hpp are summed in s64 and saturated; depthwise refuses them). All
// three are integer arithmetic here, fp32_rne too: the f32 product is formed and rounded on its bits, so no rounding
// mode, flush-to-zero or missing FPU can change a result. Kernels may use the FPU where it gives the same.
// Freestanding; no floating-point instruction.
#pragma once
#include "quantal/num/fixed_point.hpp"
#include "quantal/quant/affine.hpp"

namespace quantal {

enum class contract : int32_t { fp32_rne = 0, fixed_double = 1, fixed_single = 2 };

constexpr const char* name_of(contract c) noexcept {
  switch (c) {
    case contract::fp32_rne: return "fp32_rne";
    case contract::fixed_double: return "fixed_double";
    case contract::fixed_single: return "fixed_single";
  }
  return "?";
}

// RNE(f32(x) * ratio) in f32 arithmetic, saturated to s32. The ratio, given by its bits, is positive and normal.
constexpr int32_t multiply_fp32_rne_bits(int32_t x, uint32_t ratio) noexcept {
  if (x == 0) return 0;
  uint64_t magnitude = x < 0 ? uint64_t{0} - static_cast<uint64_t>(int64_t{x}) : static_cast<uint64_t>(x);
  int32_t exponent = static_cast<int32_t>(ratio >> 23) - 150;  // ratio = mantissa * 2^exponent
  const int32_t excess = 40 - __builtin_clzll(magnitude);      // bits above 24: int -> f32 rounds them off
  if (excess > 0) {
    magnitude = round_shift(magnitude, excess, false, rounding::half_even);
    exponent += excess;
  }
  uint64_t product = magnitude * ((ratio & 0x7fffffu) | 0x800000u);
  const int32_t drop = 40 - __builtin_clzll(product);  // the f32 product keeps 24 bits
  if (drop > 0) {
    product = round_shift(product, drop, false, rounding::half_even);
    exponent += drop;
  }
  if (exponent < -64) return 0;
  if (exponent >= 32) return x < 0 ? INT32_MIN : INT32_MAX;
  const uint64_t whole =
      exponent >= 0 ? product << exponent : round_shift(product, -exponent, false, rounding::half_even);
  return saturate_s32(x < 0 ? -static_cast<int64_t>(whole) : static_cast<int64_t>(whole));
}

constexpr int32_t multiply_fp32_rne(int32_t x, float ratio) noexcept {
  return multiply_fp32_rne_bits(x, bits_of_f32(ratio));
}

// How accumulators become codes. `ratios` (fp32_rne) or `multipliers` (the fixed contracts) holds one entry for all
// channels or one per channel; the other pointer is not read.
struct requantizer {
  contract rule = contract::fp32_rne;
  const float* ratios = nullptr;
  const fixed_multiplier* multipliers = nullptr;
  size_t count = 0;
  int32_t zero_point = 0;
  int32_t min = INT32_MIN, max = INT32_MAX;  // clamp of the codes (fused activation), within the type
};

constexpr int32_t multiply(int32_t x, const requantizer& r, size_t channel) noexcept {
  const size_t i = r.count == 1 ? 0 : channel;
  switch (r.rule) {
    case contract::fp32_rne: return multiply_fp32_rne_bits(x, load_bits(r.ratios + i));
    case contract::fixed_double: return multiply_fixed_double(x, r.multipliers[i]);
    case contract::fixed_single: return multiply_fixed_single(x, r.multipliers[i]);
  }
  return 0;
}

// One accumulator of `channel`; `codes` are the allowed codes.
constexpr int32_t requantize_value(int32_t acc, int32_t bias, const requantizer& r, size_t channel,
                                   code_limits codes) noexcept {
  const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(acc) + static_cast<uint32_t>(bias));
  const int64_t q = int64_t{multiply(sum, r, channel)} + r.zero_point;
  return static_cast<int32_t>(q < codes.min ? codes.min : q > codes.max ? codes.max : q);
}

// The codes that type and clamp leave. Error: range (clamp empty or outside the type).
constexpr status requant_limits(const requantizer& r, dtype type, code_limits& out) noexcept {
  code_limits codes;
  if (!code_limits_of(type, codes)) return status::dtype;
  const int32_t low = r.min == INT32_MIN ? codes.min : r.min;
  const int32_t high = r.max == INT32_MAX ? codes.max : r.max;
  if (low > high || low < codes.min || high > codes.max) return status::range;
  out = {low, high};
  return status::ok;
}

// Checks everything before a run. `bad` (optional) gets the channel at fault. Errors: contract, dtype, null_pointer,
// count, scale (a ratio that is not positive and normal), range (multiplier, shift or clamp), zero_point.
constexpr status check_requantizer(const requantizer& r, dtype type, size_t channels, size_t* bad = nullptr) noexcept {
  code_limits codes;
  if (!code_limits_of(type, codes)) return status::dtype;
  if (r.rule != contract::fp32_rne && r.rule != contract::fixed_double && r.rule != contract::fixed_single) {
    return status::contract;
  }
  if (r.zero_point < codes.min || r.zero_point > codes.max) return status::zero_point;
  if (const status s = requant_limits(r, type, codes); s != status::ok) return s;
  if (r.count != 1 && r.count != channels) return status::count;
  if (r.rule == contract::fp32_rne ? r.ratios == nullptr : r.multipliers == nullptr) return status::null_pointer;
  for (size_t i = 0; i < r.count; ++i) {
    status s = status::ok;
    if (r.rule == contract::fp32_rne)
      s = is_positive_normal_f32(load_bits(r.ratios + i)) ? status::ok : status::scale;
    else
      s = check_fixed_multiplier(r.multipliers[i]);
    if (s == status::ok) continue;
    if (bad != nullptr) *bad = i;
    return s;
  }
  return status::ok;
}

// acc[rows, channels] (+ bias[channels], may be null) -> codes[rows, channels], dense. Errors: as check_requantizer,
// overflow.
inline status requantize(const int32_t* acc, const int32_t* bias, size_t rows, size_t channels, const requantizer& r,
                         dtype type, void* codes_out, size_t* bad = nullptr) noexcept {
  if (const status s = check_requantizer(r, type, channels, bad); s != status::ok) return s;
  uint64_t total = 0;
  if (!checked_mul(rows, channels, total) || total > SIZE_MAX) return status::overflow;
  if (total == 0) return status::ok;
  if (acc == nullptr || codes_out == nullptr) return status::null_pointer;
  code_limits codes;
  requant_limits(r, type, codes);
  if (bits_of(type) < 8) {
    static_cast<uint8_t*>(codes_out)[packed_bytes(static_cast<size_t>(total), bits_of(type)) - 1] = 0;
  }
  size_t i = 0;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t c = 0; c < channels; ++c, ++i) {
      store_code(type, codes_out, i, requantize_value(acc[i], bias != nullptr ? bias[c] : 0, r, c, codes));
    }
  }
  return status::ok;
}

}  // namespace quantal
