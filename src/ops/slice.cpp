// Split and Slice: parts of a tensor, copied as they are, by the size of an element in bytes. Sub-byte types are
// unpacked first (in_bytes).
#include <algorithm>

#include "element_size.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

// ---- Split: sizes are an attribute below opset 13, then an input; or equal parts ----

std::int64_t part_count(const ir::node& n) {
  return static_cast<std::int64_t>(n.outputs.size());
}

result<int_list> split_sizes(const ir::node& n, std::int64_t opset, std::int64_t total,
                             const std::optional<int_list>& given) {
  const std::int64_t parts = part_count(n);
  int_list sizes;
  if (given) {
    std::int64_t sum = 0;
    for (std::int64_t s : *given) {
      if (s < 0 || s > total)
        return node_error(n, status::model_type, "split size " + std::to_string(s) + " is out of range");
      sum += s;
    }
    if (sum != total || static_cast<std::int64_t>(given->size()) != parts) {
      return node_error(
          n, status::model_type,
          "split sizes do not add up to " + std::to_string(total) + " in " + std::to_string(parts) + " parts");
    }
    return *given;
  }
  if (parts < 1 || (n.find("num_outputs") != nullptr && n.get_int("num_outputs", 0) != parts)) {
    return node_error(n, status::model_type, "attribute 'num_outputs' differs from the number of outputs");
  }
  if (opset < 18 && total % parts != 0) {
    return node_error(n, status::model_type,
                      std::to_string(total) + " elements do not divide into " + std::to_string(parts) + " parts");
  }
  const std::int64_t each = (total + parts - 1) / parts;
  for (std::int64_t i = 0; i < parts; ++i) sizes.push_back(std::clamp<std::int64_t>(total - i * each, 0, each));
  return sizes;
}

result<void> eval_split(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 0), x.dims().rank));
  QUANTAL_TRY(given, ints_argument(c, 1, "split"));
  QUANTAL_TRY(sizes, split_sizes(c.node, c.opset, x.dims()[axis], given));
  const stride_list strides = dense_strides(x.dims());
  const std::int64_t inner = x.dims().elements(axis + 1, x.dims().rank);
  std::int64_t at = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    shape dims = x.dims();
    dims[axis] = sizes[i];
    if (c.node.has_output(i)) {
      QUANTAL_TRY(out, c.output(i, x.type(), dims));
      gather_strided(c.parallel(), size, dims, strides, x.as<std::byte>() + static_cast<std::size_t>(at * inner) * size,
                     out->mutable_data());
    }
    at += sizes[i];
  }
  return {};
}

