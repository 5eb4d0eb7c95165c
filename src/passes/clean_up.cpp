#include "quantal/passes/clean_up.hpp"

#include <algorithm>
#include <unordered_set>

#include "quantal/ops/infer.hpp"
#include "quantal/passes/edit.hpp"

namespace quantal::passes {

namespace {

// The tensor a Constant node of any kind makes; empty for strings and sparse tensors (they stay nodes).
tensor_buffer tensor_of(const ir::node& n) {
  if (const tensor_buffer* t = n.get_tensor("value")) return *t;
  if (const ir::attribute* a = n.find("value_float"))
    if (const float* v = std::get_if<float>(&a->value)) return tensor_buffer::of<float>(shape(), {*v});
  if (const ir::attribute* a = n.find("value_int"))
    if (const std::int64_t* v = std::get_if<std::int64_t>(&a->value))
      return tensor_buffer::of<std::int64_t>(shape(), {*v});
  if (const ir::attribute* a = n.find("value_floats"))
    if (const auto* v = std::get_if<std::vector<float>>(&a->value))
      return tensor_buffer::of<float>(shape(static_cast<std::int64_t>(v->size())), *v);
  if (const ir::attribute* a = n.find("value_ints"))
    if (const auto* v = std::get_if<std::vector<std::int64_t>>(&a->value))
      return tensor_buffer::of<std::int64_t>(shape(static_cast<std::int64_t>(v->size())), *v);
  return {};
}

bool is_identity_permutation(const std::vector<std::int64_t>& perm) {
  for (std::size_t i = 0; i < perm.size(); ++i)
    if (perm[i] != static_cast<std::int64_t>(i)) return false;
  return !perm.empty();
}

bool is_inference_dropout(const editor& e, const ir::node& n) {
  if (n.has_output(1)) return false;  // the mask is read
  if (!n.has_input(2)) return n.get_int("is_test", 1) != 0;
  const tensor_buffer* training = e.constant(n.inputs[2]);
  return training != nullptr && training->type() == dtype::boolean && *training->as<std::uint8_t>() == 0;
}

bool pads_nothing(const editor& e, const ir::node& n) {
  std::vector<std::int64_t> pads = n.get_ints("pads");
  if (n.has_input(1)) {
    auto given = e.ints(n.inputs[1]);
    if (!given) return false;
    pads = *given;
  }
  return !pads.empty() && std::all_of(pads.begin(), pads.end(), [](std::int64_t p) { return p == 0; });
}

bool is_identity(const editor& e, const ir::node& n, const ops::type_map& types) {
  if (n.is("Identity")) return true;
  if (n.is("Dropout")) return is_inference_dropout(e, n);
  if (n.is("Transpose")) return is_identity_permutation(n.get_ints("perm"));
  if (n.is("Pad")) return pads_nothing(e, n);
  if (n.is("Concat") || n.is("Sum") || n.is("Max") || n.is("Min")) return n.inputs.size() == 1;
  if (n.is("Cast")) {
    auto from = types.find(n.inputs[0]), to = types.find(n.outputs[0]);
    return from != types.end() && to != types.end() && from->second.is_tensor() && to->second.is_tensor() &&
           from->second.elem != dtype::none && from->second.elem == to->second.elem;
  }
  return false;
}

// Transpose(Transpose(x, p), q): one Transpose, or none if q undoes p.
bool merge_transposes(editor& e, ir::node& second) {
  ir::node* first = e.producer(second.inputs[0]);
  if (first == nullptr || !first->is("Transpose")) return false;
  const auto p = first->get_ints("perm"), q = second.get_ints("perm");
  if (p.empty() || p.size() != q.size()) return false;
  std::vector<std::int64_t> both(p.size());
  for (std::size_t i = 0; i < q.size(); ++i) {
    if (q[i] < 0 || static_cast<std::size_t>(q[i]) >= p.size()) return false;
    both[i] = p[static_cast<std::size_t>(q[i])];
  }
  second.inputs[0] = first->inputs[0];
  second.set(ir::attribute("perm", both));
  e.touch(*first);
  e.touch(second);
  e.count();
  return true;
}

}  // namespace

result<std::size_t> constants_to_initializers(ir::model& m) {
  ir::graph& g = m.graph;
  std::size_t changes = 0;
  std::vector<ir::node> kept;
  kept.reserve(g.nodes.size());
  for (ir::node& n : g.nodes) {
    tensor_buffer value = n.is("Constant") && n.has_output(0) ? tensor_of(n) : tensor_buffer{};
    if (!value) {
      kept.push_back(std::move(n));
      continue;
    }
    ir::constant c;
    c.name = n.outputs[0];
    c.value = std::move(value);
    g.initializers.push_back(std::move(c));
    ++changes;
  }
  g.nodes = std::move(kept);
  return changes;
}

result<std::size_t> remove_identities(ir::model& m) {
  QUANTAL_TRY(types, ops::infer_types(m));
  return sweep(m.graph, [&](editor& e) -> result<void> {
    for (ir::node& n : e.g.nodes) {
      if (e.touched(n) || n.inputs.empty() || n.outputs.empty() || n.inputs[0].empty()) continue;
      if (is_identity(e, n, types)) {
        e.bypass(n);
      } else if (n.is("Transpose")) {
        merge_transposes(e, n);
      }
    }
    return {};
  });
}

result<std::size_t> remove_dead(ir::model& m) {
  ir::graph& g = m.graph;
  std::size_t changes = 0;
  for (bool again = true; again;) {
    std::unordered_set<std::string> read;
    for (const ir::value_info& out : g.outputs) read.insert(out.name);
    for_each_read(g.nodes, [&](std::string& name) { read.insert(name); });
    const auto unread = [&](const ir::node& n) {
      return std::none_of(n.outputs.begin(), n.outputs.end(), [&](const std::string& o) { return read.count(o) != 0; });
    };
    const std::size_t before = g.nodes.size() + g.initializers.size();
    const std::size_t nodes_before = g.nodes.size();
    std::erase_if(g.nodes, unread);
    std::unordered_set<std::string> inputs;
    for (const ir::value_info& in : g.inputs) inputs.insert(in.name);
    std::erase_if(g.initializers,
                  [&](const ir::constant& c) { return read.count(c.name) == 0 && inputs.count(c.name) == 0; });
    changes += before - g.nodes.size() - g.initializers.size();
    again = g.nodes.size() != nodes_before;
  }
  std::unordered_set<std::string> made;
  for (const ir::node& n : g.nodes) made.insert(n.outputs.begin(), n.outputs.end());
  for (const ir::constant& c : g.initializers) made.insert(c.name);
  std::erase_if(g.value_infos, [&](const ir::value_info& v) { return made.count(v.name) == 0; });
  return changes;
}

}  // namespace quantal::passes
