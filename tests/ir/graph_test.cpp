#include "quantal/ir/graph.hpp"

#include <catch2/catch.hpp>

using namespace quantal;
using namespace quantal::ir;

namespace {

node make_if() {
  graph then;
  then.name = "then";
  then.nodes.push_back({});
  node n;
  n.op_type = "If";
  n.set(attribute("then_branch", graph_box(then)));
  return n;
}

}  // namespace

TEST_CASE("a copy of a node is a deep copy of its subgraphs") {
  node a = make_if();
  node b = a;
  std::get<graph_box>(b.find("then_branch")->value)->name = "changed";
  CHECK(a.get_graph("then_branch")->name == "then");
  CHECK(b.get_graph("then_branch")->name == "changed");
  b = a;
  CHECK(b.get_graph("then_branch")->name == "then");
}

TEST_CASE("attributes are read with the operator's default and replaced by name") {
  node n;
  n.op_type = "Conv";
  CHECK(n.get_int("group", 1) == 1);
  n.set(attribute("group", std::int64_t{4}));
  n.set(attribute("group", std::int64_t{8}));
  n.set(attribute("pads", std::vector<std::int64_t>{1, 1, 1, 1}));
  n.set(attribute("auto_pad", std::string("SAME_UPPER")));
  n.set(attribute("alpha", 0.5f));
  CHECK(n.attributes.size() == 4);
  CHECK(n.get_int("group", 1) == 8);
  CHECK(n.get_float("group", 2.0f) == 2.0f);  // another kind counts as absent
  CHECK(n.get_float("alpha", 0.0f) == 0.5f);
  CHECK(n.get_ints("pads").size() == 4);
  CHECK(n.get_string("auto_pad", "NOTSET") == "SAME_UPPER");
  CHECK(n.get_tensor("pads") == nullptr);
  CHECK(n.erase("pads"));
  CHECK_FALSE(n.erase("pads"));
  CHECK(n.get_ints("pads").empty());
}

TEST_CASE("a label names the node, and nothing in it can reach a terminal") {
  node n;
  n.op_type = "Conv";
  n.outputs = {"", "y"};
  CHECK(n.label() == "Conv -> y");
  n.name = "conv\x1b[2J\n";
  CHECK(n.label() == "Conv 'conv\\x1b[2J\\x0a'");
  n.domain = "com.microsoft";
  n.name =
      "\xe2\x80\xae"
      "abc\xff";
  CHECK(n.label() == "com.microsoft.Conv '\\xe2\\x80\\xaeabc\\xff'");
  n.name = std::string(1 << 20, 'x');
  CHECK(n.label().size() < 1100);
}

TEST_CASE("opset versions by domain") {
  model m;
  CHECK(m.opset_version("") == 0);
  m.set_opset("", 11);
  m.set_opset("ai.onnx.ml", 2);
  m.set_opset("", 13);
  CHECK(m.opsets.size() == 2);
  CHECK(m.opset_version("") == 13);
}
