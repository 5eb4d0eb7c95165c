#include "quantal/passes/plan_qdq.hpp"

#include <algorithm>
#include <unordered_set>

#include "quantal/ir/index.hpp"
#include "quantal/ops/op.hpp"
#include "quantal/passes/recognise_regions.hpp"
#include "quantal/passes/select.hpp"
#include "quantal/passes/share_scales.hpp"

namespace quantal::passes {

namespace {

using ops::quant_kind;

struct tensor_state {
  bool quantized = false;  // gets a scale
  bool can = false;        // could be an integer: every step to it is
  bool wanted = false;     // someone reads it as an integer
  bool integer_producer = false;
};

bool is_bound(const ir::node& n) {
  return n.is("Relu") || n.is("Clip");
}

std::size_t count_weighted(const ir::graph& g) {
  std::size_t total = 0;
  std::vector<const ir::graph*> open{&g};
  while (!open.empty()) {
    const ir::graph* at = open.back();
    open.pop_back();
    for (const ir::node& n : at->nodes) {
      if (at != &g &&
          (n.is("Conv") || n.is("MatMul") || n.is("Gemm") || n.is("LSTM") || n.is("GRU") || n.is("ConvTranspose")))
        ++total;
      for (const ir::attribute& a : n.attributes) {
        if (const auto* box = std::get_if<ir::graph_box>(&a.value)) open.push_back(&**box);
        if (const auto* boxes = std::get_if<std::vector<ir::graph_box>>(&a.value))
          for (const ir::graph_box& b : *boxes) open.push_back(&*b);
      }
    }
  }
  return total;
}

class planner {
 public:
  planner(const ir::model& m, const ops::type_map& types, const qdq_options& options)
      : g_(m.graph), index_(m.graph), types_(types), options_(options), regions_(recognise_regions(m.graph)) {
    plan_.nodes.resize(g_.nodes.size());
    kinds_.resize(g_.nodes.size(), quant_kind::none);
    for (std::size_t i = 0; i < g_.nodes.size(); ++i)
      if (const ops::op_def* def =
              ops::find(g_.nodes[i].domain, g_.nodes[i].op_type, m.opset_version(g_.nodes[i].domain)))
        kinds_[i] = def->quant.kind;
  }

  qdq_plan run() {
    find_fused();
    for (std::size_t i = 0; i < g_.nodes.size(); ++i) choose(i);
    grow();
    settle();
    list_tensors();
    share_scales(g_, index_, movers(), plan_);
    return std::move(plan_);
  }

 private:
  static constexpr std::size_t none = ir::index::none;

  bool is_float(const std::string& name) const {
    const auto it = types_.find(name);
    return it == types_.end() || !it->second.is_tensor() || it->second.elem == dtype::none ||
           it->second.elem == dtype::f32;
  }
  bool is_constant(const std::string& name) const { return index_.constant_value(name) != nullptr; }
  // Inputs that carry float activations.
  std::vector<std::string> activations(std::size_t i) const {
    std::vector<std::string> list;
    for (const std::string& name : g_.nodes[i].inputs)
      if (!name.empty() && !is_constant(name) && is_float(name)) list.push_back(name);
    return list;
  }
  // The value that a node's output is after its fused bounds.
  const std::string& effective_output(std::size_t i) const {
    const auto it = bounded_.find(i);
    return it == bounded_.end() ? g_.nodes[i].outputs[0] : it->second;
  }

