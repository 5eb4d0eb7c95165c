// Small graphs for pass tests, and the one question most of them ask: does the model still compute the same?
#pragma once
#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "quantal/exec/session.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/ir/verify.hpp"

namespace quantal::testing {

inline tensor_buffer floats(const shape& s, const std::vector<float>& v) {
  return tensor_buffer::of<float>(s, v);
}

// A reproducible spread of values in [-1, 1].
inline std::vector<float> noise(std::int64_t n, std::uint32_t seed) {
  std::vector<float> v;
  for (std::int64_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    v.push_back(static_cast<float>(seed >> 8) / 8388608.0F - 1.0F);
  }
  return v;
}

struct builder {
  ir::model m;

  explicit builder(std::int64_t opset = 17) {
    m.ir_version = 8;
    m.set_opset("", opset);
    m.graph.name = "test";
  }
  builder& input(const std::string& name, std::vector<ir::dim> dims) {
    ir::value_info v;
    v.name = name;
    v.type = ir::value_type::tensor(dtype::f32, std::move(dims));
    m.graph.inputs.push_back(v);
    return *this;
  }
  builder& output(const std::string& name) {
    ir::value_info v;
    v.name = name;
    v.type = ir::value_type::tensor(dtype::f32);
    m.graph.outputs.push_back(v);
    return *this;
  }
  builder& constant(const std::string& name, tensor_buffer t) {
    ir::constant c;
    c.name = name;
    c.value = std::move(t);
    m.graph.initializers.push_back(c);
    return *this;
  }
  builder& node(const std::string& op, std::vector<std::string> in, std::vector<std::string> out,
                std::vector<ir::attribute> attributes = {}) {
    ir::node n;
    n.op_type = op;
    n.name = "node_" + out[0];
    n.inputs = std::move(in);
    n.outputs = std::move(out);
    n.attributes = std::move(attributes);
    m.graph.nodes.push_back(n);
    return *this;
  }
};

inline ir::attribute ints(const char* name, std::vector<std::int64_t> v) {
  return ir::attribute(name, std::move(v));
}

inline std::size_t count(const ir::model& m, const std::string& op) {
  std::size_t n = 0;
  for (const ir::node& x : m.graph.nodes) n += x.op_type == op ? 1 : 0;
  return n;
}

inline const ir::node* maker(const ir::model& m, const std::string& value) {
  for (const ir::node& n : m.graph.nodes)
    for (const std::string& y : n.outputs)
      if (y == value) return &n;
  return nullptr;
}

// First output of the model for x.
inline std::vector<float> run(const ir::model& m, const std::string& input, const tensor_buffer& x) {
  exec::session_options options;
  options.threads = 1;
  auto s = exec::session::create(std::make_shared<ir::model>(m), options);
  if (!s) FAIL(s.failure().message());
  auto y = s->run({{input, x}});
  if (!y) FAIL(y.failure().message());
  const tensor_buffer& t = (*y)[0].value;
  return {t.as<float>(), t.as<float>() + t.elements()};
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  return worst;
}

inline double sqnr_db(const std::vector<float>& x, const std::vector<float>& y) {
  REQUIRE(x.size() == y.size());
  double signal = 0, noise_power = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    signal += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    noise_power += d * d;
  }
  return 10 * std::log10(signal / noise_power);
}

}  // namespace quantal::testing
