// extremes: min and max of the finite values of a block, and how many were not finite. Shared by the observers.
//
// -0.0 counts as 0.0, so that the result does not depend on order. A block without NaN and infinities takes one pass of
// comparisons and integer tests, which compilers turn into SIMD; only a block with some is looked at again.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "quantal/calib/statistics.hpp"
#include "quantal/kernels/elementwise.hpp"

namespace quantal::calib {

inline constexpr std::size_t observe_block = 16384;  // values that stay in the first caches between passes

struct extremes {
  float min = std::numeric_limits<float>::infinity(), max = -std::numeric_limits<float>::infinity();
  std::uint64_t nans = 0, positive_infinities = 0, negative_infinities = 0;

  // `fast`, if there is one, does the pass of comparisons.
  static extremes of(const float* x, std::size_t count, min_max_function fast) noexcept {
    if (fast == nullptr) return of(x, count);
    const min_max m = fast(x, count);
    extremes e;
    e.min = m.min;
    e.max = m.max;
    return m.nan_count != 0 || not_finite(m.min) != 0 || not_finite(m.max) != 0 ? with_others(x, count) : e;
  }

  static extremes of(const float* x, std::size_t count) noexcept {
    extremes e;
    constexpr std::size_t lanes = 16;  // independent chains: min and max have latency, and order does not matter
    float low[lanes], high[lanes];
    std::uint32_t odd[lanes] = {};
    for (std::size_t k = 0; k < lanes; ++k) low[k] = e.min, high[k] = e.max;
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes)
      for (std::size_t k = 0; k < lanes; ++k) {
        const float v = x[i + k];
        low[k] = v < low[k] ? v : low[k];
        high[k] = v > high[k] ? v : high[k];
        odd[k] |= not_finite(v);
      }
    std::uint32_t any = 0;
    for (std::size_t k = 0; k < lanes && i != 0; ++k) {
      e.take(low[k]);
      e.take(high[k]);
      any |= odd[k];
    }
    for (std::size_t k = i; k < count; ++k) {
      e.take(x[k]);
      any |= not_finite(x[k]);
    }
    if (any != 0) return with_others(x, count);
    e.min += 0.0f;
    e.max += 0.0f;
    return e;
  }

  void add_to(statistics& s, std::size_t count) const noexcept {
    s.count += count - nans - positive_infinities - negative_infinities;
    s.nans += nans;
    s.positive_infinities += positive_infinities;
    s.negative_infinities += negative_infinities;
    s.min = static_cast<double>(min) < s.min ? static_cast<double>(min) : s.min;
    s.max = static_cast<double>(max) > s.max ? static_cast<double>(max) : s.max;
  }
  bool any() const noexcept { return min <= max; }

 private:
  static std::uint32_t not_finite(float v) noexcept {
    return (std::bit_cast<std::uint32_t>(v) & 0x7f800000u) == 0x7f800000u ? 1u : 0u;
  }
  void take(float v) noexcept {
    min = v < min ? v : min;
    max = v > max ? v : max;
  }
  static extremes with_others(const float* x, std::size_t count) noexcept {
    extremes e;
    for (std::size_t i = 0; i < count; ++i) {
      if (not_finite(x[i]) == 0)
        e.take(x[i]);
      else if (x[i] != x[i])
        ++e.nans;
      else if (x[i] > 0)
        ++e.positive_infinities;
      else
        ++e.negative_infinities;
    }
    e.min += 0.0f;
    e.max += 0.0f;
    return e;
  }
};

}  // namespace quantal::calib
