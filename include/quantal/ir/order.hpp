// order_nodes: positions of `nodes` so that producers come before readers, otherwise in the given order.
//
// Kahn's algorithm with the lowest position first: a list that is in order stays as it is. A node also depends on the
// producers of what its subgraphs read. O(n log n), no recursion over nodes. Error: the nodes of a cycle have no order.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::ir {

result<std::vector<std::size_t>> order_nodes(std::span<const node> nodes);

}  // namespace quantal::ir
