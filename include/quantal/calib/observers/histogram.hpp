// histogram: min, max, exact moments and a histogram on the aligned grid (calib/histogram.hpp). What every clip method
// can work from: calibrate once with it, clip by any method later.
//
// `bins` counts the bins on each side of zero and is rounded up to a power of two. Memory: at most 16 * bins bytes of
// counters (2048 bins: 32 KiB per tensor) whatever the data; about three passes over a block that stays in cache.
// Merges bit for bit.
#pragma once
#include <algorithm>
#include <memory>

#include "quantal/calib/observer.hpp"
#include "quantal/calib/observers/extremes.hpp"

namespace quantal::calib {

inline std::int32_t rounded_bins(std::int32_t bins, std::int32_t fallback) noexcept {
  const std::int32_t wanted = bins == 0 ? fallback : std::clamp(bins, min_bins, max_bins);
  std::int32_t power = min_bins;
  while (power < wanted) power *= 2;
  return power;
}

class histogram_observer final : public observer {
 public:
  explicit histogram_observer(const method_options& options = {}) : observer("histogram"), options_(options) {
    stats_.sums.emplace();
    stats_.bins.emplace().bins = rounded_bins(options.bins, 2048);
  }

 private:
  void see(const float* x, std::size_t count) override {
    for (std::size_t i = 0; i < count; i += observe_block) {
      const std::size_t n = count - i < observe_block ? count - i : observe_block;
      const extremes e = extremes::of(x + i, n, options_.min_max_of);
      e.add_to(stats_, n);
      if (!e.any()) continue;
      stats_.sums->observe(x + i, n, options_.moments_of);
      stats_.bins->cover(static_cast<double>(e.min), static_cast<double>(e.max));
      stats_.bins->count(x + i, n);
    }
  }
  std::unique_ptr<observer> clone_empty() const override { return std::make_unique<histogram_observer>(options_); }

  method_options options_;
};

}  // namespace quantal::calib
