// The elementwise kernels, written once over a vector type V (kernels/<isa>/vec.hpp) and instantiated per ISA.
//
// The quotient x / scale must be the correctly rounded one, or codes differ on ties. Where the ISA has a fused
// multiply-add it is formed from the rounded reciprocal y = RN(1 / scale) by one correction step (Markstein):
//
//   q0 = x * y,   r = fma(-q0, scale, x),   q = fma(r, y, q0)      three operations instead of a division
//
// for scales in [2^-90, 2^90], where nothing can underflow or overflow; x is first clamped to just outside the range of
// codes, so that infinities never meet the correction. Tails go through a buffer on the stack: no byte outside the
// arrays is touched. Nothing here calls an inline function of the headers below: a copy of it compiled for this ISA
// could replace the baseline one at link time. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/elementwise.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

enum class quotient { corrected, divided, multiplied };

// Constants of a run, broadcast.
template <class V>
struct run_vectors {
  typename V::f32 scale, inverse, nan_value, low, high;
};

template <class V, quotient How>
run_vectors<V> broadcast(const quantize_run& run) noexcept {
  const float scale = run.params.scale;
  const float low = static_cast<float>(run.codes.min - run.params.zero_point);
  const float high = static_cast<float>(run.codes.max - run.params.zero_point);
  run_vectors<V> c;
  c.scale = V::set(scale);
  c.inverse = V::set(1.0f / scale);
  c.nan_value = V::set(run.nan_is_lowest ? -__builtin_inff() : 0.0f);
  // Before the quotient the bounds are those of x, one code outside; after it, those of the code.
  c.low = V::set(How == quotient::corrected ? (low - 1.0f) * scale : low);
  c.high = V::set(How == quotient::corrected ? (high + 1.0f) * scale : high);
  return c;
}

// RNE(x / scale), possibly outside the range (the narrowing saturates). x is not NaN. Where an impossible conversion
// gives INT_MIN (x86), what lies below the range needs no clamp: it ends up as the lowest code, -infinity too, by way
// of a NaN.
template <class V, quotient How>
[[gnu::always_inline]] inline typename V::s32 steps(typename V::f32 x, const run_vectors<V>& c) noexcept {
  if constexpr (How == quotient::corrected) {
    if constexpr (!V::impossible_is_lowest) x = V::max(x, c.low);
    x = V::min(x, c.high);
    const typename V::f32 q0 = V::mul(x, c.inverse);
    return V::to_s32(V::fma(V::fnma(q0, c.scale, x), c.inverse, q0));
  } else {
    const typename V::f32 q = How == quotient::divided ? V::div(x, c.scale) : V::mul(x, c.inverse);
    return V::to_s32(V::min(V::max(q, c.low), c.high));
  }
}

// Four vectors. NaN is rare: one test for all four.
template <class V, quotient How, class Code>
[[gnu::always_inline]] inline void quantize_step(const float* x, const run_vectors<V>& v,
                                                 const typename V::template narrowing<Code>& n, Code* q) noexcept {
  constexpr size_t w = V::width;
  typename V::f32 a = V::load(x), b = V::load(x + w), c = V::load(x + 2 * w), d = V::load(x + 3 * w);
  if (__builtin_expect(V::any(V::either(V::unordered(a, b), V::unordered(c, d))), 0)) {
    a = V::replace_nan(a, v.nan_value);
    b = V::replace_nan(b, v.nan_value);
    c = V::replace_nan(c, v.nan_value);
    d = V::replace_nan(d, v.nan_value);
  }
  n.store(q, steps<V, How>(a, v), steps<V, How>(b, v), steps<V, How>(c, v), steps<V, How>(d, v));
}

template <class V, quotient How, class Code>
[[gnu::noinline]] void quantize_loop(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  constexpr size_t step = 4 * V::width;
  const run_vectors<V> c = broadcast<V, How>(run);
  const typename V::template narrowing<Code> narrow(run.params.zero_point, run.codes.min, run.codes.max);
  size_t i = 0;
  for (; i + step <= n; i += step) quantize_step<V, How>(x + i, c, narrow, q + i);
  if (i == n) return;
  float in[step];
  Code out[step];
  for (size_t k = 0; k < step; ++k) in[k] = i + k < n ? x[i + k] : 0.0f;
  quantize_step<V, How>(in, c, narrow, out);
  for (size_t k = 0; i + k < n; ++k) q[i + k] = out[k];
}

template <class V, quotient How>
[[gnu::always_inline]] inline void fake_step(const float* x, const run_vectors<V>& c, typename V::s32 low,
                                             typename V::s32 high, float* y) noexcept {
  const typename V::s32 q = V::min(V::max(steps<V, How>(V::replace_nan(V::load(x), c.nan_value), c), low), high);
  V::store(y, V::mul(V::to_f32(q), c.scale));
}

template <class V, quotient How>
[[gnu::noinline]] void fake_quantize_loop(const float* x, size_t n, const quantize_run& run, float* y) noexcept {
  constexpr size_t step = V::width;
  const run_vectors<V> c = broadcast<V, How>(run);
  const typename V::s32 low = V::set(run.codes.min - run.params.zero_point);
  const typename V::s32 high = V::set(run.codes.max - run.params.zero_point);
  size_t i = 0;
  for (; i + step <= n; i += step) fake_step<V, How>(x + i, c, low, high, y + i);
  if (i == n) return;
  float in[step], out[step];
  for (size_t k = 0; k < step; ++k) in[k] = i + k < n ? x[i + k] : 0.0f;
  fake_step<V, How>(in, c, low, high, out);
  for (size_t k = 0; i + k < n; ++k) y[i + k] = out[k];
}

