// editor: what a pass needs to change a graph safely: look names up, add constants, re-route readers, drop nodes.
//
// Lookups see the graph as it was when the sweep began. A node whose surroundings changed is marked `touched`, and a
// pattern that meets a touched node waits for the next sweep:
//
//   do { editor e(graph); for each node not touched: match, change, touch; changed = e.finish(); } while (changed);
//
// The trap: names of graph outputs are part of the model's interface; `bypass` keeps them.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/ir/index.hpp"

namespace quantal::passes {

class editor {
 public:
  explicit editor(ir::graph& g);

  ir::graph& g;
  // The graph when the sweep began (constant bytes are shared): an index views its graph's strings, and passes change
  // those.
  const ir::graph before;
  const ir::index index;

  // ---- look ----
  // The constant behind a name (an initializer that is no input), or nullptr.
  const tensor_buffer* constant(std::string_view name) const { return index.constant_value(name); }
  // Its single f32 element, if it is one.
  std::optional<float> scalar(std::string_view name) const;
  // The elements of an s64/s32 constant.
  std::optional<std::vector<std::int64_t>> ints(std::string_view name) const;
  // The node that makes `name`; nullptr for inputs, constants and nodes already changed in this sweep.
  ir::node* producer(std::string_view name);
  // The only reader of `name`; nullptr if it is also a graph output, is read more than once or by a touched node.
  ir::node* only_reader(std::string_view name);
  bool touched(const ir::node& n) const { return touched_[position(n)]; }

  // ---- change ----
  void touch(const ir::node& n) { touched_[position(n)] = true; }
  void erase(const ir::node& n) { touched_[position(n)] = dead_[position(n)] = true; }
  // A new constant; the name is made unique and returned.
  std::string add_constant(std::string_view wanted, tensor_buffer value);
  std::string fresh(std::string_view wanted) { return names_.fresh(wanted); }
  // A new node, placed by sort_nodes after the sweep.
  void add_node(ir::node n) { added_.push_back(std::move(n)); }
  // Every reader of `from` (subgraphs included, graph outputs not) reads `to` instead.
  void redirect(const std::string& from, const std::string& to);
  // Removes a node that passes its input `input` on unchanged as its only output. False: it must stay (graph input to
  // graph output, or names that cannot be given up).
  bool bypass(ir::node& n, std::size_t input = 0);
  // Drops dead nodes, adds new ones, sorts. Returns the number of changes since construction.
  result<std::size_t> finish();
  void count(std::size_t changes = 1) { changes_ += changes; }

 private:
  std::size_t position(const ir::node& n) const { return static_cast<std::size_t>(&n - g.nodes.data()); }
  std::vector<char> touched_, dead_;
  std::vector<ir::node> added_;
  std::vector<ir::constant> constants_;
  ir::name_pool names_;
  std::size_t changes_ = 0;
};

// Runs `sweep` on the main graph until it changes nothing (at most `limit` times).
result<std::size_t> sweep(ir::graph& g, const std::function<result<void>(editor&)>& body, int limit = 16);

// Every reader of a name in `nodes` and their subgraphs; `change` may replace the name.
void for_each_read(std::vector<ir::node>& nodes, const std::function<void(std::string&)>& change);

}  // namespace quantal::passes
