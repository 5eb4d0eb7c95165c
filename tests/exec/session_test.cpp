// session: results, planned against recorded memory, threads, concurrency, requested values, bad feeds.
#include "quantal/exec/session.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <thread>

#include "quantal/exec/thread_pool.hpp"

using namespace quantal;

namespace {

ir::node make_node(std::string type, std::vector<std::string> inputs, std::vector<std::string> outputs) {
  ir::node n;
  n.op_type = std::move(type);
  n.inputs = std::move(inputs);
  n.outputs = std::move(outputs);
  n.name = n.outputs[0];
  return n;
}

ir::value_info value(std::string name, std::vector<ir::dim> dims, dtype type = dtype::f32) {
  return {std::move(name), ir::value_type::tensor(type, std::move(dims)), "", {}};
}

// A fixed, uneven sequence of floats in [-1, 1).
tensor_buffer noise(const shape& dims, std::uint32_t seed) {
  tensor_buffer t = *tensor_buffer::make(dtype::f32, dims);
  for (std::int64_t i = 0; i < t.elements(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    t.mutable_as<float>()[i] = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
  }
  return t;
}

// x[n, 3, h, w] -> Conv 3x3 -> depthwise 3x3 -> MaxPool -> Conv 1x1 -> + skip -> Softmax -> y; a chain long enough to
// share memory.
ir::model network() {
  ir::model m;
  m.ir_version = 8;
  m.set_opset("", 17);
  ir::graph& g = m.graph;
  g.name = "net";
  g.inputs = {value("x", {ir::dim("n"), 3, ir::dim("h"), ir::dim("w")})};
  g.outputs = {value("y", {})};
  g.outputs[0].type.dims.reset();
  g.initializers = {{"w1", noise(shape(8, 3, 3, 3), 1), "", {}},
                    {"b1", noise(shape(8), 2), "", {}},
                    {"w2", noise(shape(8, 1, 3, 3), 3), "", {}},
                    {"w3", noise(shape(8, 8, 1, 1), 4), "", {}}};
  g.nodes = {make_node("Conv", {"x", "w1", "b1"}, {"c1"}), make_node("Conv", {"c1", "w2"}, {"c2"}),
             make_node("MaxPool", {"c2"}, {"p"}),          make_node("Conv", {"p", "w3"}, {"c3"}),
             make_node("Softmax", {"c3"}, {"s"}),          make_node("Conv", {"s", "w3"}, {"c4"}),
             make_node("GlobalAveragePool", {"c4"}, {"y"})};
  g.nodes[0].set({"pads", std::vector<std::int64_t>{1, 1, 1, 1}});
  g.nodes[1].set({"pads", std::vector<std::int64_t>{1, 1, 1, 1}});
  g.nodes[1].set({"group", std::int64_t{8}});
  g.nodes[2].set({"kernel_shape", std::vector<std::int64_t>{2, 2}});
  g.nodes[2].set({"strides", std::vector<std::int64_t>{2, 2}});
  return m;
}

exec::session session_of(const ir::model& m, std::size_t threads = 1) {
  auto made = exec::session::create(std::make_shared<const ir::model>(m), {threads, {}});
  if (!made) FAIL(made.failure().message());
  return *std::move(made);
}

std::vector<exec::named_tensor> run(const exec::session& s, const tensor_buffer& x,
                                    const exec::run_options& options = {}) {
  auto out = s.run({{"x", x}}, options);
  if (!out) FAIL(out.failure().message());
  return *std::move(out);
}

bool same_bits(const tensor_buffer& a, const tensor_buffer& b) {
  return a.type() == b.type() && a.dims() == b.dims() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

}  // namespace

TEST_CASE("a convolution of known answer") {
  ir::model m;
  m.ir_version = 8;
  m.set_opset("", 17);
  m.graph.inputs = {value("x", {1, 1, 3, 3})};
  m.graph.outputs = {value("y", {1, 1, 3, 3})};
  m.graph.initializers = {{"w", tensor_buffer::of(shape(1, 1, 3, 3), std::vector<float>(9, 1.0f)), "", {}}};
  m.graph.nodes = {make_node("Conv", {"x", "w"}, {"y"})};
  m.graph.nodes[0].set({"pads", std::vector<std::int64_t>{1, 1, 1, 1}});
  const auto x = tensor_buffer::of(shape(1, 1, 3, 3), std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8});
  const auto out = run(session_of(m), x);
  // ONNX, Conv: test_basic_conv_with_padding has the same kernel on 5x5; these sums are done by hand.
  const std::vector<float> expected = {8, 15, 12, 21, 36, 27, 20, 33, 24};
  REQUIRE(out.size() == 1);
  REQUIRE(out[0].name == "y");
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(out[0].value.as<float>()[i] == expected[i]);
}

TEST_CASE("planned runs give the recorded run's bits and leave returned tensors alone") {
  const exec::session s = session_of(network());
  const tensor_buffer x = noise(shape(2, 3, 20, 23), 7), other = noise(shape(2, 3, 20, 23), 8);
  const tensor_buffer recorded = run(s, x)[0].value;
  const tensor_buffer copy = *recorded.clone();
  const tensor_buffer planned = run(s, x)[0].value;
  CHECK(same_bits(recorded, planned));
  const tensor_buffer third = run(s, other)[0].value;
  CHECK_FALSE(same_bits(third, planned));
  CHECK(same_bits(copy, recorded));
  CHECK(same_bits(copy, planned));  // not overwritten by the third run
}

TEST_CASE("shapes may change from run to run") {
  const exec::session s = session_of(network());
  for (std::int64_t n : {1, 3, 2, 1, 3}) {
    const tensor_buffer x = noise(shape(n, 3, 8 + n, 9), 5);
    const tensor_buffer fresh = run(session_of(network()), x)[0].value;
    CHECK(same_bits(run(s, x)[0].value, fresh));
  }
}

TEST_CASE("the number of threads does not change a bit") {
  const tensor_buffer x = noise(shape(2, 3, 33, 41), 11);
  const tensor_buffer one = run(session_of(network(), 1), x)[0].value;
  for (std::size_t threads : {2, 3, 8}) {
    const exec::session s = session_of(network(), threads);
    for (int i = 0; i < 3; ++i) CHECK(same_bits(run(s, x)[0].value, one));
  }
}

TEST_CASE("runs of one session in several threads") {
  const exec::session s = session_of(network(), 2);
  std::vector<tensor_buffer> inputs, expected;
  for (std::uint32_t i = 0; i < 4; ++i) {
    inputs.push_back(noise(shape(1 + i % 2, 3, 16, 16), 100 + i));
    expected.push_back(run(session_of(network()), inputs.back())[0].value);
  }
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (std::size_t t = 0; t < 4; ++t) {
    callers.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        auto out = s.run({{"x", inputs[t]}});
        if (!out || !same_bits((*out)[0].value, expected[t])) ++wrong;
      }
    });
  }
  for (std::thread& t : callers) t.join();
  CHECK(wrong == 0);
}

