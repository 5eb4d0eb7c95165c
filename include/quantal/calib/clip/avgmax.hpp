// avgmax: the average channel's extreme: [-a, a] with a = max(|mean over channels of min|, |mean over channels of
// max|).
//
// Source: ai8x quantize.py --clip-method AVGMAX over the view [C0, -1]: channels are output channels. Statistics
// without channels count as one channel, so a = max|x|. (The tool views a bias as [C0, 1], so there a = |mean|:
// calib/ai8x.hpp.) Memory: two numbers per channel. Cost: O(channels).
#pragma once
#include <cmath>

#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

inline double average_maximum(const statistics& s) noexcept {
  if (s.channels.empty()) return absmax(s);
  double low = 0, high = 0, n = 0;
  for (const statistics& c : s.channels) {
    if (c.count == 0) continue;
    low += c.min;
    high += c.max;
    n += 1;
  }
  return n == 0 ? 0 : std::fmax(std::fabs(low / n), std::fabs(high / n));
}

inline result<range> clip_avgmax(const statistics& s, const method_options&, const quant_target&) {
  const double a = average_maximum(s);
  return range{-a, a, false, 0};
}
inline constexpr method avgmax_method{"avgmax", "min_max", needs::range, &clip_avgmax,
                                      "average over channels of the extremes (ai8x)"};

}  // namespace quantal::calib
