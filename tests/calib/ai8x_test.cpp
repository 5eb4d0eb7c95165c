#include <catch2/catch.hpp>

#include "calib/data.hpp"
#include "quantal/calib/ai8x.hpp"
#include "quantal/calib/method.hpp"

using namespace quantal;
using namespace quantal::calib;

namespace {

const float w[8] = {.5f, -.25f, .125f, 1, -.9f, .1f, .2f, -.05f};

std::vector<std::int32_t> codes(float factor, int bits) {
  std::vector<std::int32_t> out;
  for (const float v : w) out.push_back(ai8x_code(v, factor, bits));
  return out;
}
using ints = std::vector<std::int32_t>;

// A layer of the published log of quantize.py -v: kind of parameter, channels, elements per channel, the printed
// figures.
struct log_row {
  const char* key;
  std::size_t channels, per_channel;
  float avg_max, max, mean, factor;
  const char* line;
};
#define ROW(key, c, n, avg, max, mean, factor)                                                \
  {                                                                                           \
    key, c, n, avg##f, max##f, mean##f, factor,                                               \
        key " avg_max: " #avg " max: " #max " mean: " #mean " factor: [" #factor ".] bits: 8" \
  }
const log_row rows[] = {
    ROW("conv1_1.op.weight", 32, 27, 0.19581217, 0.25818345, -0.0010339859, 256),
    ROW("conv1_1.op.bias", 1, 32, 0.008350415, 0.20695026, 0.008350415, 256),
    ROW("conv1_2.op.weight", 32, 288, 0.15837905, 0.2260818, -0.007221074, 512),
    ROW("conv1_2.op.bias", 1, 32, 0.021599323, 0.13941085, 0.021599323, 512),
    ROW("conv1_3.op.weight", 32, 288, 0.10185581, 0.12802085, -0.0012000235, 512),
    ROW("conv1_3.op.bias", 1, 32, 0.0047757383, 0.104352094, -0.0047757383, 512),
    ROW("conv2_1.op.weight", 32, 288, 0.09950264, 0.14326133, -0.00075862225, 512),
    ROW("conv2_1.op.bias", 1, 32, 0.004228739, 0.051477145, -0.004228739, 512),
    ROW("conv2_2.op.weight", 64, 288, 0.18644921, 0.22853813, -0.0044154814, 512),
    ROW("conv2_2.op.bias", 1, 64, 0.0026578833, 0.19792882, -0.0026578833, 512),
    ROW("conv3_1.op.weight", 64, 576, 0.093789354, 0.124638736, 0.000245763, 1024),
    ROW("conv3_1.op.bias", 1, 64, 0.001594298, 0.057827115, -0.001594298, 1024),
    ROW("conv3_2.op.weight", 64, 576, 0.12302495, 0.16514893, -0.0025607832, 512),
    ROW("conv3_2.op.bias", 1, 64, 0.0038889719, 0.14092705, -0.0038889719, 512),
    ROW("conv4_1.op.weight", 64, 576, 0.0900123, 0.14981413, 0.00013569098, 512),
    ROW("conv4_1.op.bias", 1, 64, 0.0013422337, 0.037608754, 0.0013422337, 512),
    ROW("conv4_2.op.weight", 64, 576, 0.09779563, 0.14253432, -0.0007492429, 512),
    ROW("conv4_2.op.bias", 1, 64, 0.002731392, 0.05317087, -0.002731392, 512),
    ROW("conv5_1.op.weight", 128, 576, 0.12837607, 0.18337771, 0.0004593544, 512),
    ROW("conv5_1.op.bias", 1, 128, 0.008161348, 0.08945797, 0.008161348, 512),
    ROW("fc.op.weight", 10, 512, 0.17802887, 0.20887798, -0.017725335, 512),
    ROW("fc.op.bias", 1, 10, 9.30544e-05, 0.05948845, 9.30544e-05, 512),
};

// Values whose largest magnitude is exactly `max`, the others generator below it.
std::vector<float> values(test::generator& r, std::size_t n, float max) {
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>((2 * r.uniform() - 1) * 0.9) * max;
  x[r.below(n)] = r.below(2) == 0 ? max : -max;
  return x;
}

}  // namespace

TEST_CASE("c2: ai8x clip methods and their codes") {
  const statistics s = ai8x_statistics(w, 2, 4);
  const float avgmax = ai8x_saturation(s, ai8x_clip::avgmax);
  REQUIRE(avgmax == Approx(.6));
  REQUIRE(ai8x_factor(avgmax, 8) == Approx(76.8));
  REQUIRE(codes(ai8x_factor(avgmax, 8), 8) == ints{38, -19, 10, 77, -69, 8, 15, -4});
  const float scale = ai8x_factor(ai8x_saturation(s, ai8x_clip::scale), 8);
  REQUIRE(scale == Approx(108.8));
  REQUIRE(codes(scale, 8) == ints{54, -27, 14, 109, -98, 11, 22, -5});
  const float max = ai8x_factor(ai8x_saturation(s, ai8x_clip::max), 8);
  REQUIRE(max == 128);
  REQUIRE(codes(max, 8) == ints{64, -32, 16, 127, -115, 13, 26, -6});
  method_options one;
  one.stddev = 1;
  REQUIRE(s.sums->standard_deviation() == Approx(.55096304).epsilon(1e-7));
  const float deviation = ai8x_saturation(s, ai8x_clip::stddev, one);
  REQUIRE(deviation == Approx(.64158803).epsilon(1e-7));
  REQUIRE(ai8x_factor(deviation, 8) == Approx(82.123268).epsilon(1e-7));
  REQUIRE(codes(ai8x_factor(deviation, 8), 8) == ints{41, -21, 10, 82, -74, 8, 16, -4});
}

