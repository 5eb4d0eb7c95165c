// quantize and dequantize: between real numbers and integer codes, per tensor, per channel or per block.
//
//   q = clamp(round(x / scale) + zero_point, lowest, highest)          x = float(q - zero_point) * scale
//
// Defined on every CPU and under every floating-point mode: the quotient is formed in f32, rounded by integer
// arithmetic (ties to even) and clamped before it is narrowed, so infinities and 1e30 become the end codes. NaN becomes
// the zero point unless nan_policy says otherwise. This is the meaning; kernels/ has the fast forms, equal to the bit.
// Every parameter is checked before the first code is written. Sub-byte types are packed (num/int4.hpp). Source: ONNX,
// QuantizeLinear and DequantizeLinear. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/num/int4.hpp"
#include "quantal/quant/params.hpp"
#include "quantal/quant/preset.hpp"
#include "quantal/tensor/shape.hpp"

namespace quantal {

struct quantize_options {
  rounding round = rounding::half_even;
  nan_policy nan = nan_policy::zero_point;
  bool reciprocal = false;                     // x * (1 / scale), as torch
  code_limits clamp = {INT32_MIN, INT32_MAX};  // narrows the type's codes, e.g. {-127, 127}
};

// The options of a preset's values.
constexpr quantize_options quantize_options_of(const preset_row& row) noexcept {
  return {row.value_rounding, row.nan, row.reciprocal, {INT32_MIN, INT32_MAX}};
}

// Where the parameters of an array lie: one pair for all (axis -1), one per index of `axis`, or, with `block` > 0, one
// per block of that many indices along it (then laid out as the array with `axis` shortened to the number of blocks).
struct affine_params {
  const float* scales = nullptr;
  const int32_t* zero_points = nullptr;  // null: all 0
  size_t count = 0;
  int32_t axis = -1;
  int64_t block = 0;
};

// One value. `codes` are the allowed codes; the parameters are valid.
constexpr int32_t quantize_value(float x, quant_params p, code_limits codes,
                                 const quantize_options& options = {}) noexcept {
  if (is_nan(x)) {
    const bool lowest = options.nan == nan_policy::lowest;
    return lowest || p.zero_point < codes.min ? codes.min : p.zero_point > codes.max ? codes.max : p.zero_point;
  }
  const float divisor = fence(p.scale);
  const float quotient = options.reciprocal ? fence(x * fence(1.0f / divisor)) : fence(x / divisor);
  const int64_t q = int64_t{round_to_int(quotient, options.round)} + p.zero_point;
  return static_cast<int32_t>(q < codes.min ? codes.min : q > codes.max ? codes.max : q);
}

constexpr float dequantize_value(int32_t q, quant_params p) noexcept {
  return fence(fence(static_cast<float>(int64_t{q} - p.zero_point)) * p.scale);
}

// Code i of an array of that type, and back. The type is one of code_limits_of.
inline int32_t load_code(dtype type, const void* codes, size_t i) noexcept {
  switch (type) {
    case dtype::s8: return static_cast<const int8_t*>(codes)[i];
    case dtype::u8: return static_cast<const uint8_t*>(codes)[i];
    case dtype::s16: return static_cast<const int16_t*>(codes)[i];
    case dtype::u16: return static_cast<const uint16_t*>(codes)[i];
    case dtype::s32: return static_cast<const int32_t*>(codes)[i];
    case dtype::s4: return sign_extend(packed_get(static_cast<const uint8_t*>(codes), i, 4), 4);
    case dtype::u4: return packed_get(static_cast<const uint8_t*>(codes), i, 4);
    case dtype::s2: return sign_extend(packed_get(static_cast<const uint8_t*>(codes), i, 2), 2);
    case dtype::u2: return packed_get(static_cast<const uint8_t*>(codes), i, 2);
    default: return 0;
  }
}
inline void store_code(dtype type, void* codes, size_t i, int32_t q) noexcept {
  switch (type) {
    case dtype::s8: static_cast<int8_t*>(codes)[i] = static_cast<int8_t>(q); break;
    case dtype::u8: static_cast<uint8_t*>(codes)[i] = static_cast<uint8_t>(q); break;
    case dtype::s16: static_cast<int16_t*>(codes)[i] = static_cast<int16_t>(q); break;
    case dtype::u16: static_cast<uint16_t*>(codes)[i] = static_cast<uint16_t>(q); break;
    case dtype::s32: static_cast<int32_t*>(codes)[i] = q; break;
    case dtype::s4:
    case dtype::u4: packed_set(static_cast<uint8_t*>(codes), i, 4, static_cast<uint8_t>(q & 15)); break;
    case dtype::s2:
    case dtype::u2: packed_set(static_cast<uint8_t*>(codes), i, 2, static_cast<uint8_t>(q & 3)); break;
    default: break;
  }
}

namespace detail {

// Splits an array into [outer, axis, inner].
struct axis_split {
  size_t outer = 1, length = 1, inner = 1, blocks = 0;
};

constexpr status split_axis(const shape& dims, const affine_params& params, axis_split& out) noexcept {
  uint64_t total = 0;
  if (!dims.count(total) || total > SIZE_MAX) return status::shape;
  if (params.axis == -1) {
    out = {1, 1, static_cast<size_t>(total), 0};
    return params.count == 1 && params.block == 0 ? status::ok : status::count;
  }
  if (params.axis < 0 || params.axis >= dims.rank || params.block < 0) return status::count;
  if (total == 0)
    out = {0, 0, 0, 0};
  else {
    out.outer = static_cast<size_t>(dims.elements(0, params.axis));
    out.length = static_cast<size_t>(dims[params.axis]);
    out.inner = static_cast<size_t>(dims.elements(params.axis + 1, dims.rank));
  }
  if (params.block == 0) return total == 0 || params.count == out.length ? status::ok : status::count;
  const size_t block = static_cast<size_t>(params.block);
  out.blocks = out.length / block + (out.length % block != 0 ? 1 : 0);
  return total == 0 || params.count == out.outer * out.blocks * out.inner ? status::ok : status::count;
}

constexpr quant_params params_at(const affine_params& p, size_t i) noexcept {
  return {p.scales[i], p.zero_points != nullptr ? p.zero_points[i] : 0};
}

// Calls body(first element, number of elements, parameters) for each run of elements that share parameters.
template <class Body>
constexpr void for_each_run(const axis_split& split, const affine_params& params, Body&& body) noexcept {
  size_t element = 0;
  for (size_t o = 0; o < split.outer; ++o) {
    for (size_t a = 0; a < split.length; ++a) {
      if (split.blocks == 0) {
        body(element, split.inner, params_at(params, params.axis == -1 ? 0 : a));
        element += split.inner;
        continue;
      }
      const size_t row = (o * split.blocks + a / static_cast<size_t>(params.block)) * split.inner;
      for (size_t i = 0; i < split.inner; ++i) body(element++, size_t{1}, params_at(params, row + i));
    }
  }
}

// The loops are functions of their own so that default_fp_env holds around them.
[[gnu::noinline]] inline void quantize_runs(const float* x, const axis_split& split, const affine_params& params,
                                            dtype type, code_limits codes, void* codes_out,
                                            const quantize_options& options) noexcept {
  for_each_run(split, params, [&](size_t first, size_t count, quant_params p) noexcept {
    for (size_t i = first; i < first + count; ++i) {
      store_code(type, codes_out, i, quantize_value(x[i], p, codes, options));
    }
  });
}
[[gnu::noinline]] inline void dequantize_runs(const void* codes, const axis_split& split, const affine_params& params,
                                              dtype type, float* x) noexcept {
  for_each_run(split, params, [&](size_t first, size_t count, quant_params p) noexcept {
    for (size_t i = first; i < first + count; ++i) x[i] = dequantize_value(load_code(type, codes, i), p);
  });
}

}  // namespace detail

// Checks parameters against an array; `bad` (optional) gets the index of the offending pair.
// Errors: null_pointer, dtype, shape, count (number of pairs, or axis, does not fit), scale, zero_point.
constexpr status check_affine(const shape& dims, dtype type, const affine_params& params,
                              size_t* bad = nullptr) noexcept {
  code_limits codes;
  if (!code_limits_of(type, codes)) return status::dtype;
  if (params.scales == nullptr) return status::null_pointer;
  detail::axis_split split;
  if (const status s = detail::split_axis(dims, params, split); s != status::ok) return s;
  for (size_t i = 0; i < params.count; ++i) {
    if (const status s = check_params(detail::params_at(params, i), type); s != status::ok) {
      if (bad != nullptr) *bad = i;
      return s;
    }
  }
  return status::ok;
}

// The codes that a type and the options' clamp leave. Errors: dtype, range.
constexpr status clamped_codes(dtype type, const quantize_options& options, code_limits& out) noexcept {
  code_limits codes;
  if (!code_limits_of(type, codes)) return status::dtype;
  if (options.clamp.min > codes.min) codes.min = options.clamp.min;
  if (options.clamp.max < codes.max) codes.max = options.clamp.max;
  if (codes.min > codes.max) return status::range;
  out = codes;
  return status::ok;
}

// With nan_policy::error: the first NaN (its index in `bad`) is status::nan_value.
constexpr status check_nan(const float* x, size_t n, const quantize_options& options, size_t* bad) noexcept {
  if (options.nan != nan_policy::error) return status::ok;
  for (size_t i = 0; i < n; ++i) {
    if (!is_nan(x[i])) continue;
    if (bad != nullptr) *bad = i;
    return status::nan_value;
  }
  return status::ok;
}

// x[dims], dense and row-major -> codes. `bad` (optional) gets the index of the offending pair or, for nan_value,
// element. Errors: as check_affine, nan_value (only with nan_policy::error), range (clamp leaves no code).
inline status quantize(const float* x, const shape& dims, const affine_params& params, dtype type, void* codes_out,
                       const quantize_options& options = {}, size_t* bad = nullptr) noexcept {
  if (const status s = check_affine(dims, type, params, bad); s != status::ok) return s;
  detail::axis_split split;
  if (const status s = detail::split_axis(dims, params, split); s != status::ok) return s;
  const size_t total = split.outer * split.length * split.inner;
  if (total == 0) return status::ok;
  if (x == nullptr || codes_out == nullptr) return status::null_pointer;
  code_limits codes;
  if (const status s = clamped_codes(type, options, codes); s != status::ok) return s;
  if (const status s = check_nan(x, total, options, bad); s != status::ok) return s;
  if (bits_of(type) < 8 && total % (8 / bits_of(type)) != 0) {
    static_cast<uint8_t*>(codes_out)[packed_bytes(total, bits_of(type)) - 1] = 0;  // padding bits are zero
  }
  const default_fp_env env;
  detail::quantize_runs(x, split, params, type, codes, codes_out, options);
  return status::ok;
}

// codes -> x[dims]. Errors: as check_affine.
inline status dequantize(const void* codes, const shape& dims, const affine_params& params, dtype type, float* x,
                         size_t* bad = nullptr) noexcept {
  if (const status s = check_affine(dims, type, params, bad); s != status::ok) return s;
  detail::axis_split split;
  if (const status s = detail::split_axis(dims, params, split); s != status::ok) return s;
  if (split.outer * split.length * split.inner == 0) return status::ok;
  if (x == nullptr || codes == nullptr) return status::null_pointer;
  const default_fp_env env;
  detail::dequantize_runs(codes, split, params, type, x);
  return status::ok;
}

// The same with one pair for all of n elements.
inline status quantize(const float* x, size_t n, quant_params p, dtype type, void* codes,
                       const quantize_options& options = {}, size_t* bad = nullptr) noexcept {
  return quantize(x, shape(static_cast<int64_t>(n)), {&p.scale, &p.zero_point, 1, -1, 0}, type, codes, options, bad);
}
inline status dequantize(const void* codes, size_t n, quant_params p, dtype type, float* x) noexcept {
  return dequantize(codes, shape(static_cast<int64_t>(n)), {&p.scale, &p.zero_point, 1, -1, 0}, type, x);
}

}  // namespace quantal
