// moments: exact sums of x and x^2 of float data, and mean, mean square and variance from them.
//
//   mean = S1 / n,  mean_square = S2 / n,  variance = (n S2 - S1^2) / (n (n - 1))   (unbiased, as torch.std)
//
// S1 and S2 are long accumulators (calib/wide.hpp): no rounding, so shards merged in any order equal one run bit for
// bit, and n S2 - S1^2 does not cancel. Cost: one table update per element for each power (a table of 254 exponents,
// spilled every 65536 elements, where 2^16 squares of 24-bit significands still fit in 64 bits). Memory: 128 bytes. NaN
// and infinities are the caller's business: they are skipped here.
#pragma once
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "quantal/calib/wide.hpp"

namespace quantal::calib {

class moments {
 public:
  using sum_type = wide<12>;     // 277 bits per value, 63 for the count
  using square_type = wide<20>;  // 554 bits per value, 63 for the count

  void observe(const float* x, std::size_t count) noexcept {
    constexpr std::size_t block = 65536, few = 256;
    if (count < few) return observe_few(x, count);
    for (std::size_t i = 0; i < count; i += block) observe_block(x + i, count - i < block ? count - i : block);
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

  void observe_few(const float* x, std::size_t count) noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      const parts p = split(x[i]);
      if (!p.finite) continue;
      ++count_;
      sum_.add(p.significand, p.shift, p.negative);
      squares_.add(std::uint64_t{p.significand} * p.significand, 2 * p.shift, false);
    }
  }

  void observe_block(const float* x, std::size_t count) noexcept {
    std::int64_t sums[256] = {};
    std::uint64_t squares[256] = {};
    std::uint32_t skipped = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const parts p = split(x[i]);
      if (!p.finite) {
        ++skipped;
        continue;
      }
      const std::int64_t m = p.significand;
      sums[p.shift] += p.negative ? -m : m;
      squares[p.shift] += std::uint64_t{p.significand} * p.significand;
    }
    count_ += count - skipped;
    for (unsigned shift = 0; shift < 254; ++shift) {
      if (squares[shift] == 0) continue;
      const std::int64_t s = sums[shift];
      sum_.add(static_cast<std::uint64_t>(s < 0 ? -s : s), shift, s < 0);
      squares_.add(squares[shift], 2 * shift, false);
    }
  }

  std::uint64_t count_ = 0;
  sum_type sum_;
  square_type squares_;
};

}  // namespace quantal::calib