template <class V, class Code>
[[gnu::always_inline]] inline void dequantize_step(const Code* q, typename V::s32 zero, typename V::f32 scale,
                                                   float* x) noexcept {
  V::store(x, V::mul(V::to_f32(V::sub(V::load_codes(q), zero)), scale));
}

template <class V, class Code>
[[gnu::noinline]] void dequantize_loop(const Code* q, size_t n, quant_params p, float* x) noexcept {
  constexpr size_t step = V::width;
  const typename V::s32 zero = V::set(p.zero_point);
  const typename V::f32 scale = V::set(p.scale);
  size_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    dequantize_step<V>(q + i, zero, scale, x + i);
    dequantize_step<V>(q + i + step, zero, scale, x + i + step);
  }
  for (; i + step <= n; i += step) dequantize_step<V>(q + i, zero, scale, x + i);
  if (i == n) return;
  Code in[step];
  float out[step];
  for (size_t k = 0; k < step; ++k) in[k] = i + k < n ? q[i + k] : Code{0};
  dequantize_step<V>(in, zero, scale, out);
  for (size_t k = 0; i + k < n; ++k) x[i + k] = out[k];
}

// Two elements per lane and accumulator; NaN is only noticed here, a block that has one is counted again.
template <class V>
[[gnu::noinline]] void min_max_loop(const float* x, size_t n, min_max& m) noexcept {
  constexpr size_t step = 4 * V::width;
  typename V::f32 low[2] = {V::set(m.min), V::set(m.min)};
  typename V::f32 high[2] = {V::set(m.max), V::set(m.max)};
  size_t i = 0;
  while (i + step <= n) {
    const size_t start = i;
    const size_t end = n - i > 4096 ? i + 4096 : n;
    typename V::mask bad = V::no_mask();
    for (; i + step <= end; i += step) {
      const typename V::f32 a = V::load(x + i), b = V::load(x + i + V::width);
      const typename V::f32 c = V::load(x + i + 2 * V::width), d = V::load(x + i + 3 * V::width);
      bad = V::either(bad, V::either(V::unordered(a, b), V::unordered(c, d)));
      low[0] = V::min_number(b, V::min_number(a, low[0]));
      high[0] = V::max_number(b, V::max_number(a, high[0]));
      low[1] = V::min_number(d, V::min_number(c, low[1]));
      high[1] = V::max_number(d, V::max_number(c, high[1]));
    }
    if (V::any(bad)) {
      for (size_t k = start; k < i; ++k) m.nan_count += x[k] != x[k] ? 1 : 0;
    }
  }
  float lows[2 * V::width], highs[2 * V::width];
  V::store(lows, low[0]);
  V::store(lows + V::width, low[1]);
  V::store(highs, high[0]);
  V::store(highs + V::width, high[1]);
  for (size_t k = 0; k < 2 * V::width; ++k) {
    if (lows[k] < m.min) m.min = lows[k];
    if (highs[k] > m.max) m.max = highs[k];
  }
  for (; i < n; ++i) {
    if (x[i] != x[i]) {
      ++m.nan_count;
      continue;
    }
    if (x[i] < m.min) m.min = x[i];
    if (x[i] > m.max) m.max = x[i];
  }
  if (m.min == 0.0f) m.min = 0.0f;  // -0 counts as +0
  if (m.max == 0.0f) m.max = 0.0f;
}

// Which quotient a scale allows.
template <class V>
bool can_correct(float scale) noexcept {
  return V::has_fma && scale >= 0x1p-90f && scale <= 0x1p90f;
}

template <class V, class Code>
void quantize(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  const default_fp_env env;
  if (run.reciprocal) return quantize_loop<V, quotient::multiplied>(x, n, run, q);
  if constexpr (V::has_fma) {
    if (can_correct<V>(run.params.scale)) return quantize_loop<V, quotient::corrected>(x, n, run, q);
  }
  quantize_loop<V, quotient::divided>(x, n, run, q);
}

template <class V>
void fake_quantize(const float* x, size_t n, const quantize_run& run, float* y) noexcept {
  const default_fp_env env;
  if (run.reciprocal) return fake_quantize_loop<V, quotient::multiplied>(x, n, run, y);
  if constexpr (V::has_fma) {
    if (can_correct<V>(run.params.scale)) return fake_quantize_loop<V, quotient::corrected>(x, n, run, y);
  }
  fake_quantize_loop<V, quotient::divided>(x, n, run, y);
}

template <class V, class Code>
void dequantize(const Code* q, size_t n, quant_params p, float* x) noexcept {
  const default_fp_env env;
  dequantize_loop<V>(q, n, p, x);
}

template <class V>
min_max min_max_of(const float* x, size_t n) noexcept {
  const default_fp_env env;
  min_max m;
  min_max_loop<V>(x, n, m);
  return m;
}

template <class V>
constexpr elementwise_table make_elementwise(const char* isa) noexcept {
  return {isa,
          quantize<V, int8_t>,
          quantize<V, uint8_t>,
          dequantize<V, int8_t>,
          dequantize<V, uint8_t>,
          fake_quantize<V>,
          min_max_of<V>};
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
