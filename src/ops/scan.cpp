// Operators that walk along one axis or a triangle: CumSum, CumProd, Hardmax, Trilu.
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

template <class T, bool multiply>
void cumulate(const shape& s, std::int32_t axis, const T* x, T* y, bool exclusive, bool reverse) {
  using U = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;  // integers wrap
  const std::int64_t n = s[axis];
  const std::int64_t inner = s.elements(axis + 1, s.rank);
  for (std::int64_t o = 0; o < s.elements(0, axis); ++o) {
    for (std::int64_t i = 0; i < inner; ++i) {
      U total = multiply ? U(1) : U(0);
      for (std::int64_t k = 0; k < n; ++k) {
        const std::int64_t at = (o * n + (reverse ? n - 1 - k : k)) * inner + i;
        if (exclusive) y[at] = static_cast<T>(total);
        total =
            multiply ? static_cast<U>(total * static_cast<U>(x[at])) : static_cast<U>(total + static_cast<U>(x[at]));
        if (!exclusive) y[at] = static_cast<T>(total);
      }
    }
  }
}

template <bool multiply>
result<void> eval_cumulate(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(wanted, int_of(c, 1));
  QUANTAL_TRY(axis, axis_of(c, wanted, x.dims().rank));
  QUANTAL_TRY(out, c.output(0, x.type(), x.dims()));
  const bool known = with_number(x.type(), [&](auto tag) {
    using T = decltype(tag);
    cumulate<T, multiply>(x.dims(), axis, x.as<T>(), out->template mutable_as<T>(), c.node.get_int("exclusive", 0) != 0,
                          c.node.get_int("reverse", 0) != 0);
  });
  return known ? result<void>() : unsupported_type(c, x.type());
}

// Below opset 13 the input is seen as a matrix: all dimensions from `axis` on together.
result<void> eval_hardmax(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32 && x.type() != dtype::f64) return unsupported_type(c, x.type());
  const shape& s = x.dims();
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", c.opset < 13 ? 1 : -1), s.rank));
  QUANTAL_TRY(out, c.output(0, x.type(), s));
  const std::int64_t n = c.opset < 13 ? s.elements(axis, s.rank) : s[axis];
  const std::int64_t inner = c.opset < 13 ? 1 : s.elements(axis + 1, s.rank);
  std::memset(out->mutable_data(), 0, out->bytes());
  if (n == 0) return {};
  with_number(x.type(), [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t o = 0; o < s.elements(0, axis); ++o) {
      for (std::int64_t i = 0; i < inner; ++i) {
        const T* p = x.as<T>() + o * n * inner + i;
        std::int64_t best = 0;
        for (std::int64_t k = 1; k < n; ++k) best = p[k * inner] > p[best * inner] ? k : best;
        out->mutable_as<T>()[(o * n + best) * inner + i] = T(1);
      }
    }
  });
  return {};
}

result<void> infer_axis_same(infer_context& c) {
  if (const dim_list* d = dims_of(c, 0)) {
    QUANTAL_CHECK(normalize_axis(c.node, c.node.get_int("axis", c.opset < 13 ? 1 : -1), rank_of(*d)));
  }
  return infer_same(c);
}

result<void> eval_trilu(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const shape& s = x.dims();
  if (s.rank < 2) return c.fail(status::data_shape, "input must have at least two dimensions");
  std::int64_t k = 0;
  if (c.has_input(1)) {
    QUANTAL_TRY(given, int_of(c, 1));
    k = given;
  }
  const bool upper = c.node.get_int("upper", 1) != 0;
  const std::size_t size = bits_of(x.type()) / 8;
  if (size == 0) return unsupported_type(c, x.type());
  QUANTAL_TRY(out, c.output(0, x.type(), s));
  const std::int64_t rows = s[s.rank - 2];
  const std::int64_t columns = s[s.rank - 1];
  for (std::int64_t r = 0; r < s.elements(0, s.rank - 1); ++r) {
    // Columns [from, to) are kept; the bounds are clamped before they are added to, so that k may be any number.
    const std::int64_t row = r % rows;
    const std::int64_t edge = k > columns ? columns
                              : k < -rows ? 0
                                          : std::clamp<std::int64_t>(row + k + (upper ? 0 : 1), 0, columns);
    const std::int64_t from = upper ? edge : 0;
    const std::int64_t to = upper ? columns : edge;
    auto* line = out->mutable_as<std::byte>() + static_cast<std::size_t>(r * columns) * size;
    std::memset(line, 0, static_cast<std::size_t>(columns) * size);
    if (to > from) {
      std::memcpy(line + static_cast<std::size_t>(from) * size,
                  x.as<std::byte>() + static_cast<std::size_t>(r * columns + from) * size,
                  static_cast<std::size_t>(to - from) * size);
    }
  }
  return {};
}

result<void> infer_trilu(infer_context& c) {
  if (const dim_list* d = dims_of(c, 0); d != nullptr && d->size() < 2)
    return rule_error(c, "input must have at least two dimensions");
  return infer_same(c);
}

constexpr op_def table[] = {
    {"CumSum", 11, infer_same, in_wide<eval_cumulate<false>>},
    {"CumProd", 26, infer_same, in_wide<eval_cumulate<true>>},
    {"Hardmax", 1, infer_axis_same, in_wide<eval_hardmax>},
    {"Trilu", 14, infer_trilu, in_bytes<eval_trilu>},
};

}  // namespace

op_list scan_ops() {
  return table;
}

}  // namespace quantal::ops
