#include "quantal/num/float8.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

using namespace quantal;

namespace {
constexpr float infinity = std::numeric_limits<float>::infinity();
}

TEST_CASE("c10_float8_known_answers") {
  CHECK(f8e4m3fn_to_f32(f32_to_f8e4m3fn(464.0f)) == 448.0f);
  CHECK(f8e4m3fn_to_f32(f32_to_f8e4m3fn(464.1f)) == 448.0f);
  CHECK(std::isnan(f8e4m3fn_to_f32(f32_to_f8e4m3fn(464.1f, false))));
  CHECK(f32_to_f8e4m3fn(0x1p-10f) == 0);
  CHECK(f8e4m3fn_to_f32(f32_to_f8e4m3fn(0x1.8p-9f)) == 0x1p-8f);
  CHECK(f8e5m2_to_f32(f32_to_f8e5m2(480.0f)) == 512.0f);
  CHECK(f8e5m2_to_f32(f32_to_f8e5m2(240.0f)) == 256.0f);
  CHECK(f8e5m2_to_f32(f32_to_f8e5m2(61440.0f, false)) == infinity);
  CHECK(f8e5m2_to_f32(f32_to_f8e5m2(61440.0f)) == 57344.0f);
}

TEST_CASE("c8_float8_quotients_of_the_onnx_examples") {
  CHECK(f8e4m3fn_to_f32(f32_to_f8e4m3fn(100000.0f / 2)) == 448.0f);
  CHECK(f8e4m3fn_to_f32(f32_to_f8e4m3fn(200.0f / 2)) == 96.0f);
  CHECK(f8e5m2_to_f32(f32_to_f8e5m2(100000.0f / 2)) == 49152.0f);
}

TEST_CASE("specials of each 8-bit float") {
  CHECK(f8e4m3fn_to_f32(f32_to_f8e4m3fn(infinity)) == 448.0f);
  CHECK(f32_to_f8e4m3fn(-infinity, false) == 0xff);
  CHECK(f32_to_f8e5m2(infinity, false) == 0x7c);
  CHECK(f32_to_f8e4m3fnuz(infinity) == 0x80);  // ONNX: infinity is NaN here even when saturating
  CHECK(f8e4m3fnuz_to_f32(f32_to_f8e4m3fnuz(1e9f)) == 240.0f);
  CHECK(f32_to_f8e4m3fnuz(1e9f, false) == 0x80);
  CHECK(f32_to_f8e4m3fnuz(-0.0f) == 0);
  CHECK(f32_to_f8e4m3fnuz(-1e-9f) == 0);
  CHECK(f8e5m2fnuz_to_f32(f32_to_f8e5m2fnuz(1e9f)) == 57344.0f);
  CHECK(std::isnan(f8e4m3fn_to_f32(f32_to_f8e4m3fn(std::nanf("")))));
  CHECK(f4e2m1_to_f32(f32_to_f4e2m1(std::nanf(""))) == 6.0f);
  CHECK(f4e2m1_to_f32(f32_to_f4e2m1(-100.0f)) == -6.0f);
}

TEST_CASE("E2M1 holds eight magnitudes and rounds ties to even") {
  const float values[8] = {0, .5f, 1, 1.5f, 2, 3, 4, 6};
  for (std::uint8_t c = 0; c < 8; ++c) {
    CHECK(f4e2m1_to_f32(c) == values[c]);
    if (c < 7) CHECK(f32_to_f4e2m1((values[c] + values[c + 1]) / 2) == c + (c & 1));
  }
}

TEST_CASE("E8M0 is a power of two") {
  CHECK(f8e8m0_to_f32(127) == 1.0f);
  CHECK(f8e8m0_to_f32(0) == 0x1p-127f);
  CHECK(f8e8m0_to_f32(254) == 0x1p127f);
  CHECK(std::isnan(f8e8m0_to_f32(255)));
  CHECK(f32_to_f8e8m0(1.4f) == 127);
  CHECK(f32_to_f8e8m0(1.5f) == 128);
  CHECK(f32_to_f8e8m0(1.5f, scale_rounding::down) == 127);
  CHECK(f32_to_f8e8m0(1.0000001f, scale_rounding::up) == 128);
  CHECK(f32_to_f8e8m0(-1.0f) == 255);
  for (std::uint32_t c = 0; c < 255; ++c) {
    CHECK(f32_to_f8e8m0(f8e8m0_to_f32(static_cast<std::uint8_t>(c))) == c);
  }
}
