// qat_shift: the power of two above the largest magnitude: [-2^-k, 2^-k],
//
//   k = clamp(floor(log2(1 / t)), -7 - b, 23 - b),   t = the shift_quantile (default 1) of |x|, b bits of the target
//
// so the factor from real to code is 2^(b-1) * 2^k. Source: ai8x quantize.py, the QAT mode (MAX_BIT_SHIFT).
// Quantile 1 is exact; others are read from the histogram of magnitudes (a tensor in memory: calib/ai8x.hpp).
// The trap: 1 / t and log2 are float32 in the tool; near a power of two the double result could differ, so this follows
// it. Memory: two numbers, or the histogram. Cost: none, or O(bins).
#pragma once
#include <algorithm>
#include <cmath>

#include "quantal/calib/clip/clip.hpp"
#include "quantal/calib/clip/density.hpp"

namespace quantal::calib {

// The exponent k for a threshold t. log2 is rounded to float32 before the floor, as there.
inline int shift_exponent(float t, int bits) noexcept {
  const float y = 1.0f / t;
  if (!(y > 0)) return -7 - bits;
  if (std::isinf(y)) return 23 - bits;
  return std::clamp(static_cast<int>(std::floor(static_cast<float>(std::log2(static_cast<double>(y))))), -7 - bits,
                    23 - bits);
}

inline result<range> clip_qat_shift(const statistics& s, const method_options& o, const quant_target& target) {
  double t = absmax(s);
  if (o.shift_quantile < 1) {
    if (!s.bins || s.bins->kind != grid::aligned)
      return error{status::calibration,
                   "qat_shift with a shift_quantile below 1 needs a histogram",
                   {},
                   "calibrate with the observer histogram"};
    t = density(s, true).quantile(o.shift_quantile);
  }
  const double a = std::ldexp(1.0, -shift_exponent(static_cast<float>(t), static_cast<int>(bits_of(target.type))));
  return range{-a, a, false, 0};
}
inline constexpr method qat_shift_method{"qat_shift",
                                         "min_max",
                                         needs::range,
                                         &clip_qat_shift,
                                         "the next power of two (ai8x QAT)",
                                         [](const method_options& o) { return o.shift_quantile < 1; }};

}  // namespace quantal::calib
