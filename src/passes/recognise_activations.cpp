#include "quantal/passes/recognise_activations.hpp"

#include <cmath>

#include "quantal/passes/edit.hpp"

namespace quantal::passes {

namespace {

bool near(float a, double b) {
  return std::fabs(static_cast<double>(a) - b) <= 1e-6 * std::max(1.0, std::fabs(b));
}

// The constant operand of a commutative node, and its other operand.
struct with_constant {
  std::string x;
  float value = 0;
};
std::optional<with_constant> split(const editor& e, const ir::node& n) {
  if (n.inputs.size() != 2) return std::nullopt;
  if (auto v = e.scalar(n.inputs[1])) return with_constant{n.inputs[0], *v};
  if (auto v = e.scalar(n.inputs[0])) return with_constant{n.inputs[1], *v};
  return std::nullopt;
}

// x if `name` is Clip(x + 3, 0, 6).
struct relu6_of_shifted {
  std::string x;
  ir::node *clip = nullptr, *add = nullptr;
};
std::optional<relu6_of_shifted> match_clip(editor& e, const std::string& name) {
  ir::node* clip = e.producer(name);
  if (clip == nullptr || !clip->is("Clip")) return std::nullopt;
  const auto low = clip->has_input(1) ? e.scalar(clip->inputs[1]) : std::optional(clip->get_float("min", -INFINITY));
  const auto high = clip->has_input(2) ? e.scalar(clip->inputs[2]) : std::optional(clip->get_float("max", INFINITY));
  if (!low || !high || !near(*low, 0) || !near(*high, 6)) return std::nullopt;
  ir::node* add = e.producer(clip->inputs[0]);
  if (add == nullptr || !add->is("Add")) return std::nullopt;
  const auto sum = split(e, *add);
  if (!sum || !near(sum->value, 3)) return std::nullopt;
  return relu6_of_shifted{sum->x, clip, add};
}

// Factor by which a node scales its data input: Div by k or Mul by k.
std::optional<with_constant> match_scaling(const editor& e, const ir::node& n) {
  if (n.is("Mul")) return split(e, n);
  if (!n.is("Div") || n.inputs.size() != 2) return std::nullopt;
  const auto k = e.scalar(n.inputs[1]);
  if (!k || *k == 0) return std::nullopt;
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
std::optional<std::string> match_product(editor& e, const ir::node& mul) {
  if (!mul.is("Mul") || mul.inputs.size() != 2) return std::nullopt;
  for (std::size_t i = 0; i < 2; ++i)
    if (const auto c = match_clip(e, mul.inputs[i]); c && c->x == mul.inputs[1 - i]) return c->x;
  return std::nullopt;
}

// x * (Clip(x + 3, 0, 6) / 6) and x * HardSigmoid(x).
std::optional<std::string> match_gated(editor& e, const ir::node& mul) {
  if (!mul.is("Mul") || mul.inputs.size() != 2) return std::nullopt;
  for (std::size_t i = 0; i < 2; ++i) {
    ir::node* gate = e.producer(mul.inputs[i]);
    if (gate == nullptr) continue;
    const std::string& x = mul.inputs[1 - i];
    if (gate->is("HardSigmoid") && gate->inputs[0] == x && near(gate->get_float("alpha", 0.2F), 1.0 / 6) &&
        near(gate->get_float("beta", 0.5F), 0.5))
      return x;
    if (const auto s = match_scaling(e, *gate); s && near(s->value, 1.0 / 6))
      if (const auto c = match_clip(e, s->x); c && c->x == x) return x;
  }
  return std::nullopt;
}

bool recognise_hard_swish(editor& e, ir::node& n) {
  std::optional<std::string> x = match_gated(e, n);
  if (!x) {
    const auto scaled = match_scaling(e, n);
    if (!scaled || !near(scaled->value, 1.0 / 6)) return false;
    ir::node* product = e.producer(scaled->x);
    if (product == nullptr) return false;
    x = match_product(e, *product);
  }
  if (!x) return false;
  rewrite(e, n, "HardSwish", *x);
  return true;
}

bool recognise_hard_sigmoid(editor& e, ir::node& n) {
  const auto scaled = match_scaling(e, n);
  if (!scaled || !near(scaled->value, 1.0 / 6)) return false;
  const auto c = match_clip(e, scaled->x);
  if (!c) return false;
  rewrite(e, n, "HardSigmoid", c->x);
  n.set(ir::attribute("alpha", 1.0F / 6));
  n.set(ir::attribute("beta", 0.5F));
  return true;
}

// Max(x, 0) -> Relu; Min(Max(x, a), b) -> Clip.
bool recognise_bounds(editor& e, ir::node& n) {
  if (n.is("Max")) {
    const auto floor = split(e, n);
    if (!floor || floor->value != 0) return false;
    // Max broadcasts; a one-element constant of higher rank would change the shape.
    const tensor_buffer* t = e.constant(n.inputs[floor->x == n.inputs[0] ? 1 : 0]);
    if (t->dims().rank > 0) return false;
    rewrite(e, n, "Relu", floor->x);
    return true;
  }
  if (!n.is("Min")) return false;
  const auto top = split(e, n);
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
  const auto bottom = split(e, *lower);
  if (!bottom) return false;
  const std::string low = lower->inputs[bottom->x == lower->inputs[0] ? 1 : 0];
  if (e.constant(low)->dims().rank > 0) return false;
  rewrite(e, n, "Clip", bottom->x);
  n.inputs = {bottom->x, low, high};
  return true;
}

}  // namespace

result<std::size_t> recognise_activations(ir::model& m) {
  const bool has_hard_swish = m.opset_version("") >= 14;
  QUANTAL_TRY(gates, sweep(m.graph, [&](editor& e) -> result<void> {
                for (ir::node& n : e.g.nodes) {
                  if (e.touched(n) || n.outputs.empty()) continue;
                  if (has_hard_swish && recognise_hard_swish(e, n)) continue;
                  if (m.opset_version("") >= 12) recognise_bounds(e, n);
                }
                return {};
              }));
  // After the hard-swishes are gone, what is left of Clip(x + 3, 0, 6) / 6 is a hard sigmoid.
  QUANTAL_TRY(sigmoids, sweep(m.graph, [&](editor& e) -> result<void> {
                for (ir::node& n : e.g.nodes)
                  if (!e.touched(n) && !n.outputs.empty()) recognise_hard_sigmoid(e, n);
                return {};
              }));
  return gates + sigmoids;
}

}  // namespace quantal::passes
