// Inference over a model: facts by name (type, constant, known elements of shape tensors), one pass over the nodes.
//
//   node ── rule (ops/op.hpp) ──> type of each output ── merged with what the model states ──> fact
//        └─ evaluate, if every input is a small constant ──> constant
//
// Shape arithmetic therefore needs no rules of its own where it is constant; rules carry the symbols. A subgraph has a
// scope of its own that sees the outer ones.
#include "quantal/ops/infer.hpp"

#include <algorithm>

#include "quantal/ir/verify.hpp"
#include "quantal/ops/evaluate.hpp"
#include "quantal/ops/rules.hpp"

namespace quantal::ops {

namespace {

constexpr std::int64_t max_folded = 4096;  // elements of a constant that is worth computing here
constexpr std::int64_t max_value = 256;    // elements of a shape tensor that is tracked

struct fact {
  ir::value_type type;
  tensor_buffer constant;      // empty: not known
  std::vector<ir::dim> value;  // elements as far as known
  bool has_value = false;
};

struct scope {
  const scope* outer = nullptr;
  std::unordered_map<std::string, fact> facts;

  const fact* find(const std::string& name) const {
    for (const scope* s = this; s != nullptr; s = s->outer) {
      auto at = s->facts.find(name);
      if (at != s->facts.end()) return &at->second;
    }
    return nullptr;
  }
};

fact fact_of(const tensor_buffer& t) {
  fact f;
  f.type = ir::value_type::tensor(t.type(), t.dims());
  f.constant = t;
  if ((t.type() == dtype::s64 || t.type() == dtype::s32) && t.dims().rank <= 1 && t.elements() <= max_value) {
    f.has_value = true;
    for (std::int64_t i = 0; i < t.elements(); ++i) {
      const std::int64_t v = t.type() == dtype::s64 ? t.as<std::int64_t>()[i] : t.as<std::int32_t>()[i];
      f.value.push_back(v >= 0 ? ir::dim(v) : ir::dim());
    }
  }
  return f;
}

// What a rule says and what the model states about the same value.
result<ir::value_type> merge(const ir::value_type& found, const ir::value_type& stated, const std::string& where,
                             const std::string& name) {
  using kind = ir::value_type::kind;
  if (found.of == kind::unknown) return stated;
  if (stated.of == kind::unknown || stated.of == kind::opaque || found.of == kind::opaque)
    return stated.of == kind::unknown ? found : stated;
  const auto contradiction = [&](const std::string& a, const std::string& b) {
    return error{status::model_type, "value '" + name + "' is " + a + ", but the model states " + b, where,
                 "repair the model's value_info or the node"};
  };
  ir::value_type merged = found;
  if (merged.elem == dtype::none) merged.elem = stated.elem;
  if (stated.elem != dtype::none && stated.elem != merged.elem)
    return contradiction(name_of(merged.elem), name_of(stated.elem));
  if (!stated.dims) return merged;
  if (!merged.dims) {
    merged.dims = stated.dims;
    return merged;
  }
  if (merged.dims->size() != stated.dims->size()) {
    return contradiction("of rank " + std::to_string(merged.dims->size()),
                         "rank " + std::to_string(stated.dims->size()));
  }
  for (std::size_t i = 0; i < merged.dims->size(); ++i) {
    ir::dim& a = (*merged.dims)[i];
    const ir::dim& b = (*stated.dims)[i];
    if (a.known() && b.known() && a.value != b.value) {
      return contradiction(std::to_string(a.value) + " in dimension " + std::to_string(i), std::to_string(b.value));
    }
    if (b.known() || (!a.known() && a.symbol.empty())) a = b;
  }
  return merged;
}

class inference;

class node_context final : public infer_context {
 public:
  node_context(inference& owner, const scope& s, const ir::node& n, std::int64_t version, int depth);

