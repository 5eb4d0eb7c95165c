// Add Sub Mul Div Pow Mod, Max Min Sum Mean over any number of inputs, bit operations, PRelu.
// Integers wrap as two's complement; division truncates toward zero (Mod without fmod takes the divisor's sign, as
// Python does), and an integer division by zero is an error. f16 and bf16 compute in f32.
#include <cmath>
#include <type_traits>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/elementwise.hpp"

namespace quantal::ops {

namespace {

// Signed overflow is undefined in C++: integers compute as unsigned (at least 32 bits wide, so that u16 does not become
// int).
template <class T, class F>
constexpr T wrapping(T x, T y, F f) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::conditional_t<sizeof(T) == 8, std::uint64_t, std::uint32_t>;
    return static_cast<T>(f(static_cast<U>(x), static_cast<U>(y)));
  } else {
    return f(x, y);
  }
}
struct add {
  template <class T>
  T operator()(T x, T y) const {
    return wrapping(x, y, [](auto a, auto b) { return a + b; });
  }
};
struct sub {
  template <class T>
  T operator()(T x, T y) const {
    return wrapping(x, y, [](auto a, auto b) { return a - b; });
  }
};
struct mul {
  template <class T>
  T operator()(T x, T y) const {
    return wrapping(x, y, [](auto a, auto b) { return a * b; });
  }
};
struct div {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
      if (y == -1) return sub{}(T(0), x);  // the lowest number has no positive twin
    }
    return static_cast<T>(x / y);
  }
};
struct mod {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_floating_point_v<T>) {
      const T r = std::fmod(x, y);
      return r != 0 && (r < 0) != (y < 0) ? r + y : r;
    } else if constexpr (std::is_signed_v<T>) {
      if (y == -1) return T(0);
      const T r = static_cast<T>(x % y);
      return static_cast<T>(r != 0 && (r < 0) != (y < 0) ? r + y : r);
    } else {
      return static_cast<T>(x % y);
    }
  }
};
struct fmod_of {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_floating_point_v<T>)
      return std::fmod(x, y);
    else if constexpr (std::is_signed_v<T>)
      return y == -1 ? T(0) : static_cast<T>(x % y);
    else
      return static_cast<T>(x % y);
  }
};
// NaN wins, as in numpy.
struct max_of {
  template <class T>
  T operator()(T x, T y) const {
    return x > y || x != x ? x : y;
  }
};
struct min_of {
  template <class T>
  T operator()(T x, T y) const {
    return x < y || x != x ? x : y;
  }
};
struct bit_and {
  template <class T>
  T operator()(T x, T y) const {
    return static_cast<T>(x & y);
  }
};
struct bit_or {
  template <class T>
  T operator()(T x, T y) const {
    return static_cast<T>(x | y);
  }
};
struct bit_xor {
  template <class T>
  T operator()(T x, T y) const {
    return static_cast<T>(x ^ y);
  }
};
// A shift count outside [0, bits) leaves what sign extension alone leaves (ONNX spec, BitShift-28).
template <class T>
bool in_range(T count) {
  return static_cast<std::uint64_t>(count) < sizeof(T) * 8;
}
struct shift_left {
  template <class T>
  T operator()(T x, T y) const {
    return in_range(y) ? static_cast<T>(static_cast<std::uint64_t>(x) << y) : T(0);
  }
};
struct shift_right {
  template <class T>
  T operator()(T x, T y) const {
    if (in_range(y)) return static_cast<T>(x >> y);
    return std::is_signed_v<T> && x < T(0) ? static_cast<T>(-1) : T(0);
  }
};
struct prelu {
  template <class T>
  T operator()(T x, T y) const {
    return x < T(0) ? mul{}(x, y) : x;
  }
};
struct power {
  template <class T>
  T operator()(T x, T y) const {
    if constexpr (std::is_floating_point_v<T>) {
      if (y == T(2)) return x * x;
      if (y == T(0.5)) return std::sqrt(x);
      return std::pow(x, y);
    } else {
      if (y < 0) return x == 1 ? T(1) : x == T(-1) ? (y % 2 != 0 ? x : T(1)) : T(0);
      T result = 1;
      for (T base = x; y != 0; y = static_cast<T>(y / 2), base = mul{}(base, base)) {
        if (y % 2 != 0) result = mul{}(result, base);
      }
      return result;
    }
  }
};

