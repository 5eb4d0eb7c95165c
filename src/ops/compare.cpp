// Comparisons (to boolean), logic on booleans, Where, and the tests IsNaN and IsInf.
#include <cmath>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/elementwise.hpp"

namespace quantal::ops {

namespace {

struct equal {
  template <class T>
  std::uint8_t operator()(T x, T y) const {
    return x == y;
  }
};
struct less {
  template <class T>
  std::uint8_t operator()(T x, T y) const {
    return x < y;
  }
};
struct less_equal {
  template <class T>
  std::uint8_t operator()(T x, T y) const {
    return x <= y;
  }
};
struct greater {
  template <class T>
  std::uint8_t operator()(T x, T y) const {
    return x > y;
  }
};
struct greater_equal {
  template <class T>
  std::uint8_t operator()(T x, T y) const {
    return x >= y;
  }
};
struct logic_and {
  std::uint8_t operator()(std::uint8_t x, std::uint8_t y) const { return (x != 0) & (y != 0); }
};
struct logic_or {
  std::uint8_t operator()(std::uint8_t x, std::uint8_t y) const { return (x | y) != 0; }
};
struct logic_xor {
  std::uint8_t operator()(std::uint8_t x, std::uint8_t y) const { return (x != 0) != (y != 0); }
};

template <class F>
result<void> eval_compare(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  dtype t = c.input(0).type();
  if (c.input(1).type() != t) return c.fail(status::model_type, "inputs of different types");
  if (t == dtype::boolean) t = dtype::u8;
  binary_loop loop = nullptr;
  with_number(t, [&](auto tag) { loop = loop_of<decltype(tag), std::uint8_t, F>; });
  if (loop == nullptr) return unsupported_type(c, t);
  QUANTAL_TRY(b, legacy_broadcast(c, c.input(0), c.input(1)));
  return run_binary(c, c.input(0), b, dtype::boolean, loop);
}

template <class F>
result<void> eval_logic(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  if (c.input(0).type() != dtype::boolean || c.input(1).type() != dtype::boolean) {
    return c.fail(status::model_type, "inputs must be boolean");
  }
  QUANTAL_TRY(b, legacy_broadcast(c, c.input(0), c.input(1)));
  return run_binary(c, c.input(0), b, dtype::boolean, loop_of<std::uint8_t, std::uint8_t, F>);
}

result<void> eval_not(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  if (c.input(0).type() != dtype::boolean) return c.fail(status::model_type, "input must be boolean");
  return run_unary(c, c.input(0), dtype::boolean, [](const void* x, void* y, std::size_t n, const double*) {
    for (std::size_t i = 0; i < n; ++i) static_cast<std::uint8_t*>(y)[i] = static_cast<const std::uint8_t*>(x)[i] == 0;
  });
}

template <class T>
void loop_nan(const void* x, void* y, std::size_t n, const double*) {
  for (std::size_t i = 0; i < n; ++i) static_cast<std::uint8_t*>(y)[i] = std::isnan(static_cast<const T*>(x)[i]);
}
// parameters: detect positive, detect negative
template <class T>
void loop_inf(const void* x, void* y, std::size_t n, const double* detect) {
  for (std::size_t i = 0; i < n; ++i) {
    const T v = static_cast<const T*>(x)[i];
    static_cast<std::uint8_t*>(y)[i] = std::isinf(v) && detect[v > 0 ? 0 : 1] != 0;
  }
}

result<void> eval_is_nan(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  if (x.type() == dtype::f64) return run_unary(c, x, dtype::boolean, loop_nan<double>);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  return run_unary(c, x, dtype::boolean, loop_nan<float>);
}

result<void> eval_is_inf(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const double detect[] = {static_cast<double>(c.node.get_int("detect_positive", 1)),
                           static_cast<double>(c.node.get_int("detect_negative", 1))};
  if (x.type() == dtype::f64) return run_unary(c, x, dtype::boolean, loop_inf<double>, detect);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  return run_unary(c, x, dtype::boolean, loop_inf<float>, detect);
}

// ---- Where: moves elements of 1, 2, 4, 8 or 16 bytes ----

struct operand {
  const std::byte* data;
  std::int64_t stride[limits::max_rank];
};

operand spread(const tensor_buffer& t, const shape& out) {
  operand o{t.as<std::byte>(), {}};
  std::int64_t step = 1;
  for (std::int32_t i = out.rank - 1, j = t.dims().rank - 1; i >= 0; --i, --j) {
    const std::int64_t d = j >= 0 ? t.dims()[j] : 1;
    o.stride[i] = d == 1 ? 0 : step;
    step *= d;
  }
  return o;
}

template <class T>
void select_rows(const parallel_for& parallel, const shape& dims, const operand& cond, const operand& x,
                 const operand& y, T* out) {
  const std::int32_t last = dims.rank - 1;
  const std::int64_t inner = dims.rank == 0 ? 1 : dims[last];
  const std::int64_t rows = dims.elements() / inner;
  const std::int64_t sc = dims.rank == 0 ? 0 : cond.stride[last];
  const std::int64_t sx = dims.rank == 0 ? 0 : x.stride[last];
  const std::int64_t sy = dims.rank == 0 ? 0 : y.stride[last];
  parallel_ranges(parallel, rows, 1 + 16384 / inner, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      std::int64_t oc = 0;
      std::int64_t ox = 0;
      std::int64_t oy = 0;
      for (std::int64_t i = last - 1, rest = r; i >= 0; --i) {
        const std::int64_t at = rest % dims[static_cast<std::int32_t>(i)];
        rest /= dims[static_cast<std::int32_t>(i)];
        oc += at * cond.stride[i];
        ox += at * x.stride[i];
        oy += at * y.stride[i];
      }
      const auto* pc = reinterpret_cast<const std::uint8_t*>(cond.data) + oc;
      const T* px = reinterpret_cast<const T*>(x.data) + ox;
      const T* py = reinterpret_cast<const T*>(y.data) + oy;
      for (std::int64_t i = 0; i < inner; ++i) out[r * inner + i] = pc[i * sc] != 0 ? px[i * sx] : py[i * sy];
    }
  });
}

