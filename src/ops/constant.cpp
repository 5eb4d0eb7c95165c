// Operators that make tensors: Constant, ConstantOfShape, Range, EyeLike, OneHot, and the window functions.
#include <cmath>
#include <cstring>

#include "quantal/ir/dtype_map.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

// ---- Constant: one of its attributes is the value ----

result<tensor_buffer> constant_of(const ir::node& n) {
  if (const tensor_buffer* t = n.get_tensor("value")) return *t;
  if (n.find("value_int") != nullptr)
    return tensor_buffer::of(shape(), std::vector<std::int64_t>{n.get_int("value_int", 0)});
  if (n.find("value_float") != nullptr)
    return tensor_buffer::of(shape(), std::vector<float>{n.get_float("value_float", 0)});
  if (n.find("value_ints") != nullptr) {
    const int_list v = n.get_ints("value_ints");
    return tensor_buffer::of(shape(static_cast<std::int64_t>(v.size())), v);
  }
  if (n.find("value_floats") != nullptr) {
    const std::vector<float> v = n.get_floats("value_floats");
    return tensor_buffer::of(shape(static_cast<std::int64_t>(v.size())), v);
  }
  if (n.find("value_string") != nullptr)
    return tensor_buffer::make_strings(shape(), {n.get_string("value_string", "")});
  if (const ir::attribute* a = n.find("value_strings")) {
    if (const auto* v = std::get_if<std::vector<std::string>>(&a->value)) {
      return tensor_buffer::make_strings(shape(static_cast<std::int64_t>(v->size())), *v);
    }
  }
  return node_error(n, status::unsupported, "Constant without a dense value", "sparse constants are not supported");
}

result<void> eval_constant(eval_context& c) {
  QUANTAL_TRY(value, constant_of(c.node));
  return c.forward(0, value);
}

result<void> infer_constant(infer_context& c) {
  const auto value = constant_of(c.node);
  if (value) c.set_output(0, ir::value_type::tensor(value->type(), value->dims()));
  return {};
}

// ---- ConstantOfShape ----

result<shape> shape_of(const eval_context& c, std::size_t i) {
  QUANTAL_TRY(dims, ints_of(c, i));
  shape s;
  for (std::int64_t d : dims) {
    if (d < 0) return c.fail(status::data_shape, "negative dimension " + std::to_string(d));
    if (!s.push_back(d)) return c.fail(status::limit, "rank is above the limit");
  }
  return s;
}

result<void> eval_constant_of_shape(eval_context& c) {
  QUANTAL_TRY(dims, shape_of(c, 0));
  const float zero = 0;
  const tensor_buffer* value = c.node.get_tensor("value");
  if (value != nullptr && (value->elements() != 1 || bits_of(value->type()) < 8)) {
    return c.fail(status::unsupported, "attribute 'value' must hold one element of 8 bits or more");
  }
  QUANTAL_TRY(out, c.output(0, value != nullptr ? value->type() : dtype::f32, dims));
  fill_elements(bits_of(out->type()) / 8, value != nullptr ? value->data() : &zero, out->elements(),
                out->mutable_data());
  return {};
}

// A shape given by an input's value, as far as it is known.
result<std::optional<dim_list>> dims_from(const infer_context& c, std::size_t i) {
  if (const auto numbers = known_ints(c, i)) {
    dim_list out;
    for (std::int64_t d : *numbers) {
      if (d < 0) return rule_error(c, "negative dimension " + std::to_string(d));
      out.push_back(ir::dim(d));
    }
    return std::optional<dim_list>(std::move(out));
  }
  if (c.shape_value(i) != nullptr) return std::optional<dim_list>(*c.shape_value(i));
  const dim_list* d = dims_of(c, i);
  if (d != nullptr && d->size() == 1 && (*d)[0].known() && (*d)[0].value <= limits::max_rank) {
    return std::optional<dim_list>(unknown_dims(static_cast<std::int32_t>((*d)[0].value)));
  }
  return std::optional<dim_list>();
}

result<void> infer_constant_of_shape(infer_context& c) {
  const tensor_buffer* value = c.node.get_tensor("value");
  const dtype t = value != nullptr ? value->type() : dtype::f32;
  QUANTAL_TRY(dims, dims_from(c, 0));
  if (!dims)
    set_typed(c, 0, t);
  else
    set_typed(c, 0, t, *dims);
  return {};
}

// ---- Range ----

