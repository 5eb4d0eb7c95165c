#include "quantal/quant/choose.hpp"

#include <catch2/catch.hpp>
#include <limits>

using namespace quantal;

namespace {

quant_params chosen(double min, double max, const choose_options& options) {
  quant_params p{-1.0f, -999};
  REQUIRE(choose_params(min, max, options, p) == status::ok);
  return p;
}

constexpr const preset_row* torch = find_preset("torch");
constexpr const preset_row* tflite = find_preset("TFLite");
constexpr const preset_row* tensorrt = find_preset("tensorrt");
constexpr const preset_row* ai8x = find_preset("ai8x");

}  // namespace

TEST_CASE("c3_ranges_of_minus_1_3_to_2_7") {
  CHECK(chosen(-1.3, 2.7, {}).scale == 0.015686275f);
  CHECK(chosen(-1.3, 2.7, {}).zero_point == 83);
  CHECK(chosen(-1.3, 2.7, {.type = dtype::s8}).zero_point == -45);
  const quant_params u8 = chosen(-1.3, 2.7, {.type = dtype::u8, .reduce_range = true, .preset = torch});
  CHECK(u8.scale == 0.031496063f);
  CHECK(u8.zero_point == 41);
  CHECK(chosen(-1.3, 2.7, {.type = dtype::s8, .reduce_range = true, .preset = torch}).zero_point == -23);
  CHECK(chosen(-1.3, 2.7, {.type = dtype::s8, .symmetric = true, .preset = torch}).scale == 0.021176470f);
  CHECK(chosen(-1.3, 2.7, {.type = dtype::s8, .symmetric = true}).scale == 0.021259842f);
  CHECK(chosen(-1.3, 2.7, {.type = dtype::s8, .symmetric = true, .reduce_range = true}).scale == 0.0421875f);
}

TEST_CASE("c4_float32_gives_zero_point_minus_1_and_float64_gives_0") {
  CHECK(chosen(-2, 2, {.type = dtype::s8, .preset = torch}).zero_point == -1);
  CHECK(chosen(-2, 2, {.type = dtype::s8, .preset = find_preset("onnxruntime")}).zero_point == 0);
}

TEST_CASE("c6_torch_parameters") {
  const quant_params p = chosen(-0.99, 1.58, {.type = dtype::u8, .preset = torch});
  CHECK(p.scale == 0.010078432f);
  CHECK(p.zero_point == 98);
  const choose_options symmetric{.type = dtype::s8, .symmetric = true, .preset = torch};
  CHECK(chosen(-1, 0.5, symmetric).scale == 0.0078431377f);
  CHECK(chosen(0.25, 2, symmetric).scale == 0.015686275f);
  CHECK(chosen(0, 0, symmetric).scale == 1.1920929e-07f);
}

TEST_CASE("c13_tensorrt_scale_is_amax_over_127") {
  const choose_options o{.type = dtype::s8, .symmetric = true, .preset = tensorrt};
  CHECK(bits_of_f32(chosen(-1.0002441, 0, o).scale) == 0x3c010a14u);
  CHECK(bits_of_f32(chosen(0, 2.1228104, o).scale) == 0x3c88edfcu);
}

TEST_CASE("the ai8x row gives powers of two over 128") {
  const choose_options o{.type = dtype::s8, .symmetric = true, .preset = ai8x};
  CHECK(chosen(-0.25818345, 0.1, o).scale == 1.0f / 256);
  CHECK(chosen(0, 0.12802085, o).scale == 1.0f / 512);
  CHECK(chosen(0, 0.124638736, o).scale == 1.0f / 1024);
  CHECK(chosen(0, 1.0039074, o).scale == 1.0f / 64);
  CHECK(chosen(-1, 1, o).scale == 1.0f / 128);
}

TEST_CASE("tflite nudges the zero point from the end with the smaller error") {
  const quant_params p = chosen(-1.3, 2.7, {.type = dtype::s8, .preset = tflite});
  CHECK(p.scale == 0.015686275f);
  CHECK(p.zero_point == -45);
  CHECK(chosen(-2, 2, {.type = dtype::s8, .preset = tflite}).zero_point == -1);  // -0.5, half away from zero
}

