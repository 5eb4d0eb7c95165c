// convert_opset: one version at a time, every node of every graph and function through the steps of that version.
//
//   opset 9 -> 13:   for v = 10, 11, 12, 13: for each node: the step {operator, v}, if there is one
//
// The tables of steps are complete for ai.onnx from opset 6 to newest_opset: an operator without a step at v means the
// same before and after v. A model up to IR version 3 lists its initializers as inputs; they become plain initializers.
#include <algorithm>
#include <utility>

#include "../guard.hpp"
#include "quantal/base/text.hpp"
#include "quantal/ir/subgraphs.hpp"
#include "quantal/onnx/onnx.hpp"
#include "quantal/ops/infer.hpp"
#include "rewriter.hpp"

namespace quantal::onnx {

namespace {

using namespace convert;

// The IR version that came with an operator set (ONNX Versioning, table of released versions).
std::int64_t ir_version_of(std::int64_t opset) noexcept {
  constexpr std::pair<std::int64_t, std::int64_t> first[] = {{25, 13}, {24, 12}, {23, 11}, {21, 10},
                                                             {19, 9},  {15, 8},  {12, 7}};
  for (const auto& [version, ir] : first)
    if (opset >= version) return ir;
  return 6;
}

std::vector<step> steps_to(std::int64_t version) {
  std::vector<step> found;
  for (const auto family :
       {arithmetic_steps(), input_steps(), normalization_steps(), resize_steps(), softmax_steps(), other_steps()})
    for (const step& s : family)
      if (s.version == version) found.push_back(s);
  return found;
}

using type_set = std::unordered_set<std::string_view>;

bool uses(const ir::graph& g, const type_set& types) {
  return std::any_of(g.nodes.begin(), g.nodes.end(), [&](const ir::node& n) {
    bool found = n.domain.empty() && types.contains(n.op_type);
    ir::for_each_subgraph(n, [&](const ir::graph& inner) { found = found || uses(inner, types); });
    return found;
  });
}

// Does any step of these versions apply?
bool touches(const ir::graph& g, std::int64_t from, std::int64_t to) {
  type_set types;
  for (std::int64_t v = from + 1; v <= to; ++v)
    for (const step& s : steps_to(v)) types.insert(s.op_type);
  return uses(g, types);
}

// ---- what is known before ---------------------------------------------------------------------------------------

void collect_names(const ir::graph& g, session& all) {
  for (const ir::value_info& v : g.outputs) all.reads.insert(v.name);
  for (const ir::node& n : g.nodes) {
    all.reads.insert(n.inputs.begin(), n.inputs.end());
    all.node_names.insert(n.name);
    ir::for_each_subgraph(n, [&](const ir::graph& inner) { collect_names(inner, all); });
  }
}

bool other_float(dtype t) noexcept {
  return is_float(t) && t != dtype::f32;
}

bool has_other_floats(const ir::graph& g) {
  const auto stated = [](const ir::value_info& v) { return other_float(v.type.elem); };
  if (std::any_of(g.inputs.begin(), g.inputs.end(), stated)) return true;
  for (const ir::constant& c : g.initializers)
    if (other_float(c.value.type())) return true;
  for (const ir::node& n : g.nodes) {
    const std::int64_t to = n.get_int(n.is("Cast") ? "to" : "dtype", 1);  // f16, f64, bf16 and the types after it
    if (to == 10 || to == 11 || to > 15) return true;
    if (const tensor_buffer* t = n.get_tensor("value"); t != nullptr && other_float(t->type())) return true;
    bool inner = false;
    ir::for_each_subgraph(n, [&](const ir::graph& sub) { inner = inner || has_other_floats(sub); });
    if (inner) return true;
  }
  return false;
}

scope know(ir::graph& g, const scope* outer, bool constant_inputs) {
  scope here{outer, &g, false, {}, {}, {}};
  for (const auto* list : {&g.value_infos, &g.outputs, &g.inputs})
    for (const ir::value_info& v : *list)
      if (v.type.is_tensor()) here.types[v.name] = v.type;
  for (const ir::constant& c : g.initializers) {
    here.types[c.name] = ir::value_type::tensor(c.value.type(), c.value.dims());
    here.values[c.name] = c.value;
  }
  if (!constant_inputs)
    for (const ir::value_info& v : g.inputs) here.values.erase(v.name);
  const ir::index at(g);
  for (const ir::node& n : g.nodes) {
    if (!n.is("Constant") || !n.has_output(0)) continue;
    const tensor_buffer* value = at.constant_value(n.outputs[0]);
    if (value == nullptr) continue;
    here.types[n.outputs[0]] = ir::value_type::tensor(value->type(), value->dims());
    here.values[n.outputs[0]] = *value;
  }
  return here;
}

// ---- the rewriting ----------------------------------------------------------------------------------------------

class converter {
 public:
  converter(session& all, std::unordered_set<std::string> own) : all_(all), own_functions_(std::move(own)) {}

  result<void> graph(ir::graph& g, scope here) {
    for (std::int64_t v = all_.from + 1; v <= all_.to; ++v) QUANTAL_CHECK(one_version(g, here, v));
    for (ir::node& n : g.nodes) {
      result<void> ok;
      ir::for_each_subgraph(n, [&](ir::graph& inner) {
        if (ok) ok = graph(inner, subscope(inner, here));
      });
      QUANTAL_CHECK(ok);
    }
    return {};
  }

  bool constant_inputs = false;  // IR version <= 3

 private:
  scope subscope(ir::graph& inner, const scope& here) const {
    scope s = know(inner, &here, constant_inputs);
    s.function = here.function;
    return s;
  }

