#include "quantal/passes/convert_fp16.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "quantal/ir/verify.hpp"
#include "quantal/num/float16.hpp"
#include "quantal/passes/edit.hpp"
#include "quantal/passes/recognise_regions.hpp"
#include "quantal/passes/select.hpp"

namespace quantal::passes {

namespace {

constexpr std::int64_t onnx_float = 1, onnx_float16 = 10;  // TensorProto.DataType

const std::unordered_set<std::string_view>& unsafe_operators() {
  static const std::unordered_set<std::string_view> list = {"Pow",
                                                            "Exp",
                                                            "Log",
                                                            "Softmax",
                                                            "LogSoftmax",
                                                            "ReduceSum",
                                                            "ReduceSumSquare",
                                                            "ReduceL1",
                                                            "ReduceL2",
                                                            "ReduceLogSum",
                                                            "ReduceLogSumExp",
                                                            "ReduceProd",
                                                            "CumSum",
                                                            "LayerNormalization",
                                                            "InstanceNormalization",
                                                            "GroupNormalization",
                                                            "MeanVarianceNormalization",
                                                            "LpNormalization",
                                                            "RMSNormalization",
                                                            "SkipLayerNormalization",
                                                            "LRN",
                                                            "Softplus",
                                                            "QuantizeLinear",
                                                            "DequantizeLinear",
                                                            "DynamicQuantizeLinear",
                                                            "NonMaxSuppression",
                                                            "RoiAlign",
                                                            "Range",
                                                            "TopK",
                                                            "Upsample",
                                                            "GridSample",
                                                            "STFT",
                                                            "DFT",
                                                            "MelWeightMatrix",
                                                            "Det",
                                                            "Einsum",
                                                            "Bernoulli",
                                                            "Multinomial"};
  return list;
}

result<tensor_buffer> to_half(const tensor_buffer& t) {
  QUANTAL_TRY(h, tensor_buffer::make(dtype::f16, t.dims()));
  for (std::int64_t i = 0; i < t.elements(); ++i) h.mutable_as<std::uint16_t>()[i] = f32_to_f16(t.as<float>()[i]);
  return std::move(h);
}

// f16 would turn one of these values into 0 or infinity, or cut a small constant's bits.
bool fits_half(const tensor_buffer& t) {
  const bool small = t.elements() <= 16;  // a factor or an epsilon: every value matters
  for (std::int64_t i = 0; i < t.elements(); ++i) {
    const float v = std::fabs(t.as<float>()[i]);
    if (v > 65504.0F || (small && v != 0 && v < 6.1035e-5F)) return false;
  }
  return true;
}

class converter {
 public:
  converter(ir::model& m, const ops::type_map& types, const qdq_options& options)
      : m_(m),
        e_(m.graph),
        types_(types),
        options_(options),
        regions_(recognise_regions(m.graph)),
        plan_(m.graph.nodes.size()) {}

  result<std::vector<node_plan>> run() {
    for (std::size_t i = 0; i < plan_.size(); ++i) decide(i);
    for (std::size_t i = 0; i < plan_.size(); ++i) QUANTAL_CHECK(rewrite(i));
    close_outputs();
    std::erase_if(m_.graph.value_infos, [&](const ir::value_info& v) { return half_.count(v.name) != 0; });
    e_.count();
    QUANTAL_TRY(changes, e_.finish());
    (void)changes;
    QUANTAL_CHECK(store_inner_weights());
    return std::move(plan_);
  }

 private:
  dtype type_of(const std::string& name) const {
    if (const tensor_buffer* t = e_.constant(name)) return t->type();
    const auto it = types_.find(name);
    return it != types_.end() && it->second.is_tensor() ? it->second.elem : dtype::none;
  }

