// Inference over models: symbols through shape arithmetic, contradictions, subgraphs, and attributes out of range
// (F11).
#include <catch2/catch.hpp>

#include "quantal/ops/infer.hpp"

using namespace quantal;

namespace {

using ints = std::vector<std::int64_t>;

struct builder {
  ir::model m;
  builder(std::int64_t opset = 17) {
    m.ir_version = 8;
    m.set_opset("", opset);
  }
  builder& input(const std::string& name, dtype t, std::vector<ir::dim> dims) {
    m.graph.inputs.push_back({name, ir::value_type::tensor(t, std::move(dims)), "", {}});
    return *this;
  }
  builder& constant(const std::string& name, tensor_buffer t) {
    m.graph.initializers.push_back({name, std::move(t), "", {}});
    return *this;
  }
  builder& ints_constant(const std::string& name, const ints& v) {
    return constant(name, tensor_buffer::of(shape(static_cast<std::int64_t>(v.size())), v));
  }
  builder& node(const std::string& type, std::vector<std::string> in, std::vector<std::string> out,
                std::vector<ir::attribute> attributes = {}) {
    ir::node n;
    n.op_type = type;
    n.inputs = std::move(in);
    n.outputs = std::move(out);
    n.attributes = std::move(attributes);
    m.graph.nodes.push_back(std::move(n));
    return *this;
  }
  // "f32[N,3,?]", "?" for an unknown type, or "error: <where>: <what>".
  std::string type(const std::string& name) const {
    const auto types = ops::infer_types(m);
    if (!types) return "error: " + types.failure().where + ": " + types.failure().what;
    auto at = types->find(name);
    if (at == types->end()) return "?";
    std::string text = name_of(at->second.elem);
    if (!at->second.has_rank()) return text + "[...]";
    text += "[";
    for (const ir::dim& d : *at->second.dims) {
      if (text.back() != '[') text += ",";
      text += d.known() ? std::to_string(d.value) : d.symbol.empty() ? "?" : d.symbol;
    }
    return text + "]";
  }
  status code() const {
    const auto types = ops::infer_types(m);
    return types ? status::ok : types.failure().code;
  }
};

const ir::dim N("N"), T("T"), unknown;

ir::attribute axis(std::int64_t v) {
  return {"axis", v};
}

}  // namespace

TEST_CASE("symbols pass through Shape, Gather, Concat and Reshape") {
  builder b;
  b.input("x", dtype::f32, {N, T, 64}).node("Shape", {"x"}, {"s"});
  b.constant("zero", tensor_buffer::of(shape(), ints{0})).constant("one", tensor_buffer::of(shape(), ints{1}));
  b.node("Gather", {"s", "zero"}, {"n"}).node("Gather", {"s", "one"}, {"t"});
  b.ints_constant("axes", {0}).node("Unsqueeze", {"n", "axes"}, {"n1"}).node("Unsqueeze", {"t", "axes"}, {"t1"});
  b.ints_constant("heads", {4, 16}).node("Concat", {"n1", "t1", "heads"}, {"target"}, {axis(0)});
  b.node("Reshape", {"x", "target"}, {"y"});
  b.node("Transpose", {"y"}, {"z"}, {{"perm", ints{0, 2, 1, 3}}});
  b.ints_constant("flat", {0, 0, -1}).node("Reshape", {"y", "flat"}, {"back"});
  CHECK(b.type("y") == "f32[N,T,4,16]");
  CHECK(b.type("z") == "f32[N,4,T,16]");
  CHECK(b.type("back") == "f32[N,T,64]");
}

TEST_CASE("-1 in Reshape divides numbers and cancels symbols") {
  builder b;
  b.input("x", dtype::f32, {N, 8, 4, 4}).ints_constant("a", {0, -1}).node("Reshape", {"x", "a"}, {"y"});
  b.ints_constant("c", {-1, 128}).node("Reshape", {"x", "c"}, {"z"});
  CHECK(b.type("y") == "f32[N,128]");
  CHECK(b.type("z") == "f32[N,128]");
  b.input("k", dtype::f32, {2, 3}).ints_constant("d", {4, -1}).node("Reshape", {"k", "d"}, {"bad"});
  CHECK(b.type("y").find("do not divide") != std::string::npos);
}

