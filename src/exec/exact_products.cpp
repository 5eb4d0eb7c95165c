#include "exact_products.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_map>

#include "quantal/ir/index.hpp"

namespace quantal::exec {

namespace {

// DequantizeLinear of codes with constant parameters.
struct dequantized {
  std::string codes;
  const tensor_buffer* values = nullptr;  // of constant codes
  const tensor_buffer* scale = nullptr;   // f32, one or one per index of `axis`
  const tensor_buffer* zero_point = nullptr;
  std::string zero_point_name;
  std::int64_t axis = 1;
};

double code_at(const tensor_buffer& t, std::int64_t i) {
  if (t.type() == dtype::s8) return t.as<std::int8_t>()[i];
  if (t.type() == dtype::u8) return t.as<std::uint8_t>()[i];
  return t.as<std::int32_t>()[i];
}

class rewriter {
 public:
  explicit rewriter(ir::graph& g) : g_(g), index_(g), names_(g) {}

  std::size_t run() {
    std::vector<ir::node> nodes;
    std::size_t changed = 0;
    for (const ir::node& n : g_.nodes) {
      if (!rewrite(n, nodes)) {
        nodes.push_back(n);
        continue;
      }
      ++changed;
    }
    if (changed == 0) return 0;
    g_.nodes = std::move(nodes);
    g_.initializers.insert(g_.initializers.end(), std::make_move_iterator(made_.begin()),
                           std::make_move_iterator(made_.end()));
    return changed;
  }

 private:
  std::optional<dequantized> source(const std::string& name) const {
    const std::size_t p = index_.producer(name);
    if (p == ir::index::none) return std::nullopt;
    const ir::node& n = g_.nodes[p];
    if (n.op_type != "DequantizeLinear" || n.inputs.size() < 2 || n.get_int("block_size", 0) != 0) return std::nullopt;
    dequantized d;
    d.codes = n.inputs[0];
    d.values = index_.constant_value(n.inputs[0]);
    d.scale = index_.constant_value(n.inputs[1]);
    d.axis = n.get_int("axis", 1);
    if (d.scale == nullptr || d.scale->type() != dtype::f32 || d.scale->elements() == 0) return std::nullopt;
    if (!n.has_input(2)) return d;
    d.zero_point = index_.constant_value(n.inputs[2]);
    d.zero_point_name = n.inputs[2];
    if (d.zero_point == nullptr || !is_small(d.zero_point->type()) || d.zero_point->elements() != d.scale->elements())
      return std::nullopt;
    return d;
  }
  static bool is_small(dtype t) { return t == dtype::s8 || t == dtype::u8 || t == dtype::s32; }

  std::string add(const std::string& wanted, tensor_buffer value) {
    ir::constant c;
    c.name = names_.fresh(wanted);
    c.value = std::move(value);
    made_.push_back(std::move(c));
    return made_.back().name;
  }

  // Codes of an activation minus their zero point, as f32: one DequantizeLinear with scale 1 for all its readers.
  std::string centred(const dequantized& d, std::vector<ir::node>& nodes) {
    std::string& name = centred_[d.codes + "|" + d.zero_point_name];
    if (!name.empty()) return name;
    if (one_.empty()) one_ = add("exact_one", tensor_buffer::of<float>(shape(), {1.0F}));
    ir::node n;
    n.op_type = "DequantizeLinear";
    n.name = names_.fresh(d.codes + "_centred");
    name = names_.fresh(d.codes + "_centred");
    n.inputs = {d.codes, one_};
    if (d.zero_point != nullptr) n.inputs.push_back(add(d.codes + "_zero", d.zero_point->reshaped(shape())));
    n.outputs = {name};
    nodes.push_back(std::move(n));
    return name;
  }

  // Constant codes minus their zero points, as f32.
  std::string centred_constant(const std::string& key, const dequantized& d) {
    std::string& name = centred_[key];
    if (!name.empty()) return name;
    auto made = tensor_buffer::make(dtype::f32, d.values->dims());
    if (!made) return {};
    const shape& s = d.values->dims();
    const std::int64_t inner = s.elements(static_cast<std::int32_t>(d.axis) + 1, s.rank),
                       extent = s.rank > d.axis ? s[static_cast<std::int32_t>(d.axis)] : 1;
    const bool per_channel = d.zero_point != nullptr && d.zero_point->elements() > 1;
    for (std::int64_t i = 0; i < d.values->elements(); ++i) {
      double zero = 0;
      if (d.zero_point != nullptr) zero = code_at(*d.zero_point, per_channel ? i / inner % extent : 0);
      made->mutable_as<float>()[i] = static_cast<float>(code_at(*d.values, i) - zero);
    }
    name = add(key + "_centred", std::move(*made));
    return name;
  }

