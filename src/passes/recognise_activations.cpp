#include "quantal/passes/recognise_activations.hpp"

#include <cmath>

#include "quantal/ops/infer.hpp"
#include "quantal/passes/edit.hpp"

namespace quantal::passes {

namespace {

bool near(float a, double b) {
  return std::fabs(static_cast<double>(a) - b) <= 1e-6 * std::max(1.0, std::fabs(b));
}

struct patterns {
  editor& e;
  const ops::type_map& types;
};

// Arithmetic of `x` with this one-element constant has x's shape: [1, 1, 1] and x of rank 2 would give rank 3.
bool keeps_shape(const patterns& p, const std::string& x, const std::string& constant) {
  const std::int32_t rank = p.e.constant(constant)->dims().rank;
  if (rank == 0) return true;
  const auto it = p.types.find(x);
  return it != p.types.end() && it->second.has_rank() && static_cast<std::size_t>(rank) <= it->second.dims->size();
}

// The constant operand of a commutative node, and its other operand.
struct with_constant {
  std::string x;
  float value = 0;
};
std::optional<with_constant> split(const patterns& p, const ir::node& n) {
  if (n.inputs.size() != 2) return std::nullopt;
  for (const std::size_t i : {std::size_t{1}, std::size_t{0}})
    if (const auto v = p.e.scalar(n.inputs[i]))
      return keeps_shape(p, n.inputs[1 - i], n.inputs[i]) ? std::optional(with_constant{n.inputs[1 - i], *v})
                                                          : std::nullopt;
  return std::nullopt;
}

// x if `name` is Clip(x + 3, 0, 6).
std::optional<std::string> match_clip(const patterns& p, const std::string& name) {
  editor& e = p.e;
  ir::node* clip = e.producer(name);
  if (clip == nullptr || !clip->is("Clip")) return std::nullopt;
  const auto low = clip->has_input(1) ? e.scalar(clip->inputs[1]) : std::optional(clip->get_float("min", -INFINITY));
  const auto high = clip->has_input(2) ? e.scalar(clip->inputs[2]) : std::optional(clip->get_float("max", INFINITY));
  if (!low || !high || !near(*low, 0) || !near(*high, 6)) return std::nullopt;
  ir::node* add = e.producer(clip->inputs[0]);
  if (add == nullptr || !add->is("Add")) return std::nullopt;
  const auto sum = split(p, *add);
  if (!sum || !near(sum->value, 3)) return std::nullopt;
  return sum->x;
}

// Factor by which a node scales its data input: Div by k or Mul by k.
std::optional<with_constant> match_scaling(const patterns& p, const ir::node& n) {
  if (n.is("Mul")) return split(p, n);
  if (!n.is("Div") || n.inputs.size() != 2) return std::nullopt;
  const auto k = p.e.scalar(n.inputs[1]);
  if (!k || *k == 0 || !keeps_shape(p, n.inputs[0], n.inputs[1])) return std::nullopt;
  return with_constant{n.inputs[0], 1 / *k};
}

// Turns node `n` (which makes the activation's result) into `op`(x). Its former inputs become dead.
void rewrite(editor& e, ir::node& n, const char* op, const std::string& x) {
  n.op_type = op;
  n.inputs = {x};
  n.attributes.clear();
  e.touch(n);
  e.count();
}

// The factors of a product after a hard-swish is divided by 6 somewhere: Mul(x, Clip(x + 3, 0, 6)).
std::optional<std::string> match_product(const patterns& p, const ir::node& mul) {
  if (!mul.is("Mul") || mul.inputs.size() != 2) return std::nullopt;
  for (std::size_t i = 0; i < 2; ++i)
    if (const auto x = match_clip(p, mul.inputs[i]); x && *x == mul.inputs[1 - i]) return x;
  return std::nullopt;
}

// x * (Clip(x + 3, 0, 6) / 6) and x * HardSigmoid(x).
std::optional<std::string> match_gated(const patterns& p, const ir::node& mul) {
  if (!mul.is("Mul") || mul.inputs.size() != 2) return std::nullopt;
  for (std::size_t i = 0; i < 2; ++i) {
    ir::node* gate = p.e.producer(mul.inputs[i]);
    if (gate == nullptr) continue;
    const std::string& x = mul.inputs[1 - i];
    if (gate->is("HardSigmoid") && gate->inputs[0] == x && near(gate->get_float("alpha", 0.2F), 1.0 / 6) &&
        near(gate->get_float("beta", 0.5F), 0.5))
      return x;
    if (const auto s = match_scaling(p, *gate); s && near(s->value, 1.0 / 6))
      if (const auto c = match_clip(p, s->x); c && *c == x) return x;
  }
  return std::nullopt;
}

bool recognise_hard_swish(const patterns& p, ir::node& n) {
  std::optional<std::string> x = match_gated(p, n);
  if (!x) {
    const auto scaled = match_scaling(p, n);
    if (!scaled || !near(scaled->value, 1.0 / 6)) return false;
    ir::node* product = p.e.producer(scaled->x);
    if (product == nullptr) return false;
    x = match_product(p, *product);
  }
  if (!x) return false;
  rewrite(p.e, n, "HardSwish", *x);
  return true;
}

bool recognise_hard_sigmoid(const patterns& p, ir::node& n) {
  const auto scaled = match_scaling(p, n);
  if (!scaled || !near(scaled->value, 1.0 / 6)) return false;
  const auto x = match_clip(p, scaled->x);
  if (!x) return false;
  rewrite(p.e, n, "HardSigmoid", *x);
  n.set(ir::attribute("alpha", 1.0F / 6));
  n.set(ir::attribute("beta", 0.5F));
  return true;
}

// Max(x, 0) -> Relu; Min(Max(x, a), b) -> Clip.
bool recognise_bounds(const patterns& p, ir::node& n) {
  editor& e = p.e;
  if (n.is("Max")) {
    const auto floor = split(p, n);
    if (!floor || floor->value != 0) return false;
    // Max broadcasts; a one-element constant of higher rank would change the shape.
    const tensor_buffer* t = e.constant(n.inputs[floor->x == n.inputs[0] ? 1 : 0]);
    if (t->dims().rank > 0) return false;
    rewrite(e, n, "Relu", floor->x);
    return true;
  }
  if (!n.is("Min")) return false;
  const auto top = split(p, n);
  if (!top) return false;
  const std::size_t top_at = top->x == n.inputs[0] ? 1 : 0;
  ir::node* lower = e.producer(top->x);
  if (lower == nullptr || !(lower->is("Max") || lower->is("Relu"))) return false;
  if (e.constant(n.inputs[top_at])->dims().rank > 0) return false;
  const std::string high = n.inputs[top_at];
  if (lower->is("Relu")) {
    const std::string low = e.add_constant("zero", tensor_buffer::of<float>(shape(), {0.0F}));
    const std::string x = lower->inputs[0];
    rewrite(e, n, "Clip", x);
    n.inputs = {x, low, high};
    return true;
  }
  const auto bottom = split(p, *lower);
  if (!bottom) return false;
  const std::string low = lower->inputs[bottom->x == lower->inputs[0] ? 1 : 0];
  if (e.constant(low)->dims().rank > 0) return false;
  rewrite(e, n, "Clip", bottom->x);
  n.inputs = {bottom->x, low, high};
  return true;
}

}  // namespace

result<std::size_t> recognise_activations(ir::model& m) {
  QUANTAL_TRY(types, ops::infer_types(m));
  const bool has_hard_swish = m.opset_version("") >= 14;
  QUANTAL_TRY(gates, sweep(m.graph, [&](editor& e) -> result<void> {
                for (ir::node& n : e.g.nodes) {
                  if (e.touched(n) || n.outputs.empty()) continue;
                  if (has_hard_swish && recognise_hard_swish({e, types}, n)) continue;
                  if (m.opset_version("") >= 12) recognise_bounds({e, types}, n);
                }
                return {};
              }));
  // After the hard-swishes are gone, what is left of Clip(x + 3, 0, 6) / 6 is a hard sigmoid.
  QUANTAL_TRY(sigmoids, sweep(m.graph, [&](editor& e) -> result<void> {
                for (ir::node& n : e.g.nodes)
                  if (!e.touched(n) && !n.outputs.empty()) recognise_hard_sigmoid({e, types}, n);
                return {};
              }));
  return gates + sigmoids;
}

}  // namespace quantal::passes
