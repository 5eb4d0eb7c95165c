// index: who makes and who reads each name of one graph. A snapshot: build it anew after changing the graph.
//
// A node with subgraphs also counts as a reader of every outer name its subgraphs use (input number -1).
// Costs one pass over the graph; lookups are hash lookups.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quantal/ir/graph.hpp"

namespace quantal::ir {

struct use {
  std::size_t node = 0;     // position in graph.nodes
  std::int32_t input = -1;  // position in node.inputs; -1: read by a subgraph of the node
};

class index {
 public:
  explicit index(const graph& g);

  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  // Node that makes `name`; none for inputs, initializers and unknown names.
  std::size_t producer(std::string_view name) const noexcept;
  const std::vector<use>& uses(std::string_view name) const noexcept;
  // Constant that `name` is: an initializer that is no graph input, or the output of a Constant node (of any kind but
  // sparse_value).
  const tensor_buffer* constant_value(std::string_view name) const noexcept;
  bool is_initializer(std::string_view name) const noexcept;
  bool is_input(std::string_view name) const noexcept;
  bool is_output(std::string_view name) const noexcept;
  bool exists(std::string_view name) const noexcept;

 private:
  struct entry {
    std::size_t producer = none;
    std::vector<use> uses;
    const constant* initializer = nullptr;
    const tensor_buffer* value = nullptr;
    bool input = false;
    bool output = false;
  };
  const entry* find(std::string_view name) const noexcept;
  std::unordered_map<std::string_view, entry> entries_;     // keys view the graph's strings
  std::vector<std::shared_ptr<const tensor_buffer>> made_;  // values of Constant nodes that are not stored as tensors
};

// Names that `g`'s nodes read but nothing in `g` makes: what a subgraph captures from outside.
std::vector<std::string> captures(const graph& g);
// A name that no value of the graph (or of its subgraphs) has: `wanted`, `wanted_1`, ...
class name_pool {
 public:
  explicit name_pool(const graph& g);
  std::string fresh(std::string_view wanted);

 private:
  std::unordered_map<std::string, std::size_t> taken_;
};

}  // namespace quantal::ir
