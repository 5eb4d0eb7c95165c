// moments: min, max and exact sums of x and x^2 (calib/moments.hpp), for mean, mean square and standard deviation.
// Memory about 300 bytes per tensor or channel; three passes over a block that stays in cache; merges bit for bit.
#pragma once
#include <memory>

#include "quantal/calib/observer.hpp"
#include "quantal/calib/observers/extremes.hpp"

namespace quantal::calib {

class moments_observer final : public observer {
 public:
  explicit moments_observer(const method_options& options = {}) : observer("moments"), options_(options) {
    stats_.sums.emplace();
  }

 private:
  void see(const float* x, std::size_t count) override {
    for (std::size_t i = 0; i < count; i += observe_block) {
      const std::size_t n = count - i < observe_block ? count - i : observe_block;
      extremes::of(x + i, n, options_.min_max_of).add_to(stats_, n);
      stats_.sums->observe(x + i, n, options_.moments_of);
    }
  }
  std::unique_ptr<observer> clone_empty() const override { return std::make_unique<moments_observer>(options_); }

  method_options options_;
};

}  // namespace quantal::calib