  std::string refuse(std::size_t i) const {
    const ir::node& n = e_.g.nodes[i];
    if (!n.domain.empty()) return "operator of domain " + n.domain;
    if (std::any_of(n.attributes.begin(), n.attributes.end(),
                    [](const ir::attribute& a) { return a.kind == 5 || a.kind == 10; }))
      return "its branches stay in f32; their weights are stored in f16";
    if (matches(options_.exclude, n)) return "excluded";
    if (!options_.include.empty() && !matches(options_.include, n)) return "not included";
    if (unsafe_operators().count(n.op_type) != 0 || n.op_type.starts_with("Random")) return "numerically unsafe in f16";
    if (n.is("Mul") && n.inputs.size() == 2 && n.inputs[0] == n.inputs[1]) return "a square can leave the range of f16";
    if (regions_[i] == "LayerNorm" || regions_[i] == "softmax" || regions_[i] == "spectrum")
      return "arithmetic of a decomposed " + regions_[i];
    for (const std::string& x : n.inputs) {
      if (x.empty()) continue;
      const dtype t = type_of(x);
      if (t == dtype::none) return "its types are not known";
      const tensor_buffer* c = e_.constant(x);
      if (c != nullptr && t == dtype::f32 && !fits_half(*c)) return "a constant does not fit f16";
    }
    for (const std::string& y : n.outputs)
      if (!y.empty() && type_of(y) == dtype::none) return "its types are not known";
    return {};
  }

  bool touches_float(const ir::node& n) const {
    const auto is = [&](const std::string& name) { return !name.empty() && type_of(name) == dtype::f32; };
    return std::any_of(n.inputs.begin(), n.inputs.end(), is) || std::any_of(n.outputs.begin(), n.outputs.end(), is);
  }

  void decide(std::size_t i) {
    const ir::node& n = e_.g.nodes[i];
    const std::string why = refuse(i);
    if (!why.empty()) {
      plan_[i] = {node_form::floating, why};
      return;
    }
    if (!touches_float(n)) return;  // form other
    const bool reads_float = std::any_of(n.inputs.begin(), n.inputs.end(),
                                         [&](const std::string& x) { return !x.empty() && type_of(x) == dtype::f32; });
    if (!reads_float && !n.is("Cast")) {
      plan_[i] = {node_form::floating, "makes f32 values by its definition"};
      return;
    }
    plan_[i] = {node_form::integer, {}};
    for (const std::string& y : n.outputs)
      if (!y.empty() && type_of(y) == dtype::f32) half_.insert(y);
  }

  // The name of `x` with type `want`; makes the cast or the converted constant on first use.
  result<std::string> as(const std::string& x, bool want_half) {
    if (const tensor_buffer* c = e_.constant(x)) {
      if (!want_half) return x;
      if (const auto it = half_name_.find(x); it != half_name_.end()) return it->second;
      QUANTAL_TRY(h, to_half(*c));
      return half_name_[x] = e_.add_constant(x + "_fp16", h);
    }
    const bool is_half = half_.count(x) != 0;
    if (is_half == want_half) return x;
    auto& names = want_half ? half_name_ : float_name_;
    if (const auto it = names.find(x); it != names.end()) return it->second;
    const std::string out = e_.fresh(x + (want_half ? "_fp16" : "_fp32"));
    add_cast(x, out, want_half ? onnx_float16 : onnx_float);
    return names[x] = out;
  }

  void add_cast(const std::string& from, const std::string& to, std::int64_t type) {
    ir::node cast;
    cast.op_type = "Cast";
    cast.name = e_.fresh(to + "_cast");
    cast.inputs = {from};
    cast.outputs = {to};
    cast.set(ir::attribute("to", type));
    e_.add_node(std::move(cast));
  }

  result<void> rewrite(std::size_t i) {
    ir::node& n = e_.g.nodes[i];
    const bool half = plan_[i].form == node_form::integer;
    for (std::size_t k = 0; k < n.inputs.size(); ++k) {
      if (n.inputs[k].empty() || type_of(n.inputs[k]) != dtype::f32) continue;
      const bool schema_float = n.is("Resize") && k > 0;  // roi, scales
      QUANTAL_TRY(name, as(n.inputs[k], half && !schema_float));
      n.inputs[k] = name;
    }
    if (half && n.is("Cast") && n.get_int("to", 0) == onnx_float) n.set(ir::attribute("to", onnx_float16));
    if (!half) QUANTAL_CHECK(rewrite_captures(n));
    return {};
  }

