// stddev: n standard deviations around the mean, within the extremes: [-a, a] with
//
//   a = max(|max(min, mean - n sigma)|, |min(max, mean + n sigma)|),   sigma unbiased, n = --stddev (2)
//
// Source: ai8x quantize.py --clip-method STDDEV. Moments are exact (calib/moments.hpp). Memory: 128 bytes. Cost: none.
#pragma once
#include <cmath>

#include "quantal/base/bits.hpp"
#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

inline double deviation_saturation(const statistics& s, double n) noexcept {
  const double mean = s.sums->mean(), far = fence(n * s.sums->standard_deviation());
  return std::fmax(std::fabs(std::fmax(s.min, mean - far)), std::fabs(std::fmin(s.max, mean + far)));
}

inline result<range> clip_stddev(const statistics& s, const method_options& o, const quant_target&) {
  const double a = deviation_saturation(s, o.stddev);
  return range{-a, a, false, 0};
}
inline constexpr method stddev_method{"stddev", "moments", needs::sums, &clip_stddev,
                                      "standard deviations around the mean (ai8x, --stddev)"};

}  // namespace quantal::calib
