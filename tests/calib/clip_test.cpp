#include <catch2/catch.hpp>

#include "calib/data.hpp"
#include "quantal/calib/method.hpp"

using namespace quantal;
using namespace quantal::calib;
using namespace quantal::calib::test;

namespace {

range clipped(const char* name, const std::vector<float>& x, const method_options& o, const quant_target& t = {}) {
  auto seen = find_method(name)->make_observer(o);
  REQUIRE(seen->observe(x.data(), x.size()));
  auto r = find_method(name)->clip(seen->stats(), o, t);
  REQUIRE(r);
  return *r;
}

method_options on(grid g, std::int32_t bins) {
  method_options o;
  o.histogram_grid = g;
  o.bins = bins;
  return o;
}

// Mean squared error of quantizing and dequantizing x in the range, zero exact.
double quantization_error(const std::vector<float>& x, range r, const quant_target& t) {
  double min = std::fmin(r.min, 0.0), max = std::fmax(r.max, 0.0);
  if (t.symmetric) max = std::fmax(-min, max), min = -max;
  const double step = (max - min) / t.steps(), zero = std::nearbyint(-min / step);
  double sum = 0;
  for (const float f : x) {
    const double v = static_cast<double>(f), q = std::fmin(std::fmax(std::nearbyint(v / step) + zero, 0.0), t.steps());
    sum += (v - (q - zero) * step) * (v - (q - zero) * step);
  }
  return sum / static_cast<double>(x.size());
}

}  // namespace

TEST_CASE("c7: minmax of the Laplace tensor") {
  const range r = clipped("minmax", laplace(), {});
  REQUIRE(r.max == Approx(9.2103405).epsilon(1e-7));
  REQUIRE(r.min == Approx(-9.2103405).epsilon(1e-7));
}

TEST_CASE("c7: onnxruntime entropy, and how many candidates it tried") {
  const auto x = laplace();
  method_options o = on(grid::onnxruntime, 128);
  range r = clipped("entropy_onnxruntime", x, o);
  REQUIRE(r.max == Approx(9.21034).epsilon(1e-6));
  REQUIRE(r.candidates == 1);  // the tool's default: MinMax by another name
  o.bins = 2048;
  r = clipped("entropy_onnxruntime", x, o);
  REQUIRE(r.min == Approx(-5.783446).epsilon(1e-6));
  REQUIRE(r.max == Approx(5.792441).epsilon(1e-6));
  REQUIRE(r.candidates == 1024 - 64 + 1);
  auto seen = make_observer("tool_histogram", o);
  REQUIRE(seen->observe(x.data(), x.size()));
  REQUIRE(choose_entropy_onnxruntime(seen->stats().bins->counts, 128).divergence == Approx(0.04932).epsilon(2e-4));
  o.quantized_bins = 256;
  r = clipped("entropy_onnxruntime", x, o);
  REQUIRE(r.min == Approx(-7.015689).epsilon(1e-6));
  REQUIRE(r.max == Approx(7.024683).epsilon(1e-6));
}

TEST_CASE("c7: onnxruntime percentile, symmetric and asymmetric") {
  const auto x = laplace();
  method_options o = on(grid::onnxruntime_absolute, 2048);
  const double expected[4][2] = {{99, 4.6142144}, {99.9, 7.0112157}, {99.99, 9.205843}, {99.999, 9.205843}};
  for (const auto& row : expected) {
    o.percentile = row[0];
    // one bit of float32: the published values come from numpy 1, whose edges round differently
    REQUIRE(clipped("percentile_symmetric", x, o).max == Approx(row[1]).epsilon(1.3e-7));
    REQUIRE(clipped("percentile_symmetric", x, o).min == Approx(-row[1]).epsilon(1.3e-7));
  }
  o = on(grid::onnxruntime, 2048);
  o.percentile = 99;
  const range r = clipped("percentile", x, o);
  REQUIRE(r.min == Approx(-4.6231594).epsilon(1e-7));
  REQUIRE(r.max == Approx(4.6141648).epsilon(1e-7));
}

TEST_CASE("c7: torch histogram (1.x, whose counts are on integer limits)") {
  const auto x = laplace();
  const method_options o = on(grid::torch_1, 2048);
  range r = clipped("histogram", x, o);
  REQUIRE((r.max - r.min) / 255 == Approx(0.065077655).epsilon(1e-6));
  REQUIRE(std::nearbyint(-r.min / ((r.max - r.min) / 255)) == 128);
  REQUIRE(std::fmax(-r.min, r.max) / 127.5 == Approx(0.065112934).epsilon(1e-6));
  r = clipped("histogram", positive(x), o);
  REQUIRE((r.max - std::fmin(r.min, 0.0)) / 255 == Approx(0.032538828).epsilon(1e-6));
}

