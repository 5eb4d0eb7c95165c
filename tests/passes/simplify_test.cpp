#include "passes/graphs.hpp"
#include "quantal/passes/clean_up.hpp"
#include "quantal/passes/fold_affine.hpp"
#include "quantal/passes/fold_constants.hpp"
#include "quantal/passes/fold_pads.hpp"
#include "quantal/passes/pass.hpp"
#include "quantal/passes/recognise_activations.hpp"

using namespace quantal;
using namespace quantal::testing;

namespace {

// Runs `pass` and checks that the model is sound and computes the same on random data.
void same_after(ir::model& m, const shape& x_dims, result<std::size_t> (*pass)(ir::model&), std::size_t at_least,
                double tolerance = 1e-5) {
  const tensor_buffer x = floats(x_dims, noise(x_dims.elements(), 7));
  const auto before = run(m, "x", x);
  auto changes = pass(m);
  if (!changes) FAIL(changes.failure().message());
  CHECK(*changes >= at_least);
  REQUIRE(ir::verify(m));
  CHECK(largest_difference(before, run(m, "x", x)) <= tolerance);
}

result<std::size_t> simplify_all(ir::model& m) {
  return passes::run(m, passes::simplify());
}

builder conv_model(std::vector<std::int64_t> pads = {1, 1, 1, 1}) {
  builder b;
  b.input("x", {2, 3, 6, 6})
      .constant("w", floats(shape(4, 3, 3, 3), noise(108, 1)))
      .constant("b", floats(shape(4), noise(4, 2)));
  b.node("Conv", {"x", "w", "b"}, {"c"}, {ints("pads", std::move(pads)), ints("kernel_shape", {3, 3})});
  return b;
}

void add_batch_norm(builder& b, const std::string& in, const std::string& out, std::int64_t channels) {
  b.constant(out + "_s", floats(shape(channels), noise(channels, 3)))
      .constant(out + "_b", floats(shape(channels), noise(channels, 4)));
  b.constant(out + "_m", floats(shape(channels), noise(channels, 5)));
  std::vector<float> var = noise(channels, 6);
  for (float& v : var) v = v * v + 0.1F;
  b.constant(out + "_v", floats(shape(channels), var));
  b.node("BatchNormalization", {in, out + "_s", out + "_b", out + "_m", out + "_v"}, {out});
}

}  // namespace

TEST_CASE("BatchNormalization after Conv folds into weights and bias, the value keeps its name") {
  builder b = conv_model();
  add_batch_norm(b, "c", "y", 4);
  b.output("y");
  same_after(b.m, shape(2, 3, 6, 6), passes::fold_batch_norm, 1);
  CHECK(count(b.m, "BatchNormalization") == 0);
  CHECK(maker(b.m, "y")->op_type == "Conv");
}

TEST_CASE("BatchNormalization folds into grouped ConvTranspose, whose output channels lie inside each group") {
  builder b;
  b.input("x", {1, 4, 5, 5}).constant("w", floats(shape(4, 3, 2, 2), noise(48, 1)));
  b.node("ConvTranspose", {"x", "w"}, {"c"}, {ir::attribute("group", std::int64_t{2}), ints("kernel_shape", {2, 2})});
  add_batch_norm(b, "c", "y", 6);
  b.output("y");
  same_after(b.m, shape(1, 4, 5, 5), passes::fold_batch_norm, 1);
  CHECK(count(b.m, "BatchNormalization") == 0);
}

TEST_CASE("BatchNormalization after a Relu folds into the next Conv only where no padding is read") {
  for (const bool padded : {false, true}) {
    builder b;
    const std::int64_t p = padded ? 1 : 0;
    b.input("x", {1, 3, 6, 6}).node("Relu", {"x"}, {"r"});
    add_batch_norm(b, "r", "n", 3);
    b.constant("w", floats(shape(4, 3, 3, 3), noise(108, 1)));
    b.node("Conv", {"n", "w"}, {"y"}, {ints("pads", {p, p, p, p}), ints("kernel_shape", {3, 3})}).output("y");
    same_after(b.m, shape(1, 3, 6, 6), passes::fold_batch_norm, padded ? 0 : 1);
    CHECK(count(b.m, "BatchNormalization") == (padded ? 1u : 0u));
  }
}

TEST_CASE("Mul, Add, Div, Sub and Neg by constants around Conv fold; a value with two readers does not") {
  builder b = conv_model();
  b.constant("k", floats(shape(1, 4, 1, 1), noise(4, 9)))
      .constant("s", floats(shape(), {0.25F}))
      .constant("d", floats(shape(4, 1, 1), {1, 2, 3, 4}));
  b.node("Mul", {"k", "c"}, {"c1"})
      .node("Add", {"c1", "s"}, {"c2"})
      .node("Neg", {"c2"}, {"c3"})
      .node("Sub", {"s", "c3"}, {"c4"})
      .node("Div", {"c4", "d"}, {"y"});
  b.output("y");
  same_after(b.m, shape(2, 3, 6, 6), passes::fold_affine, 5);
  CHECK(b.m.graph.nodes.size() == 1);

  builder two = conv_model();
  two.constant("s", floats(shape(), {2.0F})).node("Mul", {"c", "s"}, {"t"}).node("Add", {"t", "c"}, {"y"}).output("y");
  same_after(two.m, shape(2, 3, 6, 6), passes::fold_affine, 0);
  CHECK(count(two.m, "Mul") == 1);
}