  const ir::value_type& input(std::size_t i) const override { return at(i).type; }
  const tensor_buffer* constant(std::size_t i) const override { return at(i).constant ? &at(i).constant : nullptr; }
  const std::vector<ir::dim>* shape_value(std::size_t i) const override {
    return at(i).has_value ? &at(i).value : nullptr;
  }
  void set_output(std::size_t i, ir::value_type type) override {
    if (i < outputs.size()) outputs[i].type = std::move(type);
  }
  void set_shape_value(std::size_t i, std::vector<ir::dim> value) override {
    if (i >= outputs.size() || static_cast<std::int64_t>(value.size()) > max_value) return;
    outputs[i].value = std::move(value);
    outputs[i].has_value = true;
  }
  result<std::vector<ir::value_type>> infer_subgraph(const ir::graph& g,
                                                     std::span<const ir::value_type> inputs) override;

  const fact& at(std::size_t i) const {
    static const fact unknown;
    return i < inputs_.size() && inputs_[i] != nullptr ? *inputs_[i] : unknown;
  }
  std::vector<fact> outputs;

 private:
  inference& owner_;
  const scope& scope_;
  int depth_;
  std::vector<const fact*> inputs_;
};

class inference {
 public:
  explicit inference(const ir::model& m) : model_(m) {}

  // Facts of every value of `g` into `s`. `given`: types of the inputs as the caller knows them.
  result<void> run(const ir::graph& g, scope& s, std::span<const ir::value_type> given, int depth) {
    if (depth > limits::max_depth) return error{status::limit, "subgraphs are nested too deeply", g.name, ""};
    QUANTAL_CHECK(open(g, s, given));
    std::unordered_map<std::string_view, const ir::value_type*> stated;
    for (const auto* list : {&g.value_infos, &g.outputs}) {
      for (const ir::value_info& v : *list) stated[v.name] = &v.type;
    }
    for (const ir::node& n : g.nodes) QUANTAL_CHECK(visit(n, s, stated, depth));
    return {};
  }

 private:
  result<void> open(const ir::graph& g, scope& s, std::span<const ir::value_type> given) {
    for (std::size_t i = 0; i < g.inputs.size(); ++i) {
      fact f;
      QUANTAL_TRY(type, merge(i < given.size() ? given[i] : ir::value_type{}, g.inputs[i].type, "graph input",
                              g.inputs[i].name));
      f.type = type;
      s.facts[g.inputs[i].name] = std::move(f);
    }
    for (const ir::constant& k : g.initializers) {
      auto input = s.facts.find(k.name);
      // An initializer that is also an input is a default which a caller may replace; before IR version 4 every
      // initializer had to be listed so.
      if (input == s.facts.end() || model_.ir_version < 4) {
        s.facts[k.name] = fact_of(k.value);
      } else {
        QUANTAL_TRY(type, merge(input->second.type, ir::value_type::tensor(k.value.type()), "initializer", k.name));
        input->second.type = type;
      }
    }
    return {};
  }

  result<void> visit(const ir::node& n, scope& s,
                     const std::unordered_map<std::string_view, const ir::value_type*>& stated, int depth) {
    const std::int64_t version = model_.opset_version(n.domain);
    node_context c(*this, s, n, version, depth);
    const op_def* d = ops::find(n.domain, n.op_type, version);
    if (d != nullptr && d->infer != nullptr) {
      QUANTAL_CHECK(d->infer(c));
      fold(n, version, *d, c);
    }
    for (std::size_t i = 0; i < n.outputs.size(); ++i) {
      if (n.outputs[i].empty()) continue;
      fact& f = c.outputs[i];
      auto state = stated.find(n.outputs[i]);
      if (state != stated.end()) {
        QUANTAL_TRY(type, merge(f.type, *state->second, n.label(), n.outputs[i]));
        f.type = type;
      }
      complete(f);
      s.facts[n.outputs[i]] = std::move(f);
    }
    return {};
  }

