// Reductions over axes, and ArgMax / ArgMin.
//
//   x [kept and reduced dimensions mixed] -> collapsed runs -> y = finish(fold(step, x over the reduced runs))
//
// Float sums run in f64; integers in s64. Axes are an attribute up to opset 17 (12 for ReduceSum), then an input;
// empty axes mean all, or none with noop_with_empty_axes. An empty set gives the operation's neutral element
// (ONNX spec, Reduce*).
#include <cmath>
#include <limits>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

struct layout {
  std::vector<std::int64_t> kept, kept_stride, reduced, reduced_stride;
  bool inner_reduced = false;
  std::int64_t outputs = 1, folded = 1;
  shape out;
};

layout plan_of(const shape& x, const std::vector<std::int32_t>& axes, bool keep) {
  layout l;
  bool marked[limits::max_rank] = {};
  for (std::int32_t a : axes) marked[a] = true;
  std::int64_t stride = 1;
  int last = -1;  // kind of the run being built, from the inside: 1 reduced, 0 kept
  for (std::int32_t i = x.rank - 1; i >= 0; --i) {
    const int kind = marked[i] ? 1 : 0;
    auto& dims = kind == 1 ? l.reduced : l.kept;
    auto& strides = kind == 1 ? l.reduced_stride : l.kept_stride;
    if (x[i] != 1) {
      if (last == -1) l.inner_reduced = kind == 1;
      if (kind == last) {
        dims.back() *= x[i];
      } else {
        dims.push_back(x[i]);
        strides.push_back(stride);
      }
      last = kind;
    }
    stride *= x[i];
    (kind == 1 ? l.folded : l.outputs) *= x[i];
  }
  for (std::int32_t i = 0; i < x.rank; ++i) {
    if (!marked[i])
      l.out.push_back(x[i]);
    else if (keep)
      l.out.push_back(1);
  }
  return l;
}

// Offset of element `at` of runs listed from the inside, skipping the first `from`.
std::int64_t offset_of(const std::vector<std::int64_t>& dims, const std::vector<std::int64_t>& strides, std::int64_t at,
                       std::size_t from) {
  std::int64_t offset = 0;
  for (std::size_t i = from; i < dims.size(); ++i) {
    offset += at % dims[i] * strides[i];
    at /= dims[i];
  }
  return offset;
}

template <class T, class R>
void fold(const parallel_for& parallel, const layout& l, const T* x, T* y) {
  using A = typename R::template acc<T>;
  if (l.folded == 0 || l.inner_reduced || l.kept.empty()) {
    const std::int64_t inner = l.folded == 0 || l.reduced.empty() ? 1 : l.reduced[0];
    const std::int64_t rows = l.folded / inner;
    parallel_ranges(parallel, l.outputs, 1 + 16384 / std::max<std::int64_t>(l.folded, 1),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t o = begin; o < end; ++o) {
                        A a = R::template start<T>();
                        const T* base = x + offset_of(l.kept, l.kept_stride, o, 0);
                        for (std::int64_t r = 0; r < rows; ++r) {
                          const T* p = base + offset_of(l.reduced, l.reduced_stride, r, 1);
                          for (std::int64_t i = 0; i < inner; ++i) R::template step<T>(a, p[i]);
                        }
                        y[o] = R::template finish<T>(a, l.folded);
                      }
                    });
    return;
  }
  // The inner run is kept: fold whole rows, a block of accumulators at a time.
  constexpr std::int64_t width = 256;
  const std::int64_t inner = l.kept[0];
  const std::int64_t blocks = (inner + width - 1) / width;
  parallel_ranges(parallel, l.outputs / inner * blocks, 1 + 16384 / (l.folded * std::min(inner, width)),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t task = begin; task < end; ++task) {
                      const std::int64_t o = task / blocks;
                      const std::int64_t at = task % blocks * width;
                      const std::int64_t n = std::min(width, inner - at);
                      A a[width];
                      for (std::int64_t i = 0; i < n; ++i) a[i] = R::template start<T>();
                      const T* base = x + offset_of(l.kept, l.kept_stride, o, 1) + at;
                      for (std::int64_t r = 0; r < l.folded; ++r) {
                        const T* p = base + offset_of(l.reduced, l.reduced_stride, r, 0);
                        for (std::int64_t i = 0; i < n; ++i) R::template step<T>(a[i], p[i]);
                      }
                      for (std::int64_t i = 0; i < n; ++i)
                        y[o * inner + at + i] = R::template finish<T>(a[i], l.folded);
                    }
                  });
}

