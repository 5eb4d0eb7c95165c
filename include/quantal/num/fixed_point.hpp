// Multiplication by a real number in integers: real = multiplier * 2^(shift - 31), multiplier in [2^30, 2^31).
//
//   double rounding  RDBP(SRDHM(x << max(shift, 0), multiplier), max(-shift, 0))   gemmlowp, TFLite's built-in kernels
//   single rounding  (x * multiplier + 2^(30 - shift)) >> (31 - shift)             XNNPACK, newer TFLite, ruy
//
// The two differ by one on up to a quarter of all inputs (at shift -1), so the choice is part of a model's meaning and
// never a default that changes. The traps: SRDHM divides with truncation after adding a nudge whose sign follows the
// product (visible only on exact negative ties); INT32_MIN * INT32_MIN saturates; x << shift saturates here, where
// the classic code overflows. Source: TFLite quantization_util, gemmlowp fixedpoint.h.
// No floating point: the bits of the real are taken apart. Freestanding.
#pragma once
#include "quantal/base/bits.hpp"
#include "quantal/base/status.hpp"

namespace quantal {

struct fixed_multiplier {
  int32_t multiplier = 0;  // 0 (every product is 0), or in [2^30, 2^31)
  int32_t shift = 0;       // in [-31, 30]; positive shifts left
};

inline constexpr int32_t min_fixed_shift = -31;
inline constexpr int32_t max_fixed_shift = 30;

// The nearest multiplier and shift. Errors: scale (zero, negative, NaN, infinite, denormal), range (2^30 and above;
// below 2^-32, unless `allow_zero`: then multiplier 0).
constexpr status fixed_multiplier_of(double real, fixed_multiplier& out, bool allow_zero = false) noexcept {
  if (!is_positive_normal(real)) return status::scale;
  const uint64_t b = bits_of_f64(real);
  const uint64_t mantissa =
      (b & ((uint64_t{1} << 52) - 1)) | (uint64_t{1} << 52);  // real = mantissa * 2^(exponent - 53)
  int32_t exponent = static_cast<int32_t>(b >> 52) - 1022;
  uint64_t q = round_shift(mantissa, 22, false, rounding::half_away);
  if (q == uint64_t{1} << 31) {  // 0.99999999999: rounded up to 1
    q >>= 1;
    ++exponent;
  }
  if (exponent > max_fixed_shift) return status::range;
  if (exponent < min_fixed_shift) {
    if (!allow_zero) return status::range;
    out = {0, 0};
    return status::ok;
  }
  out = {static_cast<int32_t>(q), exponent};
  return status::ok;
}
// A float is the double of the same value: both entry points give the same pair.
constexpr status fixed_multiplier_of(float real, fixed_multiplier& out, bool allow_zero = false) noexcept {
  if (!is_positive_normal(real)) return status::scale;
  const uint32_t b = bits_of_f32(real);
  const uint64_t wide = (uint64_t{(b >> 23) + 896} << 52) | (uint64_t{b & 0x7fffffu} << 29);
  return fixed_multiplier_of(f64_of_bits(wide), out, allow_zero);
}

// Errors: range (multiplier negative or not normalised, shift outside [-31, 30]).
constexpr status check_fixed_multiplier(fixed_multiplier m) noexcept {
  if (m.multiplier != 0 && m.multiplier < (1 << 30)) return status::range;
  return m.shift < min_fixed_shift || m.shift > max_fixed_shift ? status::range : status::ok;
}

constexpr int32_t saturate_s32(int64_t x) noexcept {
  return static_cast<int32_t>(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x);
}

// round(a * b / 2^31), ties away from zero for positive products and towards zero for negative ones.
constexpr int32_t saturating_rounding_doubling_high_mul(int32_t a, int32_t b) noexcept {
  if (a == INT32_MIN && b == INT32_MIN) return INT32_MAX;
  const int64_t product = int64_t{a} * b;
  const int64_t nudge = product >= 0 ? int64_t{1} << 30 : 1 - (int64_t{1} << 30);
  return static_cast<int32_t>((product + nudge) / (int64_t{1} << 31));
}

// x / 2^exponent, ties away from zero. exponent in [0, 31].
constexpr int32_t rounding_divide_by_power_of_two(int32_t x, int32_t exponent) noexcept {
  const int64_t mask = (int64_t{1} << exponent) - 1;
  const int64_t rest = x & mask;
  const int64_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return static_cast<int32_t>((int64_t{x} >> exponent) + (rest > threshold ? 1 : 0));
}

constexpr int32_t multiply_fixed_double(int32_t x, fixed_multiplier m) noexcept {
  const int32_t left = m.shift > 0 ? m.shift : 0;
  const int32_t right = m.shift > 0 ? 0 : -m.shift;
  const int32_t shifted = saturate_s32(static_cast<int64_t>(static_cast<uint64_t>(int64_t{x}) << left));
  return rounding_divide_by_power_of_two(saturating_rounding_doubling_high_mul(shifted, m.multiplier), right);
}

constexpr int32_t multiply_fixed_single(int32_t x, fixed_multiplier m) noexcept {
  const int32_t total = 31 - m.shift;  // [1, 62]: neither the product nor the sum overflows
  const int64_t product = int64_t{x} * m.multiplier;
  return saturate_s32((product + (int64_t{1} << (total - 1))) >> total);
}

}  // namespace quantal
