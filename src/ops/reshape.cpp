// Operators that change a tensor's shape or ask for it, and move no bytes: Reshape, Flatten, Squeeze, Unsqueeze,
// Identity, Dropout (at inference), Shape, Size.
#include <algorithm>
#include <cstring>

#include "quantal/base/checked.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"

namespace quantal::ops {

namespace {

result<void> eval_identity(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  return c.forward(0, c.input(0));
}

result<void> infer_identity(infer_context& c) {
  QUANTAL_CHECK(infer_same(c));
  if (c.shape_value(0) != nullptr) c.set_shape_value(0, *c.shape_value(0));
  return {};
}

// ---- Reshape: 0 copies a dimension (unless allowzero), one -1 takes what is left ----

result<void> eval_reshape(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(wanted, ints_argument(c, 1, "shape"));
  if (!wanted) return c.fail(status::model_graph, "no target shape");
  const bool zero = c.node.get_int("allowzero", 0) != 0;
  shape s;
  std::int32_t open = -1;
  for (std::size_t i = 0; i < wanted->size(); ++i) {
    std::int64_t d = (*wanted)[i];
    const auto axis = static_cast<std::int32_t>(i);
    if (d == 0 && !zero) {
      if (axis >= x.dims().rank) return c.fail(status::data_shape, "0 copies a dimension that the input does not have");
      d = x.dims()[axis];
    }
    if (d < -1 || (d == -1 && open >= 0))
      return c.fail(status::data_shape, "target shape has more than one unknown or a negative dimension");
    if (d == -1) open = axis;
    if (!s.push_back(d == -1 ? 1 : d)) return c.fail(status::limit, "target rank is above the limit");
  }
  std::uint64_t rest = 0;
  if (!s.count(rest)) return c.fail(status::data_shape, "target shape overflows");
  const std::int64_t total = x.elements();
  if (open >= 0) {
    if (rest == 0 || total % static_cast<std::int64_t>(rest) != 0) {
      return c.fail(status::data_shape, std::to_string(total) + " elements do not divide into the target shape");
    }
    s[open] = total / static_cast<std::int64_t>(rest);
  } else if (static_cast<std::int64_t>(rest) != total) {
    return c.fail(status::data_shape,
                  std::to_string(total) + " elements do not fit a shape of " + std::to_string(rest));
  }
  return c.forward(0, x.reshaped(s));
}

// What -1 stands for: the input's dimensions divided by the others; equal symbols cancel.
ir::dim quotient(dim_list all, const dim_list& others) {
  std::uint64_t rest = 1;
  for (const ir::dim& d : others) {
    if (d.known()) {
      if (!checked_mul(rest, static_cast<std::uint64_t>(d.value), rest)) return {};
      continue;
    }
    auto same = d.symbol.empty() ? all.end() : std::find(all.begin(), all.end(), ir::dim(d.symbol));
    if (same == all.end()) return {};
    all.erase(same);
  }
  if (rest == 1) return product(all);
  const ir::dim total = product(all);
  if (total.known())
    return rest != 0 && total.value % static_cast<std::int64_t>(rest) == 0
               ? ir::dim(total.value / static_cast<std::int64_t>(rest))
               : ir::dim();
  // n * a / n = a
  dim_list numbers;
  dim_list symbols;
  for (const ir::dim& d : all) (d.known() ? numbers : symbols).push_back(d);
  const ir::dim number = product(numbers);
  return number.known() && static_cast<std::uint64_t>(number.value) == rest ? product(symbols) : ir::dim();
}

result<void> infer_reshape(infer_context& c) {
  const dtype t = elem_of(c, 0);
  const dim_list* x = dims_of(c, 0);
  bool given = false;
  const auto numbers = ints_argument(c, 1, "shape", given);
  dim_list wanted;
  std::vector<char> minus(0);  // literally -1
  if (numbers) {
    for (std::int64_t d : *numbers) {
      if (d < -1) return rule_error(c, "target shape holds " + std::to_string(d));
      wanted.push_back(ir::dim(d));
      minus.push_back(d == -1);
    }
  } else if (c.shape_value(1) != nullptr) {
    wanted = *c.shape_value(1);
    minus.assign(wanted.size(), 0);
  } else {
    const dim_list* rank = dims_of(c, 1);
    if (rank != nullptr && rank->size() == 1 && (*rank)[0].known() && (*rank)[0].value <= limits::max_rank) {
      set_typed(c, 0, t, unknown_dims(static_cast<std::int32_t>((*rank)[0].value)));
    } else {
      set_typed(c, 0, t);
    }
    return {};
  }
  if (std::count(minus.begin(), minus.end(), 1) > 1) return rule_error(c, "target shape has more than one -1");
  const bool zero = c.node.get_int("allowzero", 0) != 0;
  std::size_t open = wanted.size();
  std::size_t unknown = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].known() && wanted[i].value == 0 && !zero) {
      if (x == nullptr) {
        wanted[i] = ir::dim();
        unknown = 2;
        continue;
      }
      if (i >= x->size()) return rule_error(c, "0 copies a dimension that the input does not have");
      wanted[i] = (*x)[i];
      if (!wanted[i].known() && wanted[i].symbol.empty()) unknown = 2;  // nothing to cancel it with
    } else if (!wanted[i].known() && wanted[i].symbol.empty()) {
      open = i;
      ++unknown;
    }
  }
  if (x != nullptr && unknown == 1) {
    dim_list others = wanted;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(open));
    wanted[open] = quotient(*x, others);
    const ir::dim total = product(*x);
    const ir::dim rest = product(others);
    if (total.known() && rest.known() && (rest.value == 0 ? total.value != 0 : total.value % rest.value != 0)) {
      return rule_error(c, std::to_string(total.value) + " elements do not divide into the target shape");
    }
  } else if (x != nullptr && unknown == 0) {
    const ir::dim total = product(*x);
    const ir::dim rest = product(wanted);
    if (total.known() && rest.known() && total.value != rest.value) {
      return rule_error(c,
                        std::to_string(total.value) + " elements do not fit a shape of " + std::to_string(rest.value));
    }
  }
  for (ir::dim& d : wanted) d.denotation.clear();
  set_typed(c, 0, t, std::move(wanted));
  if (c.shape_value(0) != nullptr) c.set_shape_value(0, *c.shape_value(0));
  return {};
}