template <class T>
using wide = std::conditional_t<std::is_floating_point_v<T>, double, std::int64_t>;
// Sums of s64 wrap.
template <class A>
A plus(A a, A b) {
  if constexpr (std::is_integral_v<A>)
    return static_cast<A>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  else
    return a + b;
}
template <class A>
A times(A a, A b) {
  if constexpr (std::is_integral_v<A>)
    return static_cast<A>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
  else
    return a * b;
}

struct sum {
  template <class T>
  using acc = wide<T>;
  template <class T>
  static acc<T> start() {
    return 0;
  }
  template <class T>
  static void step(acc<T>& a, T x) {
    a = plus<acc<T>>(a, x);
  }
  template <class T>
  static T finish(acc<T> a, std::int64_t) {
    return static_cast<T>(a);
  }
};
struct mean : sum {
  template <class T>
  static T finish(acc<T> a, std::int64_t n) {
    if constexpr (std::is_integral_v<T>)
      return n == 0 ? T(0) : static_cast<T>(a / n);
    else
      return static_cast<T>(a / static_cast<double>(n));
  }
};
struct product_of : sum {
  template <class T>
  static acc<T> start() {
    return 1;
  }
  template <class T>
  static void step(acc<T>& a, T x) {
    a = times<acc<T>>(a, x);
  }
};
struct l1 : sum {
  template <class T>
  static void step(acc<T>& a, T x) {
    a = plus<acc<T>>(a, x < 0 ? times<acc<T>>(-1, x) : static_cast<acc<T>>(x));
  }
};
struct sum_square : sum {
  template <class T>
  static void step(acc<T>& a, T x) {
    a = plus<acc<T>>(a, times<acc<T>>(x, x));
  }
};
struct l2 : sum_square {
  template <class T>
  static T finish(acc<T> a, std::int64_t) {
    return static_cast<T>(std::sqrt(static_cast<double>(a)));
  }
};
struct log_sum : sum {
  template <class T>
  static T finish(acc<T> a, std::int64_t) {
    return static_cast<T>(std::log(static_cast<double>(a)));
  }
};
// exp(x - max) so that it cannot overflow; the maximum so far moves along.
struct log_sum_exp {
  struct pair {
    double max = -std::numeric_limits<double>::infinity(), sum = 0;
  };
  template <class T>
  using acc = pair;
  template <class T>
  static pair start() {
    return {};
  }
  template <class T>
  static void step(pair& a, T value) {
    const double x = static_cast<double>(value);
    if (x == a.max) {
      a.sum += a.sum == 0 && std::isinf(x) && x < 0 ? 0 : 1;
    } else if (x > a.max) {
      a.sum = a.sum * std::exp(a.max - x) + 1;
      a.max = x;
    } else {
      a.sum += std::exp(x - a.max);
    }
  }
  template <class T>
  static T finish(const pair& a, std::int64_t) {
    return static_cast<T>(a.max + std::log(a.sum));
  }
};
struct maximum {
  template <class T>
  using acc = T;
  template <class T>
  static T start() {
    if constexpr (std::is_floating_point_v<T>)
      return -std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::lowest();
  }
  template <class T>
  static void step(T& a, T x) {
    a = x > a || x != x ? x : a;
  }
  template <class T>
  static T finish(T a, std::int64_t) {
    return a;
  }
};
struct minimum : maximum {
  template <class T>
  static T start() {
    if constexpr (std::is_floating_point_v<T>)
      return std::numeric_limits<T>::infinity();
    else
      return std::numeric_limits<T>::max();
  }
  template <class T>
  static void step(T& a, T x) {
    a = x < a || x != x ? x : a;
  }
};

