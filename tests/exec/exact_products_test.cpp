// Products of dequantized operands give what 64-bit integer arithmetic gives, then one f32 multiplication: exactly.
#include <catch2/catch.hpp>

#include "quantal/exec/session.hpp"

using namespace quantal;

namespace {

ir::node dequantize(const std::string& codes, const std::string& scale, const std::string& zero, const std::string& out,
                    std::int64_t axis = -1) {
  ir::node n;
  n.op_type = "DequantizeLinear";
  n.name = out;
  n.inputs = {codes, scale};
  if (!zero.empty()) n.inputs.push_back(zero);
  n.outputs = {out};
  if (axis >= 0) n.set({"axis", axis});
  return n;
}

template <class T>
tensor_buffer codes(const shape& dims, std::uint32_t seed) {
  tensor_buffer t = *tensor_buffer::make(dtype_of<T>::value, dims);
  for (std::int64_t i = 0; i < t.elements(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    t.mutable_as<T>()[i] = static_cast<T>(seed >> 24);
  }
  return t;
}

constexpr std::int64_t channels = 37, outputs = 5, side = 6, taps = 9;

}  // namespace

TEST_CASE("P12_a convolution between DequantizeLinear nodes is an integer sum times one scale, to the bit") {
  ir::model m;
  m.ir_version = 8;
  m.set_opset("", 17);
  ir::graph& g = m.graph;
  g.name = "qdq";
  g.inputs = {{"x", ir::value_type::tensor(dtype::u8, shape(1, channels, side, side)), "", {}}};
  g.outputs = {{"y", ir::value_type::tensor(dtype::f32), "", {}}};
  const tensor_buffer w = codes<std::int8_t>(shape(outputs, channels, 3, 3), 7);
  const float x_scale = 0.0173F;
  std::vector<float> w_scale, b_scale;
  std::vector<std::int32_t> bias;
  for (std::int64_t o = 0; o < outputs; ++o) {
    w_scale.push_back(0.0031F * static_cast<float>(o + 1));
    b_scale.push_back(x_scale * w_scale.back());
    bias.push_back(static_cast<std::int32_t>(1000 * o - 1777));
  }
  g.initializers = {
      {"x_scale", tensor_buffer::of<float>(shape(), {x_scale}), "", {}},
      {"x_zero", tensor_buffer::of<std::uint8_t>(shape(), {131}), "", {}},
      {"w", w, "", {}},
      {"w_scale", tensor_buffer::of<float>(shape(outputs), w_scale), "", {}},
      {"w_zero", tensor_buffer::of<std::int8_t>(shape(outputs), std::vector<std::int8_t>(outputs, 0)), "", {}},
      {"b", tensor_buffer::of<std::int32_t>(shape(outputs), bias), "", {}},
      {"b_scale", tensor_buffer::of<float>(shape(outputs), b_scale), "", {}}};
  ir::node conv;
  conv.op_type = "Conv";
  conv.name = "conv";
  conv.inputs = {"xf", "wf", "bf"};
  conv.outputs = {"y"};
  g.nodes = {dequantize("x", "x_scale", "x_zero", "xf"), dequantize("w", "w_scale", "w_zero", "wf", 0),
             dequantize("b", "b_scale", "", "bf", 0), conv};

  const tensor_buffer x = codes<std::uint8_t>(shape(1, channels, side, side), 3);
  for (const std::size_t threads : {1, 3}) {
    exec::session_options options;
    options.threads = threads;
    auto s = exec::session::create(std::make_shared<ir::model>(m), options);
    REQUIRE(s);
    auto y = s->run({{"x", x}});
    REQUIRE(y);
    const tensor_buffer& got = (*y)[0].value;
    REQUIRE(got.dims() == shape(1, outputs, side - 2, side - 2));
    for (std::int64_t o = 0; o < outputs; ++o)
      for (std::int64_t r = 0; r < side - 2; ++r)
        for (std::int64_t c = 0; c < side - 2; ++c) {
          std::int64_t sum = bias[static_cast<std::size_t>(o)];
          for (std::int64_t k = 0; k < channels; ++k)
            for (std::int64_t t = 0; t < taps; ++t)
              sum += (x.as<std::uint8_t>()[(k * side + r + t / 3) * side + c + t % 3] - 131) *
                     std::int64_t{w.as<std::int8_t>()[(o * channels + k) * taps + t]};
          const float wanted = static_cast<float>(sum) * b_scale[static_cast<std::size_t>(o)];
          CHECK(got.as<float>()[(o * (side - 2) + r) * (side - 2) + c] == wanted);
        }
  }
  // A value that the product no longer reads can still be asked for.
  auto s = exec::session::create(std::make_shared<ir::model>(m));
  REQUIRE(s);
  exec::run_options ask;
  ask.outputs = {"xf", "y"};
  auto both = s->run({{"x", x}}, ask);
  REQUIRE(both);
  CHECK((*both)[0].value.as<float>()[0] == static_cast<float>(x.as<std::uint8_t>()[0] - 131) * x_scale);
}
