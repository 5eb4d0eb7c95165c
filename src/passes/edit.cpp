#include "quantal/passes/edit.hpp"

#include "quantal/ir/verify.hpp"

namespace quantal::passes {

editor::editor(ir::graph& graph)
    : g(graph),
      before(graph),
      index(before),
      touched_(graph.nodes.size(), 0),
      dead_(graph.nodes.size(), 0),
      names_(graph) {}

std::optional<float> editor::scalar(std::string_view name) const {
  const tensor_buffer* t = constant(name);
  if (t == nullptr || t->type() != dtype::f32 || t->elements() != 1) return std::nullopt;
  return *t->as<float>();
}

std::optional<std::vector<std::int64_t>> editor::ints(std::string_view name) const {
  const tensor_buffer* t = constant(name);
  if (t == nullptr || (t->type() != dtype::s64 && t->type() != dtype::s32)) return std::nullopt;
  const auto n = static_cast<std::size_t>(t->elements());
  std::vector<std::int64_t> values(n);
  for (std::size_t i = 0; i < n; ++i)
    values[i] = t->type() == dtype::s64 ? t->as<std::int64_t>()[i] : t->as<std::int32_t>()[i];
  return values;
}

ir::node* editor::producer(std::string_view name) {
  const std::size_t p = index.producer(name);
  return p == ir::index::none || touched_[p] ? nullptr : &g.nodes[p];
}

ir::node* editor::only_reader(std::string_view name) {
  const auto& uses = index.uses(name);
  if (index.is_output(name) || uses.size() != 1 || uses[0].input < 0 || touched_[uses[0].node]) return nullptr;
  return &g.nodes[uses[0].node];
}

std::string editor::add_constant(std::string_view wanted, tensor_buffer value) {
  ir::constant c;
  c.name = names_.fresh(wanted);
  c.value = std::move(value);
  constants_.push_back(std::move(c));
  return constants_.back().name;
}

void for_each_read(std::vector<ir::node>& nodes, const std::function<void(std::string&)>& change) {
  std::vector<std::vector<ir::node>*> open{&nodes};
  while (!open.empty()) {
    std::vector<ir::node>* list = open.back();
    open.pop_back();
    for (ir::node& n : *list) {
      for (std::string& name : n.inputs) change(name);
      for (ir::attribute& a : n.attributes) {
        auto enter = [&](ir::graph& sub) {
          for (ir::value_info& out : sub.outputs) change(out.name);  // a branch may hand out an outer value
          open.push_back(&sub.nodes);
        };
        if (auto* box = std::get_if<ir::graph_box>(&a.value)) enter(**box);
        if (auto* boxes = std::get_if<std::vector<ir::graph_box>>(&a.value))
          for (ir::graph_box& b : *boxes) enter(*b);
      }
    }
  }
}

void editor::redirect(const std::string& from, const std::string& to) {
  const std::string old = from, now = to;  // the arguments may live in what changes
  auto change = [&](std::string& name) {
    if (name == old) name = now;
  };
  for_each_read(g.nodes, change);
  for_each_read(added_, change);
}

bool editor::bypass(ir::node& n, std::size_t input) {
  const std::string in = n.inputs[input], out = n.outputs[0];
  if (!index.is_output(out)) {
    redirect(out, in);
  } else {
    ir::node* maker = producer(in);
    if (maker == nullptr || index.is_output(in)) return false;
    for (const ir::use& u : index.uses(in))
      if (u.input < 0) return false;
    for (std::string& name : maker->outputs)
      if (name == in) name = out;
    redirect(in, out);
    touch(*maker);
  }
  for (const ir::use& u : index.uses(out)) touched_[u.node] = true;
  if (ir::node* maker = producer(in)) touch(*maker);
  erase(n);
  ++changes_;
  return true;
}

result<std::size_t> editor::finish() {
  if (changes_ == 0 && added_.empty() && constants_.empty()) return std::size_t{0};
  std::vector<ir::node> kept;
  kept.reserve(g.nodes.size() + added_.size());
  for (std::size_t i = 0; i < g.nodes.size(); ++i)
    if (!dead_[i]) kept.push_back(std::move(g.nodes[i]));
  for (ir::node& n : added_) kept.push_back(std::move(n));
  g.nodes = std::move(kept);
  for (ir::constant& c : constants_) g.initializers.push_back(std::move(c));
  QUANTAL_CHECK(ir::sort_nodes(g));
  return changes_;
}

result<std::size_t> sweep(ir::graph& g, const std::function<result<void>(editor&)>& body, int limit) {
  std::size_t total = 0;
  for (int i = 0; i < limit; ++i) {
    editor e(g);
    QUANTAL_CHECK(body(e));
    QUANTAL_TRY(changes, e.finish());
    total += changes;
    if (changes == 0) break;
  }
  return total;
}

}  // namespace quantal::passes
