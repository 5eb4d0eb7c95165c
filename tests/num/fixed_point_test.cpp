#include "quantal/num/fixed_point.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>

using namespace quantal;

namespace {

fixed_multiplier of(double real) {
  fixed_multiplier m;
  REQUIRE(fixed_multiplier_of(real, m) == status::ok);
  return m;
}

// The published recipe (frexp, round), as an oracle for ordinary numbers.
fixed_multiplier by_frexp(double real) {
  int exponent = 0;
  const double q = std::frexp(real, &exponent);
  long long m = std::llround(q * 2147483648.0);
  if (m == 2147483648LL) {
    m /= 2;
    ++exponent;
  }
  return {static_cast<std::int32_t>(m), exponent};
}

// floor(a / 2^b) by 128-bit arithmetic.
long long floor_shift(__int128 a, int b) {
  const __int128 unit = __int128{1} << b;
  const __int128 q = a / unit;
  return static_cast<long long>(a % unit < 0 ? q - 1 : q);
}

}  // namespace

TEST_CASE("c9_multipliers_and_shifts") {
  const struct {
    double real;
    std::int32_t multiplier, shift;
  } rows[] = {{1.0 / 3, 1431655765, -1},
              {0.1, 1717986918, -3},
              {0.001, 1099511628, -9},
              {1.0, 1073741824, 1},
              {2.5, 1342177280, 2}};
  for (const auto& row : rows) {
    CHECK(of(row.real).multiplier == row.multiplier);
    CHECK(of(row.real).shift == row.shift);
  }
}

TEST_CASE("c9_products_of_both_fixed_contracts") {
  const fixed_multiplier tenth = of(0.1);
  const std::int32_t x[6] = {5, 15, 25, -5, -15, 12345};
  const std::int32_t twice[6] = {1, 2, 3, -1, -2, 1235};
  const std::int32_t once[6] = {0, 1, 2, 0, -1, 1234};
  for (int i = 0; i < 6; ++i) {
    CHECK(multiply_fixed_double(x[i], tenth) == twice[i]);
    CHECK(multiply_fixed_single(x[i], tenth) == once[i]);
  }
  CHECK(multiply_fixed_double(-2, of(0.25)) == -1);
  CHECK(multiply_fixed_single(-2, of(0.25)) == 0);
  CHECK(multiply_fixed_double(-1, of(0.5)) == 0);
  CHECK(multiply_fixed_single(-1, of(0.5)) == 0);
}

TEST_CASE("Q12_the_nudge_follows_the_sign_of_the_product") {
  CHECK(saturating_rounding_doubling_high_mul(-3, 1 << 30) == -1);
  CHECK(saturating_rounding_doubling_high_mul(3, 1 << 30) == 2);
  CHECK(rounding_divide_by_power_of_two(5, 1) == 3);
  CHECK(rounding_divide_by_power_of_two(-5, 1) == -3);
  CHECK(rounding_divide_by_power_of_two(-6, 2) == -2);
  CHECK(rounding_divide_by_power_of_two(7, 0) == 7);
}

TEST_CASE("Q13_the_square_of_the_lowest_number_saturates") {
  CHECK(saturating_rounding_doubling_high_mul(INT32_MIN, INT32_MIN) == INT32_MAX);
  CHECK(saturating_rounding_doubling_high_mul(INT32_MIN, INT32_MAX) == -INT32_MAX);
}

TEST_CASE("a left shift saturates instead of overflowing") {
  const fixed_multiplier four = of(4.0);                       // 2^30, shift 3
  CHECK(multiply_fixed_double(INT32_MAX, four) == (1 << 30));  // saturated first, then halved: the defined result
  CHECK(multiply_fixed_single(INT32_MAX, four) == INT32_MAX);
  CHECK(multiply_fixed_single(INT32_MIN, four) == INT32_MIN);
  CHECK(multiply_fixed_double(100, four) == 400);
}