TEST_CASE("a constant along another axis than the channels is left alone") {
  builder b = conv_model();
  b.constant("k", floats(shape(6), noise(6, 9))).node("Mul", {"c", "k"}, {"y"}).output("y");
  same_after(b.m, shape(2, 3, 6, 6), passes::fold_affine, 0);
}

TEST_CASE("a weight that two operators share is not copied for a factor") {
  builder b;
  b.input("x", {1, 2, 4, 4}).constant("w", floats(shape(2, 2, 1, 1), noise(4, 1)));
  b.node("Conv", {"x", "w"}, {"a"})
      .node("Neg", {"a"}, {"n"})
      .node("Conv", {"x", "w"}, {"c"})
      .node("Add", {"n", "c"}, {"y"})
      .output("y");
  same_after(b.m, shape(1, 2, 4, 4), passes::fold_affine, 0);
}

TEST_CASE("MatMul and a row become Gemm; alpha, beta and a 2-D bias are normalised") {
  builder b;
  b.input("x", {3, 5}).constant("w", floats(shape(5, 4), noise(20, 1))).constant("b", floats(shape(1, 4), noise(4, 2)));
  b.node("MatMul", {"x", "w"}, {"t"}).node("Add", {"b", "t"}, {"y"}).output("y");
  same_after(b.m, shape(3, 5), passes::join_matmul_add, 1);
  CHECK(maker(b.m, "y")->op_type == "Gemm");

  builder g;
  g.input("x", {3, 5}).constant("w", floats(shape(4, 5), noise(20, 1))).constant("b", floats(shape(1, 4), noise(4, 2)));
  g.node("Gemm", {"x", "w", "b"}, {"y"},
         {ir::attribute("transB", std::int64_t{1}), ir::attribute("alpha", 0.5F), ir::attribute("beta", 2.0F)})
      .output("y");
  same_after(g.m, shape(3, 5), passes::fold_gemm_factors, 1);
  CHECK(maker(g.m, "y")->get_float("alpha", 1) == 1);
  CHECK(g.m.graph.initializer(maker(g.m, "y")->inputs[2])->value.dims() == shape(4));
}

TEST_CASE("a zero Pad before Conv becomes its padding; reflection and values other than zero stay") {
  for (const char* mode : {"constant", "reflect"}) {
    builder b;
    b.input("x", {1, 3, 6, 6}).constant("p", tensor_buffer::of<std::int64_t>(shape(8), {0, 0, 1, 2, 0, 0, 2, 1}));
    b.constant("w", floats(shape(4, 3, 3, 3), noise(108, 1)));
    b.node("Pad", {"x", "p"}, {"q"}, {ir::attribute("mode", std::string(mode))});
    b.node("Conv", {"q", "w"}, {"y"}, {ints("pads", {1, 0, 0, 1}), ints("kernel_shape", {3, 3})}).output("y");
    const bool folds = std::string(mode) == "constant";
    same_after(b.m, shape(1, 3, 6, 6), passes::fold_pads, folds ? 1 : 0);
    if (folds) CHECK(maker(b.m, "y")->get_ints("pads") == std::vector<std::int64_t>{2, 2, 2, 2});
  }
}

TEST_CASE("chains of constants and known shapes are computed, growth is bounded") {
  builder b;
  b.input("x", {2, 6})
      .constant("one", tensor_buffer::of<std::int64_t>(shape(1), {1}))
      .constant("zero", tensor_buffer::of<std::int64_t>(shape(1), {0}));
  b.constant("minus", tensor_buffer::of<std::int64_t>(shape(1), {-1}));
  b.node("Shape", {"x"}, {"s"})
      .node("Slice", {"s", "zero", "one", "zero"}, {"n"})
      .node("Concat", {"n", "minus", "one"}, {"target"}, {ir::attribute("axis", std::int64_t{0})});
  b.node("Reshape", {"x", "target"}, {"y"}).output("y");
  same_after(b.m, shape(2, 6), simplify_all, 3, 0);
  CHECK(b.m.graph.nodes.size() == 1);

  builder large;  // 4 GB if it were computed
  large.input("x", {1}).constant("dims", tensor_buffer::of<std::int64_t>(shape(2), {32768, 32768}));
  large.node("ConstantOfShape", {"dims"}, {"z"})
      .node("ReduceSum", {"z"}, {"r"}, {ir::attribute("keepdims", std::int64_t{0})})
      .node("Add", {"x", "r"}, {"y"})
      .output("y");
  auto changes = passes::fold_constants(large.m);
  REQUIRE(changes);
  CHECK(count(large.m, "ConstantOfShape") == 1);
}

