#include "quantal/passes/fold_affine.hpp"

#include <algorithm>
#include <cmath>

#include "quantal/ops/infer.hpp"
#include "quantal/passes/edit.hpp"

namespace quantal::passes {

namespace {

// y_c = a_c * x_c + d_c. One element stands for all channels.
struct affine {
  std::vector<double> a, d;
  bool shifts() const {
    return std::any_of(d.begin(), d.end(), [](double v) { return v != 0; });
  }
  double factor(std::int64_t c) const { return a.size() == 1 ? a[0] : a[static_cast<std::size_t>(c)]; }
  double shift(std::int64_t c) const { return d.size() == 1 ? d[0] : d[static_cast<std::size_t>(c)]; }
};

// Where a value keeps its channels: axis 1 of `rank` dimensions (Conv), or the last axis (Gemm, MatMul; rank 0 =
// unknown).
struct layout {
  std::int64_t channels = 0;
  std::int32_t rank = 0;
  bool last = false;
};

// The elements of a constant that is one value, or one per channel when broadcast onto the layout.
std::optional<std::vector<double>> per_channel(const tensor_buffer& t, const layout& l) {
  if (t.type() != dtype::f32) return std::nullopt;
  const shape& s = t.dims();
  if (t.elements() != 1) {
    if (t.elements() != l.channels) return std::nullopt;
    const std::int32_t from_end = l.last ? 0 : l.rank - 2;  // position of the channel axis counted from the end
    const std::int32_t axis = s.rank - 1 - from_end;
    if (axis < 0 || s[axis] != l.channels) return std::nullopt;
  }
  if (s.rank > (l.last ? 1 : l.rank)) return std::nullopt;  // would add dimensions
  std::vector<double> v(static_cast<std::size_t>(t.elements()));
  for (std::size_t i = 0; i < v.size(); ++i) v[i] = t.as<float>()[i];
  return v;
}

std::optional<affine> affine_of_batch_norm(const editor& e, const ir::node& n, const layout& l) {
  if (n.inputs.size() < 5 || n.get_int("training_mode", 0) != 0 || n.has_output(1)) return std::nullopt;
  const float* part[4] = {};
  for (std::size_t i = 0; i < 4; ++i) {
    const tensor_buffer* t = e.constant(n.inputs[i + 1]);
    if (t == nullptr || t->type() != dtype::f32 || t->elements() != l.channels) return std::nullopt;
    part[i] = t->as<float>();
  }
  affine f;
  const double eps = static_cast<double>(n.get_float("epsilon", 1e-5F));
  for (std::int64_t c = 0; c < l.channels; ++c) {
    const double root = std::sqrt(static_cast<double>(part[3][c]) + eps);
    if (!(root > 0)) return std::nullopt;
    const double a = static_cast<double>(part[0][c]) / root;
    f.a.push_back(a);
    f.d.push_back(static_cast<double>(part[1][c]) - static_cast<double>(part[2][c]) * a);
  }
  return f;
}

// The affine step that node `n` does on its input `x`; nullopt if it does another thing.
std::optional<affine> affine_of(const editor& e, const ir::node& n, const std::string& x, const layout& l) {
  if (n.is("BatchNormalization")) return n.inputs[0] == x ? affine_of_batch_norm(e, n, l) : std::nullopt;
  if (n.is("Neg")) return affine{{-1}, {0}};
  if (!(n.is("Mul") || n.is("Add") || n.is("Sub") || n.is("Div")) || n.inputs.size() != 2) return std::nullopt;
  const bool left = n.inputs[0] == x;
  if (left && n.inputs[1] == x) return std::nullopt;
  const tensor_buffer* t = e.constant(n.inputs[left ? 1 : 0]);
  if (t == nullptr) return std::nullopt;
  auto v = per_channel(*t, l);
  if (!v) return std::nullopt;
  std::vector<double>& k = *v;
  if (n.is("Mul")) return affine{k, {0}};
  if (n.is("Add")) return affine{{1}, k};
  if (n.is("Sub")) {
    if (!left) return affine{{-1}, k};
    for (double& d : k) d = -d;
    return affine{{1}, k};
  }
  if (!left || std::any_of(k.begin(), k.end(), [](double d) { return d == 0; })) return std::nullopt;
  for (double& d : k) d = 1 / d;
  return affine{k, {0}};
}

bool is_conv(const ir::node& n) {
  return n.is("Conv") || n.is("ConvTranspose");
}
bool is_weighted(const ir::node& n) {
  return is_conv(n) || n.is("Gemm") || n.is("MatMul");
}

// Channels of a weighted node's output and how they lie; channels 0 if unknown.
layout output_layout(const editor& e, const ir::node& n) {
  const tensor_buffer* w = n.has_input(1) ? e.constant(n.inputs[1]) : nullptr;
  if (w == nullptr || w->type() != dtype::f32 || w->dims().rank < 2) return {};
  const shape& s = w->dims();
  if (n.is("Conv")) return {s[0], s.rank, false};
  if (n.is("ConvTranspose")) return {s[1] * n.get_int("group", 1), s.rank, false};
  if (s.rank != 2) return {};
  if (n.is("Gemm")) return {s[n.get_int("transB", 0) != 0 ? 0 : 1], 2, true};
  return {s[1], 0, true};
}

// Output channel that weight element `i` belongs to.
std::int64_t channel_of(const ir::node& n, const shape& s, std::int64_t i) {
  if (n.is("Conv")) return i / s.elements(1, s.rank);
  if (n.is("ConvTranspose")) {
    const std::int64_t inner = s.elements(2, s.rank), group = n.get_int("group", 1);
    const std::int64_t in = i / inner / s[1], j = i / inner % s[1];
    return in / (s[0] / group) * s[1] + j;
  }
  return n.is("Gemm") && n.get_int("transB", 0) != 0 ? i / s[1] : i % s[1];
}

std::optional<std::vector<double>> bias_of(const editor& e, const ir::node& n, std::int64_t channels) {
  if (!n.has_input(2)) return std::vector<double>(static_cast<std::size_t>(channels), 0.0);
  const tensor_buffer* t = e.constant(n.inputs[2]);
  if (t == nullptr || t->type() != dtype::f32 || t->dims().rank != 1 || t->elements() != channels) return std::nullopt;
  return std::vector<double>(t->as<float>(), t->as<float>() + channels);
}

void set_bias(editor& e, ir::node& n, const std::vector<double>& bias) {
  std::vector<float> values(bias.size());
  std::transform(bias.begin(), bias.end(), values.begin(), [](double v) { return static_cast<float>(v); });
  const std::string wanted = n.has_input(2) ? n.inputs[2] : n.outputs[0] + "_bias";
  n.inputs.resize(3);
  n.inputs[2] =
      e.add_constant(wanted, tensor_buffer::of<float>(shape(static_cast<std::int64_t>(values.size())), values));
}

// Multiplies weight element i by factor(i).
template <class Factor>
result<void> scale_weight(editor& e, ir::node& n, const Factor& factor) {
  const tensor_buffer* w = e.constant(n.inputs[1]);
  QUANTAL_TRY(scaled, w->clone());
  float* v = scaled.mutable_as<float>();
  for (std::int64_t i = 0; i < scaled.elements(); ++i) v[i] = static_cast<float>(v[i] * factor(i));
  n.inputs[1] = e.add_constant(n.inputs[1], scaled);
  return {};
}

// A weight that several operators share would be copied for each: worth it for a whole BatchNormalization only.
bool is_shared(const editor& e, const ir::node& n) {
  return e.index.uses(n.inputs[1]).size() > 1;
}

bool has_unit_factors(const ir::node& n) {
  return !n.is("Gemm") || (n.get_float("alpha", 1) == 1 && n.get_float("beta", 1) == 1);
}

// weighted -> affine  =>  weighted
result<bool> fold_forward(editor& e, ir::node& step) {
  for (const std::string& x : step.inputs) {
    ir::node* n = e.producer(x);
    if (n == nullptr || !is_weighted(*n) || n->outputs[0] != x || e.only_reader(x) != &step || !has_unit_factors(*n))
      continue;
    const layout l = output_layout(e, *n);
    if (l.channels == 0) continue;
    const auto f = affine_of(e, step, x, l);
    if (!f || (n->is("MatMul") && f->shifts())) continue;
    if (f->a != std::vector<double>{1} && is_shared(e, *n) && !step.is("BatchNormalization")) continue;
    auto bias = bias_of(e, *n, l.channels);
    if (!n->is("MatMul") && !bias) continue;
    const shape dims = e.constant(n->inputs[1])->dims();
    if (f->a != std::vector<double>{1})
      QUANTAL_CHECK(scale_weight(e, *n, [&](std::int64_t i) { return f->factor(channel_of(*n, dims, i)); }));
    if (!n->is("MatMul") && (n->has_input(2) || f->shifts())) {
      for (std::int64_t c = 0; c < l.channels; ++c) {
        double& b = (*bias)[static_cast<std::size_t>(c)];
        b = f->factor(c) * b + f->shift(c);
      }
      set_bias(e, *n, *bias);
    }
    n->outputs[0] = step.outputs[0];
    e.touch(*n);
    e.erase(step);
    e.count();
    return true;
  }
  return false;
}

bool reads_padding(const ir::node& conv) {
  const std::string mode = conv.get_string("auto_pad", "NOTSET");
  if (mode == "VALID") return false;
  const auto pads = conv.get_ints("pads");
  return mode != "NOTSET" || std::any_of(pads.begin(), pads.end(), [](std::int64_t p) { return p != 0; });
}

// affine -> Conv  =>  Conv
result<bool> fold_backward(editor& e, ir::node& step, const ops::type_map& types) {
  ir::node* conv = e.only_reader(step.outputs[0]);
  if (conv == nullptr || !conv->is("Conv") || conv->inputs[0] != step.outputs[0]) return false;
  const tensor_buffer* w = e.constant(conv->inputs[1]);
  if (w == nullptr || w->type() != dtype::f32 || w->dims().rank < 3) return false;
  const shape s = w->dims();
  const std::int64_t group = conv->get_int("group", 1);
  const layout l{s[1] * group, s.rank, false};
  for (const std::string& x : step.inputs) {
    const auto type = types.find(x);
    if (e.constant(x) != nullptr || type == types.end() || !type->second.has_rank()) continue;
    const auto& dims = *type->second.dims;
    if (static_cast<std::int32_t>(dims.size()) != s.rank || dims[1].value != l.channels) continue;
    const auto f = affine_of(e, step, x, l);
    if (!f || (f->shifts() && reads_padding(*conv)) || is_shared(e, *conv)) continue;
    auto bias = bias_of(e, *conv, s[0]);
    if (!bias) continue;
    const std::int64_t inner = s.elements(2, s.rank), outs = s[0] / group;
    auto in_channel = [&](std::int64_t i) { return i / (s[1] * inner) / outs * s[1] + i / inner % s[1]; };
    for (std::int64_t i = 0; i < w->elements(); ++i)
      (*bias)[static_cast<std::size_t>(i / (s[1] * inner))] +=
          static_cast<double>(w->as<float>()[i]) * f->shift(in_channel(i));
    QUANTAL_CHECK(scale_weight(e, *conv, [&](std::int64_t i) { return f->factor(in_channel(i)); }));
    if (f->shifts()) set_bias(e, *conv, *bias);
    conv->inputs[0] = x;
    e.touch(*conv);
    e.erase(step);
    e.count();
    return true;
  }
  return false;
}

result<std::size_t> fold(ir::model& m, bool batch_norm) {
  QUANTAL_TRY(types, ops::infer_types(m));
  return sweep(m.graph, [&](editor& e) -> result<void> {
    for (ir::node& n : e.g.nodes) {
      if (e.touched(n) || n.outputs.empty() || n.is("BatchNormalization") != batch_norm) continue;
      QUANTAL_TRY(forward, fold_forward(e, n));
      if (forward || e.touched(n)) continue;
      QUANTAL_TRY(backward, fold_backward(e, n, types));
      (void)backward;
    }
    return {};
  });
}

// Elements of Gemm's C broadcast to [N]; nullopt if it differs from row to row or is not constant.
std::optional<std::vector<float>> row_of(const tensor_buffer& c, std::int64_t n) {
  if (c.type() != dtype::f32 || c.dims().rank > 2) return std::nullopt;
  if (c.elements() != 1 && (c.elements() != n || c.dims()[c.dims().rank - 1] != n)) return std::nullopt;
  std::vector<float> row(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = c.as<float>()[c.elements() == 1 ? 0 : i];
  return row;
}

}  // namespace

result<std::size_t> fold_batch_norm(ir::model& m) {
  return fold(m, true);
}

result<std::size_t> fold_affine(ir::model& m) {
  return fold(m, false);
}

result<std::size_t> join_matmul_add(ir::model& m) {
  QUANTAL_TRY(types, ops::infer_types(m));
  return sweep(m.graph, [&](editor& e) -> result<void> {
    for (ir::node& n : e.g.nodes) {
      if (!n.is("MatMul") || e.touched(n)) continue;
      const layout l = output_layout(e, n);
      const auto x = types.find(n.inputs[0]);
      if (l.channels == 0 || x == types.end() || !x->second.has_rank() || x->second.dims->size() != 2) continue;
      ir::node* add = e.only_reader(n.outputs[0]);
      if (add == nullptr || !add->is("Add")) continue;
      const std::string& other = add->inputs[add->inputs[0] == n.outputs[0] ? 1 : 0];
      const tensor_buffer* b = e.constant(other);
      if (b == nullptr) continue;
      const auto row = row_of(*b, l.channels);
      if (!row || b->dims().rank == 0 || b->dims()[b->dims().rank - 1] != l.channels) continue;
      n.op_type = "Gemm";
      set_bias(e, n, std::vector<double>(row->begin(), row->end()));
      n.outputs[0] = add->outputs[0];
      e.touch(n);
      e.erase(*add);
      e.count();
    }
    return {};
  });
}

result<std::size_t> fold_gemm_factors(ir::model& m) {
  return sweep(m.graph, [](editor& e) -> result<void> {
    for (ir::node& n : e.g.nodes) {
      if (!n.is("Gemm") || e.touched(n)) continue;
      const layout l = output_layout(e, n);
      const float alpha = n.get_float("alpha", 1), beta = n.get_float("beta", 1);
      const tensor_buffer* c = n.has_input(2) ? e.constant(n.inputs[2]) : nullptr;
      if (l.channels == 0 || (n.has_input(2) && c == nullptr)) continue;
      const bool odd_bias = c != nullptr && (c->dims().rank != 1 || c->elements() != l.channels);
      if (alpha == 1 && (c == nullptr || beta == 1) && !odd_bias) continue;
      if (c != nullptr) {
        const auto row = row_of(*c, l.channels);
        if (!row) continue;
        std::vector<double> bias(row->begin(), row->end());
        for (double& b : bias) b *= static_cast<double>(beta);
        set_bias(e, n, bias);
      }
      if (alpha != 1) QUANTAL_CHECK(scale_weight(e, n, [&](std::int64_t) { return static_cast<double>(alpha); }));
      n.set(ir::attribute("alpha", 1.0F));
      n.set(ir::attribute("beta", 1.0F));
      e.touch(n);
      e.count();
    }
    return {};
  });
}

}  // namespace quantal::passes