TEST_CASE("Q1_to_Q5_reals_without_a_multiplier_are_errors_by_their_bits") {
  fixed_multiplier m{7, 7};
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {0.0, -0.0, -0.5, infinity, -infinity, std::numeric_limits<double>::quiet_NaN(), 1e-310}) {
    CHECK(fixed_multiplier_of(bad, m) == status::scale);
  }
  CHECK(fixed_multiplier_of(1e-45f, m) == status::scale);
  CHECK(fixed_multiplier_of(std::numeric_limits<float>::quiet_NaN(), m) == status::scale);
  CHECK(fixed_multiplier_of(0x1p30, m) == status::range);
  CHECK(fixed_multiplier_of(1e300, m) == status::range);
  CHECK(fixed_multiplier_of(0x1p-33, m) == status::range);
  CHECK(m.multiplier == 7);
  CHECK(fixed_multiplier_of(0x1p-33, m, true) == status::ok);
  CHECK(m.multiplier == 0);
  CHECK(of(0x1.fffffffp29).shift == 30);
  CHECK(of(0x1p-32).shift == -31);
  CHECK(of(0.99999999999999).multiplier == 1 << 30);  // rounds up to 2^31, halved
  CHECK(of(0.99999999999999).shift == 1);
}

TEST_CASE("Q6_Q7_multipliers_and_shifts_out_of_range") {
  CHECK(check_fixed_multiplier({-5, 0}) == status::range);
  CHECK(check_fixed_multiplier({1, 0}) == status::range);
  CHECK(check_fixed_multiplier({(1 << 30) - 1, 0}) == status::range);
  CHECK(check_fixed_multiplier({0, 0}) == status::ok);
  for (const std::int32_t shift : {31, 40, -32, -40, INT32_MIN})
    CHECK(check_fixed_multiplier({1 << 30, shift}) == status::range);
  CHECK(check_fixed_multiplier({INT32_MAX, 30}) == status::ok);
  CHECK(check_fixed_multiplier({1 << 30, -31}) == status::ok);
}

TEST_CASE("Q15_float_and_double_of_one_value_give_one_pair") {
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    const float f = f32_of_bits(0x30000000u + static_cast<std::uint32_t>(random() % 0x18000000u));
    fixed_multiplier a, b;
    REQUIRE(fixed_multiplier_of(f, a) == fixed_multiplier_of(double{f}, b));
    REQUIRE((a.multiplier == b.multiplier && a.shift == b.shift));
  }
}

TEST_CASE("multipliers equal frexp and round, every exponent") {
  std::mt19937_64 random(2);
  for (int e = -32; e < 30; ++e) {
    for (int i = 0; i < 300; ++i) {
      const double real = std::ldexp(1.0 + static_cast<double>(random() >> 11) * 0x1p-53, e);
      const fixed_multiplier a = of(real), b = by_frexp(real);
      REQUIRE((a.multiplier == b.multiplier && a.shift == b.shift));
    }
  }
}

TEST_CASE("both contracts equal a 128-bit evaluation of their formulas") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 200000; ++i) {
    const fixed_multiplier m{static_cast<std::int32_t>((1u << 30) + static_cast<std::uint32_t>(random() % (1u << 30))),
                             static_cast<std::int32_t>(random() % 62) - 31};
    const std::int32_t x = static_cast<std::int32_t>(random() >> (random() % 32 + 32));
    const std::int32_t value = (random() & 1) != 0 ? x : -x;
    const int total = 31 - m.shift;
    const long long single = floor_shift(__int128{value} * m.multiplier + (__int128{1} << (total - 1)), total);
    REQUIRE(multiply_fixed_single(value, m) == std::min(2147483647LL, std::max(-2147483648LL, single)));
    // Double rounding: high product with truncation after the nudge, then half away from zero.
    const int left = std::max(m.shift, 0), right = std::max(-m.shift, 0);
    const __int128 shifted = std::min<__int128>(INT32_MAX, std::max<__int128>(INT32_MIN, __int128{value} << left));
    const __int128 product = shifted * m.multiplier;
    const __int128 high =
        (product + (product >= 0 ? (__int128{1} << 30) : 1 - (__int128{1} << 30))) / (__int128{1} << 31);
    const __int128 magnitude = high < 0 ? -high : high;
    const __int128 rounded = right == 0 ? magnitude : (magnitude + (__int128{1} << (right - 1))) >> right;
    REQUIRE(multiply_fixed_double(value, m) == static_cast<std::int32_t>(high < 0 ? -rounded : rounded));
  }
}
