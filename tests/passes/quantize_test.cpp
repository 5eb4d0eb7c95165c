#include <cfloat>

#include "passes/graphs.hpp"
#include "quantal/passes/correct_bias.hpp"
#include "quantal/passes/pass.hpp"
#include "quantal/passes/place_qdq.hpp"
#include "quantal/passes/quantize_weights.hpp"
#include "quantal/passes/recognise_regions.hpp"
#include "quantal/passes/saturation.hpp"
#include "quantal/passes/select.hpp"

using namespace quantal;
using namespace quantal::testing;
using passes::node_form;

namespace {

passes::qdq_plan plan_of(const ir::model& m, const passes::qdq_options& o = {}) {
  auto types = ops::infer_types(m);
  if (!types) FAIL(types.failure().message());
  auto p = passes::plan_qdq(m, *types, o);
  if (!p) FAIL(p.failure().message());
  return *p;
}

const passes::node_plan& plan_for(const ir::model& m, const passes::qdq_plan& p, const std::string& value) {
  for (std::size_t i = 0; i < m.graph.nodes.size(); ++i)
    if (m.graph.nodes[i].outputs[0] == value) return p.nodes[i];
  FAIL("no node makes " << value);
  return p.nodes[0];
}

const passes::tensor_plan* tensor_for(const passes::qdq_plan& p, const std::string& name) {
  for (const auto& t : p.tensors)
    if (t.name == name) return &t;
  return nullptr;
}

// Ranges of the observed tensors for one input.
passes::range_map observe(const ir::model& m, const passes::qdq_plan& p, const tensor_buffer& x) {
  passes::range_map ranges;
  auto s = exec::session::create(std::make_shared<ir::model>(m));
  REQUIRE(s);
  exec::run_options o;
  o.outputs = p.observed();
  auto values = s->run({{"x", x}}, o);
  if (!values) FAIL(values.failure().message());
  for (const auto& v : *values) {
    passes::value_range r{INFINITY, -INFINITY};
    for (std::int64_t i = 0; i < v.value.elements(); ++i) {
      r.min = std::min(r.min, static_cast<double>(v.value.as<float>()[i]));
      r.max = std::max(r.max, static_cast<double>(v.value.as<float>()[i]));
    }
    ranges[v.name] = r;
  }
  return ranges;
}

builder residual_model() {
  builder b;
  b.input("x", {1, 3, 8, 8});
  b.constant("w1", floats(shape(4, 3, 3, 3), noise(108, 1))).constant("b1", floats(shape(4), noise(4, 2)));
  b.constant("w2", floats(shape(4, 4, 1, 1), noise(16, 3))).constant("w3", floats(shape(2, 4, 1, 1), noise(8, 4)));
  b.node("Conv", {"x", "w1", "b1"}, {"c1"}, {ints("pads", {1, 1, 1, 1})}).node("Relu", {"c1"}, {"r1"});
  b.node("Conv", {"r1", "w2"}, {"c2"})
      .node("Add", {"r1", "c2"}, {"sum"})
      .node("MaxPool", {"sum"}, {"pool"}, {ints("kernel_shape", {2, 2}), ints("strides", {2, 2})});
  b.node("Conv", {"pool", "w3"}, {"y"}).output("y");
  return b;
}

}  // namespace

TEST_CASE("weights: symmetric codes in [-127, 127], per channel, half to even, error at most half a step") {
  const std::vector<float> w = {1.0F, -0.5F, 127.0F, 2.5F, 3.5F, -127.0F};
  auto q = passes::quantize_weights(floats(shape(2, 3), w), {.axis = 0});
  REQUIRE(q);
  CHECK(q->scales == std::vector<float>{1, 1});
  const auto* c = q->values.as<std::int8_t>();
  CHECK(std::vector<int>(c, c + 6) == std::vector<int>{1, 0, 127, 2, 4, -127});  // -0.5 and 2.5, 3.5 are ties
  const auto v = noise(3 * 50, 11);
  auto many = passes::quantize_weights(floats(shape(50, 3), v), {.axis = 1});
  REQUIRE(many);
  REQUIRE(many->scales.size() == 3);
  for (std::size_t i = 0; i < v.size(); ++i)
    CHECK(std::fabs(v[i] - static_cast<float>(many->values.as<std::int8_t>()[i]) * many->scales[i % 3]) <=
          many->scales[i % 3] * 0.500001F);
}

