// entropy_onnxruntime: the Kullback-Leibler search as onnxruntime does it, over values of both signs.
//
// For i in quantized_bins / 2 .. bins / 2: slice = bins [mid - i, mid + i + 1); p = slice with the outliers of each
// side added to its end bins; q = slice merged into quantized_bins groups of size / quantized_bins bins (the rest into
// the last), each group spread over its bins as (sum / non-empty bins of p), truncated to an integer, the rest of the
// slice left zero; both smoothed (empty bins get 1e-4, the others give the balance); KL(p || q); the first minimum
// wins; the range is cut to [min, max]. Source: onnxruntime quantization/calibrate.py get_entropy_threshold,
// quant_utils.py smooth_distribution. The trap, its defaults: 128 bins and 128 quantized bins leave exactly one
// candidate, the whole range: the tool's Entropy is its MinMax (issue 9597). Here the default is the aligned histogram,
// so there is a choice; `candidates` says how many were tried. The tool's numbers: histogram_grid = grid::onnxruntime
// and its bins. It sums in float32; this sums in double, so near-ties may fall differently. Memory: four vectors of
// bins. Cost: O(candidates * bins) logarithms.
#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

// False: nothing in it.
inline bool smooth_distribution(std::vector<float>& p) noexcept {
  std::size_t zeros = 0;
  for (const float v : p) zeros += v == 0 ? 1 : 0;
  if (zeros == p.size()) return false;
  const double taken = 1e-4 * static_cast<double>(zeros) / static_cast<double>(p.size() - zeros);
  for (float& v : p) v += v == 0 ? 1e-4f : -static_cast<float>(taken);
  return true;
}

inline double divergence_of(const std::vector<float>& p, const std::vector<float>& q) noexcept {
  double sum_p = 0, sum_q = 0, sum = 0;
  for (const float v : p) sum_p += static_cast<double>(v);
  for (const float v : q) sum_q += static_cast<double>(v);
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double a = static_cast<double>(p[i]) / sum_p, b = static_cast<double>(q[i]) / sum_q;
    if (!(a > 0 && b > 0)) return std::numeric_limits<double>::infinity();
    sum += a * std::log(a / b);
  }
  return sum;
}

struct onnxruntime_entropy_choice {
  std::size_t begin = 0, end = 0;  // edges of the kept bins
  std::int32_t candidates = 0;
  double divergence = std::numeric_limits<double>::infinity();
};

inline onnxruntime_entropy_choice choose_entropy_onnxruntime(const std::vector<std::uint64_t>& counts,
                                                             std::size_t groups) {
  const std::size_t n = counts.size(), middle = n / 2;
  std::vector<std::uint64_t> before(n + 1, 0);
  for (std::size_t i = 0; i < n; ++i) before[i + 1] = before[i] + counts[i];
  onnxruntime_entropy_choice best{middle - std::min(middle, groups / 2), std::min(n, middle + groups / 2 + 1), 0,
                                  std::numeric_limits<double>::infinity()};
  std::vector<float> p, q;
  for (std::size_t i = groups / 2; i <= middle; ++i) {
    const std::size_t begin = middle - i, end = std::min(middle + i + 1, n), size = end - begin, merged = size / groups;
    p.assign(size, 0);
    q.assign(size, 0);
    for (std::size_t k = 0; k < size; ++k) p[k] = static_cast<float>(counts[begin + k]);
    p[0] = static_cast<float>(counts[begin] + before[begin]);
    p[size - 1] =
        static_cast<float>((size == 1 ? counts[begin] + before[begin] : counts[end - 1]) + before[n] - before[end]);
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t from = begin + g * merged, to = from + merged;
      std::uint64_t sum = before[to] - before[from], filled = 0;
      if (g + 1 == groups) sum += before[end] - before[begin + groups * merged];
      for (std::size_t k = from; k < to; ++k) filled += p[k - begin] != 0 ? 1 : 0;
      if (filled != 0)
        for (std::size_t k = from; k < to; ++k) q[k - begin] = static_cast<float>(sum / filled);
    }
    ++best.candidates;
    const double divergence = smooth_distribution(p) && smooth_distribution(q)
                                  ? divergence_of(p, q)
                                  : std::numeric_limits<double>::infinity();
    if (divergence < best.divergence) best = {begin, end, best.candidates, divergence};
  }
  return best;
}

inline result<range> clip_entropy_onnxruntime(const statistics& s, const method_options& o, const quant_target&) {
  const histogram& h = *s.bins;
  if (h.kind != grid::aligned && h.kind != grid::onnxruntime)
    return error{status::calibration,
                 "entropy_onnxruntime needs a histogram around zero",
                 {},
                 "calibrate with entropy_onnxruntime"};
  std::vector<std::uint64_t> counts = h.counts;
  double first = 0;               // aligned: index of counts[0]
  if (h.kind == grid::aligned) {  // as many bins on each side of zero
    const std::int64_t last = h.first + static_cast<std::int64_t>(h.counts.size());
    const std::int64_t side = std::max<std::int64_t>({-h.first, last, std::int64_t{o.quantized_bins} / 2});
    counts.assign(static_cast<std::size_t>(2 * side), 0);
    for (std::size_t i = 0; i < h.counts.size(); ++i)
      counts[static_cast<std::size_t>(h.first + side) + i] = h.counts[i];
    first = static_cast<double>(-side);
  }
  if (counts.size() / 2 < static_cast<std::size_t>(o.quantized_bins) / 2)
    return error{status::argument, "fewer histogram bins than quantized_bins", "option quantized_bins", "raise bins"};
  const auto best = choose_entropy_onnxruntime(counts, static_cast<std::size_t>(o.quantized_bins));
  const auto edge = [&](std::size_t i) {
    return h.kind == grid::aligned ? std::ldexp(first + static_cast<double>(i), h.exponent) : h.edge(i);
  };
  range r = within(s, edge(best.begin), edge(best.end));
  r.candidates = best.candidates;
  return r;
}
inline constexpr method entropy_onnxruntime_method{"entropy_onnxruntime", "histogram", needs::bins,
                                                   &clip_entropy_onnxruntime,
                                                   "least information lost, as onnxruntime searches it"};

}  // namespace quantal::calib
