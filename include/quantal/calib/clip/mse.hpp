// mse: the least mean squared error after quantizing and dequantizing, over the histogram's density; of the ranges
// within 20 % of it, the widest.
//
//   error(min, max) = sum of (x - max)^2 above + (x - min)^2 below + sum of (x - step * round(x / step))^2 inside
//   step = (max - min) / steps of the target, zero on the grid
//
// For affine targets the range is first moved to where the rounded zero point puts it, as quantizing will (with 4 bits
// that is a good part of a step). Two stages: a scan of 96 x 96 pairs of shrunken ends with step^2 / 12 for the
// rounding error and the clipping error from prefix sums, then exact errors (every bin integrated) along each end in
// turn, finer each time. Symmetric and one-sided data have one end only: 128 exact errors. The whole range is tried
// too, so the result is never worse than minmax by this measure. Why the widest: near its minimum the error is flat,
// but clipping errors are large, all to one side, and add up in the sums downstream where rounding errors cancel; and
// data that was not seen reaches further (docs/calibration.md has the figures). 20 % is 0.8 dB. Source: the "MSE"
// calibrations of ModelOpt and ppq, which score bin centres on one side; the exact integral is ours. Memory:
// clip/density.hpp. Cost: O(9216 log bins + 300 bins): some milliseconds for 4096 bins.
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
    best_error_ = exact(1, 1);
    if (symmetric_ || low_ == 0 || high_ == 0) {
      along(true, true, 1.0 / 128, 127);
      along(true, true, 1.0 / 1024, 8);
    } else {
      scan();
      for (const double step : {1.0 / 32, 1.0 / 128, 1.0 / 512})
        for (int round = 0; round < 2; ++round) {
          along(true, false, step, 16);
          along(false, true, step, 16);
          along(true, true, step, 8);
        }
    }
    widen();
    return {low_ * best_low_, high_ * best_high_, false, candidates_};
  }

 private:
  struct codes {
    double min, max, step;
  };
  // The values that the lowest and the highest code mean when [low * a, high * b] is quantized.
  codes codes_of(double a, double b) const noexcept {
    const double min = low_ * a, max = high_ * b, step = (max - min) / steps_;
    if (symmetric_ || !(step > 0)) return {min, max, step};
    const double zero = std::nearbyint(-min / step);
    return {-zero * step, (steps_ - zero) * step, step};
  }
  double approximate(double a, double b) {
    ++candidates_;
    const codes c = codes_of(a, b);
    return d_.clipping_error(c.min, c.max) + d_.total() * c.step * c.step / 12;
  }
  double exact(double a, double b) {
    ++candidates_;
    const codes c = codes_of(a, b);
    if (!(c.step > 0)) return std::numeric_limits<double>::infinity();
    return d_.clipping_error(c.min, c.max) + d_.rounding_error(c.min, c.max, c.step);
  }
  void try_exact(double a, double b) {
    const double e = exact(a, b);
    if (e < best_error_) best_error_ = e, best_low_ = a, best_high_ = b;
  }

  void widen() {
    constexpr double tolerance = 1.2;
    const double low = best_low_, high = best_high_, least = best_error_;
    for (int i = 64; i > 0; --i) {
      const double share = i / 64.0, a = low + (1 - low) * share, b = high + (1 - high) * share;
      if (exact(a, b) > tolerance * least) continue;
      best_low_ = a, best_high_ = b;
      return;
    }
  }

  void scan() {
    constexpr int n = 96;
    double least = std::numeric_limits<double>::infinity(), low = 1, high = 1;
    for (int i = 1; i <= n; ++i)
      for (int k = 1; k <= n; ++k) {
        const double a = static_cast<double>(i) / n, b = static_cast<double>(k) / n, e = approximate(a, b);
        if (e < least) least = e, low = a, high = b;
      }
    try_exact(low, high);
  }
  // Moves one end, or both together, by up to `reach` steps either way.
  void along(bool move_low, bool move_high, double step, int reach) {
    const double low = best_low_, high = best_high_;
    for (int i = -reach; i <= reach; ++i) {
      const double a = move_low ? low + i * step : low, b = move_high ? high + i * step : high;
      if (i != 0 && a > 0 && b > 0 && a <= 1 && b <= 1) try_exact(a, b);
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