TEST_CASE("Q1_zero_scale: an all-zero channel gets scale 1 and zeros; denormal weights too") {
  auto q = passes::quantize_weights(floats(shape(3, 2), {0, 0, 1, -1, 1e-40F, 0}), {.axis = 0});
  REQUIRE(q);
  CHECK(q->scales[0] == 1);
  CHECK(q->scales[2] == 1);
  CHECK(q->values.as<std::int8_t>()[0] == 0);
}

TEST_CASE("D1_nan_or_inf in a weight is an error") {
  CHECK(passes::quantize_weights(floats(shape(2), {1, NAN}), {}).failure().code == status::nan_value);
  CHECK(passes::quantize_weights(floats(shape(2), {1, INFINITY}), {}).failure().code == status::nan_value);
}

TEST_CASE("reduced range keeps |code| <= 64; clipping by error does not lose against the full range") {
  const auto v = noise(64, 5);
  auto q = passes::quantize_weights(floats(shape(64), v), {.reduce_range = true});
  REQUIRE(q);
  for (int i = 0; i < 64; ++i) CHECK(std::abs(int{q->values.as<std::int8_t>()[i]}) <= 64);
  std::vector<float> heavy = v;
  heavy[0] = 30;  // one outlier
  double error[2] = {};
  for (const bool clip : {false, true}) {
    passes::weight_options o;
    if (clip) o.range.method = calib::find_method("mse");
    auto r = passes::quantize_weights(floats(shape(64), heavy), o);
    REQUIRE(r);
    for (std::size_t i = 0; i < 64; ++i)
      error[clip] += std::pow(
          static_cast<double>(heavy[i] - static_cast<float>(r->values.as<std::int8_t>()[i]) * r->scales[0]), 2.0);
  }
  CHECK(error[1] <= error[0]);
}

TEST_CASE("any method finds the range of weights, channel by channel") {
  std::vector<float> v = noise(2 * 512, 7);
  for (std::size_t i = 512; i < 1024; ++i) v[i] *= 0.01F;
  v[0] = 20;  // an outlier in the first channel
  const tensor_buffer w = floats(shape(2, 512), v);
  for (const calib::method* m : calib::methods()) {
    CAPTURE(m->name);
    passes::weight_options o;
    o.axis = 0;
    o.range.method = m;
    auto q = passes::quantize_weights(w, o);
    if (!q) FAIL(q.failure().message());
    REQUIRE(q->scales.size() == 2);
    const std::string name = m->name;
    CHECK(q->scales[0] <= (name == "qat_shift" ? 32.0F : 20.0F) / 127);
    if (name == "stddev" || name == "scale") CHECK(q->scales[0] < 18.0F / 127);
    CHECK(q->scales[1] < q->scales[0] / 4);  // the other channel's values do not matter
  }
  passes::weight_options o;
  o.range = {calib::find_method("qat_shift"), {}};
  CHECK(passes::quantize_weights(w, o)->scales[0] == 32.0F / 127);
  o.range = {calib::find_method("percentile"), {}};
  o.range.options.percentile = 99;
  CHECK(passes::quantize_weights(w, o)->scales[0] < 2.0F / 127);
  o.range = {calib::find_method("scale"), {}};
  o.range.options.scale = 0.5;
  CHECK(passes::quantize_weights(w, o)->scales[0] == 10.0F / 127);
  o.range.options.scale = NAN;
  CHECK(passes::quantize_weights(w, o).failure().code == status::argument);
}

