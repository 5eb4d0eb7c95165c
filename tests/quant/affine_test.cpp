#include "quantal/quant/affine.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "quantal/num/int4.hpp"
#include "quantal/quant/choose.hpp"

using namespace quantal;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity();
const float nan_value = std::numeric_limits<float>::quiet_NaN();
}  // namespace

TEST_CASE("c5_ties_nan_and_infinities") {
  const float x[6] = {-2.5f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f};
  std::int8_t q[6];
  REQUIRE(quantize(x, 6, {1.0f, 1}, dtype::s8, q) == status::ok);
  const std::int8_t expected[6] = {-1, -1, 1, 1, 3, 3};
  for (int i = 0; i < 6; ++i) CHECK(q[i] == expected[i]);
  const float special[3] = {nan_value, infinity, -infinity};
  REQUIRE(quantize(special, 3, {1.0f, 1}, dtype::s8, q, quantize_options_of(*find_preset("onnxruntime"))) ==
          status::ok);
  CHECK((q[0] == -128 && q[1] == 127 && q[2] == -128));
}

TEST_CASE("D1_nan_becomes_the_zero_point_and_infinity_the_end_code") {
  const float x[6] = {nan_value, infinity, -infinity, 1e30f, -1e30f, 1e-45f};
  std::uint8_t q[6];
  REQUIRE(quantize(x, 6, {0.1f, 77}, dtype::u8, q) == status::ok);
  const std::uint8_t expected[6] = {77, 255, 0, 255, 0, 77};
  for (int i = 0; i < 6; ++i) CHECK(q[i] == expected[i]);
  size_t bad = 99;
  std::uint8_t canary[6] = {0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
  quantize_options strict;
  strict.nan = nan_policy::error;
  const float with_nan[3] = {1, 2, nan_value};
  CHECK(quantize(with_nan, 3, {0.1f, 77}, dtype::u8, canary, strict, &bad) == status::nan_value);
  CHECK(bad == 2);
  CHECK(canary[0] == 0x55);
}

TEST_CASE("c8_dynamic_quantize_linear_example") {
  const float x[6] = {0, 2, -3, -2.5f, 1.34f, 0.5f};
  quant_params p;
  REQUIRE(choose_params(-3, 2, {}, p) == status::ok);
  CHECK(p.scale == 0.0196078438f);
  CHECK(p.zero_point == 153);
  std::uint8_t q[6];
  REQUIRE(quantize(x, 6, p, dtype::u8, q) == status::ok);
  const std::uint8_t expected[6] = {153, 255, 0, 26, 221, 179};
  for (int i = 0; i < 6; ++i) CHECK(q[i] == expected[i]);
}

TEST_CASE("c8_dynamic_quantize_linear_of_zeros_and_of_equal_values") {
  quant_params p{3.0f, 7};
  REQUIRE(choose_params(0, 0, {}, p) == status::ok);
  CHECK(p.scale == 1.0f);
  CHECK(p.zero_point == 0);
  const float zeros[2] = {0, 0}, fives[2] = {5, 5};
  std::uint8_t q[2] = {9, 9};
  REQUIRE(quantize(zeros, 2, p, dtype::u8, q) == status::ok);
  CHECK((q[0] == 0 && q[1] == 0));
  REQUIRE(choose_params(5, 5, {}, p) == status::ok);  // widened to [0, 5]
  CHECK(p.zero_point == 0);
  REQUIRE(quantize(fives, 2, p, dtype::u8, q) == status::ok);
  CHECK((q[0] == 255 && q[1] == 255));
}

// MatMulNBits with A = I returns the weights: [N, K] in blocks along K, low nibble first, zero points packed alike.
TEST_CASE("c14_matmul_nbits_with_the_identity_returns_the_dequantized_blocks") {
  std::uint8_t codes[16];  // one row of two blocks of 16: every nibble twice
  for (int i = 0; i < 16; ++i) codes[i] = static_cast<std::uint8_t>((2 * i & 15) | ((2 * i + 1) & 15) << 4);
  const float scales[2] = {1, 1};
  std::int32_t zeros[2] = {8, 8};  // without zero points: 2^(bits - 1)
  float w[32];
  const affine_params p{scales, zeros, 2, 0, 16};
  REQUIRE(dequantize(codes, shape{32}, p, dtype::u4, w) == status::ok);
  for (int i = 0; i < 32; ++i) CHECK(w[i] == static_cast<float>(i % 16 - 8));
  const std::uint8_t packed = 0x21;
  for (size_t b = 0; b < 2; ++b) zeros[b] = packed_get(&packed, b, 4);
  CHECK((zeros[0] == 1 && zeros[1] == 2));
  REQUIRE(dequantize(codes, shape{32}, p, dtype::u4, w) == status::ok);
  for (int i = 0; i < 32; ++i) CHECK(w[i] == static_cast<float>(i % 16 - (i < 16 ? 1 : 2)));
}

TEST_CASE("c8_int16_ties") {
  const float x[3] = {3, -3, 2.9f};
  std::int16_t q[3];
  REQUIRE(quantize(x, 3, {2.0f, 256}, dtype::s16, q) == status::ok);
  CHECK((q[0] == 258 && q[1] == 254 && q[2] == 257));
}

TEST_CASE("per channel, per block and per tensor agree where their scales do") {
  std::vector<float> x(2 * 6 * 3);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) * 0.037f;
  const shape dims(2, 6, 3);
  std::vector<std::int8_t> whole(x.size()), channel(x.size()), block(x.size());
  const std::vector<float> scales(24, 0.02f);
  const std::vector<std::int32_t> points(24, 3);
  REQUIRE(quantize(x.data(), dims, {scales.data(), points.data(), 1, -1, 0}, dtype::s8, whole.data()) == status::ok);
  REQUIRE(quantize(x.data(), dims, {scales.data(), points.data(), 6, 1, 0}, dtype::s8, channel.data()) == status::ok);
  REQUIRE(quantize(x.data(), dims, {scales.data(), points.data(), 2 * 2 * 3, 1, 4}, dtype::s8, block.data()) ==
          status::ok);
  CHECK(whole == channel);
  CHECK(whole == block);
  // With different scales each element uses its own.
  std::vector<float> different(12);
  for (size_t i = 0; i < 12; ++i) different[i] = 0.01f * static_cast<float>(i + 1);
  REQUIRE(quantize(x.data(), dims, {different.data(), nullptr, 12, 1, 4}, dtype::s8, block.data()) == status::ok);
  REQUIRE(quantize(x.data(), dims, {different.data(), nullptr, 6, 1, 0}, dtype::s8, channel.data()) == status::ok);
  for (size_t o = 0; o < 2; ++o) {
    for (size_t a = 0; a < 6; ++a) {
      for (size_t i = 0; i < 3; ++i) {
        const size_t e = (o * 6 + a) * 3 + i;
        CHECK(block[e] == quantize_value(x[e], {different[(o * 2 + a / 4) * 3 + i], 0}, {-128, 127}));
        CHECK(channel[e] == quantize_value(x[e], {different[a], 0}, {-128, 127}));
      }
    }
  }
}

