#include "quantal/passes/quantize_dynamic.hpp"

#include <algorithm>

#include "quantal/passes/edit.hpp"
#include "quantal/passes/quantize_weights.hpp"
#include "quantal/passes/saturation.hpp"
#include "quantal/passes/select.hpp"

namespace quantal::passes {

namespace {

tensor_buffer scales_of(const std::vector<float>& s, const shape& dims) {
  return tensor_buffer::of<float>(s.size() == 1 ? shape() : dims, s);
}

tensor_buffer zeros_of(std::size_t count) {
  return tensor_buffer::of<std::int8_t>(count == 1 ? shape() : shape(static_cast<std::int64_t>(count)),
                                        std::vector<std::int8_t>(count, 0));
}

// [N, K] -> [K, N]
result<tensor_buffer> transposed(const tensor_buffer& w) {
  const std::int64_t n = w.dims()[0], k = w.dims()[1];
  QUANTAL_TRY(out, tensor_buffer::make(dtype::f32, shape(k, n)));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < k; ++j) out.mutable_as<float>()[j * n + i] = w.as<float>()[i * k + j];
  return std::move(out);
}

class dynamic_quantizer {
 public:
  dynamic_quantizer(ir::model& m, const ops::type_map& types, const qdq_options& options)
      : e_(m.graph), types_(types), options_(options), plan_(m.graph.nodes.size()) {}

  result<dynamic_result> run() {
    for (std::size_t i = 0; i < plan_.size(); ++i) QUANTAL_CHECK(visit(i));
    e_.count();
    QUANTAL_TRY(changes, e_.finish());
    (void)changes;
    dynamic_result done{std::move(plan_), {}};
    if (saturating_ > 0)
      done.warnings.push_back(saturation_warning(saturating_, dtype::u8, "--reduce-range avoids it"));
    return done;
  }

 private:
  bool is_float(const std::string& name) const {
    const auto it = types_.find(name);
    return it != types_.end() && it->second.is_tensor() && it->second.elem == dtype::f32;
  }
  void stay(std::size_t i, std::string reason) { plan_[i] = {node_form::floating, std::move(reason)}; }

  std::string refuse(const ir::node& n) const {
    if (matches(options_.exclude, n)) return "excluded";
    if (!options_.include.empty() && !matches(options_.include, n)) return "not included";
    return {};
  }

  result<void> visit(std::size_t i) {
    ir::node& n = e_.g.nodes[i];
    if (n.outputs.empty()) return {};
    const bool weighted = n.is("MatMul") || n.is("Gemm") || n.is("Conv") || n.is("ConvTranspose") || n.is("LSTM") ||
                          n.is("GRU") || n.is("RNN");
    if (!weighted && !n.is("Gather")) return other(i);
    const std::size_t at = n.is("Gather") ? 0 : 1;
    const tensor_buffer* w = n.has_input(at) ? e_.constant(n.inputs[at]) : nullptr;
    if (n.is("Gather") && (w == nullptr || w->type() != dtype::f32)) return other(i);
    if (std::string why = refuse(n); !why.empty()) return stay(i, why), result<void>();
    if (w == nullptr)
      return stay(i,
                  n.is("MatMul") ? "both operands are computed at run time" : "its weights are computed at run time"),
             result<void>();
    if (w->type() != dtype::f32) return stay(i, std::string("its weights are ") + name_of(w->type())), result<void>();
    if (n.is("Gather")) return table(i, *w);
    if (n.is("LSTM") || n.is("GRU") || n.is("RNN")) return stored(i);
    if (n.is("ConvTranspose")) return stay(i, "ONNX has no dynamically quantized ConvTranspose"), result<void>();
    if (n.is("Conv")) {
      if (options_.include.empty())
        return stay(i, "a dynamically quantized Conv is slower than float on CPUs; --include it if it pays"),
               result<void>();
      return conv(i, *w);
    }
    return matmul(i, *w);
  }

  result<void> other(std::size_t i) {
    const ir::node& n = e_.g.nodes[i];
    const bool has_branches = std::any_of(n.attributes.begin(), n.attributes.end(),
                                          [](const ir::attribute& a) { return a.kind == 5 || a.kind == 10; });
    if (has_branches) {
      stay(i, "weights in subgraphs are not quantized yet");
    } else if (is_float(n.outputs[0])) {
      stay(i, "dynamic quantization leaves it in float");
    }
    return {};
  }

