// for_each_subgraph: the graphs inside a node's attributes (If's branches, Loop's and Scan's body), in attribute order.
//
// Code that descends recurses over nested graphs only, never over nodes; verify and the readers bound the nesting by
// limits::max_depth, so such a recursion is short.
#pragma once
#include "quantal/ir/graph.hpp"

namespace quantal::ir {

// `Node` is node or const node; visit(graph&) or visit(const graph&).
template <class Node, class Visit>
void for_each_subgraph(Node& n, Visit&& visit) {
  for (auto& a : n.attributes) {
    if (auto* one = std::get_if<graph_box>(&a.value)) visit(**one);
    if (auto* many = std::get_if<std::vector<graph_box>>(&a.value))
      for (auto& g : *many) visit(*g);
  }
}

}  // namespace quantal::ir