TEST_CASE("Q17_sub_byte_codes_are_packed_and_padded") {
  const float x[5] = {-100, 100, -1, 0, 3};
  std::uint8_t q[4] = {0xee, 0xee, 0xee, 0xee};
  REQUIRE(quantize(x, 5, {1.0f, 0}, dtype::s4, q) == status::ok);
  CHECK((q[0] == 0x78 && q[1] == 0x0f && q[2] == 0x03 && q[3] == 0xee));
  float back[5];
  REQUIRE(dequantize(q, 5, {1.0f, 0}, dtype::s4, back) == status::ok);
  CHECK((back[0] == -8 && back[1] == 7 && back[2] == -1 && back[4] == 3));
}

TEST_CASE("Q1_Q2_Q3_Q4_scales_that_are_not_positive_normal_numbers_are_errors") {
  const float x[2] = {1, 2};
  for (const float bad_scale : {0.0f, -0.0f, -1.0f, nan_value, infinity, -infinity, 1e-45f, 1e-39f}) {
    std::int8_t q[2] = {0x55, 0x55};
    const float scales[2] = {1.0f, bad_scale};
    size_t bad = 99;
    CHECK(quantize(x, shape(2), {scales, nullptr, 2, 0, 0}, dtype::s8, q, {}, &bad) == status::scale);
    CHECK(bad == 1);
    CHECK((q[0] == 0x55 && q[1] == 0x55));
  }
}

TEST_CASE("Q8_zero_points_outside_the_type_are_errors") {
  const float x[1] = {1};
  std::int32_t q[1] = {0x55};
  for (const auto& [type, point] : {std::pair{dtype::s8, -129},
                                    {dtype::s8, 128},
                                    {dtype::u8, -1},
                                    {dtype::u8, 256},
                                    {dtype::s4, -9},
                                    {dtype::s4, 8},
                                    {dtype::u4, 16},
                                    {dtype::u16, 65536}}) {
    CHECK(quantize(x, 1, {1.0f, point}, type, q) == status::zero_point);
  }
  CHECK(q[0] == 0x55);
}

TEST_CASE("Q9_counts_and_axes_must_fit") {
  const float x[6] = {};
  const float scales[6] = {1, 1, 1, 1, 1, 1};
  std::int8_t q[6];
  CHECK(quantize(x, shape(2, 3), {scales, nullptr, 2, 1, 0}, dtype::s8, q) == status::count);
  CHECK(quantize(x, shape(2, 3), {scales, nullptr, 2, 2, 0}, dtype::s8, q) == status::count);
  CHECK(quantize(x, shape(2, 3), {scales, nullptr, 2, -2, 0}, dtype::s8, q) == status::count);
  CHECK(quantize(x, shape(2, 3), {scales, nullptr, 2, -1, 0}, dtype::s8, q) == status::count);
  CHECK(quantize(x, shape(2, 3), {scales, nullptr, 3, 1, 2}, dtype::s8, q) == status::count);
  CHECK(quantize(x, shape(2, 3), {scales, nullptr, 4, 1, 2}, dtype::s8, q) == status::ok);
  CHECK(quantize(x, shape(2, 0), {scales, nullptr, 0, 1, 0}, dtype::s8, q) == status::ok);
  CHECK(quantize(nullptr, 3, {1, 0}, dtype::s8, q) == status::null_pointer);
  CHECK(quantize(x, 3, {1, 0}, dtype::f32, q) == status::dtype);
}
