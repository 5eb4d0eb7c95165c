#include "quantal/passes/place_qdq.hpp"

#include <algorithm>
#include <cmath>

#include "quantal/ir/index.hpp"
#include "quantal/ir/verify.hpp"
#include "quantal/passes/edit.hpp"
#include "quantal/passes/quantize_weights.hpp"
#include "quantal/passes/saturation.hpp"

namespace quantal::passes {

namespace {

tensor_buffer code_tensor(dtype type, std::size_t count, std::int32_t value) {
  const auto dims = count == 1 ? shape() : shape(static_cast<std::int64_t>(count));
  if (type == dtype::u8)
    return tensor_buffer::of<std::uint8_t>(dims, std::vector<std::uint8_t>(count, static_cast<std::uint8_t>(value)));
  return tensor_buffer::of<std::int8_t>(dims, std::vector<std::int8_t>(count, static_cast<std::int8_t>(value)));
}

tensor_buffer scale_tensor(const std::vector<float>& scales) {
  return tensor_buffer::of<float>(scales.size() == 1 ? shape() : shape(static_cast<std::int64_t>(scales.size())),
                                  scales);
}

// The same values with zero point 128.
result<tensor_buffer> to_unsigned(const tensor_buffer& codes) {
  QUANTAL_TRY(out, tensor_buffer::make(dtype::u8, codes.dims()));
  for (std::int64_t i = 0; i < codes.elements(); ++i)
    out.mutable_as<std::uint8_t>()[i] = static_cast<std::uint8_t>(codes.as<std::int8_t>()[i] + 128);
  return std::move(out);
}

class placer {
 public:
  placer(ir::model& m, const qdq_plan& plan, const range_map& ranges, const qdq_options& options, const mean_map& means)
      : m_(m),
        g_(m.graph),
        before_(m.graph),
        index_(before_),
        plan_(plan),
        ranges_(ranges),
        options_(options),
        means_(means),
        names_(m.graph) {}

  result<placed> run() {
    QUANTAL_CHECK(choose_scales());
    for (std::size_t i = 0; i < before_.nodes.size(); ++i) QUANTAL_CHECK(quantize_node(i));
    for (std::size_t t = 0; t < plan_.tensors.size(); ++t) done_.tensors[t].counterpart = insert_pair(plan_.tensors[t]);
    remove_bounds();
    finish();
    QUANTAL_CHECK(ir::sort_nodes(g_));
    QUANTAL_CHECK(ir::verify(m_));
    if (saturating_ > 0 && options_.weight_type == dtype::s8) {
      const bool either = options_.activation_type == dtype::u8;
      done_.warnings.push_back(
          saturation_warning(saturating_, options_.activation_type,
                             either ? "--weight-type u8 or --reduce-range avoid it" : "--reduce-range avoids it"));
    }
    return std::move(done_);
  }

 private:
  struct shared_weight {
    std::string name;
    tensor_buffer codes;  // s8
    std::vector<float> scales;
  };

  choose_options activation_choice() const {
    choose_options c;
    c.type = options_.activation_type;
    c.symmetric = options_.symmetric;
    c.reduce_range = options_.reduce_range && options_.activation_type == dtype::s8;
    return c;
  }

  result<void> choose_scales() {
    std::vector<value_range> merged(plan_.groups, {INFINITY, -INFINITY});
    for (const tensor_plan& t : plan_.tensors) {
      tensor_of_[t.name] = &t;
      if (!t.root) continue;
      const auto it = ranges_.find(t.name);
      if (it == ranges_.end())
        return error{status::calibration, "no value was observed for a tensor that needs a range", t.name,
                     "use data that reaches it, or --exclude its reader"};
      value_range r{std::max(it->second.min, t.low), std::min(it->second.max, t.high)};
      if (r.min > r.max) r = {0, 0};  // all values lie where every reader saturates
      merged[t.group].min = std::min(merged[t.group].min, r.min);
      merged[t.group].max = std::max(merged[t.group].max, r.max);
    }
    params_.resize(plan_.groups);
    for (const tensor_plan& t : plan_.tensors) {
      value_range& r = merged[t.group];
      r.min = std::min(r.min, 0.0);
      r.max = std::max(r.max, 0.0);
      if (const status s = choose_params(r.min, r.max, activation_choice(), params_[t.group]); s != status::ok)
        return error{status::calibration, "the observed range cannot be quantized", t.name,
                     "look for NaN or infinities in the data and the model"};
      done_.tensors.push_back({t.name, {}, r, params_[t.group]});
    }
    scale_names_.resize(plan_.groups);
    zero_names_.resize(plan_.groups);
    for (const tensor_plan& t : plan_.tensors) {
      if (!scale_names_[t.group].empty()) continue;
      const quant_params& p = params_[t.group];
      scale_names_[t.group] = add_constant(t.name + "_scale", tensor_buffer::of<float>(shape(), {p.scale}));
      zero_names_[t.group] =
          add_constant(t.name + "_zero_point", code_tensor(options_.activation_type, 1, p.zero_point));
    }
    return {};
  }