  result<void> one_version(ir::graph& g, scope& here, std::int64_t v) {
    const std::vector<step> steps = steps_to(v);
    const auto step_for = [&](const ir::node& n) -> const step* {
      if (!n.domain.empty() || own_functions_.contains(n.op_type)) return nullptr;
      const auto it = std::find_if(steps.begin(), steps.end(), [&](const step& s) { return s.op_type == n.op_type; });
      return it == steps.end() ? nullptr : &*it;
    };
    if (std::none_of(g.nodes.begin(), g.nodes.end(), [&](const ir::node& n) { return step_for(n) != nullptr; }))
      return {};
    std::vector<ir::node> nodes;
    nodes.reserve(g.nodes.size());
    for (ir::node& n : g.nodes) {
      const step* s = step_for(n);
      if (s == nullptr) {
        nodes.push_back(std::move(n));
        continue;
      }
      rewriter r(std::move(n), here, all_);
      for (const ir::attribute& a : r.node.attributes)
        if (!a.reference.empty())
          return r.unsupported("its attribute " + quoted(a.name) + " is a parameter of a function");
      if (r.node.inputs.empty() || r.node.outputs.empty()) return r.unsupported("it has no input or no output");
      QUANTAL_CHECK(s->apply(r));
      std::move(r.before.begin(), r.before.end(), std::back_inserter(nodes));
      nodes.push_back(std::move(r.node));
      std::move(r.after.begin(), r.after.end(), std::back_inserter(nodes));
    }
    g.nodes = std::move(nodes);
    return {};
  }

  session& all_;
  std::unordered_set<std::string> own_functions_;  // functions of the model that replace an ai.onnx operator
};

// Types of the main graph as inference finds them; what it cannot find is not needed often.
void add_inferred(const ir::model& m, scope& here) {
  auto inferred = ops::infer_types(m);
  if (!inferred) return;
  for (auto& [name, type] : *inferred)
    if (type.is_tensor()) here.types[name] = std::move(type);
}

result<void> convert_graph(ir::model& m, std::int64_t from, std::int64_t to,
                           const std::unordered_set<std::string>& own) {
  if (from >= to || !touches(m.graph, from, to)) return {};
  ir::name_pool names(m.graph);
  session all{from, to, !has_other_floats(m.graph), {}, &names, {}};
  collect_names(m.graph, all);
  converter c(all, own);
  c.constant_inputs = m.ir_version <= 3;
  scope here = know(m.graph, nullptr, c.constant_inputs);
  add_inferred(m, here);
  return c.graph(m.graph, std::move(here));
}

// A function body is a graph without initializers and types.
result<void> convert_function(ir::function& f, std::int64_t to, const std::unordered_set<std::string>& own) {
  const auto import =
      std::find_if(f.opsets.begin(), f.opsets.end(), [](const ir::opset& o) { return o.domain.empty(); });
  if (import == f.opsets.end() || import->version >= to) return {};
  ir::graph body;
  for (const std::string& name : f.inputs) body.inputs.push_back({name, {}, "", {}});
  for (const std::string& name : f.outputs) body.outputs.push_back({name, {}, "", {}});
  body.value_infos = f.value_infos;
  body.nodes = std::move(f.nodes);
  ir::name_pool names(body);
  session all{import->version, to, false, {}, &names, {}};
  collect_names(body, all);
  converter c(all, own);
  scope here = know(body, nullptr, false);
  here.function = true;
  QUANTAL_CHECK(c.graph(body, std::move(here)));
  f.nodes = std::move(body.nodes);
  import->version = to;
  return {};
}

void drop_constant_inputs(ir::graph& g) {
  std::unordered_set<std::string_view> constants;
  for (const ir::constant& c : g.initializers) constants.insert(c.name);
  std::erase_if(g.inputs, [&](const ir::value_info& v) { return constants.contains(v.name); });
  for (ir::node& n : g.nodes) ir::for_each_subgraph(n, drop_constant_inputs);
}

bool uses_onnx(const ir::graph& g) {
  return std::any_of(g.nodes.begin(), g.nodes.end(), [](const ir::node& n) { return n.domain.empty(); });
}

result<void> convert_checked(ir::model& m, std::int64_t target) {
  if (target < oldest_target || target > newest_opset) {
    return error{status::argument, "cannot convert to opset " + std::to_string(target), "",
                 "give one from " + std::to_string(oldest_target) + " to " + std::to_string(newest_opset)};
  }
  const std::int64_t from = m.opset_version("");
  if (from == 0 && uses_onnx(m.graph))
    return error{status::model_graph, "the model does not say which version of the ai.onnx operators it uses", "", ""};
  if (from != 0 && from < oldest_opset) {
    return error{status::unsupported,
                 "operators of opset " + std::to_string(from) + " cannot be converted to opset " +
                     std::to_string(target) + ": the oldest supported is " + std::to_string(oldest_opset),
                 "", "export the model with a newer opset"};
  }
  ir::model converted = m;  // tensors are shared; on error `m` is as it was
  std::unordered_set<std::string> own;
  for (const ir::function& f : m.functions)
    if (f.domain.empty()) own.insert(f.name);
  if (from != 0) QUANTAL_CHECK(convert_graph(converted, from, target, own));
  for (ir::function& f : converted.functions)
    if (auto ok = convert_function(f, target, own); !ok)
      return std::move(ok).failure().at("function " + quoted(f.name));
  if (converted.ir_version <= 3) drop_constant_inputs(converted.graph);
  converted.set_opset("", std::max(from, target));
  converted.ir_version = std::max(converted.ir_version, ir_version_of(converted.opset_version("")));
  m = std::move(converted);
  return {};
}

}  // namespace

result<void> convert_opset(ir::model& m, std::int64_t target) {
  return guarded([&] { return convert_checked(m, target); });
}

}  // namespace quantal::onnx
