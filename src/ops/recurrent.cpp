// LSTM, GRU and RNN: X[T, B, I] to Y[T, D, B, H] and the last states, one or two directions, float32.
//
//   RNN   h = f(x W' + h R' + b)
//   GRU   z, r = f(...);  n = g(x Wn' + (r o h) Rn' + bn);  h = (1 - z) o n + z o h
//         (linear_before_reset: n = g(x Wn' + Wbn + r o (h Rn' + Rbn)))
//   LSTM  i, o, f = f(... + peepholes);  c = f o c + i o g(...);  h = o o h(c)
//
// x W' for all steps is one product. A sequence shorter than T leaves zeros in Y and keeps its last state; the
// reverse direction reads it from its own end. layout 1 puts the batch first. Source: ONNX spec, LSTM, GRU, RNN.
#include <algorithm>
#include <cmath>

#include "products.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

// ---- activations --------------------------------------------------------------------------------------------------

enum class function {
  sigmoid,
  tanh,
  relu,
  affine,
  leaky_relu,
  thresholded_relu,
  scaled_tanh,
  hard_sigmoid,
  elu,
  softsign,
  softplus
};

struct activation {
  function f = function::sigmoid;
  float alpha = 0, beta = 0;

  float operator()(float x) const noexcept {
    switch (f) {
      case function::sigmoid: return x >= 0 ? 1.0f / (1.0f + std::exp(-x)) : std::exp(x) / (1.0f + std::exp(x));
      case function::tanh: return std::tanh(x);
      case function::relu: return x > 0 ? x : 0.0f;
      case function::affine: return alpha * x + beta;
      case function::leaky_relu: return x >= 0 ? x : alpha * x;
      case function::thresholded_relu: return x > alpha ? x : 0.0f;
      case function::scaled_tanh: return alpha * std::tanh(beta * x);
      case function::hard_sigmoid: return std::clamp(alpha * x + beta, 0.0f, 1.0f);
      case function::elu: return x >= 0 ? x : alpha * (std::exp(x) - 1.0f);
      case function::softsign: return x / (1.0f + std::abs(x));
      case function::softplus: return x > 20 ? x : std::log1p(std::exp(x));
    }
    return x;
  }
};

struct named_function {
  const char* name;
  activation value;
};
constexpr named_function functions[] = {
    {"sigmoid", {function::sigmoid}},
    {"tanh", {function::tanh}},
    {"relu", {function::relu}},
    {"affine", {function::affine, 1, 0}},
    {"leakyrelu", {function::leaky_relu, 0.01f}},
    {"thresholdedrelu", {function::thresholded_relu, 1}},
    {"scaledtanh", {function::scaled_tanh, 1, 1}},
    {"hardsigmoid", {function::hard_sigmoid, 0.2f, 0.5f}},
    {"elu", {function::elu, 1}},
    {"softsign", {function::softsign}},
    {"softplus", {function::softplus}},
};

// `defaults` per direction; alpha and beta are given in order for the functions that take them.
result<std::vector<activation>> read_activations(const eval_context& c, std::int64_t directions,
                                                 const std::vector<std::string>& defaults) {
  std::vector<std::string> names;
  if (const ir::attribute* a = c.node.find("activations")) {
    if (const auto* list = std::get_if<std::vector<std::string>>(&a->value)) names = *list;
  }
  if (names.empty()) {
    for (std::int64_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  }
  if (names.size() != defaults.size() * index(directions))
    return c.fail(status::model_type, "wrong number of activations");
  const std::vector<float> alphas = c.node.get_floats("activation_alpha"), betas = c.node.get_floats("activation_beta");
  std::vector<activation> out;
  std::size_t alpha = 0, beta = 0;
  for (std::string name : names) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char ch) { return static_cast<char>(ch >= 'A' && ch <= 'Z' ? ch - 'A' + 'a' : ch); });
    const auto* at = std::find_if(std::begin(functions), std::end(functions),
                                  [&](const named_function& f) { return name == f.name; });
    if (at == std::end(functions)) return c.fail(status::model_type, "activation '" + name + "' is not known");
    activation f = at->value;
    const bool has_alpha = f.f != function::sigmoid && f.f != function::tanh && f.f != function::relu &&
                           f.f != function::softsign && f.f != function::softplus;
    const bool has_beta = f.f == function::affine || f.f == function::scaled_tanh || f.f == function::hard_sigmoid;
    if (has_alpha && alpha < alphas.size()) f.alpha = alphas[alpha++];
    if (has_beta && beta < betas.size()) f.beta = betas[beta++];
    out.push_back(f);
  }
  return out;
}

