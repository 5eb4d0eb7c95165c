// mse: the range with the least mean squared error after quantizing and dequantizing, over the histogram's density.
//
//   error(min, max) = sum of (x - max)^2 above + (x - min)^2 below + sum of (x - step * round(x / step))^2 inside
//   step = (max - min) / steps of the target, zero on the grid
//
// Two stages. A scan of shrunken ranges, with step^2 / 12 for the rounding error and the clipping error from prefix
// sums: 128 thresholds if symmetric or one-sided, 96 x 96 pairs otherwise. Then the exact error (every bin integrated)
// decides between neighbours of the best, in shrinking steps, and the whole range, so the result is never worse than
// minmax by this measure. Source: the "MSE" calibrations of ModelOpt and ppq, which score bin centres on one side; the
// exact integral is ours. Memory: clip/density.hpp. Cost: O(9216 log bins + 60 bins).
#pragma once
#include <algorithm>
#include <cmath>

#include "quantal/calib/clip/clip.hpp"
#include "quantal/calib/clip/density.hpp"

namespace quantal::calib {

namespace detail {

class mse_search {
 public:
  mse_search(const density& d, const statistics& s, const quant_target& t)
      : d_(d), steps_(t.steps()), symmetric_(t.symmetric) {
    low_ = symmetric_ ? -absmax(s) : std::fmin(s.min, 0.0);
    high_ = symmetric_ ? absmax(s) : std::fmax(s.max, 0.0);
  }

  range find() {
    scan();
    double step = 1.0 / 128;
    for (int round = 0; round < 4; ++round, step /= 2) refine(step);
    if (exact(1, 1) <= best_error_) best_low_ = best_high_ = 1;
    return {low_ * best_low_, high_ * best_high_, false, candidates_};
  }

 private:
  double approximate(double a, double b) {
    ++candidates_;
    const double min = low_ * a, max = high_ * b, step = (max - min) / steps_;
    return d_.clipping_error(min, max) + d_.total() * step * step / 12;
  }
  double exact(double a, double b) {
    ++candidates_;
    const double min = low_ * a, max = high_ * b, step = (max - min) / steps_;
    if (!(step > 0)) return std::numeric_limits<double>::infinity();
    return d_.clipping_error(min, max) + d_.rounding_error(min, max, step);
  }
  bool one_dimension() const noexcept { return symmetric_ || low_ == 0 || high_ == 0; }

  void scan() {
    const int n = one_dimension() ? 128 : 96;
    double least = std::numeric_limits<double>::infinity();
    for (int i = 1; i <= n; ++i)
      for (int k = one_dimension() ? i : 1; k <= (one_dimension() ? i : n); ++k) {
        const double a = static_cast<double>(i) / n, b = static_cast<double>(k) / n, e = approximate(a, b);
        if (e < least) least = e, best_low_ = a, best_high_ = b;
      }
    best_error_ = exact(best_low_, best_high_);
  }
  void refine(double step) {
    const double low = best_low_, high = best_high_;
    for (int i = -1; i <= 1; ++i)
      for (int k = one_dimension() ? i : -1; k <= (one_dimension() ? i : 1); ++k) {
        const double a = low + i * step, b = high + k * step;
        if ((i == 0 && k == 0) || a <= 0 || b <= 0 || a > 1 || b > 1) continue;
        const double e = exact(a, b);
        if (e < best_error_) best_error_ = e, best_low_ = a, best_high_ = b;
      }
  }

  const density& d_;
  double steps_, low_, high_, best_low_ = 1, best_high_ = 1, best_error_ = 0;
  bool symmetric_;
  std::int32_t candidates_ = 0;
};

}  // namespace detail

inline result<range> clip_mse(const statistics& s, const method_options&, const quant_target& target) {
  if (s.bins->kind == grid::onnxruntime_absolute)
    return error{
        status::calibration, "mse needs signed values, the histogram holds magnitudes", {}, "calibrate with mse"};
  const density d(s);
  range r = detail::mse_search(d, s, target).find();
  if (target.symmetric) return r;
  return range{s.min > 0 ? 0.0 : r.min, s.max < 0 ? 0.0 : r.max, false, r.candidates};
}
inline constexpr method mse_method{"mse", "histogram", needs::bins, &clip_mse, "least mean squared error"};

}  // namespace quantal::calib
