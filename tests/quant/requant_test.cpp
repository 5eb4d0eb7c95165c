#include "quantal/quant/requant.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "quantal/quant/requant_plan.hpp"

using namespace quantal;

namespace {

// The contract as the FPU computes it, in the default mode.
std::int32_t by_fpu(std::int32_t acc, float ratio, std::int32_t zero_point, std::int32_t low, std::int32_t high) {
  volatile float product = static_cast<float>(acc);
  product = product * ratio;
  const float clamped = std::min(std::max(static_cast<float>(product), static_cast<float>(low - zero_point)),
                                 static_cast<float>(high - zero_point));
  return static_cast<std::int32_t>(std::nearbyintf(clamped)) + zero_point;
}

}  // namespace

TEST_CASE("fp32_rne in integers equals the FPU") {
  std::mt19937_64 random(4);
  const code_limits codes{-128, 127};
  for (int i = 0; i < 300000; ++i) {
    const float ratio = f32_of_bits(0x2f000000u + static_cast<std::uint32_t>(random() % 0x12000000u));
    std::int32_t acc = static_cast<std::int32_t>(random() >> (random() % 32 + 32));
    if ((random() & 1) != 0) acc = -acc;
    const std::int32_t zero_point = static_cast<std::int32_t>(random() % 256) - 128;
    const requantizer r{contract::fp32_rne, &ratio, nullptr, 1, zero_point, INT32_MIN, INT32_MAX};
    REQUIRE(requantize_value(acc, 0, r, 0, codes) == by_fpu(acc, ratio, zero_point, -128, 127));
  }
  for (const std::int32_t acc : {INT32_MIN, INT32_MAX, -1, 0, 1, 16777217, 16777219, -16777217}) {
    for (const float ratio : {0x1p-126f, 0x1p-31f, 0x1p-24f, 0.5f, 1.0f, 1.5f, 0x1.fffffep127f}) {
      const requantizer r{contract::fp32_rne, &ratio, nullptr, 1, 3, INT32_MIN, INT32_MAX};
      REQUIRE(requantize_value(acc, 0, r, 0, codes) == by_fpu(acc, ratio, 3, -128, 127));
    }
  }
}

TEST_CASE("Q12_ties_of_each_contract") {
  const float half = 0.5f;
  fixed_multiplier m;
  REQUIRE(fixed_multiplier_of(0.5, m) == status::ok);
  const std::int32_t x[6] = {1, 3, -1, -3, 5, -5};  // +-0.5, +-1.5, +-2.5
  const std::int32_t even[6] = {0, 2, 0, -2, 2, -2};
  const std::int32_t twice[6] = {1, 2, 0, -1, 3, -2};
  const std::int32_t once[6] = {1, 2, 0, -1, 3, -2};
  for (int i = 0; i < 6; ++i) {
    CHECK(multiply_fp32_rne(x[i], half) == even[i]);
    CHECK(multiply_fixed_double(x[i], m) == twice[i]);
    CHECK(multiply_fixed_single(x[i], m) == once[i]);
  }
}

TEST_CASE("c8_qlinear_matmul_node_test") {
  // onnx backend test_qlinearmatmul_2D_uint8_float32 and _int8_: the accumulators of its operands, then our epilogue.
  const std::int32_t a[2][4] = {{208, 236, 0, 238}, {3, 214, 255, 29}};
  const std::int32_t b[4][3] = {{152, 51, 244}, {60, 26, 255}, {0, 127, 246}, {127, 254, 247}};
  const std::int32_t expected_u8[2][3] = {{168, 115, 255}, {1, 66, 151}};
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      std::int32_t acc = 0;
      for (int k = 0; k < 4; ++k) acc += (a[i][k] - 113) * (b[k][j] - 114);
      const float ratio = static_cast<float>(0.0066) * static_cast<float>(0.00705) / static_cast<float>(0.0107);
      const requantizer r{contract::fp32_rne, &ratio, nullptr, 1, 118, INT32_MIN, INT32_MAX};
      CHECK(requantize_value(acc, 0, r, 0, {0, 255}) == expected_u8[i][j]);
    }
  }
}

