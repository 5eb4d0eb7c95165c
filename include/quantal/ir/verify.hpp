// verify: the invariants every pass keeps. sort_nodes: a stable topological order.
//
// Checked: every read name has a producer (or is captured from an outer graph), no name has two, no cycle, no output
// without a producer, names non-empty, initializer sizes match their shapes, subgraph nesting at most
// limits::max_depth. Errors name the node and the value (status::model_graph). No recursion over nodes.
#pragma once
#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::ir {

result<void> verify(const model& m);
// Sorts the nodes of `g` and of its subgraphs so that producers come first, otherwise in the given order.
result<void> sort_nodes(graph& g);

}  // namespace quantal::ir