TEST_CASE("percentile on the aligned grid is within a bin of the exact quantile") {
  const auto x = laplace();  // sorted; the exact quantiles are known
  for (const double p : {90.0, 99.0, 99.9, 99.99}) {
    method_options o;
    o.percentile = p;
    const range r = clipped("percentile", x, o);
    const double u = (100 - p) / 200, bin = 16.0 / 2048;
    REQUIRE(std::fabs(r.min - std::log(2 * u)) < bin + 0.5 / (10000 * u));
    REQUIRE(std::fabs(r.max + std::log(2 * u)) < bin + 0.5 / (10000 * u));
    const range s = clipped("percentile_symmetric", x, o);
    REQUIRE(std::fabs(s.max + std::log(2 * u)) < bin + 0.5 / (10000 * u));
  }
}

TEST_CASE("entropy cuts outliers and reports its candidates") {
  auto x = laplace(100000);
  for (int i = 0; i < 8; ++i) x.push_back(12.0f + 4 * static_cast<float>(i));  // a few outliers
  const range r = clipped("entropy", x, {}, {dtype::s8, true, false});
  REQUIRE(r.candidates > 100);
  REQUIRE(r.candidates < 1000);
  REQUIRE(r.max < 37);
  REQUIRE(r.max > 9);
  // one-sided data keeps zero and uses all codes
  const range p = clipped("entropy", positive(laplace()), {});
  REQUIRE(p.min == 0);
  REQUIRE(p.max <= 9.2104);
}

// What misled the plain search on the OCR classifier: HardSwish's spike at -3/8, and 256 values in 2048 bins.
TEST_CASE("entropy costs no more squared error than minmax, for spikes and few values too") {
  generator r(21);
  int cut = 0;
  for (int round = 0; round < 40; ++round) {
    std::vector<float> x(round % 4 == 0 ? 256 : 20000);
    for (float& v : x) {
      v = static_cast<float>(2 * (r.uniform() + r.uniform() + r.uniform() + r.uniform()) - 5);
      if (round % 2 == 1) v = v * std::clamp(v + 3, 0.0f, 6.0f) / 6;  // HardSwish
      if (round % 4 == 2) v = std::clamp(v, 0.0f, 6.0f);
    }
    if (round % 5 == 0) x[0] = 40;
    const range whole = clipped("minmax", x, {}), chosen = clipped("entropy", x, {});
    cut += chosen.max < whole.max ? 1 : 0;
    // 5 %: the bound takes rounding errors as uniform
    REQUIRE(quantization_error(x, chosen, {}) <= 1.05 * quantization_error(x, whole, {}));
  }
  REQUIRE(cut >= 5);
}

TEST_CASE("mse and octav lower the squared error below minmax, and mse is near the best of a brute-force search") {
  generator r(9);
  int inputs = 0;
  double worst = 0;
  for (int round = 0; round < 30; ++round)
    for (const bool symmetric : {false, true}) {
      const quant_target t{round % 3 == 0 ? dtype::s4 : dtype::u8, symmetric, false};
      std::vector<float> x(4000);
      const int power = 1 + static_cast<int>(r.below(2));  // sharper spikes than a bin: the position inside it decides
      const double shift = r.uniform() - 0.5;
      for (float& v : x)
        v = static_cast<float>(std::pow(2 * r.uniform() - 1, 2 * power - 1) * std::exp(4 * r.uniform()) + shift);
      const double minmax = quantization_error(x, clipped("minmax", x, {}), t);
      const range m = clipped("mse", x, {}, t);
      const double mse = quantization_error(x, m, t);
      REQUIRE(mse <= minmax * 1.02);
      double best = minmax;
      const range whole = clipped("minmax", x, {});
      for (int i = 10; i <= 100; i += 5)
        for (int k = 10; k <= 100; k += 5)
          best = std::min(best, quantization_error(x, {whole.min * i / 100, whole.max * k / 100, false, 0}, t));
      worst = std::max(worst, mse / best);
      UNSCOPED_INFO(round << symmetric << power << ' ' << shift << ' ' << mse / best);
      ++inputs;
      const double octav = quantization_error(x, clipped("octav", x, {}, t), t);
      if (t.type == dtype::u8) REQUIRE(octav <= minmax * 1.1);  // with few levels its noise model is too simple
    }
  WARN(inputs << " inputs; mse's error against a brute-force search over pairs: at worst " << worst);
  REQUIRE(worst < 1.25);  // 1.2 by choice: the widest range within 20 %
}

