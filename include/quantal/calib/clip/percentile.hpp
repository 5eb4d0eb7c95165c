// percentile: cut the rarest values. `percentile` p keeps p % of all values:
//
//   percentile             cuts (100 - p) / 2 % on each side        -> [q(half), q(1 - half)]
//   percentile_symmetric   cuts (100 - p) % of the largest |x|      -> [-q, q], q of the distribution of |x|
//
// both within [min, max]. On the aligned grid the quantile is interpolated inside its bin (error at most one bin width,
// max|x| / bins). On onnxruntime's grids its rule is followed: the left edge of the bin in which the cumulated share
// reaches the quantile, so the range is up to a bin too narrow (calibrate.py, compute_percentile). There the tool's
// "symmetric" result is not symmetric where min or max is nearer, and the sign-symmetric choice is made with the
// parameters. Memory: the histogram. Cost: O(bins).
#pragma once
#include <algorithm>

#include "quantal/calib/clip/clip.hpp"
#include "quantal/calib/clip/density.hpp"

namespace quantal::calib {

// numpy: edges[searchsorted(cumsum(counts / total), share)]
inline double onnxruntime_quantile(const histogram& h, double share) noexcept {
  const double total = static_cast<double>(h.total());
  double cumulated = 0;
  std::size_t i = 0;
  for (; i < h.counts.size(); ++i) {
    cumulated += static_cast<double>(h.counts[i]) / total;
    if (cumulated >= share) break;
  }
  return h.edge(i);
}

inline result<range> clip_percentile(const statistics& s, const method_options& o, const quant_target&) {
  if (s.bins->kind == grid::onnxruntime_absolute)
    return error{status::calibration,
                 "percentile needs signed values, the histogram holds magnitudes",
                 {},
                 "use percentile_symmetric"};
  const double cut = (100.0 - o.percentile) / 200.0;
  if (s.bins->kind == grid::aligned) {
    const density d(s);
    return within(s, d.quantile(cut), d.quantile(1.0 - cut));
  }
  return within(s, onnxruntime_quantile(*s.bins, cut), onnxruntime_quantile(*s.bins, 1.0 - cut));
}

inline result<range> clip_percentile_symmetric(const statistics& s, const method_options& o, const quant_target&) {
  const double share = o.percentile / 100.0;
  if (s.bins->kind != grid::aligned && s.bins->kind != grid::onnxruntime_absolute)
    return error{status::calibration,
                 "percentile_symmetric needs the distribution of magnitudes",
                 {},
                 "calibrate with percentile_symmetric"};
  const double q =
      s.bins->kind == grid::aligned ? density(s, true).quantile(share) : onnxruntime_quantile(*s.bins, share);
  return within(s, -q, q);
}

inline constexpr method percentile_method{"percentile", "histogram", needs::bins, &clip_percentile,
                                          "cuts the rarest values of each side (--percentile)"};
inline constexpr method percentile_symmetric_method{"percentile_symmetric", "histogram", needs::bins,
                                                    &clip_percentile_symmetric,
                                                    "cuts the rarest magnitudes (--percentile)"};

}  // namespace quantal::calib