  // Relu and Clip whose input nobody else reads belong to the node before them.
  void find_fused() {
    for (std::size_t i = 0; i < g_.nodes.size(); ++i) {
      const ir::node& n = g_.nodes[i];
      if (!is_bound(n) || index_.is_output(n.inputs[0]) || index_.uses(n.inputs[0]).size() != 1) continue;
      if (n.is("Clip") &&
          ((n.has_input(1) && !is_constant(n.inputs[1])) || (n.has_input(2) && !is_constant(n.inputs[2]))))
        continue;
      std::size_t p = index_.producer(n.inputs[0]);
      if (p == none || g_.nodes[p].outputs.size() != 1 || matches(options_.exclude, n)) continue;
      if (const auto it = plan_.fused_into.find(p); it != plan_.fused_into.end()) p = it->second;  // Relu, then Clip
      if (kinds_[p] != quant_kind::weighted && kinds_[p] != quant_kind::arithmetic && kinds_[p] != quant_kind::pooling)
        continue;
      plan_.fused_into[i] = p;
      bounded_[p] = n.outputs[0];
    }
  }

  std::string refuse_weight(const ir::node& n, std::size_t input) const {
    const tensor_buffer* w = n.has_input(input) ? index_.constant_value(n.inputs[input]) : nullptr;
    if (w == nullptr) return "its weights are computed at run time";
    if (w->type() != dtype::f32) return std::string("its weights are ") + name_of(w->type());
    if (w->elements() == 0) return "its weights are empty";
    const float* v = w->as<float>();
    if (!std::all_of(v, v + w->elements(), [](float x) { return std::isfinite(x); }))
      return "its weights hold NaN or an infinity";
    return {};
  }

  // Why a weighted node stays in float; "" if it does not.
  std::string refuse(std::size_t i) const {
    const ir::node& n = g_.nodes[i];
    if (matches(options_.exclude, n)) return "excluded";
    const bool named = !options_.include.empty() && matches(options_.include, n);
    if (!options_.include.empty() && !named) return "not included";
    if (regions_[i] == "spectrum" && !named)
      return "front end: the spectrum of the raw signal is squared, 8 bits would keep 48 dB of it";
    if (n.inputs.empty() || n.inputs[0].empty() || !is_float(n.inputs[0])) return "its input is not f32";
    if (n.is("MatMul")) {
      const bool left = is_constant(n.inputs[0]), right = is_constant(n.inputs[1]);
      if (left) return "its left operand is a constant";
      return right ? refuse_weight(n, 1) : std::string();
    }
    if (is_constant(n.inputs[0])) return "its input is a constant";
    if (std::string why = refuse_weight(n, 1); !why.empty()) return why;
    if (n.is("Gemm")) {
      if (n.get_float("alpha", 1) != 1 || (n.has_input(2) && n.get_float("beta", 1) != 1))
        return "alpha or beta is not 1";
      const tensor_buffer* w = index_.constant_value(n.inputs[1]);
      const std::int64_t columns = w->dims()[n.get_int("transB", 0) != 0 ? 0 : 1];
      const tensor_buffer* c = n.has_input(2) ? index_.constant_value(n.inputs[2]) : nullptr;
      if (n.has_input(2) && (c == nullptr || c->dims().rank != 1 || c->elements() != columns))
        return "its bias differs from row to row";
    }
    if (n.has_input(2)) {
      const tensor_buffer* b = index_.constant_value(n.inputs[2]);
      if (b == nullptr || b->type() != dtype::f32) return "its bias is computed at run time";
      if (!std::all_of(b->as<float>(), b->as<float>() + b->elements(), [](float x) { return std::isfinite(x); }))
        return "its bias holds NaN or an infinity";
    }
    return {};
  }

  void set(std::size_t i, node_form form, std::string reason = {}) { plan_.nodes[i] = {form, std::move(reason)}; }

  void choose(std::size_t i) {
    const ir::node& n = g_.nodes[i];
    if (n.outputs.empty()) return;
    if (kinds_[i] == quant_kind::weighted) return choose_weighted(i);
    if (kinds_[i] == quant_kind::table) return choose_table(i);
  }

