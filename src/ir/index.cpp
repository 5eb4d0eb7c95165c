#include "quantal/ir/index.hpp"

#include <unordered_set>

#include "quantal/ir/subgraphs.hpp"

namespace quantal::ir {

namespace {

// Recursion below is over nested graphs, never over nodes; readers and verify bound it by limits::max_depth.
void collect_names(const graph& g, std::unordered_map<std::string, std::size_t>& names) {
  const auto add = [&](const std::string& name) { names.emplace(name, 0); };
  for (const value_info& v : g.inputs) add(v.name);
  for (const value_info& v : g.outputs) add(v.name);
  for (const constant& c : g.initializers) add(c.name);
  for (const value_info& v : g.value_infos) add(v.name);
  for (const std::string& name : g.opaque_names) add(name);
  for (const node& n : g.nodes) {
    for (const std::string& name : n.inputs) add(name);
    for (const std::string& name : n.outputs) add(name);
    for_each_subgraph(n, [&](const graph& inner) { collect_names(inner, names); });
  }
}

// Value of a Constant node that is given as number(s) or text(s); empty for the other kinds.
tensor_buffer made_from_attribute(const node& n) {
  for (const attribute& a : n.attributes) {
    if (a.name == "value_float" && a.kind == 1) return tensor_buffer::of<float>(shape(), {n.get_float(a.name, 0)});
    if (a.name == "value_int" && a.kind == 2) return tensor_buffer::of<std::int64_t>(shape(), {n.get_int(a.name, 0)});
    if (a.name == "value_string" && a.kind == 3)
      return tensor_buffer::make_strings(shape(), {n.get_string(a.name, "")});
    if (const auto* v = std::get_if<std::vector<float>>(&a.value); v != nullptr && a.name == "value_floats")
      return tensor_buffer::of<float>(shape(static_cast<std::int64_t>(v->size())), *v);
    if (const auto* v = std::get_if<std::vector<std::int64_t>>(&a.value); v != nullptr && a.name == "value_ints")
      return tensor_buffer::of<std::int64_t>(shape(static_cast<std::int64_t>(v->size())), *v);
    if (const auto* v = std::get_if<std::vector<std::string>>(&a.value); v != nullptr && a.name == "value_strings")
      return tensor_buffer::make_strings(shape(static_cast<std::int64_t>(v->size())), *v);
  }
  return {};
}

}  // namespace

index::index(const graph& g) {
  entries_.reserve(g.nodes.size() * 2 + g.initializers.size() + g.inputs.size());
  for (const value_info& v : g.inputs) entries_[v.name].input = true;
  for (const value_info& v : g.outputs) entries_[v.name].output = true;
  for (const constant& c : g.initializers) entries_[c.name].initializer = &c;
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    const node& n = g.nodes[i];
    for (std::size_t k = 0; k < n.inputs.size(); ++k)
      if (!n.inputs[k].empty()) entries_[n.inputs[k]].uses.push_back({i, static_cast<std::int32_t>(k)});
    for (const std::string& name : n.outputs)
      if (!name.empty()) entries_[name].producer = i;
    if (!n.is("Constant") || !n.has_output(0)) continue;
    const tensor_buffer*& value = entries_[n.outputs[0]].value;
    value = n.get_tensor("value");
    if (value != nullptr) continue;
    if (tensor_buffer made = made_from_attribute(n)) {
      made_.push_back(std::make_shared<const tensor_buffer>(std::move(made)));
      value = made_.back().get();
    }
  }
  // A key may only view a string of `g`: captured names are looked up, never inserted.
  for (std::size_t i = 0; i < g.nodes.size(); ++i) {
    for_each_subgraph(g.nodes[i], [&](const graph& inner) {
      for (const std::string& name : captures(inner)) {
        const auto known = entries_.find(name);
        if (known == entries_.end()) continue;  // comes from further out
        std::vector<use>& uses = known->second.uses;
        if (uses.empty() || uses.back().node != i || uses.back().input != -1) uses.push_back({i, -1});
      }
    });
  }
}

const index::entry* index::find(std::string_view name) const noexcept {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : &it->second;
}

std::size_t index::producer(std::string_view name) const noexcept {
  const entry* e = find(name);
  return e == nullptr ? none : e->producer;
}

const std::vector<use>& index::uses(std::string_view name) const noexcept {
  static const std::vector<use> nobody;
  const entry* e = find(name);
  return e == nullptr ? nobody : e->uses;
}

const tensor_buffer* index::constant_value(std::string_view name) const noexcept {
  const entry* e = find(name);
  if (e == nullptr) return nullptr;
  if (e->initializer != nullptr) return e->input ? nullptr : &e->initializer->value;
  return e->value;
}

bool index::is_initializer(std::string_view name) const noexcept {
  const entry* e = find(name);
  return e != nullptr && e->initializer != nullptr;
}

bool index::is_input(std::string_view name) const noexcept {
  const entry* e = find(name);
  return e != nullptr && e->input;
}

bool index::is_output(std::string_view name) const noexcept {
  const entry* e = find(name);
  return e != nullptr && e->output;
}

bool index::exists(std::string_view name) const noexcept {
  return find(name) != nullptr;
}

std::vector<std::string> captures(const graph& g) {
  std::unordered_set<std::string_view> made;
  for (const value_info& v : g.inputs) made.insert(v.name);
  for (const constant& c : g.initializers) made.insert(c.name);
  for (const std::string& name : g.opaque_names) made.insert(name);
  for (const node& n : g.nodes) made.insert(n.outputs.begin(), n.outputs.end());

  std::vector<std::string> found;
  std::unordered_set<std::string> seen;
  const auto read = [&](const std::string& name) {
    if (!name.empty() && !made.contains(name) && seen.insert(name).second) found.push_back(name);
  };
  for (const node& n : g.nodes) {
    for (const std::string& name : n.inputs) read(name);
    for_each_subgraph(n, [&](const graph& inner) {
      for (const std::string& name : captures(inner)) read(name);
    });
  }
  for (const value_info& v : g.outputs) read(v.name);
  return found;
}

name_pool::name_pool(const graph& g) {
  collect_names(g, taken_);
}

std::string name_pool::fresh(std::string_view wanted) {
  std::string base(wanted.empty() ? "value" : wanted);
  if (taken_.emplace(base, 0).second) return base;
  for (;;) {
    std::string candidate = base + "_" + std::to_string(++taken_[base]);
    if (taken_.emplace(candidate, 0).second) return candidate;
  }
}

}  // namespace quantal::ir