TEST_CASE("Q11_bias: a bias that would not fit 32 bits raises the weight's scale just enough") {
  const std::vector<float> bias = {1000.0F, 0.5F}, scales = {1e-9F, 1e-3F};
  const auto floors = passes::bias_guard(bias, 1e-3F, scales);
  REQUIRE(floors.size() == 2);
  CHECK(floors[1] == 0);
  CHECK(1000.0 / (1e-3 * static_cast<double>(floors[0])) <= passes::largest_bias_code);
  CHECK(1000.0 / (1e-3 * static_cast<double>(floors[0])) >= passes::largest_bias_code * 0.9999);
  CHECK(passes::bias_guard(std::vector<float>{1.0F}, 0.1F, std::vector<float>{0.1F}).empty());
  const tensor_buffer q = passes::quantize_bias(std::vector<float>{1.0F, -2.5F}, 0.5F, std::vector<float>{0.25F, 1.0F});
  CHECK(q.as<std::int32_t>()[0] == 8);
  CHECK(q.as<std::int32_t>()[1] == -5);
}

TEST_CASE("plan: Relu is fused, the residual Add and the pool between are integer, MaxPool shares its input's scale") {
  const builder b = residual_model();
  const auto p = plan_of(b.m);
  CHECK(plan_for(b.m, p, "c1").form == node_form::weighted);
  CHECK(plan_for(b.m, p, "r1").form == node_form::fused);
  CHECK(plan_for(b.m, p, "sum").form == node_form::integer);
  CHECK(plan_for(b.m, p, "pool").form == node_form::integer);
  CHECK(tensor_for(p, "c1") == nullptr);  // the range is taken after the Relu
  REQUIRE(tensor_for(p, "r1") != nullptr);
  CHECK(tensor_for(p, "pool")->group == tensor_for(p, "sum")->group);
  CHECK_FALSE(tensor_for(p, "pool")->root);
}

TEST_CASE("place: the pairs, the s32 bias, no Relu left, close to the float model") {
  for (const bool per_channel : {false, true}) {
    for (const dtype weights : {dtype::s8, dtype::u8}) {
      builder b = residual_model();
      passes::qdq_options o;
      o.per_channel = per_channel;
      o.weight_type = weights;
      const auto p = plan_of(b.m, o);
      const tensor_buffer x = floats(shape(1, 3, 8, 8), noise(192, 9));
      const auto reference = run(b.m, "x", x);
      auto done = passes::place_qdq(b.m, p, observe(b.m, p, x), o);
      if (!done) FAIL(done.failure().message());
      CHECK(count(b.m, "Relu") == 0);
      CHECK(count(b.m, "QuantizeLinear") == p.tensors.size());
      const ir::node* conv = maker(b.m, "r1");
      REQUIRE(conv != nullptr);
      CHECK(conv->op_type == "Conv");
      const ir::node* bias = maker(b.m, conv->inputs[2]);
      REQUIRE(bias != nullptr);
      CHECK(b.m.graph.initializer(bias->inputs[0])->value.type() == dtype::s32);
      const ir::node* weight = maker(b.m, conv->inputs[1]);
      CHECK(b.m.graph.initializer(weight->inputs[0])->value.type() == weights);
      CHECK(b.m.graph.initializer(weight->inputs[1])->value.elements() == (per_channel ? 4 : 1));
      // The bias has the scale of the accumulator.
      const float sx = *b.m.graph.initializer("x_scale")->value.as<float>();
      const float sw = *b.m.graph.initializer(weight->inputs[1])->value.as<float>();
      CHECK(*b.m.graph.initializer(bias->inputs[1])->value.as<float>() == sx * sw);
      CHECK(maker(b.m, "y")->op_type == "DequantizeLinear");  // the model output keeps its name and type
      CHECK(sqnr_db(reference, run(b.m, "x", x)) > 30);
    }
  }
}