TEST_CASE("c2: ai8x QAT factors and codes") {
  REQUIRE(ai8x_qat_factor(1.0f, 4) == 8);
  REQUIRE(codes(ai8x_qat_factor(1.0f, 4), 4) == ints{4, -2, 1, 7, -7, 1, 2, 0});
  REQUIRE(shift_exponent(1.5f, 8) == -1);
  REQUIRE(ai8x_qat_factor(1.5f, 8) == 64);
  REQUIRE(codes(64, 8) == ints{32, -16, 8, 64, -58, 6, 13, -3});
  REQUIRE(ai8x_bias(.3f, 8, 4) == 16);
  REQUIRE(ai8x_bias(-.2f, 8, 4) == -16);
  REQUIRE(ai8x_bias(1.5f, 64, 8) == 12288);
  REQUIRE(ai8x_bias(-.003f, 64, 8) == 0);
  REQUIRE(shift_exponent(1e-30f, 8) == 15);
  REQUIRE(shift_exponent(1e30f, 8) == -15);
  REQUIRE(shift_exponent(0.0f, 8) == 15);
}

TEST_CASE("c1: ai8x log of eleven layers: factors from generated tensors of those shapes, lines to the letter") {
  test::generator r(11);
  for (std::size_t i = 0; i < std::size(rows); i += 2) {
    const log_row &weight = rows[i], &bias = rows[i + 1];
    CAPTURE(weight.key);
    auto values_of_weight = values(r, weight.channels * weight.per_channel, weight.max), both = values_of_weight;
    const auto values_of_bias = values(r, bias.per_channel, bias.max);
    both.insert(both.end(), values_of_bias.begin(), values_of_bias.end());
    const statistics s = ai8x_statistics(values_of_weight.data(), weight.channels, weight.per_channel);
    REQUIRE(static_cast<float>(absmax(s)) == weight.max);
    statistics layer = ai8x_statistics(values_of_weight.data(), 1, values_of_weight.size());
    REQUIRE(layer.merge(ai8x_statistics(values_of_bias.data(), 1, values_of_bias.size())));
    REQUIRE(ai8x_qat_factor(static_cast<float>(absmax(layer)), 8) == weight.factor);
    REQUIRE(quantile_of_magnitudes(both, 1.0) == std::fmax(weight.max, bias.max));
    const auto range = find_method("qat_shift")->clip(layer, {}, {dtype::s8, true, false});
    REQUIRE(range);
    REQUIRE(128 / range->max == weight.factor);
    for (const log_row& row : {weight, bias})
      REQUIRE(ai8x_line(row.key, row.avg_max, row.max, row.mean, row.factor, true, 8) == row.line);
  }
}

TEST_CASE("c1: more maxima and factors of the published models") {
  const float rows_of_readme[][2] = {{.25818345f, 256}, {.2260818f, 512},  {.12802085f, 512}, {.124638736f, 1024},
                                     {.20887798f, 512}, {.51949096f, 128}, {.269847f, 256},   {.49686784f, 256},
                                     {.5019533f, 128},  {1.0039074f, 64}};
  for (const auto& row : rows_of_readme) REQUIRE(ai8x_qat_factor(row[0], 8) == row[1]);
}

TEST_CASE("numpy's text of a float32") {
  REQUIRE(numpy_text(0.25818345f) == "0.25818345");
  REQUIRE(numpy_text(9.30544e-05f) == "9.30544e-05");
  REQUIRE(numpy_text(76.8f) == "76.8");
  REQUIRE(numpy_text(128) == "128.0");
  REQUIRE(numpy_text(0) == "0.0");
  REQUIRE(numpy_text(1e16f) == "1e+16");
  REQUIRE(ai8x_line("k", 1, 2, -0.5f, 76.8f, false, 4) == "k avg_max: 1.0 max: 2.0 mean: -0.5 factor: 76.8 bits: 4");
}

TEST_CASE("quantile_of_magnitudes interpolates linearly") {
  const std::vector<float> x{-4, 1, 3, -2};
  REQUIRE(quantile_of_magnitudes(x, 0.5) == 2.5f);
  REQUIRE(quantile_of_magnitudes(x, 1.0) == 4);
  REQUIRE(quantile_of_magnitudes(x, 0.0) == 1);
  REQUIRE(quantile_of_magnitudes({}, 0.5) == 0);
}
