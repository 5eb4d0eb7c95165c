// The meaning of the integer elementwise kernels: one element at a time. Sums of windows are exact in s64, saturated to
// s32 before they are rescaled. Freestanding; rescale, multiply, mean and requantize use no floating-point instruction.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/integer.hpp"

namespace quantal::kernels::ref {

inline int32_t rescale_value(int32_t x, const codes_run& run) noexcept {
  const requantizer r{run.rule, &run.ratio, &run.multiplier, 1, run.zero_point, run.codes.min, run.codes.max};
  return requantize_value(x, 0, r, 0, run.codes);
}

inline int32_t add_value(int32_t a, int32_t b, const codes_run& run) noexcept {
  int64_t steps = 0;
  if (run.rule == contract::fp32_rne) {
    const float x = fence(fence(static_cast<float>(a)) * run.ratio);
    const float y = fence(fence(static_cast<float>(b)) * run.other_ratio);
    steps = round_to_int(fence(x + y));
  } else {
    const requantizer first{run.rule, nullptr, &run.multiplier, 1, 0, INT32_MIN, INT32_MAX};
    const requantizer second{run.rule, nullptr, &run.other_multiplier, 1, 0, INT32_MIN, INT32_MAX};
    steps = int64_t{multiply(a, first, 0)} + multiply(b, second, 0);
  }
  steps += run.zero_point;
  return static_cast<int32_t>(steps < run.codes.min ? run.codes.min : steps > run.codes.max ? run.codes.max : steps);
}

template <class Code>
void requantize(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels, const requantizer& r,
                code_limits codes, Code* out) noexcept {
  for (size_t row = 0; row < rows; ++row) {
    for (size_t c = 0; c < channels; ++c, ++sums, ++out)
      *out = static_cast<Code>(requantize_value(*sums, bias != nullptr ? bias[c] : 0, r, c, codes));
  }
}

template <class In, class Out>
void rescale(const In* a, size_t n, const codes_run& run, Out* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<Out>(rescale_value(a[i] - run.a_zero_point, run));
}

template <class Code>
__attribute__((noinline)) void add_loop(const Code* a, const Code* b, size_t n, const codes_run& run,
                                        Code* out) noexcept {
  for (size_t i = 0; i < n; ++i)
    out[i] = static_cast<Code>(add_value(a[i] - run.a_zero_point, b[i] - run.b_zero_point, run));
}
template <class Code>
void add(const Code* a, const Code* b, size_t n, const codes_run& run, Code* out) noexcept {
  const default_fp_env env;
  add_loop(a, b, n, run, out);
}

template <class Code>
void multiply_codes(const Code* a, const Code* b, size_t n, const codes_run& run, Code* out) noexcept {
  for (size_t i = 0; i < n; ++i)
    out[i] = static_cast<Code>(rescale_value((a[i] - run.a_zero_point) * (b[i] - run.b_zero_point), run));
}

inline void look_up(const uint8_t* codes, size_t n, const uint8_t* table, uint8_t* out) noexcept {
  for (size_t i = 0; i < n; ++i) out[i] = table[codes[i]];
}

// Calls body(code) for each tap of a channel of a pixel.
template <class Code, class Body>
void for_each_tap(const window_taps<Code>& t, int64_t pixel, int64_t channel, Body&& body) noexcept {
  const Code* first = t.first + pixel * t.pixel_step + channel;
  for (int64_t y = 0; y < t.rows; ++y) {
    for (int64_t x = 0; x < t.columns; ++x) body(first[y * t.row_step + x * t.column_step]);
  }
}

template <class Code>
void max_of(const window_taps<Code>& t, Code* out) noexcept {
  for (int64_t p = 0; p < t.pixels; ++p) {
    for (int64_t c = 0; c < t.channels; ++c, ++out) {
      Code best = t.first[p * t.pixel_step + c];
      for_each_tap(t, p, c, [&](Code x) { best = x > best ? x : best; });
      *out = best;
    }
  }
}

template <class Code>
void mean_of(const window_taps<Code>& t, const codes_run& run, Code* out) noexcept {
  for (int64_t p = 0; p < t.pixels; ++p) {
    for (int64_t c = 0; c < t.channels; ++c, ++out) {
      int64_t sum = 0;
      for_each_tap(t, p, c, [&](Code x) { sum += x - run.a_zero_point; });
      *out = static_cast<Code>(rescale_value(saturate_s32(sum), run));
    }
  }
}

template <class Code>
int64_t sum_of(const Code* codes, size_t n) noexcept {
  int64_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += codes[i];
  return sum;
}

inline constexpr integer_table integer{"ref",
                                       requantize<int8_t>,
                                       requantize<uint8_t>,
                                       rescale<int8_t, int8_t>,
                                       rescale<int8_t, uint8_t>,
                                       rescale<uint8_t, int8_t>,
                                       rescale<uint8_t, uint8_t>,
                                       add<int8_t>,
                                       add<uint8_t>,
                                       multiply_codes<int8_t>,
                                       multiply_codes<uint8_t>,
                                       look_up,
                                       max_of<int8_t>,
                                       max_of<uint8_t>,
                                       mean_of<int8_t>,
                                       mean_of<uint8_t>,
                                       sum_of<int8_t>,
                                       sum_of<uint8_t>};

}  // namespace quantal::kernels::ref
