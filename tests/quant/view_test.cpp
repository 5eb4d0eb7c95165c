#include "quantal/quant/view.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

using namespace quantal;

namespace {

template <class T>
tensor_view view_of(std::vector<T>& data, dtype type, const shape& dims) {
  tensor_view v;
  REQUIRE(make_view(type, dims, data.data(), data.size() * sizeof(T), v) == status::ok);
  return v;
}

}  // namespace

TEST_CASE("views quantize as arrays do, whatever their strides and float type") {
  const shape dims(4, 6, 5);
  std::vector<float> x(120);
  for (std::size_t i = 0; i < x.size(); ++i)
    x[i] = f16_to_f32(f32_to_f16(static_cast<float>(static_cast<int>(i * 53 % 211) - 105) * 0.031f));
  x[7] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::uint16_t> half(120), brain(120);
  std::vector<double> wide(120);
  for (std::size_t i = 0; i < x.size(); ++i) {
    half[i] = f32_to_f16(x[i]);
    wide[i] = x[i];
  }
  std::vector<float> scales(4 * 3 * 5);
  std::vector<std::int32_t> points(60);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] = 0.013f + 0.001f * static_cast<float>(i);
    points[i] = static_cast<std::int32_t>(i % 5);
  }
  for (const dtype type : {dtype::s8, dtype::u8, dtype::s16, dtype::s4, dtype::u2, dtype::s32}) {
    for (const affine_params& p : {affine_params{scales.data(), nullptr, 1, -1, 0},
                                   {scales.data(), nullptr, 6, 1, 0},
                                   {scales.data(), nullptr, 60, 1, 2}}) {
      std::vector<std::uint8_t> expected(480), q(480);
      REQUIRE(quantize(x.data(), dims, p, type, expected.data()) == status::ok);
      REQUIRE(quantize(view_of(x, dtype::f32, dims), view_of(q, type, dims), p) == status::ok);
      CHECK(q == expected);
      std::fill(q.begin(), q.end(), std::uint8_t{0});
      REQUIRE(quantize(view_of(half, dtype::f16, dims), view_of(q, type, dims), p) == status::ok);
      CHECK(q == expected);
      std::vector<float> y(120), z(120);
      REQUIRE(dequantize(expected.data(), dims, p, type, y.data()) == status::ok);
      REQUIRE(dequantize(view_of(q, type, dims), view_of(z, dtype::f32, dims), p) == status::ok);
      CHECK(y == z);
      REQUIRE(dequantize(view_of(q, type, dims), view_of(brain, dtype::bf16, dims), p) == status::ok);
      REQUIRE(dequantize(view_of(q, type, dims), view_of(wide, dtype::f64, dims), p) == status::ok);
      for (std::size_t i = 0; i < 120; ++i) {
        CHECK(brain[i] == f32_to_bf16(y[i]));
        CHECK(static_cast<float>(wide[i]) == y[i]);
      }
    }
  }
  // A transposed source and a reversed destination.
  tensor_view t = view_of(x, dtype::f32, shape(5, 6, 4));
  t.strides[0] = 1;
  t.strides[1] = 5;
  t.strides[2] = 30;
  std::vector<std::int8_t> q(120);
  tensor_view r = view_of(q, dtype::s8, shape(5, 6, 4));
  r.data = q.data() + 119;
  r.strides[0] = -24;
  r.strides[1] = -4;
  r.strides[2] = -1;
  REQUIRE(quantize(t, r, {scales.data(), points.data(), 6, 1, 0}) == status::ok);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 6; ++j) {
      for (std::size_t k = 0; k < 4; ++k) {
        REQUIRE(q[119 - (i * 24 + j * 4 + k)] ==
                quantize_value(x[i + j * 5 + k * 30], {scales[j], points[j]}, {-128, 127}));
      }
    }
  }
}

TEST_CASE("c8_float8_codes_with_scale_2") {
  std::vector<float> x = {0, 1, 2, 100000, 200};
  std::vector<std::uint8_t> q(5);
  std::vector<float> y(5);
  const float two = 2.0f;
  const affine_params p{&two, nullptr, 1, -1, 0};
  REQUIRE(quantize(view_of(x, dtype::f32, shape(5)), view_of(q, dtype::f8e4m3fn, shape(5)), p) == status::ok);
  CHECK(f8e4m3fn_to_f32(q[3]) == 448.0f);
  CHECK(f8e4m3fn_to_f32(q[4]) == 96.0f);
  REQUIRE(dequantize(view_of(q, dtype::f8e4m3fn, shape(5)), view_of(y, dtype::f32, shape(5)), p) == status::ok);
  CHECK((y[1] == 1.0f && y[4] == 192.0f));
  REQUIRE(quantize(view_of(x, dtype::f32, shape(5)), view_of(q, dtype::f8e5m2, shape(5)), p) == status::ok);
  CHECK(f8e5m2_to_f32(q[3]) == 49152.0f);
  REQUIRE(quantize(view_of(x, dtype::f32, shape(5)), view_of(q, dtype::f4e2m1, shape(5)), p) == status::ok);
  CHECK((q[0] == 0x10 && q[1] == 0x72 && q[2] == 0x07));
  const std::int32_t one = 1;
  CHECK(quantize(view_of(x, dtype::f32, shape(5)), view_of(q, dtype::f8e5m2, shape(5)), {&two, &one, 1, -1, 0}) ==
        status::zero_point);
}

TEST_CASE("f64 keeps its precision") {
  std::vector<double> x = {0.5 + 1e-12, 0.5, 1.5 - 1e-12};
  std::vector<std::int8_t> q(3);
  const float one = 1.0f;
  REQUIRE(quantize(view_of(x, dtype::f64, shape(3)), view_of(q, dtype::s8, shape(3)), {&one, nullptr, 1, -1, 0}) ==
          status::ok);
  CHECK((q[0] == 1 && q[1] == 0 && q[2] == 1));
}

TEST_CASE("Q16_views_of_the_wrong_type_or_shape_are_errors") {
  std::vector<float> x(4);
  std::vector<std::uint8_t> q(4, 0x55);
  const float one = 1.0f;
  const affine_params p{&one, nullptr, 1, -1, 0};
  const tensor_view real = view_of(x, dtype::f32, shape(4)), codes = view_of(q, dtype::u8, shape(4));
  CHECK(quantize(codes, real, p) == status::dtype);
  CHECK(quantize(real, view_of(q, dtype::u8, shape(3)), p) == status::shape);
  CHECK(quantize(real, view_of(q, dtype::boolean, shape(4)), p) == status::dtype);
  tensor_view constant = codes;
  constant.read_only = true;
  CHECK(quantize(real, constant, p) == status::flags);
  const std::int32_t point = -1;
  CHECK(quantize(real, codes, {&one, &point, 1, -1, 0}) == status::zero_point);  // an s8 model's parameters on u8 codes
  tensor_view packed = view_of(q, dtype::u4, shape(4));
  packed.strides[0] = -1;
  CHECK(quantize(real, packed, p) == status::stride);
  quantize_options strict;
  strict.nan = nan_policy::error;
  x[2] = std::nanf("");
  size_t bad = 0;
  CHECK(quantize(real, codes, p, strict, &bad) == status::nan_value);
  CHECK(bad == 2);
  CHECK(q[0] == 0x55);
}
