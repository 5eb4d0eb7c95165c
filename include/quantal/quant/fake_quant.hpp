// Fake quantization and its gradients, as plain functions for quantization-aware training in any framework.
//
//   y = scale * (clamp(round(x / scale) + zero_point) - zero_point)
//
//   straight-through (STE)  dL/dx = dL/dy where round(x / scale) + zero_point lies in [lowest, highest], else 0
//   learned step size (LSQ) dL/dscale = g * sum dL/dy * (q - zero_point - x / scale   inside
//                                                       | lowest - zero_point         below
//                                                       | highest - zero_point        above)
//                           dL/dzero_point = g * sum (inside 0 | outside -scale * dL/dy),  g = 1 / sqrt(N * highest)
//
// Sources: torch fake_quantize_per_tensor_affine, Esser et al. "Learned step size quantization". Sums are formed in f64
// in the order of the elements. NaN follows quantize_options.nan and passes no gradient. Freestanding.
#pragma once
#include "quantal/quant/affine.hpp"

namespace quantal {

constexpr float fake_quantize_value(float x, quant_params p, code_limits codes,
                                    const quantize_options& options = {}) noexcept {
  return dequantize_value(quantize_value(x, p, codes, options), p);
}

// Where x lies against the range of codes, before clamping.
enum class quant_region : uint8_t { inside, below, above, not_a_number };

constexpr quant_region region_of(float x, quant_params p, code_limits codes,
                                 const quantize_options& options = {}) noexcept {
  if (is_nan(x)) return quant_region::not_a_number;
  constexpr code_limits wide{INT32_MIN, INT32_MAX};
  // int32 saturation cannot move a code of at most 16 bits back inside.
  const int32_t q = quantize_value(x, p, wide, options);
  return q < codes.min ? quant_region::below : q > codes.max ? quant_region::above : quant_region::inside;
}

struct lsq_gradient {
  double scale = 0, zero_point = 0;  // not yet multiplied by g
};

namespace detail {

// The loops are functions of their own so that default_fp_env holds around them.
[[gnu::noinline]] inline void fake_quantize_runs(const float* x, const axis_split& split, const affine_params& params,
                                                 code_limits codes, float* y,
                                                 const quantize_options& options) noexcept {
  for_each_run(split, params, [&](size_t first, size_t count, quant_params p) noexcept {
    for (size_t i = first; i < first + count; ++i) y[i] = fake_quantize_value(x[i], p, codes, options);
  });
}
[[gnu::noinline]] inline void straight_through(const float* x, const float* dy, size_t n, quant_params p,
                                               code_limits codes, float* dx, const quantize_options& options) noexcept {
  for (size_t i = 0; i < n; ++i) dx[i] = region_of(x[i], p, codes, options) == quant_region::inside ? dy[i] : 0.0f;
}
[[gnu::noinline]] inline void add_lsq(const float* x, const float* dy, size_t n, quant_params p, code_limits codes,
                                      lsq_gradient& sum, const quantize_options& options) noexcept {
  for (size_t i = 0; i < n; ++i) {
    const quant_region region = region_of(x[i], p, codes, options);
    if (region == quant_region::not_a_number) continue;
    double slope = double(region == quant_region::below ? codes.min : codes.max) - double(p.zero_point);
    if (region == quant_region::inside) {
      slope = double(quantize_value(x[i], p, codes, options) - p.zero_point) - double{fence(x[i] / p.scale)};
    } else {
      sum.zero_point -= fence(double{p.scale} * double{dy[i]});
    }
    sum.scale += fence(double{dy[i]} * slope);
  }
}

}  // namespace detail

// x[dims] -> y[dims]; y may be x. Errors: as quantize.
inline status fake_quantize(const float* x, const shape& dims, const affine_params& params, dtype type, float* y,
                            const quantize_options& options = {}, size_t* bad = nullptr) noexcept {
  if (const status s = check_affine(dims, type, params, bad); s != status::ok) return s;
  detail::axis_split split;
  if (const status s = detail::split_axis(dims, params, split); s != status::ok) return s;
  const size_t total = split.outer * split.length * split.inner;
  if (total == 0) return status::ok;
  if (x == nullptr || y == nullptr) return status::null_pointer;
  code_limits codes;
  if (const status s = clamped_codes(type, options, codes); s != status::ok) return s;
  if (const status s = check_nan(x, total, options, bad); s != status::ok) return s;
  const default_fp_env env;
  detail::fake_quantize_runs(x, split, params, codes, y, options);
  return status::ok;
}

// dL/dx by the straight-through estimator. dx may be dy.
inline status fake_quantize_gradient(const float* x, const float* dy, size_t n, quant_params p, code_limits codes,
                                     float* dx, const quantize_options& options = {}) noexcept {
  if (n != 0 && (x == nullptr || dy == nullptr || dx == nullptr)) return status::null_pointer;
  if (!is_positive_normal(p.scale)) return status::scale;
  if (codes.min > codes.max) return status::range;
  const default_fp_env env;
  detail::straight_through(x, dy, n, p, codes, dx, options);
  return status::ok;
}

// Adds the contribution of n elements to `sum`. Call it shard by shard, multiply by lsq_factor at the end.
inline status accumulate_lsq(const float* x, const float* dy, size_t n, quant_params p, code_limits codes,
                             lsq_gradient& sum, const quantize_options& options = {}) noexcept {
  if (n != 0 && (x == nullptr || dy == nullptr)) return status::null_pointer;
  if (!is_positive_normal(p.scale)) return status::scale;
  if (codes.min > codes.max) return status::range;
  const default_fp_env env;
  detail::add_lsq(x, dy, n, p, codes, sum, options);
  return status::ok;
}

// g = 1 / sqrt(n * highest), by Newton's iteration (no libm): exact to the last bit or two of f64.
constexpr double lsq_factor(size_t n, int32_t highest) noexcept {
  const double square = double(n) * double(highest);
  if (!(square > 0)) return 1.0;
  double root = f64_of_bits((bits_of_f64(square) >> 1) + (uint64_t{0x1ff8} << 48));
  for (int i = 0; i < 6; ++i) root = fence(0.5 * (root + square / root));
  return 1.0 / root;
}

}  // namespace quantal