  struct dynamic_input {
    std::string codes, scale, zero_point;
  };
  const dynamic_input& dynamic(const std::string& x) {
    const auto it = inputs_.find(x);
    if (it != inputs_.end()) return it->second;
    dynamic_input d{e_.fresh(x + "_quantized"), e_.fresh(x + "_scale"), e_.fresh(x + "_zero_point")};
    ir::node q;
    q.op_type = "DynamicQuantizeLinear";
    q.name = e_.fresh(x + "_QuantizeLinear");
    q.inputs = {x};
    q.outputs = {d.codes, d.scale, d.zero_point};
    e_.add_node(std::move(q));
    return inputs_[x] = d;
  }

  void add(const char* op, const std::string& name, std::vector<std::string> in, const std::string& out,
           std::vector<ir::attribute> attributes = {}) {
    ir::node n;
    n.op_type = op;
    n.name = e_.fresh(name);
    n.inputs = std::move(in);
    n.outputs = {out};
    n.attributes = std::move(attributes);
    e_.add_node(std::move(n));
  }

  // s32 accumulators -> y, with scale, and bias if there is one.
  void rescale(const std::string& base, const std::string& sums, const std::string& scale, const std::string& bias,
               const std::string& y) {
    const std::string real = e_.fresh(base + "_float");
    add("Cast", base + "_cast", {sums}, real, {ir::attribute("to", std::int64_t{1})});
    const std::string product = bias.empty() ? y : e_.fresh(base + "_scaled");
    add("Mul", base + "_rescale", {real, scale}, product);
    if (!bias.empty()) add("Add", base + "_bias_add", {product, bias}, y);
  }

  result<void> matmul(std::size_t i, const tensor_buffer& weight) {
    ir::node& n = e_.g.nodes[i];
    if (!is_float(n.inputs[0])) return stay(i, "its input is not f32"), result<void>();
    if (weight.dims().rank != 2 && n.is("Gemm")) return stay(i, "its weights are no matrix"), result<void>();
    if (n.is("Gemm") && (n.get_int("transA", 0) != 0 || n.get_float("alpha", 1) != 1 || n.get_float("beta", 1) != 1))
      return stay(i, "transA, alpha or beta"), result<void>();
    tensor_buffer w = weight;
    if (n.is("Gemm") && n.get_int("transB", 0) != 0) {
      QUANTAL_TRY(t, transposed(weight));
      w = t;
    }
    weight_options o;
    o.range = options_.weights;
    o.axis = w.dims().rank == 2 ? 1 : -1;
    o.reduce_range = options_.reduce_range;
    auto q = quantize_weights(w, o);
    if (!q) return stay(i, q.failure().what), result<void>();
    const std::string y = n.outputs[0], base = n.inputs[1];
    const dynamic_input x = dynamic(n.inputs[0]);
    const std::string codes = e_.add_constant(base + "_quantized", q->values);
    const std::string zero = e_.add_constant(base + "_zero_point", zeros_of(q->scales.size()));
    const std::string scale =
        e_.add_constant(base + "_scale", scales_of(q->scales, shape(static_cast<std::int64_t>(q->scales.size()))));
    const std::string both = e_.fresh(y + "_scales"), sums = e_.fresh(y + "_sums");
    add("Mul", y + "_scales_mul", {x.scale, scale}, both);
    add("MatMulInteger", n.name.empty() ? y + "_quant" : n.name + "_quant", {x.codes, codes, x.zero_point, zero}, sums);
    rescale(y, sums, both, n.is("Gemm") && n.has_input(2) ? n.inputs[2] : std::string(), y);
    ir::node product;  // transB is undone
    product.op_type = "MatMul";
    if (may_saturate(product, q->values)) ++saturating_;
    e_.erase(n);
    plan_[i] = {node_form::weighted, {}};
    return {};
  }