  // Computes the node if all its inputs are small constants. A node that fails will say so when it runs.
  static void fold(const ir::node& n, std::int64_t version, const op_def& d, node_context& c) {
    if (d.eval == nullptr) return;
    const bool free = n.is("Constant") || n.is("Identity");
    for (const ir::attribute& a : n.attributes) {
      if (std::holds_alternative<ir::graph_box>(a.value)) return;
    }
    std::vector<tensor_buffer> inputs;
    for (std::size_t i = 0; i < n.inputs.size(); ++i) {
      const tensor_buffer* t = c.constant(i);
      if (n.has_input(i) && (t == nullptr || (!free && t->elements() > max_folded))) return;
      inputs.push_back(t != nullptr ? *t : tensor_buffer());
    }
    for (const fact& f : c.outputs) {
      const auto dims = f.type.concrete();
      std::uint64_t count = 0;
      if (!free && (!dims || !dims->count(count) || count > static_cast<std::uint64_t>(max_folded))) return;
    }
    auto outputs = evaluate(n, version, inputs);
    if (!outputs) return;
    for (std::size_t i = 0; i < c.outputs.size() && i < outputs->size(); ++i) {
      if ((*outputs)[i]) c.outputs[i] = fact_of((*outputs)[i]);
    }
  }

  // A shape tensor whose elements are all known is a constant.
  static void complete(fact& f) {
    if (!f.has_value || f.constant) return;
    const dtype t = f.type.elem;
    if (!f.type.has_rank() || f.type.dims->size() > 1 || (t != dtype::s64 && t != dtype::s32)) return;
    std::vector<std::int64_t> wide;
    for (const ir::dim& d : f.value) {
      if (!d.known()) return;
      wide.push_back(d.value);
    }
    const shape dims = f.type.dims->empty() ? shape() : shape(static_cast<std::int64_t>(wide.size()));
    if (f.type.dims->empty() && wide.size() != 1) return;
    if (t == dtype::s64) {
      f.constant = tensor_buffer::of(dims, wide);
    } else {
      f.constant = tensor_buffer::of(dims, std::vector<std::int32_t>(wide.begin(), wide.end()));
    }
  }

  const ir::model& model_;
};

node_context::node_context(inference& owner, const scope& s, const ir::node& n, std::int64_t version, int depth)
    : infer_context(n, version), outputs(n.outputs.size()), owner_(owner), scope_(s), depth_(depth) {
  for (const std::string& name : n.inputs) inputs_.push_back(name.empty() ? nullptr : s.find(name));
}

result<std::vector<ir::value_type>> node_context::infer_subgraph(const ir::graph& g,
                                                                 std::span<const ir::value_type> inputs) {
  scope inner;
  inner.outer = &scope_;
  QUANTAL_CHECK(owner_.run(g, inner, inputs, depth_ + 1));
  std::vector<ir::value_type> types;
  for (const ir::value_info& v : g.outputs) {
    const fact* f = inner.find(v.name);
    types.push_back(f != nullptr ? f->type : v.type);
  }
  return types;
}

// Does every node come after the producers of its inputs?
bool is_sorted(const ir::graph& g) {
  std::unordered_map<std::string_view, std::size_t> made;
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    for (const std::string& name : g.nodes[i].outputs) made[name] = i;
  }
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    for (const std::string& name : g.nodes[i].inputs) {
      auto at = made.find(name);
      if (!name.empty() && at != made.end() && at->second >= i) return false;
    }
  }
  return true;
}

}  // namespace

result<type_map> infer_types(const ir::model& m) {
  if (!is_sorted(m.graph)) {
    ir::model sorted = m;
    QUANTAL_CHECK(ir::sort_nodes(sorted.graph));
    if (!is_sorted(sorted.graph)) return error{status::model_graph, "the graph cannot be sorted", m.graph.name, ""};
    return infer_types(sorted);
  }
  scope s;
  inference i(m);
  QUANTAL_CHECK(i.run(m.graph, s, {}, 0));
  type_map types;
  for (auto& [name, f] : s.facts) {
    if (f.type.of != ir::value_type::kind::unknown) types.emplace(name, std::move(f.type));
  }
  return types;
}

}  // namespace quantal::ops