template <class T>
result<void> range(eval_context& c) {
  const T start = *c.input(0).as<T>();
  const T limit = *c.input(1).as<T>();
  const T delta = *c.input(2).as<T>();
  if (delta == 0) return c.fail(status::data_format, "step is 0");
  const double steps =
      std::ceil((static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta));
  if (!(steps < 9e18)) return c.fail(status::limit, "range has too many elements");
  const auto n = static_cast<std::int64_t>(std::max(steps, 0.0));
  QUANTAL_TRY(out, c.output(0, c.input(0).type(), shape(n)));
  T* p = out->template mutable_as<T>();
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_integral_v<T>) {
      p[i] = static_cast<T>(static_cast<std::uint64_t>(start) +
                            static_cast<std::uint64_t>(i) * static_cast<std::uint64_t>(delta));
    } else {
      p[i] = start + static_cast<T>(i) * delta;
    }
  }
  return {};
}

result<void> eval_range(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  for (std::size_t i = 0; i < 3; ++i) {
    if (c.input(i).type() != c.input(0).type() || c.input(i).elements() != 1) {
      return c.fail(status::data_shape, "start, limit and delta must be scalars of one type");
    }
  }
  switch (c.input(0).type()) {
    case dtype::f32: return range<float>(c);
    case dtype::f64: return range<double>(c);
    case dtype::s16: return range<std::int16_t>(c);
    case dtype::s32: return range<std::int32_t>(c);
    case dtype::s64: return range<std::int64_t>(c);
    default: return unsupported_type(c, c.input(0).type());
  }
}

result<void> infer_range(infer_context& c) {
  const auto start = known_ints(c, 0);
  const auto limit = known_ints(c, 1);
  const auto delta = known_ints(c, 2);
  dim_list out(1);
  if (start && limit && delta && start->size() == 1 && limit->size() == 1 && delta->size() == 1) {
    if ((*delta)[0] == 0) return rule_error(c, "step is 0");
    const double n = std::ceil((static_cast<double>((*limit)[0]) - static_cast<double>((*start)[0])) /
                               static_cast<double>((*delta)[0]));
    if (n < 9e18) out[0] = ir::dim(static_cast<std::int64_t>(std::max(n, 0.0)));
  } else if (start && delta && start->size() == 1 && (*start)[0] == 0 && delta->size() == 1 && (*delta)[0] == 1 &&
             c.shape_value(1) != nullptr && c.shape_value(1)->size() == 1) {
    out[0] = (*c.shape_value(1))[0];  // 0 .. n - 1
    out[0].denotation.clear();
  }
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- EyeLike ----

result<void> eval_eye_like(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const shape& s = c.input(0).dims();
  if (s.rank != 2) return c.fail(status::data_shape, "input must be a matrix");
  const dtype t = c.node.find("dtype") != nullptr ? ir::dtype_of_onnx(c.node.get_int("dtype", 0)) : c.input(0).type();
  const double one = 1;
  std::byte element[16] = {};
  if (bits_of(t) < 8 || !convert_elements(dtype::f64, &one, t, element, 1)) return unsupported_type(c, t);
  const std::size_t size = bits_of(t) / 8;
  QUANTAL_TRY(out, c.output(0, t, s));
  std::memset(out->mutable_data(), 0, out->bytes());
  const std::int64_t k = c.node.get_int("k", 0);
  if (k >= s[1] || k <= -s[0]) return {};
  for (std::int64_t r = std::max<std::int64_t>(0, -k); r < s[0] && r + k < s[1]; ++r) {
    std::memcpy(out->mutable_as<std::byte>() + static_cast<std::size_t>(r * s[1] + r + k) * size, element, size);
  }
  return {};
}

result<void> infer_eye_like(infer_context& c) {
  const dtype t = c.node.find("dtype") != nullptr ? ir::dtype_of_onnx(c.node.get_int("dtype", 0)) : elem_of(c, 0);
  const dim_list* d = dims_of(c, 0);
  if (d != nullptr && d->size() != 2) return rule_error(c, "input must be a matrix");
  set_typed(c, 0, t, d != nullptr ? *d : unknown_dims(2));
  return {};
}

// ---- OneHot: indices, depth, [off value, on value] ----

result<void> eval_one_hot(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  QUANTAL_TRY(indices, convert_tensor(c.input(0), dtype::s64));
  QUANTAL_TRY(depth_tensor, convert_tensor(c.input(1), dtype::s64));
  const tensor_buffer& values = c.input(2);
  if (depth_tensor.elements() != 1 || values.elements() != 2)
    return c.fail(status::data_shape, "depth must be one number, values two");
  const std::int64_t depth = *depth_tensor.as<std::int64_t>();
  const std::size_t size = bits_of(values.type()) / 8;
  if (size == 0) return unsupported_type(c, values.type());
  if (depth < 0) return c.fail(status::data_format, "depth is negative");
  const shape& s = indices.dims();
  if (s.rank == limits::max_rank) return c.fail(status::limit, "result rank is above the limit");
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", -1), s.rank + 1));
  shape dims;
  for (std::int32_t i = 0; i <= s.rank; ++i) dims.push_back(i == axis ? depth : s[i < axis ? i : i - 1]);
  QUANTAL_TRY(out, c.output(0, values.type(), dims));
  fill_elements(size, values.data(), out->elements(), out->mutable_data());
  const std::int64_t inner = s.elements(axis, s.rank);
  const std::byte* on = values.as<std::byte>() + size;
  for (std::int64_t i = 0; i < indices.elements(); ++i) {
    std::int64_t at = indices.as<std::int64_t>()[i];
    if (at < 0) at += depth;
    if (at < 0 || at >= depth) continue;  // all off, ONNX spec
    const std::int64_t where = (i / inner * depth + at) * inner + i % inner;
    std::memcpy(out->mutable_as<std::byte>() + static_cast<std::size_t>(where) * size, on, size);
  }
  return {};
}

result<void> infer_one_hot(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 2));
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", -1), rank_of(*d) + 1));
  dim_list out = *d;
  const auto depth = known_ints(c, 1);
  out.insert(out.begin() + axis, depth && depth->size() == 1 && (*depth)[0] >= 0 ? ir::dim((*depth)[0]) : ir::dim());
  set_typed(c, 0, elem_of(c, 2), std::move(out));
  return {};
}