// ---- one layer ----------------------------------------------------------------------------------------------------

enum class cell { rnn, gru, lstm };
constexpr std::int64_t gates_of(cell k) noexcept {
  return k == cell::rnn ? 1 : k == cell::gru ? 3 : 4;
}

struct layer {
  std::int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1, gates = 1;
  bool reversed_only = false, linear_before_reset = false, input_forget = false;
  float clip = 0;
  std::vector<activation> f;  // per direction
  std::vector<std::int64_t> lengths;
};

// What one direction reads and writes.
struct direction {
  const float* w = nullptr;         // [G H, I]
  const float* r = nullptr;         // [G H, H]
  const float* bias = nullptr;      // [2 G H] or null
  const float* peephole = nullptr;  // [3 H] or null
  const activation* f = nullptr;
  bool reverse = false;
  std::vector<float> h, c;  // [B, H] states
};

float clipped(const layer& l, float x) noexcept {
  return l.clip > 0 ? std::clamp(x, -l.clip, l.clip) : x;
}

// gates[B, G H] hold x W' + h R' + both biases; in LSTM's order i o f c.
void step_lstm(const layer& l, direction& d, std::int64_t b, const float* gates) {
  const std::int64_t n = l.hidden;
  float* h = d.h.data() + b * n;
  float* c = d.c.data() + b * n;
  const float* p = d.peephole;
  for (std::int64_t j = 0; j < n; ++j) {
    const float i = d.f[0](clipped(l, gates[j] + (p == nullptr ? 0.0f : p[j] * c[j])));
    const float forget =
        l.input_forget ? 1.0f - i : d.f[0](clipped(l, gates[2 * n + j] + (p == nullptr ? 0.0f : p[2 * n + j] * c[j])));
    const float next = forget * c[j] + i * d.f[1](clipped(l, gates[3 * n + j]));
    const float o = d.f[0](clipped(l, gates[n + j] + (p == nullptr ? 0.0f : p[n + j] * next)));
    c[j] = next;
    h[j] = o * d.f[2](next);
  }
}

// `gates` hold z r n of x W' + Wb; `recurrent` h R' + Rb for z, r and, with linear_before_reset, n.
void step_gru(const layer& l, direction& d, std::int64_t b, const float* gates, const float* recurrent, float* reset) {
  const std::int64_t n = l.hidden;
  float* h = d.h.data() + b * n;
  std::vector<float> z(index(n));
  for (std::int64_t j = 0; j < n; ++j) {
    z[index(j)] = d.f[0](clipped(l, gates[j] + recurrent[j]));
    reset[j] = d.f[0](clipped(l, gates[n + j] + recurrent[n + j]));
  }
  if (l.linear_before_reset) {
    for (std::int64_t j = 0; j < n; ++j) reset[j] *= recurrent[2 * n + j];
  } else {
    std::vector<float> scaled(index(n));
    for (std::int64_t j = 0; j < n; ++j) scaled[index(j)] = reset[j] * h[j];
    for (std::int64_t j = 0; j < n; ++j) {
      const float* row = d.r + (2 * n + j) * n;
      float sum = d.bias == nullptr ? 0.0f : d.bias[5 * n + j];
      for (std::int64_t k = 0; k < n; ++k) sum += row[k] * scaled[index(k)];
      reset[j] = sum;
    }
  }
  for (std::int64_t j = 0; j < n; ++j) {
    const float candidate = d.f[1](clipped(l, gates[2 * n + j] + reset[j]));
    h[j] = (1.0f - z[index(j)]) * candidate + z[index(j)] * h[j];
  }
}

