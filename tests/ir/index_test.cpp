#include "quantal/ir/index.hpp"

#include <catch2/catch.hpp>

using namespace quantal;
using namespace quantal::ir;

namespace {

node make(const char* type, std::vector<std::string> in, std::vector<std::string> out) {
  node n;
  n.op_type = type;
  n.inputs = std::move(in);
  n.outputs = std::move(out);
  return n;
}

constant tensor(const char* name) {
  return {name, tensor_buffer::of<float>(shape(1), {1.0f}), "", {}};
}

// x, w -> Add -> a;  If(c) { Mul(a, k) } -> y;  k is a Constant node, b a default of input b
graph example() {
  graph then;
  then.nodes = {make("Mul", {"a", "k"}, {"inner"})};
  then.outputs = {{"inner", {}, "", {}}};
  graph g;
  g.inputs = {{"x", {}, "", {}}, {"c", {}, "", {}}, {"b", {}, "", {}}};
  g.initializers = {tensor("w"), tensor("b")};
  node k = make("Constant", {}, {"k"});
  k.set(attribute("value", tensor("")));
  node branch = make("If", {"c"}, {"y"});
  branch.set(attribute("then_branch", graph_box(then)));
  g.nodes = {make("Add", {"x", "w"}, {"a"}), k, branch, make("Clip", {"y", "", "b"}, {"z"})};
  g.outputs = {{"z", {}, "", {}}};
  return g;
}

}  // namespace

TEST_CASE("the index knows producers, readers, constants and what subgraphs read") {
  const graph g = example();
  const ir::index at(g);
  CHECK(at.producer("a") == 0);
  CHECK(at.producer("x") == ir::index::none);
  CHECK(at.producer("nowhere") == ir::index::none);
  REQUIRE(at.uses("a").size() == 1);
  CHECK(at.uses("a")[0].node == 2);
  CHECK(at.uses("a")[0].input == -1);
  REQUIRE(at.uses("b").size() == 1);
  CHECK(at.uses("b")[0].input == 2);
  CHECK(at.constant_value("w") != nullptr);
  CHECK(at.constant_value("k") != nullptr);
  CHECK(at.constant_value("b") == nullptr);  // only a default of an input
  CHECK(at.is_initializer("b"));
  CHECK(at.is_input("b"));
  CHECK(at.is_output("z"));
  CHECK(at.exists("y"));
  CHECK_FALSE(at.exists("inner"));
}

TEST_CASE("captures are what a subgraph reads from outside") {
  const graph g = example();
  CHECK(captures(*g.nodes[2].get_graph("then_branch")) == std::vector<std::string>{"a", "k"});
  CHECK(captures(g).empty());
}

TEST_CASE("fresh names collide with no name of the graph or its subgraphs") {
  name_pool names(example());
  CHECK(names.fresh("new") == "new");
  CHECK(names.fresh("new") == "new_1");
  CHECK(names.fresh("inner") == "inner_1");
  CHECK(names.fresh("x") == "x_1");
  CHECK(names.fresh("x") == "x_2");
}

TEST_CASE("Constant nodes of every kind have a value") {
  graph g;
  const auto add = [&](const char* out, attribute a) {
    g.nodes.push_back(make("Constant", {}, {out}));
    g.nodes.back().set(std::move(a));
  };
  add("f", attribute("value_float", 2.5f));
  add("i", attribute("value_int", std::int64_t{-3}));
  add("s", attribute("value_string", std::string("hi")));
  add("fs", attribute("value_floats", std::vector<float>{1, 2}));
  add("is", attribute("value_ints", std::vector<std::int64_t>{}));
  add("ss", attribute("value_strings", std::vector<std::string>{"a", "b", "c"}));
  add("sparse", attribute());
  const ir::index at(g);
  REQUIRE(at.constant_value("f"));
  CHECK(at.constant_value("f")->dims().rank == 0);
  CHECK(*at.constant_value("f")->as<float>() == 2.5f);
  CHECK(*at.constant_value("i")->as<std::int64_t>() == -3);
  CHECK(at.constant_value("s")->strings()[0] == "hi");
  CHECK(at.constant_value("fs")->as<float>()[1] == 2.0f);
  CHECK(at.constant_value("is")->dims() == shape(0));
  CHECK(at.constant_value("ss")->elements() == 3);
  CHECK(at.constant_value("sparse") == nullptr);
}