TEST_CASE("zero is always representable, whatever the range") {
  for (const preset_row& row : presets) {
    for (const dtype type :
         {dtype::u8, dtype::s8, dtype::s16, dtype::u16, dtype::s4, dtype::u4, dtype::s2, dtype::s32}) {
      for (const double low : {-3.7, -1e-30, 0.0, 0.5, 1e20}) {
        for (const double high : {1e20, 2.5, 0.7, 0.0}) {
          if (low > high) continue;
          const quant_params p = chosen(low, high, {.type = type, .preset = &row});
          INFO(row.name << " " << name_of(type) << " [" << low << ", " << high << "] zero point " << p.zero_point);
          CHECK(check_params(p, type) == status::ok);
        }
      }
    }
  }
}

TEST_CASE("symmetric codes, full, narrow and reduced") {
  code_limits c;
  REQUIRE(codes_for({.type = dtype::s8, .symmetric = true}, c) == status::ok);
  CHECK(c.min == -127);
  REQUIRE(codes_for({.type = dtype::s8, .symmetric = true, .codes = code_choice::full}, c) == status::ok);
  CHECK(c.min == -128);
  REQUIRE(codes_for({.type = dtype::s8, .codes = code_choice::narrow}, c) == status::ok);
  CHECK(c.min == -127);
  REQUIRE(codes_for({.type = dtype::s8, .reduce_range = true}, c) == status::ok);
  CHECK((c.min == -64 && c.max == 64));
  REQUIRE(codes_for({.type = dtype::u8, .reduce_range = true}, c) == status::ok);
  CHECK((c.min == 0 && c.max == 127));
  CHECK(chosen(-1, 1, {.type = dtype::u8, .symmetric = true}).zero_point == 128);
  CHECK(codes_for({.type = dtype::f32}, c) == status::dtype);
}

TEST_CASE("power of two scales round up") {
  CHECK(chosen(-1, 1, {.type = dtype::s8, .symmetric = true, .power_of_two = true}).scale == 1.0f / 64);
  CHECK(chosen(0, 255, {.type = dtype::u8, .power_of_two = true}).scale == 1.0f);
  CHECK(chosen(0, 256, {.type = dtype::u8, .power_of_two = true}).scale == 2.0f);
}

TEST_CASE("D2_degenerate_ranges_are_defined") {
  for (const double x : {0.0, 1e-45, 1e-310}) {
    const quant_params p = chosen(x, x, {});
    CHECK(p.scale == 1.0f);
    CHECK(p.zero_point == 0);
  }
  CHECK(chosen(5, 5, {}).zero_point == 0);  // min = max > 0: the range is [0, 5]
  CHECK(chosen(5, 5, {}).scale == static_cast<float>(5.0 / 255));
  CHECK(chosen(-5, -5, {}).zero_point == 255);
}

TEST_CASE("D3_a_range_near_the_end_of_f32_has_a_finite_scale") {
  const quant_params p = chosen(-3e38, 3e38, {});
  CHECK(is_positive_normal(p.scale));
  CHECK(p.zero_point == 128);
}

TEST_CASE("D5_denormal_ranges_give_scale_1") {
  CHECK(chosen(-1e-42, 1e-42, {}).scale == 1.0f);
}

TEST_CASE("Q3_bad_ranges_are_errors_and_leave_the_output_alone") {
  const double infinity = std::numeric_limits<double>::infinity();
  quant_params p{7.0f, 7};
  CHECK(choose_params(std::numeric_limits<double>::quiet_NaN(), 1, {}, p) == status::nan_value);
  CHECK(choose_params(0, std::numeric_limits<double>::quiet_NaN(), {}, p) == status::nan_value);
  CHECK(choose_params(-infinity, 1, {}, p) == status::range);
  CHECK(choose_params(0, infinity, {}, p) == status::range);
  CHECK(choose_params(1, -1, {}, p) == status::range);
  CHECK(choose_params(0, 1e300, {}, p) == status::range);
  CHECK(choose_params(0, 1, {.type = dtype::f16}, p) == status::dtype);
  CHECK(p.scale == 7.0f);
}