TEST_CASE("requantize per channel, with bias, clamp and packed output") {
  const std::int32_t acc[6] = {100, 200, 300, -100, -200, -300};
  const std::int32_t bias[3] = {1, 2, 3};
  const float ratios[3] = {0.1f, 0.2f, 0.3f};
  std::int8_t q[6];
  requantizer r{contract::fp32_rne, ratios, nullptr, 3, 5, 5, 127};  // clamp at the zero point: ReLU
  REQUIRE(requantize(acc, bias, 2, 3, r, dtype::s8, q) == status::ok);
  CHECK((q[0] == 15 && q[1] == 45 && q[2] == 96 && q[3] == 5 && q[5] == 5));
  std::uint8_t packed[2] = {0xee, 0xee};
  const std::int32_t three[3] = {0, 10, 70};
  r = {contract::fp32_rne, ratios, nullptr, 1, 1, INT32_MIN, INT32_MAX};
  REQUIRE(requantize(three, nullptr, 1, 3, r, dtype::s4, packed) == status::ok);
  CHECK((packed[0] == 0x21 && packed[1] == 0x07));
}

TEST_CASE("Q14_extremes_saturate_at_both_ends") {
  const std::int32_t acc[2] = {INT32_MAX, INT32_MIN};
  const float ratio = 1e30f;
  fixed_multiplier m;
  REQUIRE(fixed_multiplier_of(1000.0, m) == status::ok);
  for (const std::int32_t zero_point : {-128, 127}) {
    for (const contract c : {contract::fp32_rne, contract::fixed_double, contract::fixed_single}) {
      std::int8_t q[2];
      const requantizer r{c, &ratio, &m, 1, zero_point, INT32_MIN, INT32_MAX};
      REQUIRE(requantize(acc, nullptr, 2, 1, r, dtype::s8, q) == status::ok);
      CHECK((q[0] == 127 && q[1] == -128));
    }
  }
}