TEST_CASE("a decomposed LayerNorm and a softmax stay in float, with their names as reason") {
  builder b;
  b.input("x", {4, 16})
      .constant("w", floats(shape(16, 16), noise(256, 1)))
      .constant("two", floats(shape(), {2}))
      .constant("eps", floats(shape(), {1e-5F}));
  b.constant("gamma", floats(shape(16), noise(16, 2))).constant("beta", floats(shape(16), noise(16, 3)));
  b.node("MatMul", {"x", "w"}, {"h"})
      .node("ReduceMean", {"h"}, {"mean"}, {ints("axes", {-1})})
      .node("Sub", {"h", "mean"}, {"d"})
      .node("Pow", {"d", "two"}, {"sq"});
  b.node("ReduceMean", {"sq"}, {"var"}, {ints("axes", {-1})})
      .node("Add", {"var", "eps"}, {"ve"})
      .node("Sqrt", {"ve"}, {"sd"})
      .node("Div", {"d", "sd"}, {"n"});
  b.node("Mul", {"n", "gamma"}, {"g"})
      .node("Add", {"g", "beta"}, {"ln"})
      .node("MatMul", {"ln", "w"}, {"y"})
      .output("y");
  const auto regions = passes::recognise_regions(b.m.graph);
  for (const char* inside : {"mean", "d", "sq", "var", "ve", "sd", "n", "g", "ln"}) {
    CAPTURE(inside);
    for (std::size_t i = 0; i < regions.size(); ++i)
      if (b.m.graph.nodes[i].outputs[0] == inside) CHECK(regions[i] == "LayerNorm");
  }
  const auto p = plan_of(b.m);
  CHECK(plan_for(b.m, p, "ln").form == node_form::floating);
  CHECK(plan_for(b.m, p, "sq").reason == "arithmetic of a decomposed LayerNorm");
  CHECK(tensor_for(p, "d") == nullptr);
  CHECK(tensor_for(p, "ln") != nullptr);  // the next MatMul's input
  CHECK(tensor_for(p, "y") == nullptr);   // model outputs stay float: no Q after the last MatMul
}

TEST_CASE("a filter bank over the raw signal whose result is squared stays in float unless it is included") {
  builder b;
  b.input("x", {1, 1, 64})
      .constant("w", floats(shape(8, 1, 16), noise(128, 1)))
      .constant("w2", floats(shape(4, 8, 3), noise(96, 2)))
      .constant("eps", floats(shape(), {1e-3F}));
  b.node("Conv", {"x", "w"}, {"c"})
      .node("Mul", {"c", "c"}, {"p"})
      .node("Add", {"p", "eps"}, {"pe"})
      .node("Log", {"pe"}, {"l"})
      .node("Conv", {"l", "w2"}, {"y"})
      .output("y");
  CHECK(plan_for(b.m, plan_of(b.m), "c").form == node_form::floating);
  CHECK(plan_for(b.m, plan_of(b.m), "y").form == node_form::weighted);
  passes::qdq_options o;
  o.include = {"node_c"};
  CHECK(plan_for(b.m, plan_of(b.m, o), "c").form == node_form::weighted);
}

TEST_CASE("the range before a HardSwish is cut at -3, where it is zero; HardSigmoid on both sides") {
  for (const char* act : {"HardSwish", "HardSigmoid"}) {
    builder b;
    b.input("x", {1, 2, 4, 4})
        .constant("w", floats(shape(2, 2, 1, 1), noise(4, 1)))
        .node("Conv", {"x", "w"}, {"c"})
        .node(act, {"c"}, {"h"})
        .node("Conv", {"h", "w"}, {"y"})
        .output("y");
    const auto p = plan_of(b.m);
    REQUIRE(tensor_for(p, "c") != nullptr);
    CHECK(tensor_for(p, "c")->low == Approx(act == std::string("HardSwish") ? -3.0 : -2.5));
    if (act == std::string("HardSwish")) {
      CHECK(std::isinf(tensor_for(p, "c")->high));
    } else {
      // a step more than its slope takes: zero and the results are codes then, not ties between two
      CHECK(tensor_for(p, "c")->high == Approx(2.5 + 5.0 / 254));
    }
  }
}