// ---- Flatten ----

result<void> eval_flatten(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const shape& s = c.input(0).dims();
  std::int64_t axis = c.node.get_int("axis", 1);
  if (axis < -s.rank || axis > s.rank)
    return c.fail(status::model_type, "axis " + std::to_string(axis) + " is outside the input");
  if (axis < 0) axis += s.rank;
  const auto a = static_cast<std::int32_t>(axis);
  return c.forward(0, c.input(0).reshaped(shape(s.elements(0, a), s.elements(a, s.rank))));
}

result<void> infer_flatten(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0), unknown_dims(2));
    return {};
  }
  std::int64_t axis = c.node.get_int("axis", 1);
  if (axis < -rank_of(*d) || axis > rank_of(*d))
    return rule_error(c, "axis " + std::to_string(axis) + " is outside the input");
  if (axis < 0) axis += rank_of(*d);
  const std::span<const ir::dim> all(*d);
  const auto a = static_cast<std::size_t>(axis);
  set_typed(c, 0, elem_of(c, 0), {product(all.first(a)), product(all.subspan(a))});
  return {};
}

// ---- Squeeze, Unsqueeze: axes are an attribute below opset 13, then an input ----

result<void> eval_squeeze(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const shape& s = c.input(0).dims();
  QUANTAL_TRY(given, ints_argument(c, 1, "axes"));
  bool drop[limits::max_rank] = {};
  if (given) {
    QUANTAL_TRY(axes, normalize_axes(c.node, *given, s.rank));
    for (std::int32_t a : axes) {
      if (s[a] != 1)
        return c.fail(status::data_shape,
                      "axis " + std::to_string(a) + " has " + std::to_string(s[a]) + " elements, not 1");
      drop[a] = true;
    }
  }
  shape out;
  for (std::int32_t i = 0; i < s.rank; ++i) {
    if (given ? !drop[i] : s[i] != 1) out.push_back(s[i]);
  }
  return c.forward(0, c.input(0).reshaped(out));
}

result<void> infer_squeeze(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  bool given = false;
  const auto axes = ints_argument(c, 1, "axes", given);
  const dtype t = elem_of(c, 0);
  if (c.shape_value(0) != nullptr && c.shape_value(0)->size() == 1) c.set_shape_value(0, *c.shape_value(0));
  if (d == nullptr || !axes) {
    set_typed(c, 0, t);
    return {};
  }
  dim_list out;
  if (given) {
    QUANTAL_TRY(normal, normalize_axes(c.node, *axes, rank_of(*d)));
    std::size_t next = 0;
    for (std::size_t i = 0; i < d->size(); ++i) {
      if (next < normal.size() && static_cast<std::size_t>(normal[next]) == i) {
        ++next;
        if ((*d)[i].known() && (*d)[i].value != 1)
          return rule_error(c, "axis " + std::to_string(i) + " is not of size 1");
      } else {
        out.push_back((*d)[i]);
      }
    }
  } else {
    for (const ir::dim& x : *d) {
      if (!x.known()) {
        set_typed(c, 0, t);
        return {};
      }
      if (x.value != 1) out.push_back(x);
    }
  }
  set_typed(c, 0, t, std::move(out));
  return {};
}

result<void> eval_unsqueeze(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  QUANTAL_TRY(given, ints_argument(c, 1, "axes"));
  if (!given) return c.fail(status::model_graph, "no axes");
  const shape& s = c.input(0).dims();
  const std::int64_t rank = s.rank + static_cast<std::int64_t>(given->size());
  if (rank > limits::max_rank) return c.fail(status::limit, "result rank is above the limit");
  QUANTAL_TRY(axes, normalize_axes(c.node, *given, static_cast<std::int32_t>(rank)));
  shape out;
  for (std::int32_t i = 0, from = 0; i < rank; ++i) {
    out.push_back(std::binary_search(axes.begin(), axes.end(), i) ? 1 : s[from++]);
  }
  return c.forward(0, c.input(0).reshaped(out));
}