struct bytes16 {
  std::uint64_t low, high;
};

result<void> eval_where(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  if (c.input(0).type() != dtype::boolean) return c.fail(status::model_type, "condition must be boolean");
  const dtype t = c.input(1).type();
  if (c.input(2).type() != t) return c.fail(status::model_type, "branches of different types");
  QUANTAL_TRY(both, broadcast_shape(c, c.input(1).dims(), c.input(2).dims()));
  QUANTAL_TRY(dims, broadcast_shape(c, c.input(0).dims(), both));
  if (bits_of(t) < 8) return unsupported_type(c, t);
  QUANTAL_TRY(out, c.output(0, t, dims));
  if (dims.elements() == 0) return {};
  const operand cond = spread(c.input(0), dims);
  const operand x = spread(c.input(1), dims);
  const operand y = spread(c.input(2), dims);
  switch (bits_of(t)) {
    case 8: select_rows(c.parallel(), dims, cond, x, y, out->mutable_as<std::uint8_t>()); break;
    case 16: select_rows(c.parallel(), dims, cond, x, y, out->mutable_as<std::uint16_t>()); break;
    case 32: select_rows(c.parallel(), dims, cond, x, y, out->mutable_as<std::uint32_t>()); break;
    case 64: select_rows(c.parallel(), dims, cond, x, y, out->mutable_as<std::uint64_t>()); break;
    default: select_rows(c.parallel(), dims, cond, x, y, out->mutable_as<bytes16>()); break;
  }
  return {};
}

result<void> infer_where(infer_context& c) {
  const dtype t = elem_of(c, 1) != dtype::none ? elem_of(c, 1) : elem_of(c, 2);
  const dim_list* d[] = {dims_of(c, 0), dims_of(c, 1), dims_of(c, 2)};
  if (d[0] == nullptr || d[1] == nullptr || d[2] == nullptr) {
    set_typed(c, 0, t);
    return {};
  }
  QUANTAL_TRY(both, broadcast_dims(c, *d[1], *d[2]));
  QUANTAL_TRY(all, broadcast_dims(c, *d[0], both));
  set_typed(c, 0, t, all);
  // A shape chosen by a known condition (Expand's "-1 keeps" idiom).
  const tensor_buffer* cond = c.constant(0);
  const auto* x = c.shape_value(1);
  const auto* y = c.shape_value(2);
  if (cond == nullptr || cond->type() != dtype::boolean || x == nullptr || y == nullptr || all.size() > 1) return {};
  const auto n = all.empty() ? std::size_t{1} : static_cast<std::size_t>(std::max<std::int64_t>(all[0].value, 0));
  std::vector<ir::dim> value(n);
  for (std::size_t i = 0; i < n; ++i) {
    const bool yes = cond->as<std::uint8_t>()[cond->elements() == 1 ? 0 : i] != 0;
    const auto& from = yes ? *x : *y;
    value[i] = from[from.size() == 1 ? 0 : i];
  }
  c.set_shape_value(0, std::move(value));
  return {};
}

constexpr op_def table[] = {
    {"Equal", 1, infer_compare, in_wide<eval_compare<equal>>},
    {"Less", 1, infer_compare, in_wide<eval_compare<less>>},
    {"LessOrEqual", 12, infer_compare, in_wide<eval_compare<less_equal>>},
    {"Greater", 1, infer_compare, in_wide<eval_compare<greater>>},
    {"GreaterOrEqual", 12, infer_compare, in_wide<eval_compare<greater_equal>>},
    {"And", 1, infer_compare, eval_logic<logic_and>},
    {"Or", 1, infer_compare, eval_logic<logic_or>},
    {"Xor", 1, infer_compare, eval_logic<logic_xor>},
    {"Not", 1, infer_same, eval_not},
    {"Where", 9, infer_where, in_bytes<eval_where>, {.kind = quant_kind::none, .data_input = 1}},
    {"IsNaN", 9, infer_same_bool, in_wide<eval_is_nan>},
    {"IsInf", 10, infer_same_bool, in_wide<eval_is_inf>},
};

}  // namespace

op_list compare_ops() {
  return table;
}

}  // namespace quantal::ops
