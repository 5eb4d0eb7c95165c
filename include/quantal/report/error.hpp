// error_sum: how far one tensor stream is from its reference, in one pass and O(1) memory.
//
//   SQNR = 10 log10( sum x^2 / sum (x - y)^2 ) dB     cosine = sum x y / (|x| |y|)     max |x - y|
//
// x is the reference. Identical streams have SQNR +infinity; a silent reference (all zeros) with any error -infinity.
// Values that are not finite in either stream are counted and left out of the sums.
#pragma once
#include <cstdint>

#include "quantal/base/result.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::report {

class error_sum {
 public:
  // Adds two tensors of equal shape and any numeric type. Errors: shape, dtype (strings).
  result<void> add(const tensor_buffer& reference, const tensor_buffer& other);
  void add(double x, double y) noexcept;

  double sqnr_db() const noexcept;
  double cosine() const noexcept;
  double max_abs_error() const noexcept { return worst_; }
  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t not_finite() const noexcept { return not_finite_; }

 private:
  double signal_ = 0, noise_ = 0, other_ = 0, product_ = 0, worst_ = 0;
  std::uint64_t count_ = 0, not_finite_ = 0;
};

// Element `i` of a numeric tensor as f64; strings and sub-byte types are not numeric here.
double element(const tensor_buffer& t, std::int64_t i) noexcept;

}  // namespace quantal::report
