#include "rewriter.hpp"

#include "quantal/base/text.hpp"

namespace quantal::onnx::convert {

// A new node is named after the node it comes from, if that has a name.
ir::node rewriter::make_node(std::string op_type, std::vector<ir::attribute> attributes) {
  ir::node n;
  const std::string stem = node.name + "_" + op_type;
  std::string name = stem;
  for (int i = 1; !node.name.empty() && !all_.node_names.insert(name).second; ++i)
    name = stem + "_" + std::to_string(i);
  if (!node.name.empty()) n.name = name;
  n.op_type = std::move(op_type);
  n.attributes = std::move(attributes);
  return n;
}

std::string rewriter::make(std::string op_type, std::vector<std::string> inputs,
                           std::vector<ir::attribute> attributes) {
  const std::string& stem = !node.outputs.empty() && !node.outputs[0].empty() ? node.outputs[0] : node.op_type;
  const std::string output = fresh(stem + "_" + op_type);
  ir::node n = make_node(std::move(op_type), std::move(attributes));
  n.inputs = std::move(inputs);
  n.outputs = {output};
  before.push_back(std::move(n));
  return output;
}

void rewriter::make_after(std::size_t i, std::string op_type, std::vector<std::string> more_inputs,
                          std::vector<ir::attribute> attributes) {
  const std::string inner = fresh(node.outputs[i] + "_" + node.op_type);
  ir::node n = make_node(std::move(op_type), std::move(attributes));
  n.inputs = {inner};
  n.inputs.insert(n.inputs.end(), more_inputs.begin(), more_inputs.end());
  n.outputs = {node.outputs[i]};
  node.outputs[i] = inner;
  after.insert(after.begin(), std::move(n));
}

std::string rewriter::constant(const tensor_buffer& value) {
  std::string content = std::to_string(static_cast<int>(value.type()));
  for (const std::int64_t d : value.dims()) content += "," + std::to_string(d);
  content += ":" + std::string(value.as<char>(), value.bytes());
  const auto [known, is_new] = here_.made.try_emplace(content);
  if (!is_new && !here_.function) return known->second;
  const std::string name = fresh(node.op_type + "_constant");
  known->second = name;
  here_.values[name] = value;
  if (here_.function) {
    ir::node n;
    n.op_type = "Constant";
    n.outputs = {name};
    n.set(ir::attribute("value", ir::constant{name, value, "", {}}));
    before.push_back(std::move(n));
  } else {
    here_.graph->initializers.push_back({name, value, "", {}});
  }
  return name;
}

std::string rewriter::ints(const std::vector<std::int64_t>& values) {
  return constant(tensor_buffer::of(shape(static_cast<std::int64_t>(values.size())), values));
}

result<std::string> rewriter::scalar_like(const std::string& like, float value) {
  const ir::value_type* type = type_of(like);
  dtype t = type == nullptr ? dtype::none : type->elem;
  if (t == dtype::none && all_.only_f32) t = dtype::f32;
  switch (t) {
    case dtype::f32: return constant(tensor_buffer::of<float>(shape(), {value}));
    case dtype::f64: return constant(tensor_buffer::of<double>(shape(), {static_cast<double>(value)}));
    case dtype::none: return unsupported("the element type of " + quoted(like) + " is not known");
    default: {
      // f16 and the rest: the runtime casts; constant folding removes it.
      const std::string f32 = constant(tensor_buffer::of<float>(shape(), {value}));
      const std::int64_t to = t == dtype::f16 ? 10 : t == dtype::bf16 ? 16 : 0;
      if (to == 0) return unsupported(std::string("its element type is ") + name_of(t));
      return make("Cast", {f32}, {ir::attribute("to", to)});
    }
  }
}

const tensor_buffer* rewriter::value_of(const std::string& name) const {
  for (const scope* s = &here_; s != nullptr; s = s->outer)
    if (const auto it = s->values.find(name); it != s->values.end()) return &it->second;
  return nullptr;
}

const ir::value_type* rewriter::type_of(const std::string& name) const {
  for (const scope* s = &here_; s != nullptr; s = s->outer)
    if (const auto it = s->types.find(name); it != s->types.end()) return &it->second;
  return nullptr;
}

std::optional<std::int64_t> rewriter::rank_of(const std::string& name) const {
  if (const tensor_buffer* value = value_of(name)) return value->dims().rank;
  const ir::value_type* type = type_of(name);
  if (type == nullptr || !type->has_rank()) return std::nullopt;
  return static_cast<std::int64_t>(type->dims->size());
}

void rewriter::set_input(std::size_t i, std::string name) {
  if (node.inputs.size() <= i) node.inputs.resize(i + 1);
  node.inputs[i] = std::move(name);
}

void rewriter::ints_to_input(std::string_view attribute, std::size_t i) {
  if (node.find(attribute) == nullptr) return;
  set_input(i, ints(node.get_ints(attribute)));
  node.erase(attribute);
}

error rewriter::unsupported(const std::string& why) const {
  return {status::unsupported,
          "cannot convert " + printable(node.op_type) + " from opset " + std::to_string(all_.from) + " to " +
              std::to_string(all_.to) + ": " + why,
          "node " + node.label(), "export the model with opset " + std::to_string(all_.to) + " or later"};
}

}  // namespace quantal::onnx::convert