result<std::vector<std::int32_t>> axes_of(const eval_context& c, std::int32_t rank, bool& nothing) {
  QUANTAL_TRY(given, ints_argument(c, 1, "axes"));
  nothing = false;
  if (given && !given->empty()) return normalize_axes(c.node, *given, rank);
  nothing = c.node.get_int("noop_with_empty_axes", 0) != 0;
  std::vector<std::int32_t> all;
  for (std::int32_t i = 0; i < rank && !nothing; ++i) all.push_back(i);
  return all;
}

template <class R>
result<void> eval_reduce(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  tensor_buffer x = c.input(0);
  const dtype t = x.type();
  bool nothing = false;
  QUANTAL_TRY(axes, axes_of(c, x.dims().rank, nothing));
  // With no axes the element-wise part remains (ReduceSumSquare squares): fold sets of one element.
  const layout l = plan_of(x.dims(), axes, c.node.get_int("keepdims", 1) != 0);
  if (t == dtype::f32 || t == dtype::f64) {
    QUANTAL_TRY(out, c.output(0, t, l.out));
    if (t == dtype::f32)
      fold<float, R>(c.parallel(), l, x.as<float>(), out->template mutable_as<float>());
    else
      fold<double, R>(c.parallel(), l, x.as<double>(), out->template mutable_as<double>());
    return {};
  }
  if ((!is_integer(t) && t != dtype::boolean) || t == dtype::u64) return unsupported_type(c, t);
  QUANTAL_TRY(wide_x, convert_tensor(x, dtype::s64));
  QUANTAL_TRY(wide_y, tensor_buffer::make(dtype::s64, l.out));
  fold<std::int64_t, R>(c.parallel(), l, wide_x.template as<std::int64_t>(),
                        wide_y.template mutable_as<std::int64_t>());
  if (l.folded == 0 && t != dtype::s64) {  // the neutral element of the narrow type: saturate
    QUANTAL_TRY(out, c.output(0, t, l.out));
    with_number(t == dtype::boolean ? dtype::u8 : t, [&](auto tag) {
      using T = decltype(tag);
      const std::int64_t neutral = R::template finish<std::int64_t>(R::template start<std::int64_t>(), 0);
      T v = static_cast<T>(neutral);
      if (neutral == INT64_MIN) v = std::numeric_limits<T>::lowest();
      if (neutral == INT64_MAX) v = t == dtype::boolean ? T(1) : std::numeric_limits<T>::max();
      for (std::int64_t i = 0; i < l.outputs; ++i) out->template mutable_as<T>()[i] = v;
    });
    return {};
  }
  QUANTAL_TRY(out, convert_tensor(wide_y, t));
  return c.forward(0, std::move(out));
}

dim_list reduced_dims(const dim_list& d, const std::vector<std::int32_t>& axes, bool keep) {
  dim_list out;
  std::size_t next = 0;
  for (std::size_t i = 0; i < d.size(); ++i) {
    if (next < axes.size() && static_cast<std::size_t>(axes[next]) == i) {
      ++next;
      if (keep) out.push_back(ir::dim(1));
    } else {
      out.push_back(d[i]);
    }
  }
  return out;
}

