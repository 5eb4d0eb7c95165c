#include "quantal/ir/verify.hpp"

#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "quantal/base/text.hpp"
#include "quantal/ir/order.hpp"
#include "quantal/ir/subgraphs.hpp"

namespace quantal::ir {

namespace {

// Names that exist in a graph, and the graphs around it.
struct scope {
  const scope* outer = nullptr;
  std::int32_t depth = 0;
  std::unordered_set<std::string_view> names;

  bool knows(std::string_view name) const {
    for (const scope* s = this; s != nullptr; s = s->outer)
      if (s->names.contains(name)) return true;
    return false;
  }
};

error broken(std::string what, std::string where) {
  return {status::model_graph, std::move(what), std::move(where), ""};
}

class verifier {
 public:
  explicit verifier(const model& m) : model_(m) {}

  result<void> run() {
    QUANTAL_CHECK(check_graph(model_.graph, nullptr));
    std::unordered_map<std::string, std::size_t> functions;
    for (const function& f : model_.functions) {
      const std::string where = "function " + quoted(f.name);
      if (f.name.empty()) return broken("a function has no name", where);
      if (!functions.emplace(key(f.domain, f.name, f.overload), functions.size()).second)
        return broken("the function is defined twice", where);
      if (auto ok = check_function(f); !ok) return std::move(ok).failure().at(where);
    }
    return check_calls(functions);
  }

 private:
  static std::string key(const std::string& domain, const std::string& name, const std::string& overload) {
    return domain + '\0' + name + '\0' + overload;
  }

  result<void> check_graph(const graph& g, const scope* outer) {
    scope here{outer, outer == nullptr ? 0 : outer->depth + 1, {}};
    if (here.depth > limits::max_depth) {
      return error{status::limit, "subgraphs are nested more than " + std::to_string(limits::max_depth) + " deep",
                   "graph " + quoted(g.name), ""};
    }
    QUANTAL_CHECK(add_inputs(g, here));
    QUANTAL_CHECK(add_initializers(g, here));
    QUANTAL_CHECK(check_nodes(g.nodes, here));
    for (const value_info& v : g.outputs) {
      if (v.name.empty()) return broken("a graph output has no name", "graph " + quoted(g.name));
      if (!here.knows(v.name))
        return broken("no node makes the graph output " + quoted(v.name), "graph " + quoted(g.name));
    }
    return {};
  }

  static result<void> add_inputs(const graph& g, scope& here) {
    for (const value_info& v : g.inputs) {
      if (v.name.empty()) return broken("a graph input has no name", "graph " + quoted(g.name));
      if (!here.names.insert(v.name).second)
        return broken("the graph input " + quoted(v.name) + " is listed twice", "graph " + quoted(g.name));
    }
    return {};
  }

  result<void> add_initializers(const graph& g, scope& here) const {
    const std::unordered_set<std::string_view> inputs = here.names;
    std::unordered_set<std::string_view> seen;
    for (const constant& c : g.initializers) {
      const std::string where = "initializer " + quoted(c.name);
      if (c.name.empty()) return broken("an initializer has no name", "graph " + quoted(g.name));
      if (!seen.insert(c.name).second) return broken("the initializer is defined twice", where);
      // Up to IR version 3 every initializer had to be listed as an input, in subgraphs too.
      if (here.depth > 0 && model_.ir_version > 3 && inputs.contains(c.name))
        return broken("an input of a subgraph is also an initializer", where);
      QUANTAL_CHECK(check_size(c, where));
      here.names.insert(c.name);
    }
    for (const std::string& name : g.opaque_names)
      if (name.empty() || !seen.insert(name).second || !here.names.insert(name).second)
        return broken("the sparse initializer has no name of its own", "initializer " + quoted(name));
    return {};
  }

  static result<void> check_size(const constant& c, const std::string& where) {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    const bool sized = c.value.dims().count(count) && bytes_of(c.value.type(), count, bytes);
    const bool fits = c.value.type() == dtype::string ? c.value.strings().size() == count : c.value.bytes() == bytes;
    if (c.value.type() == dtype::none || !sized || !fits)
      return error{status::model_type, "the tensor's data does not fit its shape and type", where, ""};
    return {};
  }

