// entropy: the threshold whose quantized distribution loses the least information (Kullback-Leibler), TensorRT's
// calibration, among the ranges that cost no more squared error than the whole range.
//
// Of the histogram of |x|, bin 0 is set to bin 1 (a spike at zero would decide alone). For each candidate i >= 128:
// reference = bins [0, i) with all outliers added to the last; quantized = the same bins grouped into 2^(b-1) levels,
// each level spread over its non-empty bins; both normalised; KL(reference || quantized). The last minimum wins;
// threshold = i bin widths. Source: NVIDIA pytorch-quantization / ModelOpt calib/histogram.py, _compute_amax_entropy
// (stride 1, start_bin 128): choose_entropy. Levels: 2^(b-1) for signed data, 2^b where data is never negative and the
// target affine (their `unsigned`). With as many levels as bins there is nothing to choose and the whole range is kept.
//
// The trap: the divergence does not know how far an outlier lies, and a spike anywhere but at zero (HardSwish's at
// -3/8, a saturated ReLU6) or a histogram of few values makes it cut half of the range. So the search begins at the
// narrowest range whose squared error, clipping plus step^2 / 12, is not above that of the whole range
// (narrowest_worth_it); both terms are convex in the threshold, so every wider one qualifies, too.
// Memory: three vectors of bins. Cost: O(candidates * levels): sum r log r comes from prefix sums, one logarithm per
// level.
#pragma once
#include <algorithm>
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

// The fewest bins kept for which clipping plus rounding costs no more squared error than keeping all. step_of(i): the
// quantization step, in bins, when i bins are kept.
template <class StepOf>
std::size_t narrowest_worth_it(const std::vector<double>& counts, const StepOf& step_of) {
  double total = counts.size() > 1 ? std::fmin(counts[0], counts[1]) : 0;  // a spike at zero has no rounding error
  for (std::size_t i = 1; i < counts.size(); ++i) total += counts[i];
  const auto rounding = [&](std::size_t i) { return total * step_of(i) * step_of(i) / 12; };
  const double budget = rounding(counts.size());
  double n = 0, sum = 0, squares = 0;  // of what lies above, in bins from its lower end: spread evenly over each bin
  std::size_t i = counts.size();
  for (; i > 1; --i) {
    const double c = counts[i - 1];
    squares += 2 * sum + n + c / 3;  // everything above moves one bin further away
    sum += n + c / 2;
    n += c;
    if (squares + rounding(i - 1) > budget) break;
  }
  return i;
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
  const auto threshold = [&](std::size_t i) {
    return s.bins->kind == grid::aligned ? std::ldexp(static_cast<double>(i), s.bins->exponent) : s.bins->edge(i);
  };
  const double width = threshold(counts.size()) / static_cast<double>(counts.size());
  const std::size_t start = narrowest_worth_it(counts, [&](std::size_t i) {
    const double t = threshold(i);
    const double span =
        target.symmetric ? 2 * t : std::fmin(t, std::fmax(s.max, 0)) + std::fmin(t, std::fmax(-s.min, 0));
    return span / target.steps() / width;
  });
  const entropy_choice best =
      choose_entropy(std::move(counts), static_cast<std::size_t>(steps), std::max<std::size_t>(start, 128));
  const double a = threshold(best.bins);
  range r = within(s, -a, a);
  r.candidates = best.candidates;
  return r;
}
inline constexpr method entropy_method{"entropy", "histogram", needs::bins, &clip_entropy,
                                       "least information lost, TensorRT's calibration"};

}  // namespace quantal::calib