  void choose_weighted(std::size_t i) {
    const ir::node& n = g_.nodes[i];
    const bool recurrent = n.is("LSTM") || n.is("GRU") || n.is("RNN");
    if (recurrent || (n.is("ConvTranspose") && options_.for_onnxruntime)) {
      if (std::string why = refuse_weight(n, 1); !why.empty()) return set(i, node_form::floating, why);
      if (matches(options_.exclude, n)) return set(i, node_form::floating, "excluded");
      if (!options_.include.empty() && !matches(options_.include, n))
        return set(i, node_form::floating, "not included");
      return set(i, node_form::stored,
                 recurrent ? "ONNX has no statically quantized " + n.op_type + "; weights stored in 8 bits"
                           : "ONNX Runtime has no integer ConvTranspose; weights stored in 8 bits");
    }
    if (!(n.is("Conv") || n.is("ConvTranspose") || n.is("Gemm") || n.is("MatMul")))
      return set(i, node_form::floating, "no integer form yet");
    if (std::string why = refuse(i); !why.empty()) return set(i, node_form::floating, why);
    set(i, node_form::weighted);
    for (std::size_t k = 0; k < 2; ++k)
      if (!is_constant(n.inputs[k])) state_[n.inputs[k]].quantized = true;
    if (n.is("Conv") || n.is("ConvTranspose")) state_[effective_output(i)].quantized = true;
    state_[effective_output(i)].integer_producer = true;
  }

  void choose_table(std::size_t i) {
    const ir::node& n = g_.nodes[i];
    const tensor_buffer* t = n.has_input(0) ? index_.constant_value(n.inputs[0]) : nullptr;
    if (t == nullptr || t->type() != dtype::f32) return;
    if (matches(options_.exclude, n)) return set(i, node_form::floating, "excluded");
    if (!options_.include.empty() && !matches(options_.include, n)) return set(i, node_form::floating, "not included");
    if (!is_table(n, *t)) return set(i, node_form::floating, "its table is small");
    if (std::string why = refuse_weight(n, 0); !why.empty()) return set(i, node_form::floating, why);
    set(i, node_form::table);
  }

  // Can node i run on integers if its activation inputs are?
  bool is_capable(std::size_t i) const {
    const ir::node& n = g_.nodes[i];
    if (!regions_[i].empty() || n.outputs.empty() || plan_.fused_into.count(i) != 0 || matches(options_.exclude, n))
      return false;
    switch (kinds_[i]) {
      case quant_kind::arithmetic:
        if (options_.for_onnxruntime && !n.is("Add") && !n.is("Mul")) return false;
        return std::none_of(n.inputs.begin(), n.inputs.end(),
                            [&](const std::string& x) { return x.empty() || is_constant(x); });
      case quant_kind::passthrough: return !n.is("Pad") || pads_with_zeros(n);
      case quant_kind::table:  // Gather from an activation moves data
        return plan_.nodes[i].form == node_form::other && !is_constant(n.inputs[0]);
      case quant_kind::merge:
        return std::none_of(n.inputs.begin(), n.inputs.end(), [&](const std::string& x) { return is_constant(x); });
      case quant_kind::pooling:
      case quant_kind::activation: return !n.is("Softmax") && !n.is("LogSoftmax");
      case quant_kind::none:
      case quant_kind::weighted: return false;
    }
    return false;
  }
  bool pads_with_zeros(const ir::node& n) const {
    const std::string mode = n.get_string("mode", "constant");
    if (mode != "constant") return true;  // repeats values of the tensor
    if (!n.has_input(2)) return true;
    const tensor_buffer* v = index_.constant_value(n.inputs[2]);
    return v != nullptr && v->type() == dtype::f32 && v->elements() == 1 && *v->as<float>() == 0.0F;
  }

  bool all_can(std::size_t i) {
    const auto list = activations(i);
    return !list.empty() && std::all_of(list.begin(), list.end(), [&](const std::string& x) { return state_[x].can; });
  }

