#include "quantal/ir/verify.hpp"

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

value_info value(const char* name) {
  return {name, {}, "", {}};
}
constant tensor(const char* name) {
  return {name, tensor_buffer::of<float>(shape(1), {1.0f}), "", {}};
}

model chain() {
  model m;
  m.ir_version = 8;
  m.graph.inputs = {value("x")};
  m.graph.nodes = {make("Relu", {"x"}, {"a"}), make("Relu", {"a"}, {"y"})};
  m.graph.outputs = {value("y")};
  return m;
}

// The error of a model, which must have one.
error error_of(const model& m) {
  auto checked = verify(m);
  REQUIRE_FALSE(checked);
  return checked.failure();
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

model nested(int depth) {
  graph g;
  g.nodes = {make("Relu", {"x"}, {"y"})};
  g.outputs = {value("y")};
  for (int i = 0; i < depth; ++i) {
    node n = make("If", {"x"}, {"y"});
    n.set(attribute("then_branch", graph_box(std::move(g))));
    g = graph();
    g.nodes.push_back(std::move(n));
    g.outputs = {value("y")};
  }
  g.inputs = {value("x")};
  model m;
  m.ir_version = 8;
  m.graph = std::move(g);
  return m;
}

}  // namespace

TEST_CASE("a model that holds the invariants passes") {
  CHECK(verify(chain()));
}

TEST_CASE("F10_cycle_and_self_loop") {
  model m = chain();
  m.graph.nodes[0].inputs = {"y"};
  const error e = error_of(m);
  CHECK(e.code == status::model_graph);
  CHECK(contains(e.what, "cycle"));
  CHECK(contains(e.where, "Relu -> a"));
  m = chain();
  m.graph.nodes[0].inputs = {"a"};
  CHECK(contains(error_of(m).what, "cycle"));
  CHECK_FALSE(sort_nodes(m.graph));
}

TEST_CASE("F10_cycle_through_a_subgraph") {
  model m = chain();
  graph inner;
  inner.nodes = {make("Relu", {"y"}, {"z"})};
  inner.outputs = {value("z")};
  m.graph.nodes[0].set(attribute("then_branch", graph_box(inner)));
  CHECK(contains(error_of(m).what, "cycle"));
}

TEST_CASE("F10_missing_producer_names_node_and_value") {
  model m = chain();
  m.graph.nodes[1].inputs = {"nobody"};
  const error e = error_of(m);
  CHECK(contains(e.what, "'nobody'"));
  CHECK(contains(e.where, "Relu -> y"));
}

TEST_CASE("F10_two_producers") {
  model m = chain();
  m.graph.nodes[0].outputs = {"y"};
  m.graph.nodes[1].inputs = {"y"};
  CHECK(contains(error_of(m).what, "two producers"));
  m = chain();
  m.graph.nodes[0].outputs = {"x"};
  CHECK(contains(error_of(m).what, "two producers"));
  m = chain();
  m.graph.initializers = {tensor("a")};
  CHECK(contains(error_of(m).what, "two producers"));
}

TEST_CASE("F10_dangling_output") {
  model m = chain();
  m.graph.outputs.push_back(value("z"));
  CHECK(contains(error_of(m).what, "'z'"));
}

TEST_CASE("F10_input_that_is_also_an_initializer_is_a_default_but_not_in_a_subgraph") {
  model m = chain();
  m.graph.initializers = {tensor("x")};
  CHECK(verify(m));
  graph body;
  body.inputs = {value("k")};
  body.initializers = {tensor("k")};
  body.nodes = {make("Relu", {"k"}, {"o"})};
  body.outputs = {value("o")};
  m.graph.nodes[0].set(attribute("body", graph_box(body)));
  CHECK(contains(error_of(m).what, "subgraph"));
  m.ir_version = 3;  // there an initializer must be an input
  CHECK(verify(m));
}

TEST_CASE("F7_duplicate_and_empty_names") {
  model m = chain();
  m.graph.inputs.push_back(value("x"));
  CHECK(contains(error_of(m).what, "twice"));
  m = chain();
  m.graph.inputs.push_back(value(""));
  CHECK(contains(error_of(m).what, "no name"));
  m = chain();
  m.graph.initializers = {tensor("w"), tensor("w")};
  CHECK(contains(error_of(m).what, "twice"));
  m = chain();
  m.graph.nodes[0].attributes = {attribute("a", std::int64_t{1}), attribute("a", std::int64_t{1})};
  CHECK(contains(error_of(m).what, "given twice"));
  m = chain();
  m.graph.nodes[0].op_type.clear();
  CHECK(contains(error_of(m).what, "operator type"));
}

TEST_CASE("F5_initializer_whose_bytes_do_not_fit_its_shape") {
  model m = chain();
  constant c = tensor("w");
  c.value = c.value.reshaped(shape(2));
  m.graph.initializers = {c};
  const error e = error_of(m);
  CHECK(e.code == status::model_type);
  CHECK(contains(e.where, "'w'"));
}

TEST_CASE("F10_subgraph_nesting_64_passes_65_does_not") {
  CHECK(verify(nested(64)));
  CHECK(error_of(nested(65)).code == status::limit);
  model deep = nested(65);
  CHECK(sort_nodes(deep.graph).failure().code == status::limit);
}

TEST_CASE("F13_a_chain_of_a_million_nodes_in_reverse_order_is_sorted_without_recursion") {
  constexpr int count = 1'000'000;
  model m;
  m.ir_version = 8;
  m.graph.inputs = {value("v0")};
  m.graph.nodes.reserve(count);
  for (int i = count; i > 0; --i)
    m.graph.nodes.push_back(make("Relu", {"v" + std::to_string(i - 1)}, {"v" + std::to_string(i)}));
  m.graph.outputs = {value("v1000000")};
  REQUIRE(verify(m));
  REQUIRE(sort_nodes(m.graph));
  CHECK(m.graph.nodes.front().outputs[0] == "v1");
  CHECK(m.graph.nodes.back().outputs[0] == "v1000000");
}

TEST_CASE("sorting keeps the given order where it can, in subgraphs too") {
  graph g;
  g.inputs = {value("x")};
  g.nodes = {make("C", {"b"}, {"c"}), make("D", {"x"}, {"d"}), make("A", {"x"}, {"a"}), make("B", {"a"}, {"b"})};
  graph outer;
  outer.inputs = {value("x")};
  outer.nodes = {make("If", {"x"}, {"y"})};
  outer.nodes[0].set(attribute("then_branch", graph_box(g)));
  REQUIRE(sort_nodes(outer));
  std::string order;
  for (const node& n : outer.nodes[0].get_graph("then_branch")->nodes) order += n.op_type;
  CHECK(order == "DABC");
}

TEST_CASE("F13_functions_that_call_themselves") {
  model m = chain();
  const auto define = [&](const char* name, const char* calls) {
    function f;
    f.domain = "local";
    f.name = name;
    f.inputs = {"i"};
    f.outputs = {"o"};
    f.nodes = {make(calls, {"i"}, {"o"})};
    f.nodes[0].domain = "local";
    m.functions.push_back(f);
  };
  define("f", "g");
  define("g", "h");
  CHECK(verify(m));
  define("h", "f");
  CHECK(contains(error_of(m).what, "calls itself"));
  m.functions.pop_back();
  define("g", "h");
  CHECK(contains(error_of(m).what, "defined twice"));
}