  bool rewrite(const ir::node& n, std::vector<ir::node>& nodes) {
    const bool conv = n.is("Conv"), gemm = n.is("Gemm"), matmul = n.is("MatMul");
    if (!(conv || gemm || matmul) || n.inputs.size() < 2 || n.outputs.size() != 1) return false;
    if (gemm && (n.get_float("alpha", 1) != 1 || n.get_float("beta", 1) != 1 || n.get_int("transA", 0) != 0))
      return false;
    const auto x = source(n.inputs[0]), w = source(n.inputs[1]);
    if (!x || !w || x->values != nullptr || x->scale->elements() != 1) return false;
    if (w->values == nullptr && (w->scale->elements() != 1 || !matmul)) return false;
    std::int32_t rank = 2, axis = -1;  // of the weight; its output channels
    if (w->values != nullptr) {
      if (w->values->type() != dtype::s8 && w->values->type() != dtype::u8) return false;
      rank = w->values->dims().rank;
      axis = conv || n.get_int("transB", 0) != 0 ? 0 : 1;
      if (rank < 2 || ((gemm || matmul) && rank != 2)) return false;
      if (w->scale->elements() != 1 && (w->axis != axis || w->scale->elements() != w->values->dims()[axis]))
        return false;
    }
    std::vector<float> scales;  // of the sums
    for (std::int64_t i = 0; i < w->scale->elements(); ++i)
      scales.push_back(x->scale->as<float>()[0] * w->scale->as<float>()[i]);
    std::optional<dequantized> bias;
    if (n.has_input(2)) {
      bias = source(n.inputs[2]);
      if (!bias || !fits(*bias, scales)) return false;
    }
    ir::node product = n;
    product.inputs[0] = centred(*x, nodes);
    product.inputs[1] = w->values == nullptr ? centred(*w, nodes) : centred_constant(n.inputs[1], *w);
    if (bias) product.inputs[2] = centred_constant(n.inputs[2], *bias);
    if (product.inputs[1].empty() || (bias && product.inputs[2].empty())) return false;
    product.outputs[0] = names_.fresh(n.outputs[0] + "_sum");
    shape dims;  // scales along the channel axis of the result: [C, 1, 1...] behind the batch of a Conv, the last axis
                 // else
    if (scales.size() > 1) {
      dims.push_back(static_cast<std::int64_t>(scales.size()));
      for (std::int32_t i = 2; conv && i < rank; ++i) dims.push_back(1);
    }
    ir::node scaled;
    scaled.op_type = "Mul";
    scaled.name = names_.fresh(n.name + "_scale");
    scaled.inputs = {product.outputs[0], add(n.outputs[0] + "_scale", tensor_buffer::of<float>(dims, scales))};
    scaled.outputs = n.outputs;
    nodes.push_back(std::move(product));
    nodes.push_back(std::move(scaled));
    return true;
  }

  // A bias in steps of the sums it is added to.
  static bool fits(const dequantized& b, const std::vector<float>& scales) {
    if (b.values == nullptr || b.values->type() != dtype::s32 || b.values->dims().rank != 1) return false;
    if (b.scale->elements() != 1 && b.scale->elements() != b.values->elements()) return false;
    if (scales.size() != 1 && static_cast<std::int64_t>(scales.size()) != b.values->elements()) return false;
    for (std::int64_t i = 0; i < b.values->elements(); ++i) {
      const float given = b.scale->as<float>()[b.scale->elements() == 1 ? 0 : i];
      const float wanted = scales[scales.size() == 1 ? 0 : static_cast<std::size_t>(i)];
      if (!(std::fabs(given - wanted) <= 1e-6F * std::fabs(wanted))) return false;
    }
    return true;
  }

  ir::graph& g_;
  const ir::index index_;
  ir::name_pool names_;
  std::vector<ir::constant> made_;
  std::unordered_map<std::string, std::string> centred_;
  std::string one_;
};

}  // namespace

std::size_t exact_products(ir::model& m) {
  return rewriter(m.graph).run();
}

}  // namespace quantal::exec