TEST_CASE("pads computed by ConstantOfShape, Slice, Concat and Cast are known") {
  builder b(13);
  b.input("x", dtype::f32, {1, 2, 10}).ints_constant("count", {4});
  b.constant("half", tensor_buffer::of(shape(2), std::vector<std::int32_t>{3, 5}));
  b.node("Cast", {"half"}, {"tail"}, {{"to", std::int64_t{7}}});
  b.node("ConstantOfShape", {"count"}, {"zeros"},
         {{"value", ir::constant{"", tensor_buffer::of(shape(1), ints{0}), "", {}}}});
  b.node("Concat", {"zeros", "tail"}, {"six"}, {axis(0)});  // 0 0 0 0 3 5
  b.ints_constant("start", {2}).ints_constant("end", {6}).node("Slice", {"six", "start", "end"}, {"four"});  // 0 0 3 5
  b.ints_constant("first", {0}).ints_constant("two", {2}).node("Slice", {"four", "first", "two"}, {"left"});
  b.node("Concat", {"left", "tail"}, {"all4"}, {axis(0)});
  b.ints_constant("one", {1}).node("Concat", {"first", "all4", "one"}, {"pads"}, {axis(0)});  // 0 0 0 3 5 1
  b.node("Pad", {"x", "pads"}, {"y"});
  CHECK(b.type("y") == "f32[4,7,11]");
}

TEST_CASE("broadcasting of symbolic dimensions") {
  builder b;
  b.input("a", dtype::f32, {N, 1, 5}).input("b", dtype::f32, {T, 1}).input("c", dtype::f32, {N, 7, 1});
  b.node("Add", {"a", "b"}, {"ab"}).node("Mul", {"a", "c"}, {"ac"}).node("Less", {"a", "c"}, {"lt"});
  CHECK(b.type("ab") == "f32[N,T,5]");
  CHECK(b.type("ac") == "f32[N,7,5]");
  CHECK(b.type("lt") == "bool[N,7,5]");
  builder bad;
  bad.input("a", dtype::f32, {2}).input("b", dtype::f32, {3}).node("Add", {"a", "b"}, {"y"});
  CHECK(bad.type("y") == "error: Add -> y: dimensions 2 and 3 do not broadcast");
  CHECK(bad.code() == status::model_type);
}

TEST_CASE("a stated type is merged; a contradiction names node and value") {
  builder b;
  b.input("x", dtype::f32, {unknown, 3}).node("Relu", {"x"}, {"y"});
  b.m.graph.value_infos.push_back({"y", ir::value_type::tensor(dtype::f32, {ir::dim(4), unknown}), "", {}});
  CHECK(b.type("y") == "f32[4,3]");
  b.m.graph.value_infos[0].type.dims->at(1) = ir::dim(5);
  const std::string message = b.type("y");
  CHECK(message.find("Relu -> y") != std::string::npos);
  CHECK(message.find("'y'") != std::string::npos);
  b.m.graph.value_infos[0].type = ir::value_type::tensor(dtype::s64);
  CHECK(b.code() == status::model_type);
}