TEST_CASE("octav equals its fixed point computed from the values themselves") {
  const auto x = laplace();
  const range r = clipped("octav", x, {}, {dtype::s8, true, false});
  const double k = std::ldexp(1.0, -16) / 3;
  double c = 1;
  for (int i = 0; i < 200; ++i) {
    double sum = 0, n = 0;
    for (const float v : x)
      if (std::fabs(static_cast<double>(v)) > c) sum += std::fabs(static_cast<double>(v)), n += 1;
    c = std::fmin(sum / ((1 - k) * n + k * static_cast<double>(x.size())), 9.2103405);
  }
  REQUIRE(r.max == Approx(c).epsilon(0.01));
  REQUIRE(r.min == -r.max);
}

TEST_CASE("a narrow range away from zero keeps all of itself") {
  std::vector<float> x;
  for (int i = 0; i < 1000; ++i) x.push_back(100 + 0.001f * static_cast<float>(i));
  for (const char* name : {"mse", "percentile", "histogram", "octav"}) {
    CAPTURE(name);
    REQUIRE(clipped(name, x, {}).max > 100.9);
  }
}

TEST_CASE("the tools' grids grow as the tools do, but not without bound") {
  method_options o = on(grid::onnxruntime, 2048);
  auto h = make_observer("tool_histogram", o);
  const float small[2] = {-1e-6f, 1e-6f}, big[3] = {-1e6f, 1e6f, 0};
  REQUIRE(h->observe(small, 2));
  REQUIRE(h->observe(big, 3));
  REQUIRE(h->stats().bins->counts.size() <= static_cast<std::size_t>(max_bins));
  REQUIRE(h->stats().bins->dropped == 2);
  REQUIRE(h->stats().bins->total() == 3);
  o.histogram_grid = grid::onnxruntime_absolute;
  auto a = make_observer("tool_histogram", o);
  REQUIRE(a->observe(small, 2));
  REQUIRE(a->observe(big, 3));
  REQUIRE(a->stats().bins->counts.size() <= static_cast<std::size_t>(max_bins));
}

TEST_CASE("per-channel clipping gives one range per channel") {
  const float w[6] = {-1, .5f, .25f, 2, 0, 0};
  auto o = make_observer("min_max");
  REQUIRE(o->observe(w, 1, 3, 2));
  const auto r = find_method("minmax")->clip_channels(o->stats());
  REQUIRE(r);
  REQUIRE(r->size() == 3);
  REQUIRE((*r)[0].min == -1);
  REQUIRE((*r)[1].max == 2);
  REQUIRE((*r)[2].degenerate);
  REQUIRE(find_method("minmax")->clip_channels((*o).stats().channels[0]).failure().code == status::calibration);
}

TEST_CASE("confined statistics are those of the values cut to the bounds") {
  generator r(77);
  for (int round = 0; round < 40; ++round) {
    std::vector<float> x(3000);
    for (float& v : x) v = static_cast<float>((2 * r.uniform() - 1.3) * std::exp(3 * r.uniform()));
    const double low = round % 3 == 0 ? -std::numeric_limits<double>::infinity() : -3.0 * r.uniform(),
                 high = round % 2 == 0 ? std::numeric_limits<double>::infinity() : 2.0 * r.uniform();
    std::vector<float> cut = x;
    for (float& v : cut) v = static_cast<float>(std::fmin(std::fmax(static_cast<double>(v), low), high));
    const auto stats_of = [](const std::vector<float>& of) {
      auto o = make_observer("histogram");
      REQUIRE(o->observe(of.data(), of.size()));
      return o->stats();
    };
    const statistics all = stats_of(x), inside = confined(all, low, high), wanted = stats_of(cut);
    REQUIRE(inside.count == all.count);
    REQUIRE(inside.bins->total() == all.bins->total());
    REQUIRE(inside.min == Approx(wanted.min).margin(1e-6));
    REQUIRE(inside.max == Approx(wanted.max).margin(1e-6));
    // The grid stays as coarse as all values need; within it each method finds what it finds for the cut values.
    const double bin = all.bins->width();
    for (const char* name : {"percentile", "minmax"}) {
      const auto got = find_method(name)->clip(inside, {}, {}), expected = find_method(name)->clip(wanted, {}, {});
      REQUIRE(got);
      REQUIRE(std::fabs(got->min - expected->min) <= 2 * bin);
      REQUIRE(std::fabs(got->max - expected->max) <= 2 * bin);
    }
    const auto mse = find_method("mse")->clip(inside, {}, {});
    REQUIRE(mse);
    CHECK(quantization_error(cut, *mse, {}) <= 1.3 * quantization_error(cut, clipped("mse", cut, {}), {}) + bin * bin);
  }
  const std::vector<float> outside = {-9, -8, -7};
  auto o = make_observer("histogram");
  REQUIRE(o->observe(outside.data(), outside.size()));
  REQUIRE(confined(o->stats(), -3, 3) == o->stats());
}
