// The float kernels: the set that this CPU allows really runs, and every kernel agrees with a plain loop in double.
#include "quantal/kernels/float_table.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "quantal/kernels/cpu.hpp"

using namespace quantal;
using kernels::floats;

namespace {

std::vector<float> noise(std::size_t n, std::uint32_t seed) {
  std::vector<float> v(n);
  for (float& x : v) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
  }
  return v;
}

constexpr std::int64_t sizes[] = {1, 2, 3, 5, 6, 7, 8, 13, 16, 17, 31, 33, 64, 97};

}  // namespace

TEST_CASE("the float kernels are those of the best instruction set") {
  const std::string isa = floats().isa, best = best_isa();
  INFO("float kernels " << isa << ", integer kernels " << best);
  if (best == "avx2" || best == "avxvnni") CHECK(isa == "float_avx2");
  if (best == "avx512vnni" || best == "amx") CHECK(isa == "float_avx512");
}

TEST_CASE("products agree with double") {
  for (std::int64_t m : sizes) {
    for (std::int64_t n : {1, 5, 16, 19, 33}) {
      for (std::int64_t k : {1, 7, 40, 515}) {
        const std::vector<float> a = noise(static_cast<std::size_t>(m * k), 1),
                                 b = noise(static_cast<std::size_t>(k * n), 2);
        std::vector<double> want(static_cast<std::size_t>(m * n), 0.5);
        for (std::int64_t i = 0; i < m; ++i) {
          for (std::int64_t d = 0; d < k; ++d) {
            for (std::int64_t j = 0; j < n; ++j) {
              want[static_cast<std::size_t>(i * n + j)] += static_cast<double>(a[static_cast<std::size_t>(i * k + d)]) *
                                                           static_cast<double>(b[static_cast<std::size_t>(d * n + j)]);
            }
          }
        }
        std::vector<float> eigen(static_cast<std::size_t>(m * n), 0.5f), packed = eigen;
        REQUIRE(floats().gemm({m, n, k, a.data(), k, false, b.data(), n, false, eigen.data(), n}));
        const std::int64_t rows = std::min(m, floats().max_panel_rows), columns = floats().panel_columns;
        std::vector<float> left(static_cast<std::size_t>((m + rows - 1) / rows * rows * k)),
            right(static_cast<std::size_t>((n + columns - 1) / columns * columns * k));
        for (std::int64_t i = 0; i < m; ++i) {
          for (std::int64_t d = 0; d < k; ++d)
            left[static_cast<std::size_t>((i / rows * k + d) * rows + i % rows)] =
                a[static_cast<std::size_t>(i * k + d)];
        }
        for (std::int64_t d = 0; d < k; ++d)
          floats().spread_row(b.data() + d * n, n, k * columns, right.data() + d * columns);
        floats().multiply_panels({m, n, k, rows, left.data(), right.data(), packed.data(), n});
        double worst = 0;
        for (std::size_t i = 0; i < want.size(); ++i) {
          worst = std::max({worst, std::abs(static_cast<double>(eigen[i]) - want[i]),
                            std::abs(static_cast<double>(packed[i]) - want[i])});
        }
        CHECK(worst < 1e-4);  // rounding of 515 sums of products below 1
      }
    }
  }
}

TEST_CASE("rows, quantize and dequantize agree with scalar arithmetic") {
  for (std::int64_t size : sizes) {
    const auto n = static_cast<std::size_t>(size);
    const std::vector<float> a = noise(n, 3), b = noise(n, 4);
    const float* rows[] = {a.data(), b.data()};
    const float weights[] = {0.75f, -2.0f};
    std::vector<float> sum(n), most(n), back(n);
    std::vector<std::uint8_t> q(n);
    floats().weighted_rows(rows, weights, 2, 0.25f, sum.data(), n);
    floats().max_rows(rows, 2, most.data(), n);
    floats().quantize8(a.data(), n, 0.0078125f, 3, -128, 127, q.data());
    floats().dequantize_s8(reinterpret_cast<const std::int8_t*>(q.data()), n, 0.0078125f, 3, back.data());
    for (std::size_t i = 0; i < n; ++i) {
      CHECK(sum[i] == Approx(0.25f + 0.75f * a[i] - 2.0f * b[i]).margin(1e-6));
      CHECK(most[i] == std::max(a[i], b[i]));
      const float code = std::min(127.0f, std::max(-128.0f, std::nearbyint(a[i] / 0.0078125f) + 3));
      CHECK(static_cast<float>(static_cast<std::int8_t>(q[i])) == code);
      CHECK(back[i] == (code - 3) * 0.0078125f);
    }
  }
  const float special[] = {NAN, INFINITY, -INFINITY, 1e30f, 0.5f, 1.5f, -0.5f, 2.5f, NAN, 3.5f, -1e30f};
  const int expected[] = {5, 255, 0, 255, 5, 7, 5, 7, 5, 9, 0};
  std::uint8_t q[11];
  floats().quantize8(special, 11, 1.0f, 5, 0, 255, q);
  for (int i = 0; i < 11; ++i) CHECK(int{q[i]} == expected[i]);
}