result<void> infer_split(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  const std::size_t parts = c.node.outputs.size();
  if (d == nullptr) {
    for (std::size_t i = 0; i < parts; ++i) set_typed(c, i, elem_of(c, 0));
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
  const auto a = static_cast<std::size_t>(axis);
  bool given = false;
  const auto wanted = ints_argument(c, 1, "split", given);
  int_list sizes;
  if ((*d)[a].known() && (!given || wanted)) {
    QUANTAL_TRY(list, split_sizes(c.node, c.opset, (*d)[a].value, given ? wanted : std::optional<int_list>()));
    sizes = std::move(list);
  } else if (given && wanted) {
    sizes = *wanted;
  }
  for (std::size_t i = 0; i < parts; ++i) {
    dim_list out = *d;
    out[a] = i < sizes.size() && sizes[i] >= 0 ? ir::dim(sizes[i]) : ir::dim();
    set_typed(c, i, elem_of(c, 0), std::move(out));
  }
  return {};
}

// ---- Slice: attributes below opset 10, inputs from there on ----

struct cut {
  std::int64_t start = 0, step = 1, count = 0;
};

// ONNX spec, Slice: negative bounds count from the end; then start is clamped to [0, n] and end too (step > 0), or
// start to [0, n - 1] and end to [-1, n - 1] (step < 0).
cut cut_of(std::int64_t start, std::int64_t end, std::int64_t step, std::int64_t n) {
  // Bounds beyond the ends are common (INT64_MAX); n is added only to what cannot overflow.
  const auto from_end = [n](std::int64_t v) { return v < 0 ? (v < -n ? -1 - n : v) + n : v; };
  std::int64_t s = from_end(start);
  std::int64_t e = from_end(end);
  cut c;
  c.step = step;
  if (step > 0) {
    s = std::clamp<std::int64_t>(s, 0, n);
    e = std::clamp<std::int64_t>(e, 0, n);
    c.count = e > s ? (e - s - 1) / step + 1 : 0;
  } else {
    s = std::clamp<std::int64_t>(s, -1, n - 1);
    e = std::clamp<std::int64_t>(e, -1, n - 1);
    c.count = s > e ? (step == INT64_MIN ? 1 : (s - e - 1) / -step + 1) : 0;
    if (start < 0 && start < -n) c.count = 0;
  }
  c.start = s;
  return c;
}

struct slice_arguments {
  int_list starts, ends, axes, steps;
};

result<void> complete(const ir::node& n, slice_arguments& a, std::int32_t rank) {
  if (a.axes.empty()) {
    for (std::size_t i = 0; i < a.starts.size(); ++i) a.axes.push_back(static_cast<std::int64_t>(i));
  }
  if (a.steps.empty()) a.steps.assign(a.starts.size(), 1);
  if (a.ends.size() != a.starts.size() || a.axes.size() != a.starts.size() || a.steps.size() != a.starts.size()) {
    return node_error(n, status::model_type, "starts, ends, axes and steps differ in length");
  }
  QUANTAL_CHECK(normalize_axes(n, a.axes, rank));
  for (std::int64_t step : a.steps) {
    if (step == 0) return node_error(n, status::model_type, "step is 0");
  }
  for (std::int64_t& axis : a.axes) axis = axis < 0 ? axis + rank : axis;
  return {};
}

result<void> eval_slice(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  slice_arguments a;
  int_list* lists[] = {&a.starts, &a.ends, &a.axes, &a.steps};
  constexpr std::string_view names[] = {"starts", "ends", "axes", "steps"};
  for (std::size_t i = 0; i < 4; ++i) {
    QUANTAL_TRY(list, ints_argument(c, i + 1, names[i]));
    if (list)
      *lists[i] = std::move(*list);
    else if (i < 2)
      return c.fail(status::model_graph, std::string("no ") + std::string(names[i]));
  }
  QUANTAL_CHECK(complete(c.node, a, x.dims().rank));
  shape dims = x.dims();
  stride_list strides = dense_strides(dims);
  std::int64_t offset = 0;
  bool whole = true;
  for (std::size_t i = 0; i < a.starts.size(); ++i) {
    const auto axis = static_cast<std::int32_t>(a.axes[i]);
    const cut k = cut_of(a.starts[i], a.ends[i], a.steps[i], x.dims()[axis]);
    whole = whole && k.count == x.dims()[axis] && (k.step == 1 || k.count <= 1);
    dims[axis] = k.count;
    offset += k.start * strides[static_cast<std::size_t>(axis)];
    strides[static_cast<std::size_t>(axis)] *= k.count > 1 ? k.step : 1;
  }
  if (whole) return c.forward(0, x);
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  if (dims.elements() == 0) return {};
  gather_strided(c.parallel(), size, dims, strides, x.as<std::byte>() + offset * static_cast<std::int64_t>(size),
                 out->mutable_data());
  return {};
}

result<void> infer_slice(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  bool given[4] = {};
  const auto starts = ints_argument(c, 1, "starts", given[0]);
  const auto ends = ints_argument(c, 2, "ends", given[1]);
  const auto axes = ints_argument(c, 3, "axes", given[2]);
  const auto steps = ints_argument(c, 4, "steps", given[3]);
  // Bounds that are partly known (an end that is a symbolic dimension) are looked at one by one.
  const auto* start_dims = starts ? nullptr : c.shape_value(1);
  const auto* end_dims = ends ? nullptr : c.shape_value(2);
  const std::size_t n = starts                  ? starts->size()
                        : start_dims != nullptr ? start_dims->size()
                        : ends                  ? ends->size()
                        : end_dims != nullptr   ? end_dims->size()
                                                : 0;
  if (!axes || (n == 0 && (!starts || !ends))) {
    set_typed(c, 0, elem_of(c, 0), unknown_dims(rank_of(*d)));
    return {};
  }
  slice_arguments a;
  a.starts = starts ? *starts : int_list(n, 0);
  a.ends = ends ? *ends : int_list(n, 0);
  a.axes = *axes;
  a.steps = steps ? *steps : int_list(n, 1);
  QUANTAL_CHECK(complete(c.node, a, rank_of(*d)));
  dim_list out = *d;
  bool exact = starts && ends && steps;
  for (std::size_t i = 0; i < n; ++i) {
    ir::dim& x = out[static_cast<std::size_t>(a.axes[i])];
    const bool start_known = starts.has_value();
    const bool all = start_known && steps && a.starts[i] == 0 && a.steps[i] == 1;
    if (all && ends && a.ends[i] >= INT32_MAX) continue;  // [0:] keeps the dimension, symbolic too
    if (x.known() && starts && ends && steps) {
      x = ir::dim(cut_of(a.starts[i], a.ends[i], a.steps[i], x.value).count);
    } else if (all && end_dims != nullptr && !x.known() && !x.symbol.empty() && (*end_dims)[i].symbol == x.symbol) {
      continue;  // [0:n] of n
    } else {
      x = ir::dim();
    }
  }
  set_typed(c, 0, elem_of(c, 0), out);
  const auto* value = c.shape_value(0);
  if (value != nullptr && exact && d->size() == 1 && n == 1) {
    const cut k = cut_of(a.starts[0], a.ends[0], a.steps[0], static_cast<std::int64_t>(value->size()));
    std::vector<ir::dim> part;
    for (std::int64_t i = 0; i < k.count; ++i) part.push_back((*value)[static_cast<std::size_t>(k.start + i * k.step)]);
    c.set_shape_value(0, std::move(part));
  }
  return {};
}

constexpr quant_rule pass{.kind = quant_kind::passthrough};

constexpr op_def table[] = {
    {"Split", 2, infer_split, in_bytes<eval_split>, pass},
    {"Slice", 1, infer_slice, in_bytes<eval_slice>, pass},
};

}  // namespace

op_list slice_ops() {
  return table;
}

}  // namespace quantal::ops
