// moments: exact sums of x and x^2 of float data, and mean, mean square and variance from them.
//
//   mean = S1 / n,  mean_square = S2 / n,  variance = (n S2 - S1^2) / (n (n - 1))   (unbiased, as torch.std)
//
// S1 and S2 are long accumulators (calib/wide.hpp): no rounding, so shards merged in any order equal one run bit for
// bit, and n S2 - S1^2 does not cancel. Cost: for values within 2^19 of each other a few vector operations in double
// that happen to be exact; for others one table update per element for each power (a table of 254 exponents, spilled
// every 65536 elements, where 2^16 squares of 24-bit significands still fit in 64 bits). Memory: 128 bytes. NaN
// and infinities are the caller's business: they are skipped here.
#pragma once
#include <bit>
#include <cfloat>
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
    constexpr std::size_t block = 65536;
    std::size_t i = 0;
    for (; i + near_block <= count; i += near_block)
      if (!observe_near(x + i)) {  // magnitudes far apart: likely in what follows, too
        const std::size_t n = count - i < block ? (count - i) / near_block * near_block : block;
        observe_block(x + i, n);
        i += n - near_block;
      }
    observe_few(x + i, count - i);
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

  static constexpr std::size_t near_block = 256;

  // A block whose magnitudes lie near each other, by arithmetic in double that never rounds. With amax < 2^e, values of
  // at least 2^(e - 19) are multiples of 2^(e - 42): their sum needs 50 bits. Each is split into h, a multiple of
  // 2^(e - 20), and l = x - h, at most 2^(e - 20) whatever the rounding mode: sums of h h, h l and l l need 48, 50 and
  // 52 bits. Zeros add nothing; the few smaller values go one by one. False: nothing was added (too many small ones,
  // NaN or infinities, or magnitudes near the denormal ones).
  bool observe_near(const float* x) noexcept {
    if constexpr (FLT_EVAL_METHOD != 0) return false;  // x87 would keep more bits of h
    constexpr std::size_t lanes = 8;
    std::uint32_t tops[lanes] = {};
    for (std::size_t i = 0; i < near_block; i += lanes)
      for (std::size_t k = 0; k < lanes; ++k) {
        const std::uint32_t m = std::bit_cast<std::uint32_t>(x[i + k]) & 0x7fffffffu;
        tops[k] = m > tops[k] ? m : tops[k];
      }
    std::uint32_t top = 0;
    for (const std::uint32_t m : tops) top = m > top ? m : top;
    const int e = static_cast<int>(top >> 23) - 126;  // amax < 2^e
    if (e < -106 || (top >> 23) == 255) return false;
    const std::uint32_t least = static_cast<std::uint32_t>(e - 19 + 127) << 23;
    const double pin = std::ldexp(1.5, 52 + e - 20);
    double sum[lanes] = {}, high[lanes] = {}, cross[lanes] = {}, low[lanes] = {};
    std::uint32_t small[lanes] = {};
    for (std::size_t i = 0; i < near_block; i += lanes)
      for (std::size_t k = 0; k < lanes; ++k) {
        const std::uint32_t bits = std::bit_cast<std::uint32_t>(x[i + k]), m = bits & 0x7fffffffu;
        const std::uint32_t keep = m >= least ? 0xffffffffu : 0u;
        small[k] += (m != 0 ? 1u : 0u) & ~keep;
        const double v = static_cast<double>(std::bit_cast<float>(bits & keep));
        const double h = (v + pin) - pin, l = v - h;
        sum[k] += v;
        high[k] += h * h;
        cross[k] += h * l;
        low[k] += l * l;
      }
    std::uint32_t smalls = 0;
    for (std::size_t k = 0; k < lanes; ++k) smalls += small[k];
    if (smalls > near_block / 16) return false;
    for (std::size_t k = 1; k < lanes; ++k)
      sum[0] += sum[k], high[0] += high[k], cross[0] += cross[k], low[0] += low[k];
    add(sum_, sum[0], e - 42, -149);
    add(squares_, high[0], 2 * e - 40, -298);
    add(squares_, 2 * cross[0], 2 * e - 61, -298);
    add(squares_, low[0], 2 * e - 84, -298);
    count_ += near_block - smalls;
    for (std::size_t i = 0; i < near_block && smalls != 0; ++i) {
      const std::uint32_t m = std::bit_cast<std::uint32_t>(x[i]) & 0x7fffffffu;
      if (m == 0 || m >= least) continue;
      observe_few(x + i, 1);
      --smalls;
    }
    return true;
  }

  // Adds a double that is a multiple of 2^unit and below 2^(unit + 53).
  template <int Words>
  static void add(wide<Words>& to, double x, int unit, int base) noexcept {
    const auto m = static_cast<std::int64_t>(std::ldexp(x, -unit));
    to.add(static_cast<std::uint64_t>(m < 0 ? -m : m), static_cast<unsigned>(unit - base), m < 0);
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