  result<void> check_function(const function& f) {
    scope here;
    for (const std::string& name : f.inputs)
      if (name.empty() || !here.names.insert(name).second)
        return broken("the input " + quoted(name) + " has no name of its own", "");
    QUANTAL_CHECK(check_nodes(f.nodes, here));
    for (const std::string& name : f.outputs)
      if (!here.knows(name)) return broken("no node makes the output " + quoted(name), "");
    return {};
  }

  // Defines the nodes' outputs in `here`, then checks what they read.
  result<void> check_nodes(const std::vector<node>& nodes, scope& here) {
    nodes_ += nodes.size();
    if (nodes_ > limits::max_nodes)
      return error{status::limit, "the model has more than " + std::to_string(limits::max_nodes) + " nodes", "", ""};
    for (const node& n : nodes) {
      if (n.op_type.empty()) return broken("a node has no operator type", "node " + n.label());
      for (const std::string& name : n.outputs)
        if (!name.empty() && !here.names.insert(name).second)
          return broken("the value " + quoted(name) + " has two producers", "node " + n.label());
    }
    for (const node& n : nodes)
      if (auto ok = check_node(n, here); !ok) return std::move(ok).failure().at("node " + n.label());
    if (auto order = order_nodes(nodes); !order) return std::move(order).failure();
    return {};
  }

  result<void> check_node(const node& n, const scope& here) {
    for (const std::string& name : n.inputs)
      if (!name.empty() && !here.knows(name)) return broken("nothing makes its input " + quoted(name), "");
    std::unordered_set<std::string_view> seen;
    for (const attribute& a : n.attributes) {
      if (a.name.empty()) return broken("an attribute has no name", "");
      if (!seen.insert(a.name).second) return broken("the attribute " + quoted(a.name) + " is given twice", "");
      const std::string where = "attribute " + quoted(a.name);
      if (const auto* c = std::get_if<constant>(&a.value)) QUANTAL_CHECK(check_size(*c, where));
      if (const auto* list = std::get_if<std::vector<constant>>(&a.value))
        for (const constant& c : *list) QUANTAL_CHECK(check_size(c, where));
    }
    result<void> inner;
    for_each_subgraph(n, [&](const graph& g) {
      if (inner) inner = check_graph(g, &here);
    });
    return inner;
  }

  // Functions may call each other, but none itself, directly or not.
  result<void> check_calls(const std::unordered_map<std::string, std::size_t>& functions) const {
    const std::size_t count = model_.functions.size();
    std::vector<std::vector<std::size_t>> calls(count);
    for (std::size_t i = 0; i < count; ++i) add_calls(model_.functions[i].nodes, functions, calls[i]);
    enum class visit : char { no, open, done };
    std::vector<visit> state(count, visit::no);
    std::vector<std::pair<std::size_t, std::size_t>> stack;  // function, next call to follow
    for (std::size_t root = 0; root < count; ++root) {
      if (state[root] == visit::no) stack.emplace_back(root, 0), state[root] = visit::open;
      while (!stack.empty()) {
        auto& [f, next] = stack.back();
        if (next == calls[f].size()) {
          state[f] = visit::done;
          stack.pop_back();
          continue;
        }
        const std::size_t callee = calls[f][next++];
        if (state[callee] == visit::open)
          return broken("the function calls itself", "function " + quoted(model_.functions[callee].name));
        if (state[callee] == visit::no) stack.emplace_back(callee, 0), state[callee] = visit::open;
      }
    }
    return {};
  }

  static void add_calls(const std::vector<node>& nodes, const std::unordered_map<std::string, std::size_t>& functions,
                        std::vector<std::size_t>& calls) {
    for (const node& n : nodes) {
      const auto callee = functions.find(key(n.domain, n.op_type, n.overload));
      if (callee != functions.end()) calls.push_back(callee->second);
      for_each_subgraph(n, [&](const graph& g) { add_calls(g.nodes, functions, calls); });
    }
  }

  const model& model_;
  std::uint64_t nodes_ = 0;
};

}  // namespace

result<void> verify(const model& m) {
  return verifier(m).run();
}

}  // namespace quantal::ir