result<void> infer_unsqueeze(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  bool given = false;
  const auto axes = ints_argument(c, 1, "axes", given);
  const dtype t = elem_of(c, 0);
  if (d != nullptr && d->empty() && c.shape_value(0) != nullptr && (!axes || axes->size() == 1)) {
    c.set_shape_value(0, *c.shape_value(0));
  }
  if (d == nullptr || !axes) {
    set_typed(c, 0, t);
    return {};
  }
  const std::int64_t rank = rank_of(*d) + static_cast<std::int64_t>(axes->size());
  if (rank > limits::max_rank) return node_error(c.node, status::limit, "result rank is above the limit");
  QUANTAL_TRY(normal, normalize_axes(c.node, *axes, static_cast<std::int32_t>(rank)));
  dim_list out;
  for (std::int32_t i = 0, from = 0; i < rank; ++i) {
    out.push_back(std::binary_search(normal.begin(), normal.end(), i) ? ir::dim(1)
                                                                      : (*d)[static_cast<std::size_t>(from++)]);
  }
  set_typed(c, 0, t, std::move(out));
  return {};
}

// ---- Dropout: the identity, and a mask of ones; training mode is not for a quantizer ----

result<void> eval_dropout(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  if (c.has_input(2) && c.input(2).type() == dtype::boolean && c.input(2).elements() == 1 &&
      *c.input(2).as<std::uint8_t>() != 0) {
    // Training with ratio 0 drops nothing.
    QUANTAL_TRY(ratio, c.has_input(1) ? result<tensor_buffer>(c.input(1)) : result<tensor_buffer>(tensor_buffer()));
    bool zero = false;
    with_number(ratio.type(), [&](auto tag) { zero = ratio.elements() == 1 && *ratio.as<decltype(tag)>() == 0; });
    if (!zero)
      return c.fail(status::unsupported, "Dropout in training mode is random", "export the model in inference mode");
  }
  if (c.node.has_output(1)) {
    const dtype mask = c.opset < 10 ? c.input(0).type() : dtype::boolean;
    QUANTAL_TRY(out, c.output(1, mask, c.input(0).dims()));
    if (mask == dtype::boolean) {
      std::memset(out->mutable_data(), 1, out->bytes());
    } else {
      with_number(mask,
                  [&](auto tag) { std::fill_n(out->mutable_as<decltype(tag)>(), out->elements(), decltype(tag)(1)); });
    }
  }
  return c.forward(0, c.input(0));
}

result<void> infer_dropout(infer_context& c) {
  QUANTAL_CHECK(infer_same(c));
  if (c.node.has_output(1) && c.input(0).is_tensor()) {
    ir::value_type t = c.input(0);
    if (c.opset >= 10) t.elem = dtype::boolean;
    c.set_output(1, std::move(t));
  }
  return {};
}

// ---- Shape, Size ----

// [start, end) of `rank` dimensions, as Shape-15 cuts them.
std::pair<std::int64_t, std::int64_t> shape_slice(const ir::node& n, std::int64_t rank) {
  const auto clip = [&](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const std::int64_t start = clip(n.get_int("start", 0));
  return {start, std::max(start, clip(n.get_int("end", rank)))};
}

result<void> eval_shape(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const shape& s = c.input(0).dims();
  const auto [start, end] = shape_slice(c.node, s.rank);
  QUANTAL_TRY(out, c.output(0, dtype::s64, shape(end - start)));
  std::copy(s.begin() + start, s.begin() + end, out->mutable_as<std::int64_t>());
  return {};
}

result<void> infer_shape(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, dtype::s64, unknown_dims(1));
    return {};
  }
  const auto [start, end] = shape_slice(c.node, rank_of(*d));
  set_typed(c, 0, dtype::s64, {ir::dim(end - start)});
  c.set_shape_value(0, std::vector<ir::dim>(d->begin() + start, d->begin() + end));
  return {};
}

result<void> eval_size(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  QUANTAL_TRY(out, c.output(0, dtype::s64, shape()));
  *out->mutable_as<std::int64_t>() = c.input(0).elements();
  return {};
}

result<void> infer_size(infer_context& c) {
  set_typed(c, 0, dtype::s64, {});
  if (const dim_list* d = dims_of(c, 0)) c.set_shape_value(0, {product(*d)});
  return {};
}

constexpr quant_rule pass{.kind = quant_kind::passthrough};

constexpr op_def table[] = {
    {"Reshape", 5, infer_reshape, eval_reshape, pass},
    {"Flatten", 1, infer_flatten, eval_flatten, pass},
    {"Squeeze", 1, infer_squeeze, eval_squeeze, pass},
    {"Unsqueeze", 1, infer_unsqueeze, eval_unsqueeze, pass},
    {"Identity", 1, infer_identity, eval_identity, pass},
    {"Dropout", 1, infer_dropout, eval_dropout, pass},
    {"Shape", 1, infer_shape, eval_shape},
    {"Size", 1, infer_size, eval_size},
};

}  // namespace

op_list reshape_ops() {
  return table;
}

}  // namespace quantal::ops
