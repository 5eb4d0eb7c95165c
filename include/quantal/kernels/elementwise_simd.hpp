// The elementwise kernels, written once over a vector type V (kernels/<isa>/vec.hpp) and instantiated per ISA.
//
// Quotients come from quotient_simd.hpp. Long runs do not look for NaN and overflow: the CPU's flag tells, per block,
// whether there was one, and such a block is done again with care. Tails go through a buffer on the stack: no byte
// outside the arrays is touched. Nothing here calls an inline function of the headers below: a copy of it compiled for
// this ISA could replace the baseline one at link time. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/code_sum_simd.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/invalid_flag.hpp"
#include "quantal/kernels/quotient_simd.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

// RNE(x / scale), possibly outside the range (the narrowing saturates). x is not NaN. The multiplications must not meet
// infinities; where an impossible conversion gives INT_MIN (x86), what lies below the range needs no clamp: it ends up
// as the lowest code, -infinity too, by way of a NaN.
template <class V, quotient How>
[[gnu::always_inline]] inline typename V::s32 steps(typename V::f32 x, const run_vectors<V>& c) noexcept {
  if constexpr (How == quotient::corrected || How == quotient::two_products) {
    if constexpr (!V::impossible_is_lowest) x = V::max(x, c.low);
    return V::to_s32(divide<V, How>(V::min(x, c.high), c));
  } else {
    return V::to_s32(V::min(V::max(divide<V, How>(x, c), c.low), c.high));
  }
}