// Runs one direction; y (may be null) gets [T, B, H] with these strides in elements.
template <cell Kind>
bool run_direction(eval_context& c, const layer& l, direction& d, const float* x, float* work, float* y,
                   std::int64_t step_stride, std::int64_t batch_stride) {
  const std::int64_t n = l.hidden, width = l.gates * n;
  float* projected = work;                                   // [T, B, G H]
  float* recurrent = projected + l.steps * l.batch * width;  // [B, G H]
  float* reset = recurrent + l.batch * width;                // [H]
  for (std::int64_t row = 0; row < l.steps * l.batch; ++row) {
    for (std::int64_t j = 0; j < width; ++j) projected[row * width + j] = d.bias == nullptr ? 0.0f : d.bias[j];
  }
  if (!parallel_gemm(c.parallel(),
                     {l.steps * l.batch, width, l.inputs, x, l.inputs, false, d.w, l.inputs, true, projected, width}))
    return false;
  for (std::int64_t s = 0; s < l.steps; ++s) {
    for (std::int64_t b = 0; b < l.batch; ++b) {
      for (std::int64_t j = 0; j < width; ++j) recurrent[b * width + j] = d.bias == nullptr ? 0.0f : d.bias[width + j];
    }
    if (!kernels::floats().gemm({l.batch, width, n, d.h.data(), n, false, d.r, n, true, recurrent, width}))
      return false;
    for (std::int64_t b = 0; b < l.batch; ++b) {
      const std::int64_t length = l.lengths[index(b)];
      if (s >= length) continue;
      const std::int64_t t = d.reverse ? length - 1 - s : s;
      float* gates = projected + (t * l.batch + b) * width;
      float* own = recurrent + b * width;
      if constexpr (Kind == cell::gru) {
        step_gru(l, d, b, gates, own, reset);
      } else {
        for (std::int64_t j = 0; j < width; ++j) gates[j] += own[j];
        if constexpr (Kind == cell::lstm) step_lstm(l, d, b, gates);
        if constexpr (Kind == cell::rnn) {
          for (std::int64_t j = 0; j < n; ++j) d.h[index(b * n + j)] = d.f[0](clipped(l, gates[j]));
        }
      }
      if (y != nullptr) std::copy_n(d.h.data() + b * n, n, y + t * step_stride + b * batch_stride);
    }
  }
  return true;
}

// ---- the operators ------------------------------------------------------------------------------------------------