  std::string add_constant(const std::string& wanted, tensor_buffer value) {
    ir::constant c;
    c.name = names_.fresh(wanted);
    c.value = std::move(value);
    g_.initializers.push_back(std::move(c));
    return g_.initializers.back().name;
  }

  void add_node(const char* op, const std::string& name, std::vector<std::string> inputs, const std::string& output,
                std::int64_t axis = -1) {
    ir::node n;
    n.op_type = op;
    n.name = name;
    n.inputs = std::move(inputs);
    n.outputs = {output};
    if (axis >= 0) n.set(ir::attribute("axis", axis));
    added_.push_back(std::move(n));
  }

  std::optional<quant_params> params_of(const std::string& tensor) const {
    const auto it = tensor_of_.find(tensor);
    return it == tensor_of_.end() ? std::nullopt : std::optional(params_[it->second->group]);
  }

  // DequantizeLinear of an integer constant; returns the float's name.
  std::string dequantized(const std::string& base, const tensor_buffer& codes, const std::vector<float>& scales,
                          std::int32_t axis, std::int32_t zero_point) {
    const std::string q = add_constant(base + "_quantized", codes);
    const std::string s = add_constant(base + "_scale", scale_tensor(scales));
    const std::string z = add_constant(base + "_zero_point", code_tensor(codes.type(), scales.size(), zero_point));
    const std::string out = names_.fresh(base + "_DequantizeLinear_Output");
    add_node("DequantizeLinear", names_.fresh(base + "_DequantizeLinear"), {q, s, z}, out,
             scales.size() > 1 ? axis : -1);
    return out;
  }

  result<shared_weight> shared_weight_of(const std::string& name, const tensor_buffer& w, const weight_options& o) {
    const std::string key = name + "|" + std::to_string(o.axis);
    if (o.floors.empty())
      if (const auto it = weights_.find(key); it != weights_.end()) return it->second;
    QUANTAL_TRY(q, quantize_weights(w, o));
    std::int32_t zero_point = 0;
    tensor_buffer codes = q.values;
    if (options_.weight_type == dtype::u8) {
      QUANTAL_TRY(shifted, to_unsigned(codes));
      codes = shifted;
      zero_point = 128;
    }
    shared_weight made{dequantized(name, codes, q.scales, o.axis, zero_point), q.values, q.scales};
    if (o.floors.empty()) weights_[key] = made;
    return made;
  }

  result<void> quantize_node(std::size_t i) {
    switch (plan_.nodes[i].form) {
      case node_form::weighted: return quantize_weighted(i);
      case node_form::stored: return store_weights(i);
      case node_form::table: return quantize_table(i);
      default: return {};
    }
  }

  result<void> quantize_weighted(std::size_t i) {
    const ir::node& old = before_.nodes[i];
    ir::node& n = g_.nodes[i];
    const tensor_buffer* w = index_.constant_value(old.inputs[1]);
    if (w == nullptr) return {};  // MatMul of two activations
    weight_options o;
    o.range = options_.weights;
    o.axis = options_.per_channel ? channel_axis_of(old, w->dims().rank) : -1;
    o.reduce_range = options_.reduce_range;
    auto q = shared_weight_of(old.inputs[1], *w, o);
    if (!q) return std::move(q).failure().at(old.label());
    const auto input = params_of(old.inputs[0]);
    std::vector<float> bias = bias_of(old, *w, *q);
    if (!bias.empty() && input) {
      const std::vector<float> floors = bias_guard(bias, input->scale, q->scales);
      if (!floors.empty()) {
        o.floors = floors;
        q = shared_weight_of(old.inputs[1], *w, o);
        if (!q) return std::move(q).failure().at(old.label());
        bias = bias_of(old, *w, *q);
        done_.warnings.push_back(old.label() + ": weights quantized coarser so that the bias fits into 32 bits");
      }
      const std::string name = old.has_input(2) ? old.inputs[2] : old.inputs[1] + "_bias";
      n.inputs.resize(3);
      n.inputs[2] = dequantized_bias(name, bias, input->scale, q->scales);
    }
    n.inputs[1] = q->name;
    if (may_saturate(old, q->codes)) ++saturating_;
    return {};
  }

