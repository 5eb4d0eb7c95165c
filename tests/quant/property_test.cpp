// What must hold for every parameter and every input, checked on seeded random ones.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "quantal/num/float16.hpp"
#include "quantal/num/float8.hpp"
#include "quantal/quant/affine.hpp"
#include "quantal/quant/choose.hpp"

using namespace quantal;

namespace {

struct sample {
  dtype type;
  quant_params params;
  code_limits codes;
};

std::vector<sample> samples() {
  std::mt19937 random(17);
  std::vector<sample> list;
  for (int i = 0; i < 400; ++i) {
    const dtype types[] = {dtype::u8, dtype::s8, dtype::s16, dtype::u16, dtype::s4, dtype::u4, dtype::s2, dtype::u2};
    choose_options options;
    options.type = types[random() % 8];
    options.symmetric = random() % 2 == 0;
    options.reduce_range = random() % 4 == 0;
    options.preset = &presets[random() % (sizeof(presets) / sizeof(presets[0]))];
    const double low =
        -std::ldexp(1.0 + static_cast<double>(random() % 1000) / 1000, static_cast<int>(random() % 60) - 30);
    const double high =
        std::ldexp(1.0 + static_cast<double>(random() % 1000) / 1000, static_cast<int>(random() % 60) - 30);
    sample s{options.type, {}, {}};
    if (choose_params(low, high, options, s.params) != status::ok) continue;
    code_limits_of(s.type, s.codes);
    list.push_back(s);
  }
  return list;
}

}  // namespace

TEST_CASE("the error inside the range is at most half a step plus the rounding of two float operations") {
  std::mt19937 random(18);
  for (const sample& s : samples()) {
    const double scale = s.params.scale;
    for (int i = 0; i < 200; ++i) {
      const double u = static_cast<double>(random()) / 4294967296.0;
      const double position = s.codes.min + u * (double(s.codes.max) - s.codes.min) - s.params.zero_point;
      const float x = static_cast<float>(position * scale);
      const std::int32_t q = quantize_value(x, s.params, s.codes);
      const double error = std::fabs(double(dequantize_value(q, s.params)) - double(x));
      REQUIRE(error <= scale / 2 * (1 + 0x1p-20) + 0x1p-22 * std::fabs(double(x)));
    }
  }
}

TEST_CASE("quantizing what was dequantized gives the code back, and zero is exact") {
  for (const sample& s : samples()) {
    const std::int32_t step = s.codes.max - s.codes.min > 1000 ? 97 : 1;
    for (std::int32_t q = s.codes.min; q <= s.codes.max; q += step) {
      REQUIRE(quantize_value(dequantize_value(q, s.params), s.params, s.codes) == q);
    }
    REQUIRE(dequantize_value(quantize_value(0.0f, s.params, s.codes), s.params) == 0.0f);
  }
}

TEST_CASE("quantization is monotone") {
  std::mt19937 random(19);
  for (const sample& s : samples()) {
    std::vector<float> x;
    std::normal_distribution<float> normal(0.0f, 100.0f);
    for (int i = 0; i < 200; ++i) x.push_back(normal(random) * s.params.scale);
    std::sort(x.begin(), x.end());
    for (std::size_t i = 1; i < x.size(); ++i) {
      REQUIRE(quantize_value(x[i - 1], s.params, s.codes) <= quantize_value(x[i], s.params, s.codes));
    }
  }
}

TEST_CASE("every f16 value quantizes as its f32 value, into its own half step") {
  const quant_params p{0.37f, -11};
  for (std::uint32_t c = 0; c < 0x10000; ++c) {
    const float x = f16_to_f32(static_cast<std::uint16_t>(c));
    const std::int32_t q = quantize_value(x, p, {-128, 127});
    if (std::isnan(x)) {
      REQUIRE(q == -11);
    } else {
      const double exact = std::nearbyint(static_cast<double>(x / p.scale)) - 11;
      REQUIRE(q == static_cast<std::int32_t>(std::min(127.0, std::max(-128.0, exact))));
    }
  }
}

TEST_CASE("c12_mxfp4_with_both_scale_roundings") {
  const float x[8] = {.1f, -.7f, 1.3f, 2.9f, -5.2f, .05f, 7.0f, -.33f};
  // Largest magnitude 7: floor(log2 7) - 2 = 0; ceil(log2(7 / 6)) = 1.
  const std::uint8_t floor_code = static_cast<std::uint8_t>(f32_to_f8e8m0(7.0f, scale_rounding::down) - 2);
  const std::uint8_t ceil_code = f32_to_f8e8m0(7.0f / 6.0f, scale_rounding::up);
  CHECK(floor_code == 127);
  CHECK(ceil_code == 128);
  const float by_floor[8] = {0, -.5f, 1.5f, 3, -6, 0, 6, -.5f};
  const float by_ceil[8] = {0, -1, 1, 3, -6, 0, 8, 0};
  for (int i = 0; i < 8; ++i) {
    const float a = f8e8m0_to_f32(floor_code), b = f8e8m0_to_f32(ceil_code);
    CHECK(f4e2m1_to_f32(f32_to_f4e2m1(x[i] / a)) * a == by_floor[i]);
    CHECK(f4e2m1_to_f32(f32_to_f4e2m1(x[i] / b)) * b == by_ceil[i]);
  }
}