TEST_CASE("Concat inputs read once share the result's scale; one that others read keeps its own") {
  builder b;
  b.input("x", {1, 2, 4, 4})
      .constant("w", floats(shape(2, 2, 1, 1), noise(4, 1)))
      .constant("w4", floats(shape(2, 4, 1, 1), noise(8, 2)));
  b.node("Conv", {"x", "w"}, {"a"})
      .node("Conv", {"x", "w"}, {"b"})
      .node("Concat", {"a", "b"}, {"j"}, {ir::attribute("axis", std::int64_t{1})});
  b.node("Conv", {"j", "w4"}, {"z"}).node("Conv", {"b", "w"}, {"z2"}).node("Add", {"z", "z2"}, {"y"}).output("y");
  const auto p = plan_of(b.m);
  CHECK(tensor_for(p, "a")->group == tensor_for(p, "j")->group);
  CHECK(tensor_for(p, "b")->group != tensor_for(p, "j")->group);
}

TEST_CASE("exclude and include choose nodes by name and by operator, with the reason in the plan") {
  const builder b = residual_model();
  passes::qdq_options o;
  o.exclude = {"node_c2"};
  const auto p = plan_of(b.m, o);
  CHECK(plan_for(b.m, p, "c2").form == node_form::floating);
  CHECK(plan_for(b.m, p, "c2").reason == "excluded");
  o.exclude = {"Conv"};
  CHECK(plan_of(b.m, o).tensors.empty());
  CHECK(passes::glob_match("*/conv?", "block/conv1"));
  CHECK_FALSE(passes::glob_match("*/conv?", "block/conv12"));
  CHECK(passes::glob_match("a*b*c", "aXbYbZc"));
}

TEST_CASE("weights inside branches are named, not passed over in silence") {
  builder b;
  b.input("x", {1, 4});
  ir::graph branch;
  ir::node mm;
  mm.op_type = "MatMul";
  mm.inputs = {"x", "w"};
  mm.outputs = {"t"};
  branch.nodes.push_back(mm);
  ir::value_info out;
  out.name = "t";
  out.type = ir::value_type::tensor(dtype::f32);
  branch.outputs.push_back(out);
  b.constant("w", floats(shape(4, 4), noise(16, 1))).constant("cond", tensor_buffer::of<std::uint8_t>(shape(), {1}));
  b.node("If", {"cond"}, {"y"},
         {ir::attribute("then_branch", ir::graph_box(branch)), ir::attribute("else_branch", ir::graph_box(branch))})
      .output("y");
  const auto p = passes::plan_qdq(b.m, {}, {});
  REQUIRE(p);
  CHECK(p->nodes[0].form == node_form::floating);
  CHECK(p->nodes[0].reason.find("2 weighted operators inside its branches") != std::string::npos);
}

TEST_CASE("pairs that may saturate 16 bits are neighbours along the depth") {
  const auto s8 = [](const shape& dims, std::vector<std::int8_t> v) { return tensor_buffer::of<std::int8_t>(dims, v); };
  ir::node n;
  n.op_type = "MatMul";
  const std::vector<std::int8_t> alternating = {100, -100, 100, -100};  // [2, 2]: columns of one sign
  CHECK(passes::may_saturate(n, s8(shape(2, 2), alternating)));
  CHECK_FALSE(passes::may_saturate(n, s8(shape(2, 2), {100, 100, -100, -100})));
  CHECK_FALSE(passes::may_saturate(n, s8(shape(2, 1, 2), {100, 100, 100, 100})));  // two matrices of depth 1
  CHECK(passes::may_saturate(n, s8(shape(2), {100, 100})));
  CHECK(passes::may_saturate(n, s8(shape(2, 1), {64, 65})));
  CHECK_FALSE(passes::may_saturate(n, s8(shape(2, 1), {64, 64})));
  CHECK(passes::may_saturate(n, s8(shape(2, 1), {-127, -2})));
  n.op_type = "Gemm";
  CHECK(passes::may_saturate(n, s8(shape(2, 2), alternating)));
  n.set(ir::attribute("transB", std::int64_t{1}));
  CHECK_FALSE(passes::may_saturate(n, s8(shape(2, 2), alternating)));
  CHECK(passes::may_saturate(n, s8(shape(2, 2), {100, 100, -100, -100})));
  n = {};
  n.op_type = "Conv";
  CHECK(passes::may_saturate(n, s8(shape(1, 2, 1, 2), alternating)));  // channels of one position
  CHECK_FALSE(passes::may_saturate(n, s8(shape(1, 2, 1, 2), {100, 0, 0, -100})));
  CHECK(passes::may_saturate(n, s8(shape(1, 2, 1, 2), {0, 100, 100, 0})));  // last channel, then the next position
  CHECK(passes::may_saturate(n, s8(shape(1, 1, 1, 2), {100, 100})));
  CHECK_FALSE(passes::may_saturate(n, s8(shape(2, 1, 1, 1), {100, 100})));  // two outputs
}