template <class F>
binary_loop number_loop(dtype t) {
  binary_loop loop = nullptr;
  with_number(t, [&](auto tag) { loop = loop_of<decltype(tag), decltype(tag), F>; });
  return loop;
}
template <class F>
binary_loop integer_loop(dtype t) {
  switch (t) {
    case dtype::s8: return loop_of<std::int8_t, std::int8_t, F>;
    case dtype::u8:
    case dtype::boolean: return loop_of<std::uint8_t, std::uint8_t, F>;
    case dtype::s16: return loop_of<std::int16_t, std::int16_t, F>;
    case dtype::u16: return loop_of<std::uint16_t, std::uint16_t, F>;
    case dtype::s32: return loop_of<std::int32_t, std::int32_t, F>;
    case dtype::u32: return loop_of<std::uint32_t, std::uint32_t, F>;
    case dtype::s64: return loop_of<std::int64_t, std::int64_t, F>;
    case dtype::u64: return loop_of<std::uint64_t, std::uint64_t, F>;
    default: return nullptr;
  }
}

result<void> same_types(const eval_context& c) {
  for (std::size_t i = 1; i < c.input_count(); ++i) {
    if (c.has_input(i) && c.input(i).type() != c.input(0).type()) {
      return c.fail(status::model_type, std::string("inputs of different types ") + name_of(c.input(0).type()) +
                                            " and " + name_of(c.input(i).type()));
    }
  }
  return {};
}

bool holds_zero(const tensor_buffer& t) {
  bool zero = false;
  with_number(t.type(), [&](auto tag) {
    const auto* p = t.as<decltype(tag)>();
    for (std::int64_t i = 0; i < t.elements(); ++i) zero = zero || p[i] == 0;
  });
  return zero;
}

using loop_choice = binary_loop (*)(dtype);

template <loop_choice choose>
result<void> eval_binary(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  QUANTAL_CHECK(same_types(c));
  const dtype t = c.input(0).type();
  const binary_loop loop = choose(t);
  if (loop == nullptr) return unsupported_type(c, t);
  QUANTAL_TRY(b, legacy_broadcast(c, c.input(0), c.input(1)));
  return run_binary(c, c.input(0), b, t, loop);
}

template <loop_choice choose>
result<void> eval_division(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  if (is_integer(c.input(1).type()) && holds_zero(c.input(1))) {
    return c.fail(status::data_format, "integer division by zero");
  }
  return eval_binary<choose>(c);
}

result<void> eval_mod(eval_context& c) {
  return c.node.get_int("fmod", 0) != 0 ? eval_division<number_loop<fmod_of>>(c) : eval_division<number_loop<mod>>(c);
}

result<void> eval_shift(eval_context& c) {
  const std::string direction = c.node.get_string("direction", "");
  if (direction == "LEFT") return eval_binary<integer_loop<shift_left>>(c);
  if (direction == "RIGHT") return eval_binary<integer_loop<shift_right>>(c);
  return c.fail(status::model_type, "attribute 'direction' must be LEFT or RIGHT");
}

// Base and exponent may differ in type; the result has the base's.
result<void> eval_pow(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const dtype t = c.input(0).type();
  const dtype u = c.input(1).type();
  QUANTAL_TRY(exponent_shaped, legacy_broadcast(c, c.input(0), c.input(1)));
  if (!is_integer(t) || !is_float(u)) {
    const binary_loop loop = number_loop<power>(t);
    if (loop == nullptr) return unsupported_type(c, t);
    QUANTAL_TRY(exponent, convert_tensor(exponent_shaped, t));
    return run_binary(c, c.input(0), exponent, t, loop);
  }
  QUANTAL_TRY(x, convert_tensor(c.input(0), dtype::f64));
  QUANTAL_TRY(y, convert_tensor(exponent_shaped, dtype::f64));
  QUANTAL_TRY(dims, broadcast_shape(c, x.dims(), y.dims()));
  QUANTAL_TRY(z, tensor_buffer::make(dtype::f64, dims));
  broadcast_into(c.parallel(), x, y, z, loop_of<double, double, power>);
  QUANTAL_TRY(out, convert_tensor(z, t));
  return c.forward(0, std::move(out));
}

