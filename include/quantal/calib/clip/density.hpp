// density: the histogram read as a piecewise uniform distribution, for methods that weigh errors.
//
// Each bin's values are taken as spread evenly over the bin (cut to [min, max] at the ends). Prefix sums of count, x
// and x^2 give the clipping error of any range in O(log bins):
//
//   sum over x > b of (x - b)^2 = S2 - 2 b S1 + b^2 N     of what lies above b
//
// and rounding_error integrates (x - step * round(x / step))^2 exactly, zero being on the quantization grid.
// Memory 40 bytes per bin while clipping; the trap: a spike (many equal values) is smeared over its bin.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "quantal/base/bits.hpp"
#include "quantal/calib/statistics.hpp"

namespace quantal::calib {

class density {
 public:
  struct mass {
    double count = 0, sum = 0, squares = 0;
  };

  // `magnitude`: the distribution of |x| instead of x (aligned grid only).
  explicit density(const statistics& s, bool magnitude = false) {
    const histogram& h = *s.bins;
    if (magnitude) {
      const auto counts = folded(h);
      for (std::size_t i = 0; i < counts.size(); ++i)
        add(std::ldexp(static_cast<double>(i), h.exponent), std::ldexp(static_cast<double>(i + 1), h.exponent),
            counts[i]);
      cut(0, std::max(std::fabs(s.min), std::fabs(s.max)));
    } else {
      for (std::size_t i = 0; i < h.counts.size(); ++i) add(h.edge(i), h.edge(i + 1), h.counts[i]);
      cut(s.min, s.max);
    }
    before_.resize(count_.size() + 1);
    for (std::size_t i = 0; i < count_.size(); ++i) {
      const mass m = part(i, low_[i], high_[i]);
      before_[i + 1] = {before_[i].count + m.count, before_[i].sum + m.sum, before_[i].squares + m.squares};
    }
  }

  std::size_t bins() const noexcept { return count_.size(); }
  double total() const noexcept { return before_.back().count; }

  // What lies below t, and above.
  mass below(double t) const noexcept {
    const auto i = static_cast<std::size_t>(std::upper_bound(low_.begin(), low_.end(), t) - low_.begin());
    if (i == 0) return {};
    const mass m = t < high_[i - 1] ? part(i - 1, low_[i - 1], t) : part(i - 1, low_[i - 1], high_[i - 1]);
    return {before_[i - 1].count + m.count, before_[i - 1].sum + m.sum, before_[i - 1].squares + m.squares};
  }
  mass above(double t) const noexcept {
    const mass all = before_.back(), m = below(t);
    return {all.count - m.count, all.sum - m.sum, all.squares - m.squares};
  }

  // The value below which `share` of the mass lies, interpolated inside its bin.
  double quantile(double share) const noexcept {
    const double wanted = fence(share * total());
    std::size_t i = 0;
    while (i + 1 < count_.size() && before_[i + 1].count < wanted) ++i;
    if (count_[i] <= 0) return low_[i];
    const double inside = std::clamp((wanted - before_[i].count) / count_[i], 0.0, 1.0);
    return low_[i] + fence(inside * (high_[i] - low_[i]));
  }

  // Sum of squared errors of values outside [min, max] when clamped to it.
  double clipping_error(double min, double max) const noexcept {
    const mass l = below(min), r = above(max);
    return std::fmax(0.0, l.squares - 2 * min * l.sum + min * min * l.count) +
           std::fmax(0.0, r.squares - 2 * max * r.sum + max * max * r.count);
  }

  // Sum of squared errors of values inside [min, max] when rounded to multiples of step.
  double rounding_error(double min, double max, double step) const noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < count_.size(); ++i) {
      const double a = std::fmax(low_[i], min), b = std::fmin(high_[i], max);
      if (count_[i] <= 0 || a > b) continue;
      if (low_[i] == high_[i]) {
        const double d = a - step * std::nearbyint(a / step);
        sum += count_[i] * d * d;
      } else {
        sum += count_[i] / (high_[i] - low_[i]) * (integral(b, step) - integral(a, step));
      }
    }
    return sum;
  }

 private:
  // Integral from 0 to t of the squared rounding error.
  static double integral(double t, double step) noexcept {
    const double u = t / step, r = std::nearbyint(u), d = u - r;
    return step * step * step * (r / 12 + d * d * d / 3);
  }
  void add(double low, double high, std::uint64_t count) {
    low_.push_back(low);
    high_.push_back(high);
    count_.push_back(static_cast<double>(count));
  }
  // The end bins hold nothing beyond the extremes.
  void cut(double min, double max) {
    for (std::size_t i = 0; i < low_.size(); ++i) {
      low_[i] = std::clamp(low_[i], min, max);
      high_[i] = std::clamp(high_[i], min, max);
    }
  }
  mass part(std::size_t i, double a, double b) const noexcept {
    const double width = high_[i] - low_[i];
    const double n = width > 0 ? count_[i] * (b - a) / width : count_[i];
    return {n, n * (a + b) / 2, n * (a * a + a * b + b * b) / 3};
  }

  std::vector<double> low_, high_, count_;
  std::vector<mass> before_;
};

}  // namespace quantal::calib
