#include "passes/graphs.hpp"
#include "quantal/passes/convert_fp16.hpp"
#include "quantal/passes/quantize_dynamic.hpp"

using namespace quantal;
using namespace quantal::testing;
using passes::node_form;

namespace {

template <class F>
auto apply(ir::model& m, const F& pass, const passes::qdq_options& o = {}) {
  auto types = ops::infer_types(m);
  if (!types) FAIL(types.failure().message());
  auto done = pass(m, *types, o);
  if (!done) FAIL(done.failure().message());
  if (auto ok = ir::verify(m); !ok) FAIL(ok.failure().message());
  return *done;
}

}  // namespace

TEST_CASE("dynamic: MatMul and Gemm become MatMulInteger, one DynamicQuantizeLinear per value") {
  builder b;
  b.input("x", {5, 32})
      .constant("w", floats(shape(32, 16), noise(512, 1)))
      .constant("v", floats(shape(16, 32), noise(512, 2)))
      .constant("c", floats(shape(16), noise(16, 3)));
  b.node("MatMul", {"x", "w"}, {"a"})
      .node("Gemm", {"x", "v", "c"}, {"g"}, {ir::attribute("transB", std::int64_t{1})})
      .node("Add", {"a", "g"}, {"y"})
      .output("y");
  const tensor_buffer x = floats(shape(5, 32), noise(160, 4));
  const auto reference = run(b.m, "x", x);
  const auto plan = apply(b.m, passes::quantize_dynamic).nodes;
  CHECK(count(b.m, "DynamicQuantizeLinear") == 1);
  CHECK(count(b.m, "MatMulInteger") == 2);
  CHECK(count(b.m, "MatMul") + count(b.m, "Gemm") == 0);
  CHECK(plan[0].form == node_form::weighted);
  CHECK(plan[2].form == node_form::floating);
  CHECK(sqnr_db(reference, run(b.m, "x", x)) > 35);
}

TEST_CASE("dynamic: Conv stays in float with a reason, and becomes ConvInteger when included") {
  for (const bool included : {false, true}) {
    builder b;
    b.input("x", {1, 3, 8, 8})
        .constant("w", floats(shape(4, 3, 3, 3), noise(108, 1)))
        .constant("c", floats(shape(4), noise(4, 2)));
    b.node("Conv", {"x", "w", "c"}, {"y"}, {ints("pads", {1, 1, 1, 1})}).output("y");
    const tensor_buffer x = floats(shape(1, 3, 8, 8), noise(192, 4));
    const auto reference = run(b.m, "x", x);
    passes::qdq_options o;
    if (included) o.include = {"Conv"};
    const auto plan = apply(b.m, passes::quantize_dynamic, o).nodes;
    CHECK(count(b.m, "ConvInteger") == (included ? 1u : 0u));
    CHECK(plan[0].reason.empty() == included);
    CHECK(sqnr_db(reference, run(b.m, "x", x)) > 30);
  }
}

TEST_CASE("dynamic: weights whose 16-bit sums may saturate are a warning, with 7 bits none") {
  for (const char* op : {"MatMul", "Gemm", "Conv"}) {
    for (const bool reduced : {false, true}) {
      builder b;
      // Columns of one sign: neighbours along the depth add up, neighbours in memory cancel.
      std::vector<float> w(32 * 16);
      for (std::size_t i = 0; i < w.size(); ++i) w[i] = i % 2 == 0 ? 1.0F : -1.0F;
      const bool conv = std::string(op) == "Conv";
      if (conv)
        b.input("x", {1, 16, 8, 8}).constant("w", floats(shape(16, 16, 1, 2), w));
      else
        b.input("x", {5, 32}).constant("w", floats(shape(32, 16), w));
      b.node(op, {"x", "w"}, {"y"}).output("y");
      passes::qdq_options o;
      o.reduce_range = reduced;
      if (conv) o.include = {"Conv"};
      CAPTURE(op, reduced);
      const auto warnings = apply(b.m, passes::quantize_dynamic, o).warnings;
      REQUIRE(warnings.size() == (reduced ? 0 : 1));
      if (!reduced) CHECK(warnings[0].find("1 operators have weights whose u8 x s8 products can exceed 16 bits") == 0);
    }
  }
}

