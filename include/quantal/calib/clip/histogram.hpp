// histogram: torch's search. From both ends, mass is dropped in steps of 1e-5; of the two ends the one with more bins
// to drop moves; as long as the L2 error of quantizing does not rise, go on.
//
// The error of a candidate [start, end] with 2^bits target bins of width w, assuming uniform density in each source
// bin: the integral of (x - centre of its target bin)^2, summed as the first part of a target bin, full target bins,
// the last part. Result: min + width * start, min + width * (end + 1). Source: torch.ao.quantization
// HistogramObserver._non_linear_param_search (2048 bins; float32 there, double here, so a tie within float32's noise
// may fall differently). The trap: targets are 2^bits bins whatever the scheme, so symmetric targets and reduced ranges
// are judged as affine ones; torch does so. Its grid is [min, max] of the first batch: histogram_grid = grid::torch.
// Memory: two vectors of bins. Cost: at most 10^5 steps and O(bins) per accepted candidate.
#pragma once
#include <cmath>
#include <vector>

#include "quantal/base/bits.hpp"
#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

namespace detail {

class torch_search {
 public:
  torch_search(std::vector<double> counts, double width, double targets)
      : counts_(std::move(counts)), cumulated_(counts_.size()), width_(width), targets_(targets) {
    double sum = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) cumulated_[i] = static_cast<float>(sum += counts_[i]);
  }

  struct choice {
    std::size_t start, end;
    std::int32_t candidates;
  };

  choice find() const {
    const double total = static_cast<double>(cumulated_.back()), step = 1e-5;
    double alpha = 0, beta = 1, least = std::numeric_limits<double>::infinity();
    choice best{0, counts_.size() - 1, 0};
    while (alpha < beta) {
      const double next_alpha = alpha + step, next_beta = beta - step;
      std::size_t l = best.start, r = best.end;
      while (l < best.end && cumulated_[l] < static_cast<float>(next_alpha * total)) ++l;  // float32, as torch compares
      while (r > best.start && cumulated_[r] > static_cast<float>(next_beta * total)) --r;
      std::size_t start = best.start, end = best.end;
      if (l - best.start > best.end - r) {
        start = l;
        alpha = next_alpha;
      } else {
        end = r;
        beta = next_beta;
      }
      if (start == best.start && end == best.end) continue;
      ++best.candidates;
      const double e = error_of(start, end);
      if (e > least) break;
      least = e;
      best.start = start;
      best.end = end;
    }
    return best;
  }

 private:
  double error_of(std::size_t start, std::size_t end) const {
    const double w = width_ * static_cast<double>(end - start + 1) / targets_;
    if (w == 0) return 0;
    double sum = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] == 0) continue;
      const double begin = (static_cast<double>(i) - static_cast<double>(start)) * width_, stop = begin + width_;
      const double first = target_of(begin, w), last = target_of(stop, w);
      const double head = part(begin - (first + 0.5) * w, w / 2);
      const double tail = part(-w / 2, stop - (last * w + w / 2));
      sum += counts_[i] / width_ * (head + (last - first - 1) * part(-w / 2, w / 2) + tail);
    }
    return sum;
  }
  double target_of(double x, double w) const { return std::fmin(std::fmax(std::floor(x / w), 0.0), targets_ - 1); }
  static double part(double begin, double end) { return (end * end * end - begin * begin * begin) / 3; }

  std::vector<double> counts_;
  std::vector<float> cumulated_;
  double width_, targets_;
};

}  // namespace detail

inline result<range> clip_histogram(const statistics& s, const method_options&, const quant_target& target) {
  const histogram& h = *s.bins;
  if (h.kind == grid::onnxruntime_absolute)
    return error{status::calibration,
                 "histogram needs signed values, this one holds magnitudes",
                 {},
                 "calibrate with histogram"};
  if (h.counts.size() < 2) return range{s.min, s.max, false, 0};
  const double low = h.edge(0), width = (h.edge(h.counts.size()) - low) / static_cast<double>(h.counts.size());
  if (!(width > 0)) return range{s.min, s.max, false, 0};
  const double targets = std::ldexp(1.0, static_cast<int>(bits_of(target.type)));
  const auto best = detail::torch_search(std::vector<double>(h.counts.begin(), h.counts.end()), width, targets).find();
  range r = within(s, low + fence(width * static_cast<double>(best.start)),
                   low + fence(width * static_cast<double>(best.end + 1)));
  r.candidates = best.candidates;
  return r;
}
inline constexpr method histogram_method{"histogram", "histogram", needs::bins, &clip_histogram,
                                         "torch's search for the least L2 error"};

}  // namespace quantal::calib
