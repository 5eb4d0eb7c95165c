// moments: exact sums of x and x^2 of float data, and mean, mean square and variance from them.
//
//   mean = S1 / n,  mean_square = S2 / n,  variance = (n S2 - S1^2) / (n (n - 1))   (unbiased, as torch.std)
//
// S1 and S2 are long accumulators (calib/wide.hpp): no rounding, so shards merged in any order equal one run bit for
// bit, and n S2 - S1^2 does not cancel. Blocks of values are summed by a vector kernel in double arithmetic that
// happens to be exact (kernels/moments.hpp), one pass per 18 binades between the largest and the smallest magnitude;
// fewer than 8 values go one by one. Memory: 136 bytes. NaN and infinities are the caller's business: they are skipped
// here.
#pragma once
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "quantal/calib/wide.hpp"
#include "quantal/kernels/moments.hpp"
#include "quantal/kernels/moments_simd.hpp"

namespace quantal::calib {

class moments {
 public:
  using sum_type = wide<12>;     // 277 bits per value, 63 for the count
  using square_type = wide<20>;  // 554 bits per value, 63 for the count

  // `fast`: a kernel of the same result, moments_kernel(); nullptr: the one every CPU has.
  void observe(const float* x, std::size_t count, moments_function fast = nullptr) noexcept {
    if (FLT_EVAL_METHOD > 1) return observe_few(x, count);  // x87 would keep more bits than a double has
    if (fast == nullptr) fast = &kernels::simd::moments_of<kernels::simd::base_moments_vec>;
    for (std::size_t i = 0; i < count; i += moment_block) {
      const std::size_t n = count - i < moment_block ? count - i : moment_block;
      if (n < 8) return observe_few(x + i, n);
      block_moments block;
      fast(x + i, n, block);
      add(block);
    }
  }

  void merge(const moments& other) noexcept {
    count_ += other.count_;
    sum_ += other.sum_;
    squares_ += other.squares_;
  }

  std::uint64_t count() const noexcept { return count_; }
  double mean() const noexcept { return count_ == 0 ? 0.0 : sum_.to_double(-149) / static_cast<double>(count_); }
  double mean_square() const noexcept {
    return count_ == 0 ? 0.0 : squares_.to_double(-298) / static_cast<double>(count_);
  }
  double variance() const noexcept {
    if (count_ < 2) return 0.0;
    wide<2> n;
    n.add(count_, 0, false);
    const sum_type magnitude = sum_.negative() ? -sum_ : sum_;
    wide<24> scatter = squares_.times(n).widened<24>();
    scatter += -magnitude.times(magnitude);
    return scatter.to_double(-298) / static_cast<double>(count_) / static_cast<double>(count_ - 1);
  }
  double standard_deviation() const noexcept { return std::sqrt(variance()); }

  const sum_type& sum() const noexcept { return sum_; }
  const square_type& squares() const noexcept { return squares_; }
  static moments from(std::uint64_t count, const sum_type& sum, const square_type& squares) noexcept {
    moments out;
    out.count_ = count;
    out.sum_ = sum;
    out.squares_ = squares;
    return out;
  }
  bool operator==(const moments&) const = default;

 private:
  // x = (negative ? -1 : 1) * significand * 2^(shift - 149)
  struct parts {
    std::uint32_t significand, shift;
    bool negative, finite;
  };
  static parts split(float x) noexcept {
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(x), e = bits >> 23 & 255u;
    return {(bits & 0x7fffffu) | (e == 0 ? 0u : 0x800000u), e == 0 ? 0u : e - 1, (bits >> 31) != 0, e != 255};
  }

  void add(const block_moments& block) noexcept {
    count_ += block.finite;
    for (std::int32_t i = 0; i < block.windows; ++i) {
      const moment_window& w = block.window[i];
      add(sum_, w.sum, w.sum_unit + 149);
      add(squares_, w.high, w.high_unit + 298);
      add(squares_, w.low, w.low_unit + 298);
    }
  }
  template <int Words>
  static void add(wide<Words>& to, std::int64_t x, std::int32_t shift) noexcept {
    to.add(static_cast<std::uint64_t>(x < 0 ? -x : x), static_cast<unsigned>(shift), x < 0);
  }

  void observe_few(const float* x, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      const parts p = split(x[i]);
      if (!p.finite) continue;
      ++count_;
      sum_.add(p.significand, p.shift, p.negative);
      squares_.add(std::uint64_t{p.significand} * p.significand, 2 * p.shift, false);
    }
  }

  std::uint64_t count_ = 0;
  sum_type sum_;
  square_type squares_;
};

}  // namespace quantal::calib