result<layer> read_layer(const eval_context& c, cell kind) {
  QUANTAL_CHECK(require_inputs(c, 3));
  for (const std::size_t i : {0U, 1U, 2U, 3U, 5U, 6U, 7U}) {
    if (c.has_input(i) && c.input(i).type() != dtype::f32) return unsupported_type(c, c.input(i).type());
  }
  const shape& x = c.input(0).dims();
  const shape& w = c.input(1).dims();
  const shape& r = c.input(2).dims();
  if (x.rank != 3 || w.rank != 3 || r.rank != 3) return c.fail(status::data_shape, "X, W and R need rank 3");
  const bool batch_first = c.node.get_int("layout", 0) != 0;
  layer l;
  l.steps = x[batch_first ? 1 : 0], l.batch = x[batch_first ? 0 : 1], l.inputs = x[2];
  l.hidden = r[2], l.directions = w[0], l.gates = gates_of(kind);
  const std::string way = c.node.get_string("direction", "forward");
  const std::int64_t expected = way == "bidirectional" ? 2 : 1;
  if (way != "forward" && way != "reverse" && way != "bidirectional")
    return c.fail(status::model_type, "direction is '" + way + "'");
  l.reversed_only = way == "reverse";
  const std::int64_t width = l.gates * l.hidden;
  if (l.directions != expected || w[1] != width || w[2] != l.inputs || !(r == shape(expected, width, l.hidden))) {
    return c.fail(status::data_shape, "W and R do not fit the input, the direction or each other");
  }
  const auto expect = [&](std::size_t i, std::int64_t count) {
    return !c.has_input(i) || c.input(i).elements() == count;
  };
  const std::int64_t states = l.directions * l.batch * l.hidden;
  if (!expect(3, l.directions * 2 * width) || !expect(4, l.batch) || !expect(5, states) ||
      (kind == cell::lstm && (!expect(6, states) || !expect(7, l.directions * 3 * l.hidden)))) {
    return c.fail(status::data_shape, "B, sequence_lens, an initial state or P has the wrong size");
  }
  l.lengths.assign(index(l.batch), l.steps);
  if (c.has_input(4)) {
    QUANTAL_TRY(lengths, ints_of(c, 4));
    for (std::int64_t v : lengths) {
      if (v < 0 || v > l.steps) return c.fail(status::data_shape, "sequence length is " + std::to_string(v));
    }
    l.lengths = lengths;
  }
  l.clip = c.node.get_float("clip", 0.0f);
  l.linear_before_reset = c.node.get_int("linear_before_reset", 0) != 0;
  l.input_forget = c.node.get_int("input_forget", 0) != 0;
  const std::vector<std::string> defaults = kind == cell::rnn   ? std::vector<std::string>{"Tanh"}
                                            : kind == cell::gru ? std::vector<std::string>{"Sigmoid", "Tanh"}
                                                                : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
  QUANTAL_TRY(f, read_activations(c, l.directions, defaults));
  l.f = f;
  return l;
}

// [B, D, H] or [D, B, H]: the state of direction d, sample b.
std::int64_t state_at(const layer& l, bool batch_first, std::int64_t d, std::int64_t b) noexcept {
  return (batch_first ? b * l.directions + d : d * l.batch + b) * l.hidden;
}

