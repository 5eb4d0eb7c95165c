#include "quantal/ir/order.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <string_view>
#include <unordered_map>

#include "quantal/ir/index.hpp"
#include "quantal/ir/subgraphs.hpp"
#include "quantal/ir/verify.hpp"

namespace quantal::ir {

namespace {

struct dependencies {
  std::vector<std::vector<std::size_t>> readers;  // of each node's outputs
  std::vector<std::size_t> missing;               // per node: producers that are not placed yet
};

dependencies find_dependencies(std::span<const node> nodes) {
  std::unordered_map<std::string_view, std::size_t> producer;
  producer.reserve(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i)
    for (const std::string& name : nodes[i].outputs)
      if (!name.empty()) producer.emplace(name, i);

  dependencies found{std::vector<std::vector<std::size_t>>(nodes.size()), std::vector<std::size_t>(nodes.size())};
  const auto depends = [&](std::size_t reader, std::string_view name) {
    const auto it = name.empty() ? producer.end() : producer.find(name);
    if (it == producer.end()) return;
    found.readers[it->second].push_back(reader);
    ++found.missing[reader];
  };
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const std::string& name : nodes[i].inputs) depends(i, name);
    for_each_subgraph(nodes[i], [&](const graph& inner) {
      for (const std::string& name : captures(inner)) depends(i, name);
    });
  }
  return found;
}

error cycle_at(const node& n) {
  return {status::model_graph, "the graph has a cycle: a value depends on itself", "node " + n.label(),
          "the model is not a valid ONNX graph; export it again"};
}

result<void> sort_at_depth(graph& g, std::int32_t depth) {
  if (depth > limits::max_depth) {
    return error{status::limit, "subgraphs are nested more than " + std::to_string(limits::max_depth) + " deep", "",
                 ""};
  }
  QUANTAL_TRY(order, order_nodes(g.nodes));
  if (!std::is_sorted(order.begin(), order.end())) {
    std::vector<node> sorted;
    sorted.reserve(g.nodes.size());
    for (const std::size_t i : order) sorted.push_back(std::move(g.nodes[i]));
    g.nodes = std::move(sorted);
  }
  result<void> status_of_inner;
  for (node& n : g.nodes) {
    for_each_subgraph(n, [&](graph& inner) {
      if (status_of_inner) status_of_inner = sort_at_depth(inner, depth + 1);
    });
  }
  return status_of_inner;
}

}  // namespace

result<std::vector<std::size_t>> order_nodes(std::span<const node> nodes) {
  dependencies d = find_dependencies(nodes);
  std::priority_queue<std::size_t, std::vector<std::size_t>, std::greater<>> ready;
  for (std::size_t i = 0; i < nodes.size(); ++i)
    if (d.missing[i] == 0) ready.push(i);

  std::vector<std::size_t> order;
  order.reserve(nodes.size());
  while (!ready.empty()) {
    const std::size_t i = ready.top();
    ready.pop();
    order.push_back(i);
    for (const std::size_t reader : d.readers[i])
      if (--d.missing[reader] == 0) ready.push(reader);
  }
  if (order.size() == nodes.size()) return order;
  const auto stuck = std::find_if(d.missing.begin(), d.missing.end(), [](std::size_t n) { return n != 0; });
  return cycle_at(nodes[static_cast<std::size_t>(stuck - d.missing.begin())]);
}

result<void> sort_nodes(graph& g) {
  return sort_at_depth(g, 0);
}

}  // namespace quantal::ir
