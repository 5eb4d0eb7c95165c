// Functions of one element: arithmetic, trigonometry and activations. Each is a struct with the formula; `p` holds the
// operator's constants (alpha, beta...). Computed in the element's own type, f16 and bf16 in f32.
// Formulas: ONNX spec of each operator; Gelu's tanh form is 0.5x(1 + tanh(sqrt(2/pi)(x + 0.044715x^3))).
#include <cmath>
#include <limits>
#include <type_traits>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/elementwise.hpp"

namespace quantal::ops {

namespace {

#define QUANTAL_UNARY(name, formula)                \
  struct name {                                     \
    template <class T>                              \
    static T of(T x, [[maybe_unused]] const T* p) { \
      return static_cast<T>(formula);               \
    }                                               \
  }

template <class T>
T sigmoid_of(T x) {
  // Never overflows: the exponential is of a negative number.
  const T e = std::exp(-std::abs(x));
  return (x >= 0 ? T(1) : e) / (T(1) + e);
}
template <class T>
T softplus_of(T x) {
  return std::log1p(std::exp(-std::abs(x))) + (x > 0 ? x : T(0));
}

// Clips without hiding NaN.
template <class T>
T clamp(T x, T low, T high) {
  const T y = x < low ? low : x;
  return y > high ? high : y;
}

QUANTAL_UNARY(exp_of, std::exp(x));
QUANTAL_UNARY(log_of, std::log(x));
QUANTAL_UNARY(sqrt_of, std::sqrt(x));
QUANTAL_UNARY(erf_of, std::erf(x));
QUANTAL_UNARY(reciprocal_of, T(1) / x);
QUANTAL_UNARY(ceil_of, std::ceil(x));
QUANTAL_UNARY(floor_of, std::floor(x));
QUANTAL_UNARY(round_of, std::nearbyint(x));  // ties to even: the default rounding mode
QUANTAL_UNARY(sin_of, std::sin(x));
QUANTAL_UNARY(cos_of, std::cos(x));
QUANTAL_UNARY(tan_of, std::tan(x));
QUANTAL_UNARY(asin_of, std::asin(x));
QUANTAL_UNARY(acos_of, std::acos(x));
QUANTAL_UNARY(atan_of, std::atan(x));
QUANTAL_UNARY(sinh_of, std::sinh(x));
QUANTAL_UNARY(cosh_of, std::cosh(x));
QUANTAL_UNARY(tanh_of, std::tanh(x));
QUANTAL_UNARY(asinh_of, std::asinh(x));
QUANTAL_UNARY(acosh_of, std::acosh(x));
QUANTAL_UNARY(atanh_of, std::atanh(x));
QUANTAL_UNARY(sigmoid, sigmoid_of(x));
QUANTAL_UNARY(softplus, softplus_of(x));
QUANTAL_UNARY(softsign, x / (T(1) + std::abs(x)));
QUANTAL_UNARY(hard_sigmoid, clamp(p[0] * x + p[1], T(0), T(1)));
QUANTAL_UNARY(hard_swish, x* clamp(x / T(6) + T(0.5), T(0), T(1)));
QUANTAL_UNARY(elu, x < 0 ? p[0] * std::expm1(x) : x);
QUANTAL_UNARY(celu, x < 0 ? p[0] * std::expm1(x / p[0]) : x);
QUANTAL_UNARY(selu, p[1] * (x > 0 ? x : p[0] * std::expm1(x)));
QUANTAL_UNARY(leaky_relu, x < 0 ? p[0] * x : x);
QUANTAL_UNARY(thresholded_relu, x > p[0] ? x : x <= p[0] ? T(0) : x);
QUANTAL_UNARY(gelu, T(0.5) * x * (T(1) + std::erf(x * T(0.70710678118654752440))));
QUANTAL_UNARY(gelu_tanh, T(0.5) * x * (T(1) + std::tanh(T(0.79788456080286535588) * (x + T(0.044715) * x * x * x))));
QUANTAL_UNARY(mish, x* std::tanh(softplus_of(x)));
QUANTAL_UNARY(swish, x* sigmoid_of(p[0] * x));
QUANTAL_UNARY(shrink, x<-p[1] ? x + p[0] : x> p[1] ? x - p[0] : T(0));
// Also for integers.
QUANTAL_UNARY(relu, x < T(0) ? T(0) : x);
QUANTAL_UNARY(sign_of, x > T(0) ? T(1) : x < T(0) ? T(-1) : x);
struct abs_of {
  template <class T>
  static T of(T x, const T*) {
    if constexpr (std::is_floating_point_v<T>)
      return std::abs(x);
    else if constexpr (std::is_signed_v<T>)
      return x < 0 ? static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x)) : x;
    else
      return x;
  }
};
struct neg_of {
  template <class T>
  static T of(T x, const T*) {
    if constexpr (std::is_floating_point_v<T>)
      return -x;
    else
      return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(x));
  }
};
struct bit_not {
  template <class T>
  static T of(T x, const T*) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(~x);
    else
      return x;
  }
};

