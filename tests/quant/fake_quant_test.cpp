#include "quantal/quant/fake_quant.hpp"

#include <catch2/catch.hpp>
#include <cfenv>
#include <cmath>
#include <limits>
#include <vector>

using namespace quantal;

TEST_CASE("fake quantization is dequantize of quantize") {
  const float x[5] = {-3.0f, -0.26f, 0.0f, 0.24f, 3.0f};
  float y[5];
  const float scale = 0.5f;
  REQUIRE(fake_quantize(x, shape(5), {&scale, nullptr, 1, -1, 0}, dtype::s4, y) == status::ok);
  CHECK((y[0] == -3.0f && y[1] == -0.5f && y[2] == 0.0f && y[3] == 0.0f && y[4] == 3.0f));
  CHECK_FALSE(std::signbit(y[3]));
  const float outside[2] = {-100.0f, 100.0f};
  REQUIRE(fake_quantize(outside, shape(2), {&scale, nullptr, 1, -1, 0}, dtype::s4, y) == status::ok);
  CHECK((y[0] == -4.0f && y[1] == 3.5f));
}

TEST_CASE("the straight-through gradient passes inside the range, ends included") {
  const float x[7] = {-4.3f, -4.2f, -4.0f, 0.0f, 3.5f, 3.74f, 3.8f};
  const float dy[7] = {1, 2, 3, 4, 5, 6, 7};
  float dx[7];
  REQUIRE(fake_quantize_gradient(x, dy, 7, {0.5f, 0}, {-8, 7}, dx) == status::ok);
  const float expected[7] = {0, 2, 3, 4, 5, 6, 0};  // -4.2 / 0.5 = -8.4 rounds to -8; 3.74 / 0.5 = 7.48 rounds to 7
  for (int i = 0; i < 7; ++i) CHECK(dx[i] == expected[i]);
  const float nan = std::numeric_limits<float>::quiet_NaN(), one = 1.0f;
  float d = 7;
  REQUIRE(fake_quantize_gradient(&nan, &one, 1, {0.5f, 0}, {-8, 7}, &d) == status::ok);
  CHECK(d == 0.0f);
  CHECK(fake_quantize_gradient(x, dy, 7, {0.0f, 0}, {-8, 7}, dx) == status::scale);
  CHECK(fake_quantize_gradient(nullptr, dy, 7, {0.5f, 0}, {-8, 7}, dx) == status::null_pointer);
}

TEST_CASE("LSQ gradients follow the published formula") {
  const float x[4] = {-10.0f, 0.6f, 1.0f, 10.0f};
  const float dy[4] = {1, 2, 3, 4};
  lsq_gradient g;
  REQUIRE(accumulate_lsq(x, dy, 4, {0.5f, 1}, {-8, 7}, g) == status::ok);
  // below: -8 - 1; 0.6 / 0.5 = 1.2 -> 1; 1.0 / 0.5 = 2; above: 7 - 1.
  const double expected = 1 * -9.0 + 2 * (1 - static_cast<double>(0.6f / 0.5f)) + 3 * 0.0 + 4 * 6.0;
  CHECK(g.scale == expected);
  CHECK(g.zero_point == -0.5 * 1 - 0.5 * 4);
  CHECK(lsq_factor(4, 7) == Approx(1 / std::sqrt(28.0)).epsilon(1e-15));
  CHECK(lsq_factor(1000000, 127) == Approx(1 / std::sqrt(127e6)).epsilon(1e-15));
  // Two shards add up to one run.
  lsq_gradient shards;
  REQUIRE(accumulate_lsq(x, dy, 2, {0.5f, 1}, {-8, 7}, shards) == status::ok);
  REQUIRE(accumulate_lsq(x + 2, dy + 2, 2, {0.5f, 1}, {-8, 7}, shards) == status::ok);
  CHECK(shards.scale == g.scale);
}

TEST_CASE("fake quantization and its gradients do not depend on the rounding mode") {
  constexpr std::size_t n = 20000;
  constexpr quant_params p{0.0137F, 3};
  constexpr code_limits codes{0, 255};
  std::vector<float> x, dy;
  for (std::size_t i = 0; i < n; ++i) {
    x.push_back((static_cast<float>(i) - 10000.0F) * 0.00137F);
    dy.push_back(0.1F * static_cast<float>(i % 17) - 0.7F);
  }
  struct results {
    std::vector<float> y = std::vector<float>(n), dx = std::vector<float>(n), back = std::vector<float>(n);
    std::vector<std::uint8_t> q = std::vector<std::uint8_t>(n);
    lsq_gradient g;
    bool ok = true;
  };
  const auto run = [&](int mode, results& r) {
    const int before = std::fegetround();
    std::fesetround(mode);
    r.ok = fake_quantize(x.data(), shape(n), {&p.scale, &p.zero_point, 1, -1, 0}, dtype::u8, r.y.data()) == status::ok;
    r.ok = r.ok && fake_quantize_gradient(x.data(), dy.data(), n, p, codes, r.dx.data()) == status::ok;
    r.ok = r.ok && accumulate_lsq(x.data(), dy.data(), n, p, codes, r.g) == status::ok;
    r.ok = r.ok && quantize(x.data(), n, p, dtype::u8, r.q.data()) == status::ok;
    r.ok = r.ok && dequantize(r.q.data(), n, p, dtype::u8, r.back.data()) == status::ok;
    std::fesetround(before);
  };
  results nearest;
  run(FE_TONEAREST, nearest);
  REQUIRE(nearest.ok);
  CHECK((nearest.y == nearest.back));
  for (const int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
    CAPTURE(mode);
    results r;
    run(mode, r);
    REQUIRE(r.ok);
    CHECK((r.y == nearest.y));
    CHECK((r.dx == nearest.dx));
    CHECK(r.g.scale == nearest.g.scale);
    CHECK(r.g.zero_point == nearest.g.zero_point);
  }
}
