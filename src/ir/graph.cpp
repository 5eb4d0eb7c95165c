#include "quantal/ir/graph.hpp"

#include <algorithm>

#include "quantal/base/text.hpp"

namespace quantal::ir {

// ---- graph_box: deep copies; never null, so that `*box` needs no check ------------------------------------------

graph_box::graph_box() : graph_(std::make_unique<graph>()) {}
graph_box::graph_box(graph g) : graph_(std::make_unique<graph>(std::move(g))) {}
graph_box::graph_box(const graph_box& other)
    : graph_(other.graph_ ? std::make_unique<graph>(*other.graph_) : std::make_unique<graph>()) {}
graph_box::graph_box(graph_box&&) noexcept = default;
graph_box& graph_box::operator=(graph_box other) noexcept {
  graph_ = std::move(other.graph_);
  return *this;
}
graph_box::~graph_box() = default;

// ---- node -------------------------------------------------------------------------------------------------------

const attribute* node::find(std::string_view attribute_name) const noexcept {
  for (const attribute& a : attributes)
    if (a.name == attribute_name) return &a;
  return nullptr;
}

attribute* node::find(std::string_view attribute_name) noexcept {
  return const_cast<attribute*>(std::as_const(*this).find(attribute_name));
}

void node::set(attribute a) {
  if (attribute* old = find(a.name)) {
    *old = std::move(a);
  } else {
    attributes.push_back(std::move(a));
  }
}

bool node::erase(std::string_view attribute_name) {
  const auto gone = [&](const attribute& a) { return a.name == attribute_name; };
  return std::erase_if(attributes, gone) != 0;
}

namespace {

template <class T>
const T* value_of(const node& n, std::string_view attribute_name) noexcept {
  const attribute* a = n.find(attribute_name);
  return a == nullptr ? nullptr : std::get_if<T>(&a->value);
}

}  // namespace

std::int64_t node::get_int(std::string_view attribute_name, std::int64_t fallback) const noexcept {
  const auto* v = value_of<std::int64_t>(*this, attribute_name);
  return v == nullptr ? fallback : *v;
}

float node::get_float(std::string_view attribute_name, float fallback) const noexcept {
  const auto* v = value_of<float>(*this, attribute_name);
  return v == nullptr ? fallback : *v;
}

std::string node::get_string(std::string_view attribute_name, std::string_view fallback) const {
  const auto* v = value_of<std::string>(*this, attribute_name);
  return v == nullptr ? std::string(fallback) : *v;
}

std::vector<std::int64_t> node::get_ints(std::string_view attribute_name) const {
  const auto* v = value_of<std::vector<std::int64_t>>(*this, attribute_name);
  return v == nullptr ? std::vector<std::int64_t>() : *v;
}

std::vector<float> node::get_floats(std::string_view attribute_name) const {
  const auto* v = value_of<std::vector<float>>(*this, attribute_name);
  return v == nullptr ? std::vector<float>() : *v;
}

const tensor_buffer* node::get_tensor(std::string_view attribute_name) const noexcept {
  const auto* v = value_of<constant>(*this, attribute_name);
  return v == nullptr ? nullptr : &v->value;
}

const graph* node::get_graph(std::string_view attribute_name) const noexcept {
  const auto* v = value_of<graph_box>(*this, attribute_name);
  return v == nullptr ? nullptr : &**v;
}

std::string node::label() const {
  const std::string type = domain.empty() ? op_type : domain + "." + op_type;
  if (!name.empty()) return printable(type) + " " + quoted(name);
  for (const std::string& output : outputs)
    if (!output.empty()) return printable(type) + " -> " + printable(output);
  return printable(type);
}

// ---- graph and model --------------------------------------------------------------------------------------------

const constant* graph::initializer(std::string_view wanted) const noexcept {
  for (const constant& c : initializers)
    if (c.name == wanted) return &c;
  return nullptr;
}

constant* graph::initializer(std::string_view wanted) noexcept {
  return const_cast<constant*>(std::as_const(*this).initializer(wanted));
}

std::int64_t model::opset_version(std::string_view opset_domain) const noexcept {
  for (const opset& o : opsets)
    if (o.domain == opset_domain) return o.version;
  return 0;
}

void model::set_opset(std::string_view opset_domain, std::int64_t version) {
  for (opset& o : opsets) {
    if (o.domain != opset_domain) continue;
    o.version = version;
    return;
  }
  opsets.push_back({std::string(opset_domain), version});
}

}  // namespace quantal::ir