TEST_CASE("identities go, names of model outputs stay") {
  builder b;
  b.input("x", {2, 3, 4})
      .node("Identity", {"x"}, {"a"})
      .node("Transpose", {"a"}, {"t"}, {ints("perm", {0, 2, 1})})
      .node("Transpose", {"t"}, {"u"}, {ints("perm", {0, 2, 1})});
  b.node("Dropout", {"u"}, {"d"}).node("Relu", {"d"}, {"r"}).node("Identity", {"r"}, {"y"}).output("y");
  same_after(b.m, shape(2, 3, 4), passes::remove_identities, 4, 0);
  REQUIRE(passes::remove_dead(b.m));  // the first of the two Transposes
  CHECK(b.m.graph.nodes.size() == 1);
  CHECK(b.m.graph.nodes[0].op_type == "Relu");

  builder through;  // input straight to output: the node is the model
  through.input("x", {2}).node("Identity", {"x"}, {"y"}).output("y");
  same_after(through.m, shape(2), passes::remove_identities, 0, 0);
}

TEST_CASE("a Dropout that trains is no identity") {
  builder b;
  b.input("x", {4})
      .constant("ratio", floats(shape(), {0.5F}))
      .constant("train", tensor_buffer::of<std::uint8_t>(shape(), {1}));
  b.m.graph.initializers[1].value = tensor_buffer::wrap(
      dtype::boolean, shape(), b.m.graph.initializers[1].value.mutable_data(), b.m.graph.initializers[1].value.owner());
  b.node("Dropout", {"x", "ratio", "train"}, {"y"}).output("y");
  auto changes = passes::remove_identities(b.m);
  REQUIRE(changes);
  CHECK(count(b.m, "Dropout") == 1);
}

TEST_CASE("every spelling of hard-swish becomes HardSwish") {
  for (int form = 0; form < 4; ++form) {
    builder b;
    b.input("x", {64})
        .constant("three", floats(shape(), {3}))
        .constant("zero", floats(shape(), {0}))
        .constant("six", floats(shape(), {6}));
    b.constant("sixth", floats(shape(), {1.0F / 6}));
    if (form == 3) {
      b.node("HardSigmoid", {"x"}, {"g"}, {ir::attribute("alpha", 1.0F / 6), ir::attribute("beta", 0.5F)})
          .node("Mul", {"g", "x"}, {"y"});
    } else {
      b.node("Add", {"three", "x"}, {"a"}).node("Clip", {"a", "zero", "six"}, {"c"});
      if (form == 0) b.node("Mul", {"x", "c"}, {"m"}).node("Div", {"m", "six"}, {"y"});
      if (form == 1) b.node("Mul", {"c", "x"}, {"m"}).node("Mul", {"sixth", "m"}, {"y"});
      if (form == 2) b.node("Div", {"c", "six"}, {"m"}).node("Mul", {"x", "m"}, {"y"});
    }
    b.output("y");
    const std::vector<float> wide = noise(64, 3);
    std::vector<float> x(64);
    for (std::size_t i = 0; i < 64; ++i) x[i] = wide[i] * 6;
    const auto before = run(b.m, "x", floats(shape(64), x));
    REQUIRE(simplify_all(b.m));
    REQUIRE(b.m.graph.nodes.size() == 1);
    CHECK(b.m.graph.nodes[0].op_type == "HardSwish");
    CHECK(largest_difference(before, run(b.m, "x", floats(shape(64), x))) < 1e-5);
  }
}

TEST_CASE("almost a hard-swish is left alone") {
  builder b;
  b.input("x", {8})
      .constant("three", floats(shape(), {3}))
      .constant("zero", floats(shape(), {0}))
      .constant("five", floats(shape(), {5}))
      .constant("six", floats(shape(), {6}));
  b.node("Add", {"x", "three"}, {"a"})
      .node("Clip", {"a", "zero", "five"}, {"c"})
      .node("Mul", {"x", "c"}, {"m"})
      .node("Div", {"m", "six"}, {"y"})
      .output("y");
  REQUIRE(simplify_all(b.m));
  CHECK(count(b.m, "HardSwish") == 0);
}

TEST_CASE("a constant of higher rank than x is no part of an activation: the result's shape stays") {
  for (const bool gate : {false, true}) {
    for (const int rank : {1, 2, 3}) {
      const shape ones = rank == 3 ? shape(1, 1, 1) : rank == 2 ? shape(1, 1) : shape(1);
      builder b;
      b.input("x", {6, 8})
          .constant("three", floats(ones, {3}))
          .constant("zero", floats(shape(), {0}))
          .constant("six", floats(ones, {6}));
      b.node("Add", {"x", "three"}, {"a"}).node("Clip", {"a", "zero", "six"}, {"c"});
      b.m.graph.nodes.back().inputs[2] = "top";
      b.constant("top", floats(shape(), {6}));
      if (gate) b.node("Div", {"c", "six"}, {"y"});
      if (!gate) b.node("Mul", {"x", "c"}, {"m"}).node("Div", {"m", "six"}, {"y"});
      b.output("y");
      CAPTURE(gate, rank);
      REQUIRE(simplify_all(b.m));
      CHECK(count(b.m, gate ? "HardSigmoid" : "HardSwish") == (rank == 3 ? 0 : 1));
    }
  }
}
