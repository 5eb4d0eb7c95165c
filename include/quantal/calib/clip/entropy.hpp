// entropy: the threshold whose quantized distribution loses the least information (Kullback-Leibler), TensorRT's
// calibration.
//
// Of the histogram of |x|, bin 0 is set to bin 1 (a spike at zero would decide alone). For each candidate i >= 128:
// reference = bins [0, i) with all outliers added to the last; quantized = the same bins grouped into 2^(b-1) levels,
// each level spread over its non-empty bins; both normalised; KL(reference || quantized). The last minimum wins;
// threshold = i bin widths. Source: NVIDIA pytorch-quantization / ModelOpt calib/histogram.py, _compute_amax_entropy
// (stride 1, start_bin 128). Levels: 2^(b-1) for signed data, 2^b where data is never negative and the target affine
// (their `unsigned`). The trap: with as many levels as bins there is nothing to choose and the whole range is kept.
// Memory: three vectors of bins. Cost: O(candidates * levels): sum r log r comes from prefix sums, one logarithm per
// level.
#pragma once
#include <cmath>
#include <vector>

#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

struct entropy_choice {
  std::size_t bins = 0;  // kept bins of the magnitude histogram
  std::int32_t candidates = 0;
  double divergence = 0;
};

inline entropy_choice choose_entropy(std::vector<double> counts, std::size_t levels, std::size_t start = 128) {
  const std::size_t n = counts.size();
  if (n > 1) counts[0] = counts[1];
  std::vector<double> before(n + 1, 0), log_before(n + 1, 0);  // prefix sums of c and c log c
  std::vector<std::size_t> filled(n + 1, 0);
  for (std::size_t i = 0; i < n; ++i) {
    before[i + 1] = before[i] + counts[i];
    log_before[i + 1] = log_before[i] + (counts[i] > 0 ? counts[i] * std::log(counts[i]) : 0.0);
    filled[i + 1] = filled[i] + (counts[i] > 0 ? 1 : 0);
  }
  const double total = before[n];
  entropy_choice best{n, 0, std::numeric_limits<double>::infinity()};
  for (std::size_t i = start; i <= n; ++i) {
    ++best.candidates;
    const double kept = before[i], outliers = total - kept, last = counts[i - 1];
    if (kept <= 0 || (last <= 0 && outliers > 0)) continue;  // infinite divergence
    // sum r log r over the reference; the last bin carries the outliers
    double divergence = log_before[i - 1] + (last + outliers > 0 ? (last + outliers) * std::log(last + outliers) : 0.0);
    const double step = static_cast<double>(i) / static_cast<double>(levels);
    std::size_t begin = 0;
    for (std::size_t k = 1; k <= levels; ++k) {
      const std::size_t end =
          k == levels ? i : std::min(i, static_cast<std::size_t>(std::ceil(static_cast<double>(k) * step)));
      const double level = before[end] - before[begin];
      if (level > 0) {
        const double spread = level / static_cast<double>(filled[end] - filled[begin]);
        divergence -= (level + (end == i ? outliers : 0.0)) * std::log(spread);
      }
      begin = end;
      if (begin == i) break;
    }
    divergence = divergence / total - std::log(total) + std::log(kept);
    if (divergence <= best.divergence) best.bins = i, best.divergence = divergence;
  }
  return best;
}

inline result<range> clip_entropy(const statistics& s, const method_options&, const quant_target& target) {
  if (s.bins->kind != grid::aligned && s.bins->kind != grid::onnxruntime_absolute)
    return error{status::calibration, "entropy needs the distribution of magnitudes", {}, "calibrate with entropy"};
  const auto whole = s.bins->kind == grid::aligned ? folded(*s.bins) : s.bins->counts;
  std::vector<double> counts(whole.begin(), whole.end());
  const bool one_sided = s.min >= 0 && !target.symmetric;
  const double steps =
      std::ldexp(1.0, static_cast<int>(bits_of(target.type)) - (one_sided ? 0 : 1) - (target.reduce_range ? 1 : 0));
  if (counts.size() < 128 || static_cast<double>(counts.size()) < steps) return within(s, -absmax(s), absmax(s));
  const entropy_choice best = choose_entropy(std::move(counts), static_cast<std::size_t>(steps));
  const double a = s.bins->kind == grid::aligned ? std::ldexp(static_cast<double>(best.bins), s.bins->exponent)
                                                 : s.bins->edge(best.bins);
  range r = within(s, -a, a);
  r.candidates = best.candidates;
  return r;
}
inline constexpr method entropy_method{"entropy", "histogram", needs::bins, &clip_entropy,
                                       "least information lost, TensorRT's calibration"};

}  // namespace quantal::calib
