// The meaning of the elementwise kernels: one element at a time, as quant/affine.hpp says. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/elementwise.hpp"

namespace quantal::kernels::ref {

inline int32_t code_of(float x, const quantize_run& run) noexcept {
  quantize_options options;
  options.nan = run.nan_is_lowest ? nan_policy::lowest : nan_policy::zero_point;
  options.reciprocal = run.reciprocal;
  return quantize_value(x, run.params, run.codes, options);
}

template <class Code>
__attribute__((noinline)) void quantize_loop(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  for (size_t i = 0; i < n; ++i) q[i] = static_cast<Code>(code_of(x[i], run));
}
template <class Code>
__attribute__((noinline)) void dequantize_loop(const Code* q, size_t n, quant_params p, float* x) noexcept {
  for (size_t i = 0; i < n; ++i) x[i] = dequantize_value(q[i], p);
}
__attribute__((noinline)) inline void fake_quantize_loop(const float* x, size_t n, const quantize_run& run,
                                                         float* y) noexcept {
  for (size_t i = 0; i < n; ++i) y[i] = dequantize_value(code_of(x[i], run), run.params);
}

template <class Code>
void quantize(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  const default_fp_env env;
  quantize_loop(x, n, run, q);
}
template <class Code>
void dequantize(const Code* q, size_t n, quant_params p, float* x) noexcept {
  const default_fp_env env;
  dequantize_loop(q, n, p, x);
}
inline void fake_quantize(const float* x, size_t n, const quantize_run& run, float* y) noexcept {
  const default_fp_env env;
  fake_quantize_loop(x, n, run, y);
}

// Order of floats by their bits: no comparison that flush-to-zero could change.
constexpr int32_t ordered(float x) noexcept {
  const int32_t b = static_cast<int32_t>(bits_of_f32(x));
  return b < 0 ? -(b & 0x7fffffff) : b;
}

inline void include(float x, min_max& m) noexcept {
  if (is_nan(x)) {
    ++m.nan_count;
    return;
  }
  if (bits_of_f32(x) == 0x80000000u) x = 0.0f;
  if (ordered(x) < ordered(m.min)) m.min = x;
  if (ordered(x) > ordered(m.max)) m.max = x;
}

inline min_max min_max_of(const float* x, size_t n) noexcept {
  min_max m;
  for (size_t i = 0; i < n; ++i) include(x[i], m);
  return m;
}

template <class Code>
void quantize_rows(const row_batch<Code>& batch, row_params_function params_of) noexcept {
  constexpr bool is_signed = Code(-1) < Code(0);
  const default_fp_env env;
  for (size_t row = 0; row < batch.rows; ++row) {
    const float* x = batch.x + row * batch.x_stride;
    Code* q = batch.codes + row * batch.codes_stride;
    quantize_run run;
    run.params = params_of(min_max_of(x, batch.n), is_signed ? dtype::s8 : dtype::u8);
    run.codes = is_signed ? code_limits{-127, 127} : code_limits{0, 255};
    quantize_loop(x, batch.n, run, q);
    batch.params[row] = run.params;
    if (batch.sums == nullptr) continue;
    batch.sums[row] = 0;
    for (size_t i = 0; i < batch.n; ++i) batch.sums[row] += q[i];
  }
}

inline constexpr elementwise_table elementwise{
    "ref",         quantize<int8_t>, quantize<uint8_t>,     dequantize<int8_t>,    dequantize<uint8_t>,
    fake_quantize, min_max_of,       quantize_rows<int8_t>, quantize_rows<uint8_t>};

}  // namespace quantal::kernels::ref