TEST_CASE("Q1_to_Q10_bad_requantizers_are_errors_before_anything_is_written") {
  const std::int32_t acc[2] = {1, 2};
  const float good[2] = {0.5f, 0.25f};
  const fixed_multiplier fixed[2] = {{1 << 30, 0}, {1 << 30, 0}};
  std::int8_t q[2] = {0x55, 0x55};
  size_t bad = 99;
  for (const float value : {0.0f, -0.0f, -1.0f, 1e-45f, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const float ratios[2] = {0.5f, value};
    CHECK(requantize(acc, nullptr, 1, 2, {contract::fp32_rne, ratios, nullptr, 2, 0, INT32_MIN, INT32_MAX}, dtype::s8,
                     q, &bad) == status::scale);
    CHECK(bad == 1);
  }
  for (const fixed_multiplier value :
       {fixed_multiplier{-5, 0}, {5, 0}, {1 << 30, 31}, {1 << 30, 40}, {1 << 30, -32}, {1 << 30, INT32_MIN}}) {
    const fixed_multiplier pair[2] = {{1 << 30, 0}, value};
    CHECK(requantize(acc, nullptr, 1, 2, {contract::fixed_single, nullptr, pair, 2, 0, INT32_MIN, INT32_MAX}, dtype::s8,
                     q) == status::range);
  }
  const auto with = [&](requantizer r, dtype type = dtype::s8) { return requantize(acc, nullptr, 1, 2, r, type, q); };
  CHECK(with({contract::fp32_rne, good, nullptr, 2, 128, INT32_MIN, INT32_MAX}) == status::zero_point);
  CHECK(with({contract::fp32_rne, good, nullptr, 2, -1, INT32_MIN, INT32_MAX}, dtype::u8) == status::zero_point);
  CHECK(with({contract::fp32_rne, good, nullptr, 3, 0, INT32_MIN, INT32_MAX}) == status::count);
  CHECK(with({contract::fp32_rne, good, nullptr, 0, 0, INT32_MIN, INT32_MAX}) == status::count);
  CHECK(with({contract::fp32_rne, nullptr, fixed, 2, 0, INT32_MIN, INT32_MAX}) == status::null_pointer);
  CHECK(with({contract::fixed_double, good, nullptr, 2, 0, INT32_MIN, INT32_MAX}) == status::null_pointer);
  CHECK(with({static_cast<contract>(7), good, fixed, 2, 0, INT32_MIN, INT32_MAX}) == status::contract);
  CHECK(with({contract::fp32_rne, good, nullptr, 2, 0, 10, -10}) == status::range);
  CHECK(with({contract::fp32_rne, good, nullptr, 2, 0, -129, 127}) == status::range);
  CHECK(with({contract::fp32_rne, good, nullptr, 2, 0, INT32_MIN, INT32_MAX}, dtype::f32) == status::dtype);
  CHECK(requantize(nullptr, nullptr, 1, 2, {contract::fp32_rne, good, nullptr, 2, 0, INT32_MIN, INT32_MAX}, dtype::s8,
                   q) == status::null_pointer);
  CHECK(requantize(acc, nullptr, SIZE_MAX, 2, {contract::fp32_rne, good, nullptr, 2, 0, INT32_MIN, INT32_MAX},
                   dtype::s8, q) == status::overflow);
  CHECK((q[0] == 0x55 && q[1] == 0x55));
}

TEST_CASE("the parameter calculator gives ratio, multiplier and bias, or the reason why not") {
  requant_plan plan;
  REQUIRE(plan_requant({0.5, 0.25, 0.375, 1.0}, plan) == status::ok);
  CHECK(plan.ratio == static_cast<float>(1.0 / 3));
  CHECK((plan.multiplier.multiplier == 1431655765 && plan.multiplier.shift == -1));
  CHECK(plan.bias == 8);
  CHECK_FALSE(plan.bias_saturated);
  CHECK(plan_requant({0, 1, 1, 0}, plan) == status::scale);
  CHECK(plan_requant({1, -1, 1, 0}, plan) == status::scale);
  CHECK(plan_requant({1, 1, 1e-310, 0}, plan) == status::scale);
  CHECK(plan_requant({1e-20, 1e-20, 1, 0}, plan) == status::scale);
  CHECK(plan_requant({1e5, 1e5, 1, 0}, plan) == status::range);
  CHECK(plan_requant({1e-5, 1e-5, 1, 0}, plan) == status::range);
  CHECK(plan_requant({1e-5, 1e-5, 1, 0, true}, plan) == status::ok);
  CHECK(plan.multiplier.multiplier == 0);
  CHECK(plan_requant({1, 1, 1, std::nan("")}, plan) == status::nan_value);
  // ONNX Runtime's QLinear kernels: float32 at each step.
  const float a = 0.0066f, w = 0.00705f, y = 0.0107f;
  REQUIRE(plan_requant({a, w, y, 0, false, precision::f32}, plan) == status::ok);
  CHECK(plan.ratio == a * w / y);
}

TEST_CASE("Q11_a_bias_that_does_not_fit_is_reported_and_a_weight_scale_that_holds_it_is_found") {
  requant_plan plan;
  REQUIRE(plan_requant({1e-4, 1e-6, 1e-3, 100.0, true}, plan) == status::ok);
  CHECK(plan.bias == INT32_MAX);
  CHECK(plan.bias_saturated);
  const double wider = weight_scale_for_bias(1e-4, 1e-6, 100.0);
  REQUIRE(plan_requant({1e-4, wider, 1e-3, 100.0, true}, plan) == status::ok);
  CHECK_FALSE(plan.bias_saturated);
  CHECK(weight_scale_for_bias(1.0, 0.5, 100.0) == 0.5);
}

TEST_CASE("c15_two_products_overflow_16_bits_and_64_keeps_them_inside") {
  CHECK(2 * 255 * 127 == 64770);
  CHECK(2 * 255 * 127 > INT16_MAX);
  CHECK(2 * 255 * 64 <= INT16_MAX);
}