template <cell Kind>
result<void> eval_recurrent(eval_context& c) {
  QUANTAL_TRY(l, read_layer(c, Kind));
  const bool batch_first = c.node.get_int("layout", 0) != 0;
  const std::int64_t width = l.gates * l.hidden, states = Kind == cell::lstm ? 2 : 1;
  float* y = nullptr;
  float* last[2] = {};
  if (c.node.has_output(0)) {
    QUANTAL_TRY(made, c.output(0, dtype::f32,
                               batch_first ? shape(l.batch, l.steps, l.directions, l.hidden)
                                           : shape(l.steps, l.directions, l.batch, l.hidden)));
    y = made->mutable_as<float>();
    std::fill_n(y, made->elements(), 0.0f);
  }
  for (std::int64_t i = 0; i < states; ++i) {
    if (!c.node.has_output(index(i + 1))) continue;
    QUANTAL_TRY(
        made, c.output(index(i + 1), dtype::f32,
                       batch_first ? shape(l.batch, l.directions, l.hidden) : shape(l.directions, l.batch, l.hidden)));
    last[i] = made->mutable_as<float>();
  }
  const std::int64_t steps_batch = l.steps * l.batch;
  QUANTAL_TRY(
      raw, c.scratch(index(steps_batch * width + l.batch * width + l.hidden + steps_batch * l.inputs) * sizeof(float)));
  auto* work = static_cast<float*>(raw);
  const float* x = c.input(0).as<float>();
  if (batch_first) {  // to [T, B, I]
    float* turned = work + steps_batch * width + l.batch * width + l.hidden;
    for (std::int64_t b = 0; b < l.batch; ++b) {
      for (std::int64_t t = 0; t < l.steps; ++t)
        std::copy_n(x + (b * l.steps + t) * l.inputs, l.inputs, turned + (t * l.batch + b) * l.inputs);
    }
    x = turned;
  }
  const std::size_t per_direction = l.f.size() / index(l.directions);
  for (std::int64_t k = 0; k < l.directions; ++k) {
    direction d;
    d.w = c.input(1).as<float>() + k * width * l.inputs;
    d.r = c.input(2).as<float>() + k * width * l.hidden;
    if (c.has_input(3)) d.bias = c.input(3).as<float>() + k * 2 * width;
    if (Kind == cell::lstm && c.has_input(7)) d.peephole = c.input(7).as<float>() + k * 3 * l.hidden;
    d.f = l.f.data() + index(k) * per_direction;
    d.reverse = l.reversed_only || k == 1;
    d.h.assign(index(l.batch * l.hidden), 0.0f);
    d.c = d.h;
    for (std::int64_t b = 0; b < l.batch; ++b) {
      const std::int64_t at = state_at(l, batch_first, k, b);
      if (c.has_input(5)) std::copy_n(c.input(5).as<float>() + at, l.hidden, d.h.data() + b * l.hidden);
      if (Kind == cell::lstm && c.has_input(6))
        std::copy_n(c.input(6).as<float>() + at, l.hidden, d.c.data() + b * l.hidden);
    }
    const std::int64_t step_stride = (batch_first ? 1 : l.batch) * l.directions * l.hidden;
    const std::int64_t batch_stride = batch_first ? l.steps * l.directions * l.hidden : l.hidden;
    float* target = y == nullptr ? nullptr : y + k * (batch_first ? 1 : l.batch) * l.hidden;
    if (!run_direction<Kind>(c, l, d, x, work, target, step_stride, batch_stride))
      return c.fail(status::out_of_memory, "no memory for packed operands");
    for (std::int64_t b = 0; b < l.batch; ++b) {
      const std::int64_t at = state_at(l, batch_first, k, b);
      if (last[0] != nullptr) std::copy_n(d.h.data() + b * l.hidden, l.hidden, last[0] + at);
      if (last[1] != nullptr) std::copy_n(d.c.data() + b * l.hidden, l.hidden, last[1] + at);
    }
  }
  return {};
}

result<void> infer_recurrent(infer_context& c) {
  const dtype type = elem_of(c, 0);
  const dim_list* x = dims_of(c, 0);
  const dim_list* r = dims_of(c, 2);
  if ((x != nullptr && x->size() != 3) || (r != nullptr && r->size() != 3))
    return rule_error(c, "X, W and R need rank 3");
  const bool batch_first = c.node.get_int("layout", 0) != 0;
  const ir::dim hidden = r != nullptr                            ? (*r)[2]
                         : c.node.find("hidden_size") != nullptr ? ir::dim(c.node.get_int("hidden_size", 0))
                                                                 : ir::dim();
  const ir::dim directions = c.node.get_string("direction", "forward") == "bidirectional" ? 2 : 1;
  const ir::dim steps = x == nullptr ? ir::dim() : (*x)[batch_first ? 1 : 0],
                batch = x == nullptr ? ir::dim() : (*x)[batch_first ? 0 : 1];
  if (c.node.has_output(0))
    set_typed(c, 0, type,
              batch_first ? dim_list{batch, steps, directions, hidden} : dim_list{steps, directions, batch, hidden});
  for (std::size_t i = 1; i < 3; ++i) {
    if (c.node.has_output(i))
      set_typed(c, i, type, batch_first ? dim_list{batch, directions, hidden} : dim_list{directions, batch, hidden});
  }
  return {};
}

constexpr quant_rule rule{quant_kind::weighted, 0, 1};
const op_def table[] = {
    {"RNN", 7, infer_recurrent, in_wide<eval_recurrent<cell::rnn>>, rule},
    {"GRU", 7, infer_recurrent, in_wide<eval_recurrent<cell::gru>>, rule},
    {"LSTM", 7, infer_recurrent, in_wide<eval_recurrent<cell::lstm>>, rule},
};

}  // namespace

op_list recurrent_ops() {
  return table;
}

}  // namespace quantal::ops