template <class T, class F>
void unary_loop_of(const void* x, void* y, std::size_t n, const double* parameters) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  const T p[2] = {parameters != nullptr ? static_cast<T>(parameters[0]) : T(0),
                  parameters != nullptr ? static_cast<T>(parameters[1]) : T(0)};
  for (std::size_t i = 0; i < n; ++i) to[i] = F::of(from[i], p);
}

template <class F>
result<void> run_float(eval_context& c, double a = 0, double b = 0) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const double parameters[] = {a, b};
  if (x.type() == dtype::f32) return run_unary(c, x, x.type(), unary_loop_of<float, F>, parameters);
  if (x.type() == dtype::f64) return run_unary(c, x, x.type(), unary_loop_of<double, F>, parameters);
  return unsupported_type(c, x.type());
}
template <class F>
result<void> eval_float(eval_context& c) {
  return run_float<F>(c);
}

template <class F>
result<void> run_number(eval_context& c, double a = 0, double b = 0) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const double parameters[] = {a, b};
  unary_loop loop = nullptr;
  with_number(x.type(), [&](auto tag) { loop = unary_loop_of<decltype(tag), F>; });
  return loop == nullptr ? unsupported_type(c, x.type()) : run_unary(c, x, x.type(), loop, parameters);
}
template <class F>
result<void> eval_number(eval_context& c) {
  return run_number<F>(c);
}

result<void> eval_elu(eval_context& c) {
  return run_float<elu>(c, c.node.get_float("alpha", 1));
}
result<void> eval_celu(eval_context& c) {
  return run_float<celu>(c, c.node.get_float("alpha", 1));
}
result<void> eval_selu(eval_context& c) {
  // Defaults changed in their last digits with opset 6.
  return run_float<selu>(c, c.node.get_float("alpha", 1.67326319217681884765625f),
                         c.node.get_float("gamma", 1.05070102214813232421875f));
}
result<void> eval_leaky_relu(eval_context& c) {
  return run_float<leaky_relu>(c, c.node.get_float("alpha", 0.01f));
}
result<void> eval_thresholded_relu(eval_context& c) {
  return run_float<thresholded_relu>(c, c.node.get_float("alpha", 1));
}
result<void> eval_hard_sigmoid(eval_context& c) {
  return run_float<hard_sigmoid>(c, c.node.get_float("alpha", 0.2f), c.node.get_float("beta", 0.5f));
}
result<void> eval_swish(eval_context& c) {
  return run_float<swish>(c, c.node.get_float("alpha", 1));
}
result<void> eval_shrink(eval_context& c) {
  return run_number<shrink>(c, c.node.get_float("bias", 0), c.node.get_float("lambd", 0.5f));
}
result<void> eval_gelu(eval_context& c) {
  return c.node.get_string("approximate", "none") == "tanh" ? run_float<gelu_tanh>(c) : run_float<gelu>(c);
}

// ---- Clip: bounds are attributes below opset 11, inputs of the element type from there on ----

template <class T>
struct bounds {
  T low = std::numeric_limits<T>::lowest();
  T high = std::numeric_limits<T>::max();
};

template <class T>
result<void> clip(eval_context& c) {
  const tensor_buffer& x = c.input(0);
  bounds<T> b;
  if constexpr (std::is_floating_point_v<T>)
    b = {-std::numeric_limits<T>::infinity(), std::numeric_limits<T>::infinity()};
  if (c.opset < 11) {
    if (c.node.find("min") != nullptr) b.low = static_cast<T>(c.node.get_float("min", 0));
    if (c.node.find("max") != nullptr) b.high = static_cast<T>(c.node.get_float("max", 0));
  } else {
    for (std::size_t i = 1; i <= 2; ++i) {
      if (!c.has_input(i)) continue;
      const tensor_buffer& t = c.input(i);
      if (t.type() != x.type() || t.elements() != 1)
        return c.fail(status::data_shape, "a bound must be one number of the input's type");
      (i == 1 ? b.low : b.high) = *t.as<T>();
    }
  }
  QUANTAL_TRY(out, c.output(0, x.type(), x.dims()));
  const T* from = x.as<T>();
  T* to = out->template mutable_as<T>();
  parallel_ranges(c.parallel(), x.elements(), 16384, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) to[i] = clamp(from[i], b.low, b.high);
  });
  return {};
}