TEST_CASE("branches of If agree where they can, and a known condition chooses") {
  const auto branch = [](std::int64_t n) {
    ir::graph g;
    g.name = "branch";
    g.initializers.push_back({"shape", tensor_buffer::of(shape(2), ints{2, n}), "", {}});
    ir::node make;
    make.op_type = "ConstantOfShape";
    make.inputs = {"shape"};
    make.outputs = {"r"};
    ir::node add;  // reads an outer name
    add.op_type = "Add";
    add.inputs = {"r", "x"};
    add.outputs = {"out"};
    g.nodes = {make, add};
    g.outputs.push_back({"out", {}, "", {}});
    return ir::graph_box(std::move(g));
  };
  builder b;
  b.input("cond", dtype::boolean, {}).input("x", dtype::f32, {1});
  b.node("If", {"cond"}, {"y"}, {{"then_branch", branch(3)}, {"else_branch", branch(4)}});
  CHECK(b.type("y") == "f32[2,?]");
  builder known;
  const auto truth = tensor_buffer::make(dtype::boolean, shape());
  tensor_buffer yes = *truth;
  *yes.mutable_as<std::uint8_t>() = 1;
  known.constant("cond", yes).input("x", dtype::f32, {1});
  known.node("If", {"cond"}, {"y"}, {{"then_branch", branch(3)}, {"else_branch", branch(4)}});
  CHECK(known.type("y") == "f32[2,3]");
}

TEST_CASE("operators Quantal does not know give unknown types, and nodes may come in any order") {
  builder b;
  b.input("x", dtype::f32, {2});
  b.node("Relu", {"u"}, {"v"}).node("Exp", {"x"}, {"u"}).node("Unheard", {"v"}, {"w"}).node("Relu", {"w"}, {"z"});
  CHECK(b.type("v") == "f32[2]");
  CHECK(b.type("w") == "?");
}

TEST_CASE("F11_axis_out_of_range") {
  const std::pair<const char*, std::int64_t> cases[] = {{"Concat", -3}, {"Concat", 2}, {"Split", 2},
                                                        {"ArgMax", -3}, {"Gather", 5}, {"Hardmax", 9},
                                                        {"Flatten", 3}, {"TopK", -3},  {"Flatten", INT64_MIN}};
  for (const auto& [op, value] : cases) {
    INFO(op << " " << value);
    builder b(11);
    b.input("x", dtype::f32, {2, 2}).ints_constant("i", {1}).node(op, {"x", "i"}, {"y"}, {axis(value)});
    CHECK(b.code() == status::model_type);
  }
  for (const char* op : {"ReduceSum", "ReduceMax", "Squeeze", "Unsqueeze"}) {
    INFO(op);
    builder b(11);
    b.input("x", dtype::f32, {1, 1}).node(op, {"x"}, {"y"}, {{"axes", ints{-7}}});
    CHECK(b.code() == status::model_type);
    builder twice(11);
    twice.input("x", dtype::f32, {1, 1}).node(op, {"x"}, {"y"}, {{"axes", ints{0, 0}}});
    CHECK(twice.code() == status::model_type);
  }
}

TEST_CASE("F11_attribute_overflow") {
  for (std::int64_t block : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 32, INT64_MAX, std::int64_t{3}}) {
    INFO(block);
    for (const char* op : {"DepthToSpace", "SpaceToDepth"}) {
      builder b(13);
      b.input("x", dtype::f32, {1, 16, 16, 16}).node(op, {"x"}, {"y"}, {{"blocksize", block}});
      CHECK(b.code() == status::model_type);
    }
  }
  builder tile(13);
  tile.input("x", dtype::f32, {1 << 20, 4}).ints_constant("r", {INT64_MAX, 1}).node("Tile", {"x", "r"}, {"y"});
  CHECK(tile.type("y") == "f32[?,4]");  // no number fits; running it is an error
  builder negative(13);
  negative.input("x", dtype::f32, {4}).ints_constant("r", {-1}).node("Tile", {"x", "r"}, {"y"});
  CHECK(negative.code() == status::model_type);
}

TEST_CASE("F11_pads_negative_or_huge") {
  const ints bad[] = {{-3, 0}, {0, -5}, {INT64_MIN, 0}, {INT64_MAX, INT64_MAX}, {0}, {0, 0, 0}};
  for (const ints& pads : bad) {
    builder b(13);
    b.input("x", dtype::f32, {2}).ints_constant("p", pads).node("Pad", {"x", "p"}, {"y"});
    CHECK(b.code() == status::model_type);
  }
  builder cut(13);
  cut.input("x", dtype::f32, {5}).ints_constant("p", {-2, -3}).node("Pad", {"x", "p"}, {"y"});
  CHECK(cut.type("y") == "f32[0]");
}