  // A subgraph reads outer values as f32.
  result<void> rewrite_captures(ir::node& n) {
    std::vector<ir::node> one;
    for (const ir::attribute& a : n.attributes)
      if (a.kind == 5 || a.kind == 10) one.push_back(n);
    if (one.empty()) return {};
    std::unordered_set<std::string> captured;
    one.resize(1);
    for_each_read(one, [&](std::string& name) {
      if (half_.count(name) != 0) captured.insert(name);
    });
    std::unordered_map<std::string, std::string> replace;
    for (const std::string& name : captured) {
      QUANTAL_TRY(now, as(name, false));
      replace[name] = now;
    }
    for_each_read(one, [&](std::string& name) {
      if (const auto it = replace.find(name); it != replace.end()) name = it->second;
    });
    n = std::move(one[0]);
    return {};
  }

  // Model outputs stay f32 and keep their names: the f16 value gets another.
  void close_outputs() {
    for (const ir::value_info& out : m_.graph.outputs) {
      if (half_.count(out.name) == 0 || !closed_.insert(out.name).second) continue;
      const std::string inner = e_.fresh(out.name + "_fp16");
      for (ir::node& n : e_.g.nodes)
        for (std::string& y : n.outputs)
          if (y == out.name) y = inner;
      e_.redirect(out.name, inner);
      add_cast(inner, out.name, onnx_float);
    }
  }

  // Large f32 constants inside branches: stored as f16, cast to f32 where the branch begins.
  result<void> store_inner_weights() {
    std::vector<ir::graph*> open;
    const auto push = [&](std::vector<ir::node>& nodes) {
      for (ir::node& n : nodes)
        for (ir::attribute& a : n.attributes) {
          if (auto* box = std::get_if<ir::graph_box>(&a.value)) open.push_back(&**box);
          if (auto* boxes = std::get_if<std::vector<ir::graph_box>>(&a.value))
            for (ir::graph_box& b : *boxes) open.push_back(&*b);
        }
    };
    push(m_.graph.nodes);
    ir::name_pool names(m_.graph);
    while (!open.empty()) {
      ir::graph& g = *open.back();
      open.pop_back();
      push(g.nodes);
      std::vector<ir::node> casts;
      for (ir::constant& c : g.initializers) {
        if (c.value.type() != dtype::f32 || c.value.elements() < 64 || !fits_half(c.value)) continue;
        QUANTAL_TRY(h, to_half(c.value));
        casts.push_back(cast_node(names.fresh(c.name + "_fp16"), c.name));
        c.name = casts.back().inputs[0];
        c.value = h;
      }
      for (ir::node& n : g.nodes) {
        if (!n.is("Constant")) continue;
        const tensor_buffer* t = n.get_tensor("value");
        if (t == nullptr || t->type() != dtype::f32 || t->elements() < 64 || !fits_half(*t)) continue;
        QUANTAL_TRY(h, to_half(*t));
        casts.push_back(cast_node(names.fresh(n.outputs[0] + "_fp16"), n.outputs[0]));
        ir::constant value;
        value.value = h;
        n.set(ir::attribute("value", std::move(value)));
        n.outputs[0] = casts.back().inputs[0];
      }
      for (ir::node& c : casts) g.nodes.push_back(std::move(c));
      QUANTAL_CHECK(ir::sort_nodes(g));
    }
    return {};
  }
  static ir::node cast_node(const std::string& from, const std::string& to) {
    ir::node n;
    n.op_type = "Cast";
    n.inputs = {from};
    n.outputs = {to};
    n.set(ir::attribute("to", onnx_float));
    return n;
  }

  ir::model& m_;
  editor e_;
  const ops::type_map& types_;
  const qdq_options& options_;
  std::vector<std::string> regions_;
  std::vector<node_plan> plan_;
  std::unordered_set<std::string> half_, closed_;
  std::unordered_map<std::string, std::string> half_name_, float_name_;
};

}  // namespace

result<std::vector<node_plan>> convert_fp16(ir::model& m, const ops::type_map& types, const qdq_options& options) {
  return converter(m, types, options).run();
}

}  // namespace quantal::passes