TEST_CASE("fp16: inputs and outputs stay f32, weights are f16, the result is close") {
  builder b;
  b.input("x", {1, 3, 8, 8})
      .constant("w", floats(shape(4, 3, 3, 3), noise(108, 1)))
      .node("Conv", {"x", "w"}, {"c"})
      .node("Relu", {"c"}, {"y"})
      .output("y");
  const tensor_buffer x = floats(shape(1, 3, 8, 8), noise(192, 4));
  const auto reference = run(b.m, "x", x);
  apply(b.m, passes::convert_fp16);
  CHECK(maker(b.m, "y")->op_type == "Cast");
  CHECK(count(b.m, "Cast") == 2);
  CHECK(sqnr_db(reference, run(b.m, "x", x)) > 55);
}

TEST_CASE("fp16: what f16 cannot hold stays in f32, with casts on both sides and no type left over") {
  builder b;
  b.input("x", {4, 8}).constant("w", floats(shape(8, 8), noise(64, 1))).constant("tiny", floats(shape(), {1e-10F}));
  b.node("Relu", {"x"}, {"r"})
      .node("MatMul", {"r", "w"}, {"h"})
      .node("Mul", {"h", "h"}, {"sq"})
      .node("Add", {"sq", "tiny"}, {"e"})
      .node("Log", {"e"}, {"l"})
      .node("MatMul", {"l", "w"}, {"y"})
      .output("y");
  const tensor_buffer x = floats(shape(4, 8), noise(32, 4));
  const auto reference = run(b.m, "x", x);
  const auto plan = apply(b.m, passes::convert_fp16);
  CHECK(plan[1].form == node_form::integer);
  CHECK(plan[2].reason == "a square can leave the range of f16");
  CHECK(plan[3].reason == "a constant does not fit f16");
  CHECK(plan[4].reason == "numerically unsafe in f16");
  CHECK(sqnr_db(reference, run(b.m, "x", x)) > 40);
}

TEST_CASE("fp16: a branch reads outer values as f32 and stores its weights as f16") {
  builder b;
  b.input("x", {2, 16});
  auto branch = [](float factor, const std::string& out) {
    ir::graph g;
    ir::constant w;
    w.name = "inner_" + out;
    w.value = floats(shape(16, 16), std::vector<float>(256, factor));
    g.initializers.push_back(w);
    ir::node mm;
    mm.op_type = "MatMul";
    mm.inputs = {"h", w.name};
    mm.outputs = {out};
    g.nodes.push_back(mm);
    ir::value_info v;
    v.name = out;
    v.type = ir::value_type::tensor(dtype::f32);
    g.outputs.push_back(v);
    return g;
  };
  std::vector<float> identity(256, 0.0F);
  for (std::size_t i = 0; i < 16; ++i) identity[i * 17] = 1;
  b.constant("w", floats(shape(16, 16), identity)).constant("cond", tensor_buffer::of<std::uint8_t>(shape(), {1}));
  tensor_buffer& cond = b.m.graph.initializers[1].value;
  cond = tensor_buffer::wrap(dtype::boolean, shape(), cond.mutable_data(), cond.owner());
  b.node("MatMul", {"x", "w"}, {"h"});
  b.node("If", {"cond"}, {"y"},
         {ir::attribute("then_branch", ir::graph_box(branch(0.5F, "t"))),
          ir::attribute("else_branch", ir::graph_box(branch(0.25F, "e")))})
      .output("y");
  const tensor_buffer x = floats(shape(2, 16), noise(32, 4));
  const auto reference = run(b.m, "x", x);
  apply(b.m, passes::convert_fp16);
  CHECK(sqnr_db(reference, run(b.m, "x", x)) > 50);
  const ir::node* branching = maker(b.m, "y");
  REQUIRE(branching != nullptr);
  CHECK(branching->get_graph("then_branch")->initializers[0].value.type() == dtype::f16);
}