// Folds the inputs from the left; `divide`: Mean.
template <loop_choice choose, bool divide = false>
result<void> eval_fold(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, c.input_count() == 0 ? 1 : c.input_count()));
  QUANTAL_CHECK(same_types(c));
  const dtype t = c.input(0).type();
  const binary_loop loop = choose(t);
  if (loop == nullptr) return unsupported_type(c, t);
  const std::size_t n = c.input_count();
  tensor_buffer sum = c.input(0);
  for (std::size_t i = 1; i < n; ++i) {
    if (!divide && i + 1 == n) return run_binary(c, sum, c.input(i), t, loop);
    QUANTAL_TRY(dims, broadcast_shape(c, sum.dims(), c.input(i).dims()));
    QUANTAL_TRY(next, tensor_buffer::make(t, dims));
    broadcast_into(c.parallel(), sum, c.input(i), next, loop);
    sum = std::move(next);
  }
  if (!divide || n == 1) return c.forward(0, sum);
  QUANTAL_TRY(count, convert_tensor(tensor_buffer::of(shape(1), std::vector<double>{static_cast<double>(n)}), t));
  return run_binary(c, sum, count.reshaped(shape()), t, number_loop<div>(t));
}

// ---- shape values: Add, Sub, Mul, Div, Max, Min over the dimensions that models compute with ----

bool value_operands(const infer_context& c, std::size_t& n) {
  const auto* a = c.shape_value(0);
  const auto* b = c.shape_value(1);
  if (a == nullptr || b == nullptr) return false;
  if (a->size() != b->size() && a->size() != 1 && b->size() != 1) return false;
  n = a->size() == 1 ? b->size() : a->size();
  return true;
}

ir::dim combine(const std::string& op, const ir::dim& a, const ir::dim& b) {
  const auto is = [](const ir::dim& d, std::int64_t v) { return d.known() && d.value == v; };
  if (op == "Add" && is(b, 0)) return a;
  if (op == "Add" && is(a, 0)) return b;
  if (op == "Sub" && is(b, 0)) return a;
  if (op == "Mul" && is(a, 1)) return b;
  if (op == "Mul" && (is(b, 1) || is(a, 0))) return a;
  if (op == "Div" && is(b, 1)) return a;
  return {};
}

result<void> infer_arithmetic(infer_context& c) {
  QUANTAL_CHECK(infer_broadcast(c));
  std::size_t n = 0;
  if (!value_operands(c, n)) return {};
  std::vector<ir::dim> value(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto& a = *c.shape_value(0);
    const auto& b = *c.shape_value(1);
    value[i] = combine(c.node.op_type, a[a.size() == 1 ? 0 : i], b[b.size() == 1 ? 0 : i]);
  }
  c.set_shape_value(0, std::move(value));
  return {};
}

constexpr quant_rule arithmetic{.kind = quant_kind::arithmetic};

constexpr op_def table[] = {
    {"Add", 1, infer_arithmetic, in_wide<eval_binary<number_loop<add>>>, arithmetic},
    {"Sub", 1, infer_arithmetic, in_wide<eval_binary<number_loop<sub>>>, arithmetic},
    {"Mul", 1, infer_arithmetic, in_wide<eval_binary<number_loop<mul>>>, arithmetic},
    {"Div", 1, infer_arithmetic, in_wide<eval_division<number_loop<div>>>, arithmetic},
    {"Mod", 10, infer_broadcast, in_wide<eval_mod>},
    {"Pow", 1, infer_broadcast, in_wide<eval_pow>},
    {"Max", 1, infer_broadcast, in_wide<eval_fold<number_loop<max_of>>>},
    {"Min", 1, infer_broadcast, in_wide<eval_fold<number_loop<min_of>>>},
    {"Sum", 1, infer_broadcast, in_wide<eval_fold<number_loop<add>>>, arithmetic},
    {"Mean", 1, infer_broadcast, in_wide<eval_fold<number_loop<add>, true>>},
    {"BitShift", 11, infer_broadcast, eval_shift},
    {"BitwiseAnd", 18, infer_broadcast, eval_binary<integer_loop<bit_and>>},
    {"BitwiseOr", 18, infer_broadcast, eval_binary<integer_loop<bit_or>>},
    {"BitwiseXor", 18, infer_broadcast, eval_binary<integer_loop<bit_xor>>},
    {"PRelu", 7, infer_broadcast, in_wide<eval_binary<number_loop<prelu>>>, {.kind = quant_kind::activation}},
};

}  // namespace

op_list arithmetic_ops() {
  return table;
}

}  // namespace quantal::ops
