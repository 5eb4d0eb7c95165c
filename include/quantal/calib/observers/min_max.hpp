// min_max: the smallest and largest finite value. Memory O(1), one comparison pass, merges exactly, order-independent.
#pragma once
#include <memory>

#include "quantal/calib/observer.hpp"
#include "quantal/calib/observers/extremes.hpp"

namespace quantal::calib {

class min_max_observer final : public observer {
 public:
  explicit min_max_observer(const method_options& options = {}) : observer("min_max"), options_(options) {}

 private:
  void see(const float* x, std::size_t count) override {
    extremes::of(x, count, options_.min_max_of).add_to(stats_, count);
  }
  std::unique_ptr<observer> clone_empty() const override { return std::make_unique<min_max_observer>(options_); }

  method_options options_;
};

}  // namespace quantal::calib