  // The float bias, corrected for the mean error of the rounded weights; empty if there is none and nothing to correct.
  std::vector<float> bias_of(const ir::node& n, const tensor_buffer& w, const shared_weight& q) const {
    const tensor_buffer* b = n.has_input(2) ? index_.constant_value(n.inputs[2]) : nullptr;
    std::vector<float> bias;
    if (b != nullptr) bias.assign(b->as<float>(), b->as<float>() + b->elements());
    const auto mean = means_.find(n.inputs[0]);
    if (mean == means_.end() || (b == nullptr && !n.is("Conv"))) return bias;
    const std::vector<double> shift = mean_error(n, w, q.codes, q.scales, mean->second);
    if (shift.empty() || (b != nullptr && bias.size() != shift.size())) return bias;
    bias.resize(shift.size(), 0.0F);
    for (std::size_t c = 0; c < shift.size(); ++c)
      bias[c] = static_cast<float>(static_cast<double>(bias[c]) - shift[c]);
    return bias;
  }

  std::string dequantized_bias(const std::string& name, std::span<const float> bias, float input_scale,
                               const std::vector<float>& weight_scales) {
    std::vector<float> scales;
    for (float s : weight_scales) scales.push_back(input_scale * s);
    const std::string q = add_constant(name + "_quantized", quantize_bias(bias, input_scale, weight_scales));
    const std::string s = add_constant(name + "_scale", scale_tensor(scales));
    const std::string out = names_.fresh(name + "_DequantizeLinear_Output");
    // s32 takes no zero point but 0; ONNX lets it be absent.
    add_node("DequantizeLinear", names_.fresh(name + "_DequantizeLinear"), {q, s}, out, scales.size() > 1 ? 0 : -1);
    return out;
  }

  // Weights as integers, arithmetic in float: ConvTranspose, LSTM, GRU.
  result<void> store_weights(std::size_t i) {
    const ir::node& old = before_.nodes[i];
    const std::size_t last = old.is("ConvTranspose") ? 1 : 2;  // LSTM: W and R
    for (std::size_t k = 1; k <= last && k < old.inputs.size(); ++k) {
      const tensor_buffer* w = index_.constant_value(old.inputs[k]);
      const auto axis = w == nullptr ? std::nullopt : stored_axis_of(old, *w);
      if (!axis) continue;
      weight_options o;
      o.range = options_.weights;
      o.axis = options_.per_channel ? *axis : -1;
      auto q = shared_weight_of(old.inputs[k], *w, o);
      if (!q) return std::move(q).failure().at(old.label());
      g_.nodes[i].inputs[k] = q->name;
    }
    return {};
  }

  // Gather(table, ids) -> y   =>   Gather(table_quantized, ids) -> DequantizeLinear -> y
  result<void> quantize_table(std::size_t i) {
    const ir::node& old = before_.nodes[i];
    const tensor_buffer* w = index_.constant_value(old.inputs[0]);
    weight_options o;
    o.range = options_.weights;
    o.axis = options_.per_channel ? w->dims().rank - 1 : -1;
    QUANTAL_TRY(q, quantize_weights(*w, o));
    ir::node& n = g_.nodes[i];
    n.inputs[0] = add_constant(old.inputs[0] + "_quantized", q.values);
    const std::string s = add_constant(old.inputs[0] + "_scale", scale_tensor(q.scales));
    const std::string z = add_constant(old.inputs[0] + "_zero_point", code_tensor(dtype::s8, q.scales.size(), 0));
    n.outputs[0] = names_.fresh(old.outputs[0] + "_codes");
    ir::node dq;
    dq.op_type = "DequantizeLinear";
    dq.name = names_.fresh(old.outputs[0] + "_DequantizeLinear");
    dq.inputs = {n.outputs[0], s, z};
    dq.outputs = {old.outputs[0]};
    if (q.scales.size() > 1) dq.set(ir::attribute("axis", std::int64_t{-1}));
    added_.push_back(std::move(dq));
    return {};
  }

  // T -> QuantizeLinear -> DequantizeLinear; readers move to the end of the pair.
  std::string insert_pair(const tensor_plan& t) {
    const std::string& s = scale_names_[t.group];
    const std::string& z = zero_names_[t.group];
    const std::string q = names_.fresh(t.name + "_QuantizeLinear_Output");
    const std::string q_name = names_.fresh(t.name + "_QuantizeLinear"),
                      dq_name = names_.fresh(t.name + "_DequantizeLinear");
    std::string source = t.name, out;
    const bool gives_output = index_.is_output(t.name);
    if (t.integer_producer && gives_output) {  // the pair stands between the producer and the model's output
      source = names_.fresh(t.name + "_float");
      out = t.name;
      rename_output(t.name, source);
    } else {
      out = names_.fresh(t.name + "_DequantizeLinear_Output");
      redirect(t, out);
    }
    add_node("QuantizeLinear", q_name, {source, s, z}, q);
    add_node("DequantizeLinear", dq_name, {q, s, z}, out);
    return out;
  }