result<void> infer_reduce(infer_context& c) {
  const dtype t = elem_of(c, 0);
  const dim_list* d = dims_of(c, 0);
  bool given = false;
  const auto axes = ints_argument(c, 1, "axes", given);
  const bool keep = c.node.get_int("keepdims", 1) != 0;
  if (d == nullptr) {
    set_typed(c, 0, t);
    return {};
  }
  const std::int32_t rank = rank_of(*d);
  std::vector<std::int32_t> normal;
  if (given && !axes) {
    if (keep)
      set_typed(c, 0, t, unknown_dims(rank));
    else
      set_typed(c, 0, t);
    return {};
  }
  if (!axes->empty()) {
    QUANTAL_TRY(list, normalize_axes(c.node, *axes, rank));
    normal = std::move(list);
  } else if (c.node.get_int("noop_with_empty_axes", 0) == 0) {
    for (std::int32_t i = 0; i < rank; ++i) normal.push_back(i);
  }
  set_typed(c, 0, t, reduced_dims(*d, normal, keep));
  if (c.node.is("ReduceProd") && c.shape_value(0) != nullptr && rank == 1)
    c.set_shape_value(0, {product(*c.shape_value(0))});
  return {};
}

// ---- ArgMax, ArgMin ----

template <class T, bool largest>
void find_extreme(const shape& x, std::int32_t axis, const T* from, std::int64_t* to, bool last) {
  const std::int64_t n = x[axis];
  const std::int64_t inner = x.elements(axis + 1, x.rank);
  for (std::int64_t o = 0; o < x.elements(0, axis); ++o) {
    for (std::int64_t i = 0; i < inner; ++i) {
      const T* p = from + o * n * inner + i;
      std::int64_t best = 0;
      for (std::int64_t k = 1; k < n; ++k) {
        const T v = p[k * inner];
        const T b = p[best * inner];
        if ((largest ? v > b : v < b) || (last && v == b)) best = k;
      }
      to[o * inner + i] = best;
    }
  }
}

template <bool largest>
result<void> eval_arg(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 0), x.dims().rank));
  if (x.dims()[axis] == 0) return c.fail(status::data_shape, "no largest or smallest element in an empty axis");
  const layout l = plan_of(x.dims(), {axis}, c.node.get_int("keepdims", 1) != 0);
  QUANTAL_TRY(out, c.output(0, dtype::s64, l.out));
  const bool last = c.node.get_int("select_last_index", 0) != 0;
  const bool known = with_number(x.type(), [&](auto tag) {
    using T = decltype(tag);
    find_extreme<T, largest>(x.dims(), axis, x.as<T>(), out->template mutable_as<std::int64_t>(), last);
  });
  return known ? result<void>() : unsupported_type(c, x.type());
}

result<void> infer_arg(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, dtype::s64);
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
  set_typed(c, 0, dtype::s64, reduced_dims(*d, {axis}, c.node.get_int("keepdims", 1) != 0));
  return {};
}

constexpr op_def table[] = {
    {"ReduceSum", 1, infer_reduce, in_wide<eval_reduce<sum>>},
    {"ReduceMean", 1, infer_reduce, in_wide<eval_reduce<mean>>, {.kind = quant_kind::pooling}},
    {"ReduceProd", 1, infer_reduce, in_wide<eval_reduce<product_of>>},
    {"ReduceMax", 1, infer_reduce, in_wide<eval_reduce<maximum>>},
    {"ReduceMin", 1, infer_reduce, in_wide<eval_reduce<minimum>>},
    {"ReduceL1", 1, infer_reduce, in_wide<eval_reduce<l1>>},
    {"ReduceL2", 1, infer_reduce, in_wide<eval_reduce<l2>>},
    {"ReduceSumSquare", 1, infer_reduce, in_wide<eval_reduce<sum_square>>},
    {"ReduceLogSum", 1, infer_reduce, in_wide<eval_reduce<log_sum>>},
    {"ReduceLogSumExp", 1, infer_reduce, in_wide<eval_reduce<log_sum_exp>>},
    {"ArgMax", 1, infer_arg, in_wide<eval_arg<true>>},
    {"ArgMin", 1, infer_arg, in_wide<eval_arg<false>>},
};

}  // namespace

op_list reduce_ops() {
  return table;
}

}  // namespace quantal::ops