TEST_CASE("any value can be asked for, and observed in order") {
  const exec::session s = session_of(network());
  const tensor_buffer x = noise(shape(1, 3, 12, 12), 3);
  std::vector<std::string> seen;
  std::vector<tensor_buffer> kept;
  exec::run_options options;
  options.observe = [&](std::string_view name, const tensor_buffer& v) {
    seen.emplace_back(name);
    kept.push_back(v);  // kept past the call: must stay what it was
  };
  std::vector<std::vector<tensor_buffer>> runs;
  for (int i = 0; i < 3; ++i) {
    kept.clear();
    run(s, x, options);
    runs.push_back(kept);
  }
  CHECK(seen.size() == 3 * 8);
  CHECK(std::vector<std::string>(seen.begin(), seen.begin() + 8) ==
        std::vector<std::string>{"x", "c1", "c2", "p", "c3", "s", "c4", "y"});
  for (std::size_t v = 0; v < 8; ++v) {
    CHECK(same_bits(runs[0][v], runs[1][v]));
    CHECK(same_bits(runs[0][v], runs[2][v]));
  }
  options = {};
  options.outputs = {"c3", "c1"};
  for (int i = 0; i < 2; ++i) {
    const auto out = run(s, x, options);
    REQUIRE(out.size() == 2);
    CHECK(same_bits(out[0].value, runs[0][4]));
    CHECK(same_bits(out[1].value, runs[0][1]));
  }
  options.outputs = {"nothing"};
  const auto failed = s.run({{"x", x}}, options);
  REQUIRE_FALSE(failed);
  CHECK(failed.failure().code == status::argument);
}

TEST_CASE("nodes on constants are computed once, and again when asked for") {
  ir::model m = network();
  // w3 comes out of two constant nodes: 0.5 * w3 twice.
  m.graph.initializers.push_back({"half", tensor_buffer::of(shape(1), std::vector<float>{0.5f}), "", {}});
  m.graph.initializers.push_back({"raw", noise(shape(8, 8, 1, 1), 4), "", {}});
  m.graph.nodes.insert(m.graph.nodes.begin(),
                       {make_node("Mul", {"raw", "half"}, {"m1"}), make_node("Mul", {"m1", "half"}, {"m2"})});
  m.graph.nodes[5].inputs[1] = "m2";
  const exec::session s = session_of(m);
  const tensor_buffer x = noise(shape(1, 3, 12, 12), 3);
  const auto plain = run(s, x);
  exec::run_options options;
  options.outputs = {"m1", "m2", "y"};
  const auto out = run(s, x, options);
  for (std::int64_t i = 0; i < 64; ++i) {
    CHECK(out[0].value.as<float>()[i] == 0.5f * m.graph.initializer("raw")->value.as<float>()[i]);
    CHECK(out[1].value.as<float>()[i] == 0.5f * out[0].value.as<float>()[i]);
  }
  CHECK(same_bits(out[2].value, plain[0].value));
}