TEST_CASE("F11_stride_dilation_or_kernel_zero") {
  struct row {
    const char* op;
    std::vector<ir::attribute> attributes;
  };
  const std::int64_t huge = std::int64_t{1} << 31;
  const row rows[] = {
      {"Conv", {{"strides", ints{0, 1}}}},
      {"Conv", {{"dilations", ints{1, 0}}}},
      {"Conv", {{"strides", ints{huge, 1}}}},
      {"Conv", {{"group", std::int64_t{0}}}},
      {"Conv", {{"group", std::int64_t{3}}}},
      {"MaxPool", {{"kernel_shape", ints{0, 2}}}},
      {"AveragePool", {{"kernel_shape", ints{2, 2}}, {"strides", ints{0, 0}}}},
      {"Conv", {{"pads", ints{-9, -9, -9, -9}}}},
  };
  for (const row& r : rows) {
    INFO(r.op << " " << r.attributes.back().name);
    builder b(13);
    b.input("x", dtype::f32, {1, 4, 8, 8}).input("w", dtype::f32, {4, 4, 3, 3});
    b.node(r.op, std::string(r.op) == "Conv" ? std::vector<std::string>{"x", "w"} : std::vector<std::string>{"x"},
           {"y"}, r.attributes);
    CHECK(b.code() == status::model_type);
  }
  builder block(18);
  block.input("x", dtype::f32, {1, 4, 4}).ints_constant("i", {4, 4}).ints_constant("k", {2, 2});
  block.node("Col2Im", {"x", "i", "k"}, {"y"}, {{"strides", ints{0, 1}}});
  CHECK(block.code() == status::model_type);
}

TEST_CASE("F11_permutations_equations_and_sizes") {
  const ints bad[] = {{0, 0}, {0, 2}, {-1, 0}, {0}, {0, 1, 2}};
  for (const ints& perm : bad) {
    builder b(13);
    b.input("x", dtype::f32, {2, 3}).node("Transpose", {"x"}, {"y"}, {{"perm", perm}});
    CHECK(b.code() == status::model_type);
  }
  for (const char* text : {"ij,jk,kl->il", "ij->ik", "i..j->ij", "i1->i", "ijk->ij"}) {
    INFO(text);
    builder b(13);
    b.input("x", dtype::f32, {2, 3})
        .input("z", dtype::f32, {3, 4})
        .node("Einsum", {"x", "z"}, {"y"}, {{"equation", std::string(text)}});
    CHECK(b.code() == status::model_type);
  }
  builder split(13);
  split.input("x", dtype::f32, {6}).ints_constant("s", {7, -1}).node("Split", {"x", "s"}, {"a", "b"});
  CHECK(split.code() == status::model_type);
  builder expand(13);
  expand.input("x", dtype::f32, {3}).ints_constant("s", {-4}).node("Expand", {"x", "s"}, {"y"});
  CHECK(expand.code() == status::model_type);
}

TEST_CASE("F10_subgraphs_nested_too_deeply") {
  ir::graph inner;
  inner.name = "leaf";
  inner.outputs.push_back({"x", {}, "", {}});
  for (int i = 0; i < 70; ++i) {
    ir::node n;
    n.op_type = "If";
    n.inputs = {"cond"};
    n.outputs = {"out"};
    n.set({"then_branch", ir::graph_box(inner)});
    n.set({"else_branch", ir::graph_box(ir::graph(inner))});
    ir::graph outer;
    outer.name = "g" + std::to_string(i);
    outer.nodes.push_back(std::move(n));
    outer.outputs.push_back({"out", {}, "", {}});
    // One branch only carries the depth, or the graph doubles with every level.
    outer.nodes[0].set({"else_branch", ir::graph_box(ir::graph{})});
    inner = std::move(outer);
  }
  builder b;
  b.input("cond", dtype::boolean, {}).input("x", dtype::f32, {1});
  b.m.graph.nodes = inner.nodes;
  CHECK(b.code() == status::limit);
}