  result<void> conv(std::size_t i, const tensor_buffer& w) {
    ir::node& n = e_.g.nodes[i];
    if (!is_float(n.inputs[0])) return stay(i, "its input is not f32"), result<void>();
    const tensor_buffer* b = n.has_input(2) ? e_.constant(n.inputs[2]) : nullptr;
    if (n.has_input(2) && b == nullptr) return stay(i, "its bias is computed at run time"), result<void>();
    weight_options o;
    o.range = options_.weights;
    o.axis = 0;
    o.reduce_range = options_.reduce_range;
    auto q = quantize_weights(w, o);
    if (!q) return stay(i, q.failure().what), result<void>();
    shape per_channel;  // [C, 1, 1...]: broadcasts over the spatial axes
    per_channel.push_back(w.dims()[0]);
    for (std::int32_t k = 2; k < w.dims().rank; ++k) per_channel.push_back(1);
    const std::string y = n.outputs[0], base = n.inputs[1];
    const dynamic_input x = dynamic(n.inputs[0]);
    const std::string codes = e_.add_constant(base + "_quantized", q->values);
    // ONNX Runtime's ConvInteger takes one weight zero point.
    const std::string zero = e_.add_constant(base + "_zero_point", zeros_of(1));
    const std::string scale = e_.add_constant(base + "_scale", scales_of(q->scales, per_channel));
    const std::string both = e_.fresh(y + "_scales"), sums = e_.fresh(y + "_sums");
    const std::string bias =
        b != nullptr ? e_.add_constant(n.inputs[2] + "_column", b->reshaped(per_channel)) : std::string();
    add("Mul", y + "_scales_mul", {x.scale, scale}, both);
    add("ConvInteger", n.name.empty() ? y + "_quant" : n.name + "_quant", {x.codes, codes, x.zero_point, zero}, sums,
        n.attributes);
    rescale(y, sums, both, bias, y);
    if (may_saturate(n, q->values)) ++saturating_;
    e_.erase(n);
    plan_[i] = {node_form::weighted, {}};
    return {};
  }

  result<void> table(std::size_t i, const tensor_buffer& w) {
    ir::node& n = e_.g.nodes[i];
    if (!is_table(n, w)) return stay(i, "its table is small"), result<void>();
    weight_options o;
    o.range = options_.weights;
    o.axis = 1;
    auto q = quantize_weights(w, o);
    if (!q) return stay(i, q.failure().what), result<void>();
    const std::string y = n.outputs[0], base = n.inputs[0];
    n.inputs[0] = e_.add_constant(base + "_quantized", q->values);
    const std::string s = e_.add_constant(base + "_scale", scales_of(q->scales, shape(w.dims()[1])));
    const std::string z = e_.add_constant(base + "_zero_point", zeros_of(q->scales.size()));
    n.outputs[0] = e_.fresh(y + "_codes");
    add("DequantizeLinear", y + "_DequantizeLinear", {n.outputs[0], s, z}, y,
        {ir::attribute("axis", std::int64_t{-1})});
    plan_[i] = {node_form::table, {}};
    return {};
  }

  result<void> stored(std::size_t i) {
    ir::node& n = e_.g.nodes[i];
    for (std::size_t k = 1; k <= 2 && k < n.inputs.size(); ++k) {
      const tensor_buffer* w = n.has_input(k) ? e_.constant(n.inputs[k]) : nullptr;
      const auto row_axis = w == nullptr ? std::nullopt : stored_axis_of(n, *w);
      if (!row_axis) continue;
      weight_options o;
      o.range = options_.weights;
      o.axis = *row_axis;
      auto q = quantize_weights(*w, o);
      if (!q) return stay(i, q.failure().what), result<void>();
      const std::string base = n.inputs[k], real = e_.fresh(base + "_float");
      const std::string codes = e_.add_constant(base + "_quantized", q->values);
      const std::string s =
          e_.add_constant(base + "_scale", scales_of(q->scales, shape(static_cast<std::int64_t>(q->scales.size()))));
      const std::string z = e_.add_constant(base + "_zero_point", zeros_of(q->scales.size()));
      std::vector<ir::attribute> axis;
      if (q->scales.size() > 1) axis.emplace_back("axis", std::int64_t{1});
      add("DequantizeLinear", base + "_DequantizeLinear", {codes, s, z}, real, axis);
      n.inputs[k] = real;
    }
    plan_[i] = {node_form::stored, "weights stored in 8 bits, computed in float"};
    return {};
  }

  editor e_;
  const ops::type_map& types_;
  const qdq_options& options_;
  std::vector<node_plan> plan_;
  std::size_t saturating_ = 0;
  std::unordered_map<std::string, dynamic_input> inputs_;
};

}  // namespace

result<dynamic_result> quantize_dynamic(ir::model& m, const ops::type_map& types, const qdq_options& options) {
  return dynamic_quantizer(m, types, options).run();
}

}  // namespace quantal::passes