  void grow() {
    const std::size_t count = g_.nodes.size();
    capable_.resize(count);
    for (auto& [name, s] : state_) s.can = s.wanted = s.quantized;
    for (std::size_t i = 0; i < count; ++i) {
      capable_[i] = is_capable(i);
      if (!capable_[i] || !all_can(i)) continue;
      for (std::size_t k = 0; k < g_.nodes[i].outputs.size(); ++k) {
        const std::string& out = k == 0 ? effective_output(i) : g_.nodes[i].outputs[k];
        if (!out.empty() && is_float(out)) state_[out].can = true;
      }
    }
    for (std::size_t i = count; i-- > 0;) {
      if (!capable_[i] || !all_can(i)) continue;
      bool wanted = false;
      for_outputs(i, [&](const std::string& out) { wanted = wanted || state_[out].wanted; });
      if (wanted)
        for (const std::string& x : activations(i)) state_[x].wanted = true;
    }
    for (auto& [name, s] : state_) s.quantized = s.quantized || (s.can && s.wanted);
  }

  template <class F>
  void for_outputs(std::size_t i, const F& f) {
    for (std::size_t k = 0; k < g_.nodes[i].outputs.size(); ++k) {
      const std::string& out = k == 0 ? effective_output(i) : g_.nodes[i].outputs[k];
      if (!out.empty() && is_float(out)) f(out);
    }
  }

  bool all_quantized(const std::vector<std::string>& names) {
    return !names.empty() &&
           std::all_of(names.begin(), names.end(), [&](const std::string& x) { return state_[x].quantized; });
  }

  std::string why_float(std::size_t i) {
    const ir::node& n = g_.nodes[i];
    if (regions_[i] == "spectrum") return "part of a spectrum front end";
    if (!regions_[i].empty()) return "arithmetic of a decomposed " + regions_[i];
    if (matches(options_.exclude, n)) return "excluded";
    if (n.is("Softmax") || n.is("LogSoftmax")) return "exponentials need more than 8 bits";
    if (n.is("LayerNormalization")) return "its mean and variance need more than 8 bits";
    const auto k = kinds_[i];
    if (k == quant_kind::none) return "no integer form";
    if (k == quant_kind::arithmetic && !capable_[i]) {
      if (options_.for_onnxruntime && !n.is("Add") && !n.is("Mul")) return "no integer form in ONNX Runtime";
      return "an operand is a constant";
    }
    if (!all_quantized(activations(i))) return "an input stays in float";
    return "its result is needed in float only";
  }

  void settle() {
    for (std::size_t i = 0; i < g_.nodes.size(); ++i) {
      const ir::node& n = g_.nodes[i];
      if (plan_.nodes[i].form != node_form::other || n.outputs.empty()) continue;
      std::vector<std::string> outs;
      for (const std::string& o : n.outputs)
        if (!o.empty() && is_float(o)) outs.push_back(o);
      const bool has_type = types_.count(n.outputs[0]) != 0;
      if (const std::size_t inside = count_inside(n); inside > 0) {
        set(i, node_form::floating,
            std::to_string(inside) +
                " weighted operators inside its branches: weights in subgraphs are not quantized yet");
        continue;
      }
      if (outs.empty() || (activations(i).empty() && has_type)) continue;
      if (plan_.fused_into.count(i) != 0) {
        const std::size_t p = plan_.fused_into[i];
        if (state_[effective_output(p)].quantized) {
          set(i, node_form::fused);
        } else {
          set(i, node_form::floating, why_float_bound(p));
        }
        continue;
      }
      std::vector<std::string> effective;
      for_outputs(i, [&](const std::string& o) { effective.push_back(o); });
      if (capable_[i] && all_quantized(activations(i)) && all_quantized(effective)) {
        set(i, node_form::integer);
        for (const std::string& o : effective) state_[o].integer_producer = true;
      } else {
        set(i, node_form::floating, why_float(i));
      }
    }
    // A fused bound is only as integer as its producer.
    for (const auto& [bound, p] : plan_.fused_into)
      if (plan_.nodes[bound].form == node_form::fused && plan_.nodes[p].form != node_form::weighted &&
          plan_.nodes[p].form != node_form::integer)
        set(bound, node_form::floating, "its producer stays in float");
  }
  std::string why_float_bound(std::size_t producer) {
    return plan_.nodes[producer].form == node_form::weighted ? "its result is needed in float only"
                                                             : "its producer stays in float";
  }
  static std::size_t count_inside(const ir::node& n) {
    ir::graph one;
    one.nodes.push_back(n);
    const bool has = std::any_of(n.attributes.begin(), n.attributes.end(),
                                 [](const ir::attribute& a) { return a.kind == 5 || a.kind == 10; });
    return has ? count_weighted(one) : 0;
  }