// Four vectors, any input.
template <class V, quotient How, class Code, class Narrowing>
[[gnu::always_inline]] inline void careful_step(const float* x, const run_vectors<V>& v, const Narrowing& n,
                                                Code* q) noexcept {
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
template <class V, quotient How, class Code, class Narrowing>
[[gnu::noinline, gnu::cold]] void rare_step(const float* x, const run_vectors<V>& v, const Narrowing& n,
                                            Code* q) noexcept {
  careful_step<V, How>(x, v, n, q);
}

// Four vectors. Where impossible conversions give INT_MIN, one look at the narrowed steps finds whatever needs care: a
// lowest s16 is NaN, infinite, or 128 times outside the range.
template <class V, quotient How, class Code, class Narrowing>
[[gnu::always_inline]] inline void quantize_step(const float* x, const run_vectors<V>& v, const Narrowing& n,
                                                 Code* q) noexcept {
  constexpr size_t w = V::width;
  if constexpr (V::impossible_is_lowest) {
    const bool done = n.store_if_sure(
        q, V::to_s32(divide<V, How>(V::load(x), v)), V::to_s32(divide<V, How>(V::load(x + w), v)),
        V::to_s32(divide<V, How>(V::load(x + 2 * w), v)), V::to_s32(divide<V, How>(V::load(x + 3 * w), v)));
    if (__builtin_expect(!done, 0)) rare_step<V, How>(x, v, n, q);
  } else {
    careful_step<V, How>(x, v, n, q);
  }
}

// Any n at all: whole steps, then a tail by way of a buffer.
template <class V, quotient How, class Code, class Narrowing>
[[gnu::always_inline]] inline void quantize_steps(const float* x, size_t n, const run_vectors<V>& c,
                                                  const Narrowing& narrow, Code* q) noexcept {
  constexpr size_t step = 4 * V::width;
  size_t i = 0;
  for (; i + step <= n; i += step) quantize_step<V, How>(x + i, c, narrow, q + i);
  if (i == n) return;
  float in[step];
  Code out[step];
  for (size_t k = 0; k < step; ++k) in[k] = i + k < n ? x[i + k] : 0.0f;
  quantize_step<V, How>(in, c, narrow, out);
  for (size_t k = 0; i + k < n; ++k) q[i + k] = out[k];
}

// RNE(x / scale) of the vector at x, nothing looked at.
template <class V, quotient How>
[[gnu::always_inline]] inline typename V::s32 bare_steps(const float* x, const run_vectors<V>& c) noexcept {
  if constexpr (How == quotient::two_products) return V::to_s32(V::fma_of(x, c.inverse, V::mul(V::load(x), c.rest)));
  return V::to_s32(divide<V, How>(V::fence(V::load(x)), c));
}

// Blocks of four steps without a look at the numbers, each followed by a look at the CPU's flag. Returns how many
// numbers are done, all but a tail.
template <class V, quotient How, class Code, class Narrowing>
[[gnu::always_inline]] inline size_t quantize_blocks(const float* x, size_t n, const run_vectors<V>& c,
                                                     const Narrowing& narrow, Code* q) noexcept {
  constexpr size_t w = V::width, step = 8 * V::width, block = size_t{1} << 14;
  size_t i = 0;
  while (i + step <= n) {
    const size_t start = i;
    const size_t end = n - i > block ? i + block : n;
    for (; i + step <= end; i += step) {
      const float* p = x + i;
      narrow.store(q + i, bare_steps<V, How>(p, c), bare_steps<V, How>(p + w, c), bare_steps<V, How>(p + 2 * w, c),
                   bare_steps<V, How>(p + 3 * w, c));
      narrow.store(q + i + 4 * w, bare_steps<V, How>(p + 4 * w, c), bare_steps<V, How>(p + 5 * w, c),
                   bare_steps<V, How>(p + 6 * w, c), bare_steps<V, How>(p + 7 * w, c));
    }
    if (__builtin_expect(invalid_flag::raised(), 0)) {
      for (size_t k = start; k < i; k += step / 2) quantize_step<V, How>(x + k, c, narrow, q + k);
      invalid_flag::forget();
    }
  }
  return i;
}

inline constexpr size_t long_run = 4096;  // from here the search for two_products and the look at the flag pay

template <class V, quotient How, bool Clamped, class Code>
[[gnu::noinline]] void quantize_loop(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  const run_vectors<V> c = broadcast<V, How>(run);
  const typename V::template narrowing<Code, Clamped> narrow(run.params.zero_point, run.codes.min, run.codes.max);
  size_t done = 0;
  if constexpr (V::impossible_is_lowest && invalid_flag::known) {
    if (n >= long_run && invalid_flag::works()) done = quantize_blocks<V, How>(x, n, c, narrow, q);
  }
  quantize_steps<V, How>(x + done, n - done, c, narrow, q + done);
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

// The extremes of x and 0, by integer operations, which have more units than those of floats: of floats as integers the
// largest signed one is the largest positive float, the largest unsigned one the lowest negative float. A NaN is
// larger than infinity. Returns false, and no extremes, if not all numbers are finite.
template <class V>
[[gnu::always_inline]] inline bool finite_range(const float* x, size_t n, min_max& m) noexcept {
  using s32 = typename V::s32;
  constexpr size_t w = V::width;
  s32 high[2] = {V::set(0), V::set(0)}, low[2] = {V::set(INT32_MIN), V::set(INT32_MIN)};
  size_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    for (size_t k = 0; k < 4; ++k) {
      const s32 bits = V::fence(V::load_bits(x + i + k * w));
      high[k % 2] = V::max(high[k % 2], bits);
      low[k % 2] = V::max_unsigned(low[k % 2], bits);
    }
  }
  int32_t highs[w], lows[w];
  V::store(highs, V::max(high[0], high[1]));
  V::store(lows, V::max_unsigned(low[0], low[1]));
  int32_t highest = 0;
  uint32_t lowest = 0x80000000u;
  const auto take = [&](int32_t a, uint32_t b) noexcept {
    highest = a > highest ? a : highest;
    lowest = b > lowest ? b : lowest;
  };
  for (size_t k = 0; k < w; ++k) take(highs[k], static_cast<uint32_t>(lows[k]));
  for (; i < n; ++i) {
    int32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    take(bits, static_cast<uint32_t>(bits));
  }
  if (highest >= 0x7f800000 || lowest >= 0xff800000u) return false;
  __builtin_memcpy(&m.max, &highest, sizeof highest);
  __builtin_memcpy(&m.min, &lowest, sizeof lowest);
  return true;
}

template <class V, class Code>
void quantize(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  const default_fp_env env;
  if (run.reciprocal) return quantize_loop<V, quotient::multiplied, true>(x, n, run, q);
  if constexpr (V::has_fma) {
    if (can_correct<V>(run.params.scale)) {
      if (n < long_run || !two_products_suffice<V>(run))
        return quantize_loop<V, quotient::corrected, true>(x, n, run, q);
      if (run.codes.max - run.codes.min < 255) return quantize_loop<V, quotient::two_products, true>(x, n, run, q);
      return quantize_loop<V, quotient::two_products, false>(x, n, run, q);  // narrowing saturates to all codes
    }
  }
  quantize_loop<V, quotient::divided, true>(x, n, run, q);
}

// Finite numbers whose codes need no clamp. Returns the sum of the codes.
template <class V, quotient How, class Code>
[[gnu::noinline]] int64_t quantize_and_sum(const float* x, size_t n, const quantize_run& run, Code* q) noexcept {
  constexpr size_t w = V::width, step = 4 * w;
  const run_vectors<V> c = broadcast<V, How>(run);
  const typename V::template narrowing<Code, false> narrow(run.params.zero_point, run.codes.min, run.codes.max);
  code_sum<V, Code> sum;
  const auto four = [&](const float* from, Code* to) __attribute__((always_inline)) {
    narrow.store(to, bare_steps<V, How>(from, c), bare_steps<V, How>(from + w, c), bare_steps<V, How>(from + 2 * w, c),
                 bare_steps<V, How>(from + 3 * w, c));
  };
  size_t i = 0;
  for (; i + step <= n; i += step) {
    four(x + i, q + i);
    sum.add(q + i);
  }
  if (i < n) {
    float in[step] = {};
    Code out[step];
    __builtin_memcpy(in, x + i, (n - i) * sizeof(float));
    four(in, out);
    __builtin_memcpy(q + i, out, n - i);
    sum.add_tail(out, n - i);
  }
  return sum.total();
}

// What a row of a batch becomes.
struct row_plan {
  quantize_run run;
  bool finite = false;
};
template <class V, class Code>
[[gnu::always_inline]] inline row_plan plan_row(const float* x, size_t n, row_params_function params_of) noexcept {
  constexpr dtype type = Code(-1) < Code(0) ? dtype::s8 : dtype::u8;
  row_plan p;
  min_max range;
  p.finite = finite_range<V>(x, n, range);
  if (!p.finite) min_max_loop<V>(x, n, range);
  p.run.params = params_of(range, type);
  p.run.codes = type == dtype::s8 ? code_limits{-127, 127} : code_limits{0, 255};
  return p;
}
template <class V, class Code>
[[gnu::always_inline]] inline int64_t run_row(const float* x, size_t n, const row_plan& p, Code* q) noexcept {
  if (!p.finite) {
    quantize<V>(x, n, p.run, q);
    return sum_of<V>(q, n);
  }
  if constexpr (V::has_fma) {
    if (can_correct<V>(p.run.params.scale)) {
      return n >= long_run && two_products_suffice<V>(p.run)
                 ? quantize_and_sum<V, quotient::two_products>(x, n, p.run, q)
                 : quantize_and_sum<V, quotient::corrected>(x, n, p.run, q);
    }
  }
  return quantize_and_sum<V, quotient::divided>(x, n, p.run, q);
}

// Short rows are planned one ahead: the CPU divides for the next row while the codes of this one come. Two long rows
// would not lie in L1 together.
template <class V, class Code>
void quantize_rows(const row_batch<Code>& batch, row_params_function params_of) noexcept {
  const default_fp_env env;
  const size_t ahead = batch.n <= 2048 ? 1 : 0;
  row_plan plans[2];
  for (size_t next = 0; next < batch.rows + ahead; ++next) {
    if (next < batch.rows) plans[next % 2] = plan_row<V, Code>(batch.x + next * batch.x_stride, batch.n, params_of);
    if (next < ahead) continue;
    const size_t row = next - ahead;
    const int64_t sum =
        run_row<V>(batch.x + row * batch.x_stride, batch.n, plans[row % 2], batch.codes + row * batch.codes_stride);
    batch.params[row] = plans[row % 2].run.params;
    if (batch.sums != nullptr) batch.sums[row] = static_cast<int32_t>(sum);
  }
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
          min_max_of<V>,
          quantize_rows<V, int8_t>,
          quantize_rows<V, uint8_t>};
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