TEST_CASE("bad feeds are named") {
  const exec::session s = session_of(network());
  const auto expect = [&](const std::vector<exec::named_tensor>& feeds, status code, const char* where) {
    const auto out = s.run(feeds);
    REQUIRE_FALSE(out);
    CHECK(out.failure().code == code);
    CHECK(out.failure().message().find(where) != std::string::npos);
    CHECK_FALSE(out.failure().advice.empty());
  };
  const tensor_buffer x = noise(shape(1, 3, 8, 8), 1);
  expect({}, status::data_missing, "input 'x'");
  expect({{"x", {}}}, status::data_missing, "input 'x'");
  expect({{"x", x}, {"z", x}}, status::argument, "'z'");
  expect({{"x", noise(shape(1, 4, 8, 8), 1)}}, status::data_shape, "[1,4,8,8]");
  expect({{"x", noise(shape(3, 8, 8), 1)}}, status::data_shape, "input 'x'");
  expect({{"x", tensor_buffer::of(shape(1, 3, 1, 1), std::vector<double>{1, 2, 3})}}, status::data_format, "f64");
}

TEST_CASE("a node that fails at run time is named, and the session goes on") {
  const exec::session s = session_of(network());
  const auto out = s.run({{"x", noise(shape(1, 3, 1, 1), 1)}});  // MaxPool 2x2 does not fit
  REQUIRE_FALSE(out);
  CHECK(out.failure().message().find("MaxPool") != std::string::npos);
  CHECK(run(s, noise(shape(1, 3, 8, 8), 1)).size() == 1);
}

TEST_CASE("F8_unknown_operator is named at create, in subgraphs too") {
  ir::model m = network();
  m.graph.nodes[4].op_type = "Softermax";
  const auto made = exec::session::create(std::make_shared<const ir::model>(m));
  REQUIRE_FALSE(made);
  CHECK(made.failure().code == status::unsupported);
  CHECK(made.failure().message().find("Softermax") != std::string::npos);
}

TEST_CASE("F10_missing_producer and F10_cycle fail at create") {
  ir::model m = network();
  m.graph.nodes[2].inputs[0] = "nowhere";
  auto made = exec::session::create(std::make_shared<const ir::model>(m));
  REQUIRE_FALSE(made);
  CHECK(made.failure().code == status::model_graph);
  m = network();
  m.graph.nodes[1].inputs[0] = "c3";
  made = exec::session::create(std::make_shared<const ir::model>(m));
  REQUIRE_FALSE(made);
  CHECK(made.failure().code == status::model_graph);
  CHECK_FALSE(exec::session::create(nullptr));
}

TEST_CASE("nodes need not be sorted; functions are inlined") {
  ir::model m = network();
  const tensor_buffer x = noise(shape(1, 3, 10, 10), 9);
  const tensor_buffer expected = run(session_of(m), x)[0].value;
  std::swap(m.graph.nodes[0], m.graph.nodes[5]);
  CHECK(same_bits(run(session_of(m), x)[0].value, expected));

  ir::model f = network();
  ir::function fn;
  fn.name = "Block";
  fn.domain = "local";
  fn.inputs = {"a", "w"};
  fn.outputs = {"out"};
  fn.attributes = {"spread"};
  fn.nodes = {make_node("Conv", {"a", "w"}, {"inner"}), make_node("Softmax", {"inner"}, {"out"})};
  ir::attribute axis;
  axis.name = "axis";
  axis.reference = "spread";
  axis.kind = 2;
  fn.nodes[1].attributes.push_back(axis);
  fn.opsets = {{"", 17}};
  f.functions = {fn};
  f.set_opset("local", 1);
  ir::node call = make_node("Block", {"p", "w3"}, {"s"});
  call.domain = "local";
  call.set({"spread", std::int64_t{-1}});
  f.graph.nodes[3] = call;
  f.graph.nodes.erase(f.graph.nodes.begin() + 4);
  CHECK(same_bits(run(session_of(f), x)[0].value, expected));
  f.functions[0].nodes[0].op_type = "Block";  // calls itself
  f.functions[0].nodes[0].domain = "local";
  CHECK_FALSE(exec::session::create(std::make_shared<const ir::model>(f)));
}

TEST_CASE("thread pool runs every task once, nested calls included") {
  exec::thread_pool pool(4);
  const parallel_for hook = pool.hook();
  for (int round = 0; round < 50; ++round) {
    std::vector<std::atomic<int>> hits(97);
    hook(97, [&](std::size_t i) { hook(3, [&](std::size_t) { hits[i].fetch_add(1); }); });
    for (const auto& h : hits) REQUIRE(h == 3);
  }
  CHECK(exec::usable_cores() >= 1);
}