  void list_tensors() {
    std::unordered_set<std::string> listed;
    // In graph order, so that the result does not depend on hashing.
    auto add = [&](const std::string& name) {
      const auto it = state_.find(name);
      if (name.empty() || it == state_.end() || !it->second.quantized || !listed.insert(name).second) return;
      tensor_plan t;
      t.name = name;
      t.integer_producer = it->second.integer_producer;
      plan_.tensors.push_back(std::move(t));
    };
    for (const ir::value_info& in : g_.inputs) add(in.name);
    for (const ir::node& n : g_.nodes) {
      for (const std::string& x : n.inputs) add(x);
      for (const std::string& x : n.outputs) add(x);
    }
  }

  std::vector<value_mover> movers() const {
    std::vector<value_mover> list;
    for (std::size_t i = 0; i < g_.nodes.size(); ++i) {
      const bool merges = kinds_[i] == quant_kind::merge;
      if (plan_.nodes[i].form == node_form::integer &&
          (merges || kinds_[i] == quant_kind::passthrough || kinds_[i] == quant_kind::table))
        list.push_back({i, merges, activations(i)});
    }
    return list;
  }

  const ir::graph& g_;
  const ir::index index_;
  const ops::type_map& types_;
  const qdq_options& options_;
  std::vector<std::string> regions_;
  std::vector<quant_kind> kinds_;
  std::vector<char> capable_;
  std::unordered_map<std::size_t, std::string> bounded_;
  std::unordered_map<std::string, tensor_state> state_;
  qdq_plan plan_;
};

}  // namespace

std::vector<std::string> qdq_plan::observed() const {
  std::vector<std::string> names;
  for (const tensor_plan& t : tensors)
    if (t.root) names.push_back(t.name);
  return names;
}

std::int32_t channel_axis_of(const ir::node& n, std::int32_t weight_rank) {
  if (n.is("Conv")) return 0;
  if (n.is("ConvTranspose")) return n.get_int("group", 1) == 1 ? 1 : -1;
  if (n.is("Gemm")) return n.get_int("transB", 0) != 0 ? 0 : 1;
  if (n.is("MatMul")) return weight_rank == 2 ? 1 : -1;
  return -1;
}

result<qdq_plan> plan_qdq(const ir::model& m, const ops::type_map& types, const qdq_options& options) {
  return planner(m, types, options).run();
}

std::optional<std::int32_t> stored_axis_of(const ir::node& n, const tensor_buffer& weight) {
  if (weight.type() != dtype::f32 || weight.elements() < 64) return std::nullopt;
  const std::int32_t rank = weight.dims().rank;
  if (n.is("ConvTranspose")) return channel_axis_of(n, rank);
  // Recurrent weights are [directions, gates * hidden, input]: one scale per row of gates where there is one direction.
  return rank == 3 && weight.dims()[0] == 1 ? 1 : -1;
}

bool is_table(const ir::node& gather, const tensor_buffer& table) {
  return table.dims().rank == 2 && gather.get_int("axis", 0) == 0 && table.elements() >= 1024;
}

}  // namespace quantal::passes