TEST_CASE("placing warns of 16-bit sums for both types of activations, but not for u8 weights") {
  for (const auto& [activation, weight, warned] :
       {std::tuple{dtype::u8, dtype::s8, true}, std::tuple{dtype::s8, dtype::s8, true},
        std::tuple{dtype::u8, dtype::u8, false}}) {
    std::vector<float> w(16 * 8);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = i % 2 == 0 ? 1.0F : -1.0F;
    builder b;
    b.input("x", {4, 16}).constant("w", floats(shape(16, 8), w)).node("MatMul", {"x", "w"}, {"y"}).output("y");
    passes::qdq_options o;
    o.activation_type = activation;
    o.weight_type = weight;
    auto types = ops::infer_types(b.m);
    REQUIRE(types);
    auto p = passes::plan_qdq(b.m, *types, o);
    REQUIRE(p);
    passes::range_map ranges;
    for (const std::string& name : p->observed()) ranges[name] = {-1, 1};
    auto done = passes::place_qdq(b.m, *p, ranges, o);
    REQUIRE(done);
    REQUIRE(done->warnings.size() == (warned ? 1 : 0));
    if (!warned) continue;
    CHECK(done->warnings[0].find("--reduce-range") != std::string::npos);
    CHECK((done->warnings[0].find("--weight-type u8") != std::string::npos) == (activation == dtype::u8));
  }
}

TEST_CASE("D2_calibration: a tensor without an observed range is an error that names it") {
  builder b = residual_model();
  const auto p = plan_of(b.m);
  auto done = passes::place_qdq(b.m, p, {}, {});
  REQUIRE_FALSE(done);
  CHECK(done.failure().code == status::calibration);
  CHECK(done.failure().where == "x");
}

TEST_CASE("the mean error of rounded weights is weight error times channel mean, per output channel") {
  ir::node depthwise;
  depthwise.op_type = "Conv";
  depthwise.set(ir::attribute("group", std::int64_t{2}));
  const auto w = tensor_buffer::of<float>(shape(2, 1, 1, 1), {1.0F, 0.013F});
  const auto q = tensor_buffer::of<std::int8_t>(shape(2, 1, 1, 1), {127, 2});  // 0.013 * 127 = 1.651
  const std::vector<float> scale{1.0F / 127.0F};
  const std::vector<double> means{3, 5};
  const auto shift = passes::mean_error(depthwise, w, q, scale, means);
  REQUIRE(shift.size() == 2);
  CHECK(std::abs(shift[0]) < 1e-6);
  CHECK(shift[1] == Approx((2.0 / 127.0 - 0.013) * 5).epsilon(1e-5));
  CHECK(passes::mean_error(depthwise, w, q, scale, std::vector<double>{3}).empty());

  ir::node gemm;  // [C = 2, O = 1]: both inputs add to the one output
  gemm.op_type = "Gemm";
  const auto wg = tensor_buffer::of<float>(shape(2, 1), {1.0F, 0.013F});
  const auto qg = tensor_buffer::of<std::int8_t>(shape(2, 1), {127, 2});
  const auto one = passes::mean_error(gemm, wg, qg, scale, means);
  REQUIRE(one.size() == 1);
  CHECK(one[0] == Approx((2.0 / 127.0 - 0.013) * 5).epsilon(1e-4));
}