// ---- windows: a0 - a1 cos(2 pi i / n) + a2 cos(4 pi i / n) ----

struct hann {
  static constexpr double a[3] = {0.5, 0.5, 0};
};
struct hamming {
  static constexpr double a[3] = {25.0 / 46.0, 21.0 / 46.0, 0};
};
struct blackman {
  static constexpr double a[3] = {0.42, 0.5, 0.08};
};

template <class W>
result<void> eval_window(eval_context& c) {
  QUANTAL_TRY(n, int_of(c, 0));
  if (n < 0) return c.fail(status::data_format, "size is negative");
  const dtype t = ir::dtype_of_onnx(c.node.get_int("output_datatype", 1));
  const double period = static_cast<double>(c.node.get_int("periodic", 1) != 0 ? n : n - 1);
  QUANTAL_TRY(wide, tensor_buffer::make(dtype::f64, shape(n)));
  constexpr double pi = 3.14159265358979323846;
  for (std::int64_t i = 0; i < n; ++i) {
    const double angle = period == 0 ? 0 : 2 * pi * static_cast<double>(i) / period;
    wide.mutable_as<double>()[i] = W::a[0] - W::a[1] * std::cos(angle) + W::a[2] * std::cos(2 * angle);
  }
  QUANTAL_TRY(out, convert_tensor(wide, t));
  return c.forward(0, out);
}

result<void> infer_window(infer_context& c) {
  const auto n = known_ints(c, 0);
  const dtype t = ir::dtype_of_onnx(c.node.get_int("output_datatype", 1));
  set_typed(c, 0, t, {n && n->size() == 1 && (*n)[0] >= 0 ? ir::dim((*n)[0]) : ir::dim()});
  return {};
}

constexpr op_def table[] = {
    {"Constant", 1, infer_constant, eval_constant},
    {"ConstantOfShape", 9, infer_constant_of_shape, eval_constant_of_shape},
    {"Range", 11, infer_range, in_wide<eval_range>},
    {"EyeLike", 9, infer_eye_like, eval_eye_like},
    {"OneHot", 9, infer_one_hot, eval_one_hot},
    {"HannWindow", 17, infer_window, eval_window<hann>},
    {"HammingWindow", 17, infer_window, eval_window<hamming>},
    {"BlackmanWindow", 17, infer_window, eval_window<blackman>},
};

}  // namespace

op_list constant_ops() {
  return table;
}

}  // namespace quantal::ops
