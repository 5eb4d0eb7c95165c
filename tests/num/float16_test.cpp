#include "quantal/num/float16.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

using namespace quantal;

TEST_CASE("c10_f16_and_bf16_known_answers") {
  CHECK(f16_to_f32(f32_to_f16(65519.99f)) == 65504.0f);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(0x1p-25f) == 0);
  CHECK(f32_to_f16(0x1.000002p-25f) == 1);
  CHECK(bf16_to_f32(f32_to_bf16(1.00390625f)) == 1.0f);
}

TEST_CASE("every f16 and bf16 code returns to itself through f32 and f64") {
  for (std::uint32_t c = 0; c < 0x10000; ++c) {
    const auto code = static_cast<std::uint16_t>(c);
    const float x = f16_to_f32(code);
    const float y = bf16_to_f32(code);
    if (std::isnan(x)) {
      REQUIRE(std::isnan(f16_to_f32(f32_to_f16(x))));
      REQUIRE((f64_to_f16(x) & 0x7fff) > 0x7c00);
    } else {
      REQUIRE(f32_to_f16(x) == code);
      REQUIRE(f64_to_f16(x) == code);
    }
    if (std::isnan(y)) {
      REQUIRE(std::isnan(bf16_to_f32(f32_to_bf16(y))));
    } else {
      REQUIRE(f32_to_bf16(y) == code);
      REQUIRE(f64_to_bf16(y) == code);
    }
  }
}

TEST_CASE("f32 to f16 rounds to nearest even at every midpoint and its neighbours") {
  for (std::uint32_t c = 0; c < 0x7bff; ++c) {
    const auto code = static_cast<std::uint16_t>(c);
    const float low = f16_to_f32(code);
    const float high = f16_to_f32(static_cast<std::uint16_t>(c + 1));
    const float middle = (low + high) / 2;  // exact in f32
    REQUIRE(f32_to_f16(middle) == c + (c & 1));
    REQUIRE(f32_to_f16(std::nextafter(middle, 0.0f)) == c);
    REQUIRE(f32_to_f16(std::nextafter(middle, 1e9f)) == c + 1);
    REQUIRE(f64_to_f16(std::nextafter(double{middle}, 1e9)) == c + 1);
    REQUIRE(f32_to_f16(-middle) == (0x8000u | (c + (c & 1))));
  }
}

TEST_CASE("D8_f16_overflow_and_underflow") {
  CHECK(f32_to_f16(65504.0f) == 0x7bff);
  CHECK(f32_to_f16(1e9f) == 0x7c00);
  CHECK(f32_to_f16(-1e9f) == 0xfc00);
  CHECK(f32_to_f16(1e-9f) == 0);
  CHECK(f32_to_f16(-1e-9f) == 0x8000);
  CHECK(f32_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  // A double just above a midpoint: rounding to f32 first would land on the tie and go down.
  CHECK(f64_to_f16(1.0 + 0x1p-11 + 0x1p-40) == 0x3c01);
  CHECK(f32_to_f16(static_cast<float>(1.0 + 0x1p-11 + 0x1p-40)) == 0x3c00);
}