result<void> eval_clip(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  result<void> done = unsupported_type(c, c.input(0).type());
  with_number(c.input(0).type(), [&](auto tag) { done = clip<decltype(tag)>(c); });
  return done;
}

constexpr quant_rule activation{.kind = quant_kind::activation};

constexpr op_def table[] = {
    {"Abs", 1, infer_same, in_wide<eval_number<abs_of>>},
    {"Neg", 1, infer_same, in_wide<eval_number<neg_of>>},
    {"Sign", 9, infer_same, in_wide<eval_number<sign_of>>},
    {"BitwiseNot", 18, infer_same, eval_number<bit_not>},
    {"Exp", 1, infer_same, in_wide<eval_float<exp_of>>},
    {"Log", 1, infer_same, in_wide<eval_float<log_of>>},
    {"Sqrt", 1, infer_same, in_wide<eval_float<sqrt_of>>},
    {"Erf", 9, infer_same, in_wide<eval_float<erf_of>>, activation},
    {"Reciprocal", 1, infer_same, in_wide<eval_float<reciprocal_of>>},
    {"Ceil", 1, infer_same, in_wide<eval_float<ceil_of>>},
    {"Floor", 1, infer_same, in_wide<eval_float<floor_of>>},
    {"Round", 11, infer_same, in_wide<eval_float<round_of>>},
    {"Sin", 7, infer_same, in_wide<eval_float<sin_of>>},
    {"Cos", 7, infer_same, in_wide<eval_float<cos_of>>},
    {"Tan", 7, infer_same, in_wide<eval_float<tan_of>>},
    {"Asin", 7, infer_same, in_wide<eval_float<asin_of>>},
    {"Acos", 7, infer_same, in_wide<eval_float<acos_of>>},
    {"Atan", 7, infer_same, in_wide<eval_float<atan_of>>},
    {"Sinh", 9, infer_same, in_wide<eval_float<sinh_of>>},
    {"Cosh", 9, infer_same, in_wide<eval_float<cosh_of>>},
    {"Asinh", 9, infer_same, in_wide<eval_float<asinh_of>>},
    {"Acosh", 9, infer_same, in_wide<eval_float<acosh_of>>},
    {"Atanh", 9, infer_same, in_wide<eval_float<atanh_of>>},
    {"Tanh", 1, infer_same, in_wide<eval_float<tanh_of>>, activation},
    {"Sigmoid", 1, infer_same, in_wide<eval_float<sigmoid>>, activation},
    {"HardSigmoid", 1, infer_same, in_wide<eval_hard_sigmoid>, activation},
    {"HardSwish", 14, infer_same, in_wide<eval_float<hard_swish>>, activation},
    {"Relu", 1, infer_same, in_wide<eval_number<relu>>, activation},
    {"LeakyRelu", 1, infer_same, in_wide<eval_leaky_relu>, activation},
    {"ThresholdedRelu", 10, infer_same, in_wide<eval_thresholded_relu>, activation},
    {"Elu", 1, infer_same, in_wide<eval_elu>, activation},
    {"Celu", 12, infer_same, in_wide<eval_celu>, activation},
    {"Selu", 6, infer_same, in_wide<eval_selu>, activation},
    {"Softplus", 1, infer_same, in_wide<eval_float<softplus>>, activation},
    {"Softsign", 1, infer_same, in_wide<eval_float<softsign>>, activation},
    {"Gelu", 20, infer_same, in_wide<eval_gelu>, activation},
    {"Mish", 18, infer_same, in_wide<eval_float<mish>>, activation},
    {"Swish", 24, infer_same, in_wide<eval_swish>, activation},
    {"Shrink", 9, infer_same, in_wide<eval_shrink>},
    {"Clip", 1, infer_same, in_wide<eval_clip>, activation},
};

}  // namespace

op_list unary_ops() {
  return table;
}

}  // namespace quantal::ops