  void rename_output(const std::string& from, const std::string& to) {
    renamed_[from] = to;
    const std::size_t p = index_.producer(from);
    if (p == ir::index::none) return;
    for (std::string& name : g_.nodes[p].outputs)
      if (name == from) name = to;
  }

  void redirect(const tensor_plan& t, const std::string& to) {
    for (const ir::use& u : index_.uses(t.name)) {
      const node_form form = plan_.nodes[u.node].form;
      const bool integer_reader = form == node_form::weighted || form == node_form::integer;
      if (!t.integer_producer && !integer_reader) continue;
      if (u.input < 0) continue;  // subgraphs read the float value
      g_.nodes[u.node].inputs[static_cast<std::size_t>(u.input)] = to;
    }
  }

  // A Relu or Clip before a pair goes if no code of the pair lies outside its bounds.
  void remove_bounds() {
    std::vector<std::size_t> order;
    for (const auto& [bound, p] : plan_.fused_into) order.push_back(bound);
    std::sort(order.rbegin(), order.rend());  // the last bound of a chain first
    for (std::size_t i : order) {
      ir::node& n = g_.nodes[i];
      const ir::node& old = before_.nodes[i];
      const auto it = tensor_of_.find(final_output(i));
      if (it == tensor_of_.end() || !it->second->integer_producer || !is_redundant(old, *it->second)) continue;
      const std::size_t p = index_.producer(old.inputs[0]);
      g_.nodes[p].outputs[0] = n.outputs[0];
      dead_.push_back(i);
    }
  }
  // The tensor at the end of a chain of bounds.
  std::string final_output(std::size_t i) const {
    std::string name = before_.nodes[i].outputs[0];
    for (int step = 0; step < 8 && tensor_of_.count(name) == 0; ++step) {
      const auto& uses = index_.uses(name);
      if (uses.size() != 1 || plan_.fused_into.count(uses[0].node) == 0) break;
      name = before_.nodes[uses[0].node].outputs[0];
    }
    return name;
  }

  bool is_redundant(const ir::node& bound, const tensor_plan& t) const {
    double low = 0, high = INFINITY;
    if (bound.is("Clip")) {
      const tensor_buffer* a = bound.has_input(1) ? index_.constant_value(bound.inputs[1]) : nullptr;
      const tensor_buffer* b = bound.has_input(2) ? index_.constant_value(bound.inputs[2]) : nullptr;
      if ((a != nullptr && a->type() != dtype::f32) || (b != nullptr && b->type() != dtype::f32)) return false;
      low = a != nullptr ? static_cast<double>(*a->as<float>()) : -INFINITY;
      high = b != nullptr ? static_cast<double>(*b->as<float>()) : INFINITY;
    }
    const quant_params& p = params_[t.group];
    code_limits codes;
    code_limits_of(options_.activation_type, codes);
    const double scale = static_cast<double>(p.scale);
    const double lowest = (codes.min - p.zero_point) * scale, highest = (codes.max - p.zero_point) * scale;
    return lowest >= low - scale / 2 && highest <= high + scale / 2;
  }

  void finish() {
    std::sort(dead_.begin(), dead_.end());
    std::vector<ir::node> kept;
    kept.reserve(g_.nodes.size() + added_.size());
    for (std::size_t i = 0; i < g_.nodes.size(); ++i)
      if (!std::binary_search(dead_.begin(), dead_.end(), i)) kept.push_back(std::move(g_.nodes[i]));
    for (ir::node& n : added_) kept.push_back(std::move(n));
    g_.nodes = std::move(kept);
  }

  ir::model& m_;
  ir::graph& g_;
  const ir::graph before_;
  const ir::index index_;
  const qdq_plan& plan_;
  const range_map& ranges_;
  const qdq_options& options_;
  const mean_map& means_;
  ir::name_pool names_;
  std::unordered_map<std::string, const tensor_plan*> tensor_of_;
  std::vector<quant_params> params_;
  std::vector<std::string> scale_names_, zero_names_;
  std::unordered_map<std::string, shared_weight> weights_;
  std::unordered_map<std::string, std::string> renamed_;
  std::vector<ir::node> added_;
  std::vector<std::size_t> dead_;
  std::size_t saturating_ = 0;
  placed done_;
};

}  // namespace

result<placed> place_qdq(ir::model& m, const qdq_plan& plan, const range_map& ranges, const qdq_options& options,
                         const mean_map& means) {
  return placer(m, plan, ranges, options, means).run();
}

}  // namespace quantal::passes
