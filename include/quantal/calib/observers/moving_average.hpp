// moving_average: exponential average of the batches' min and max.
//
//   first batch: v = its extreme;  then: v += c * (batch - v), in float32
//
// with c = 0.01, as torch's MovingAverageMinMaxObserver.
//
// The trap: it depends on the order and size of the batches, so it does not merge, and the average may lie inside the
// true range. (onnxruntime's option of this name averages inside one collect_data call instead: numerics of its
// calibrate.py.) One call of observe is one batch. A batch without finite values changes nothing but the counters.
// Memory O(1).
#pragma once
#include <memory>

#include "quantal/base/bits.hpp"
#include "quantal/calib/observer.hpp"
#include "quantal/calib/observers/extremes.hpp"

namespace quantal::calib {

class moving_average_observer final : public observer {
 public:
  explicit moving_average_observer(const method_options& options = {})
      : observer("moving_average"), options_(options) {}

 private:
  void see(const float* x, std::size_t count) override {
    const extremes e = extremes::of(x, count, options_.min_max_of);
    const double low = stats_.min, high = stats_.max;
    e.add_to(stats_, count);
    if (!e.any()) return;
    if (stats_.updates++ == 0) return;  // the first batch's extremes are in place
    stats_.min = toward(low, e.min);
    stats_.max = toward(high, e.max);
  }
  double toward(double old, float batch) const noexcept {
    const float v = static_cast<float>(old), c = static_cast<float>(options_.averaging_constant);
    return static_cast<double>(v + fence(c * (batch - v)));
  }
  std::unique_ptr<observer> clone_empty() const override { return std::make_unique<moving_average_observer>(options_); }

  method_options options_;
};

}  // namespace quantal::calib
