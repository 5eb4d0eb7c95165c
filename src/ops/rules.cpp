#include "quantal/ops/rules.hpp"

#include <algorithm>

#include "quantal/base/checked.hpp"

namespace quantal::ops {

error node_error(const ir::node& n, status code, std::string what, std::string advice) {
  return {code, std::move(what), n.label(), std::move(advice)};
}

result<std::int32_t> normalize_axis(const ir::node& n, std::int64_t axis, std::int32_t rank) {
  if (axis < -rank || axis >= rank) {
    return node_error(n, status::model_type,
                      "axis " + std::to_string(axis) + " is outside a tensor of rank " + std::to_string(rank));
  }
  return static_cast<std::int32_t>(axis < 0 ? axis + rank : axis);
}

result<std::vector<std::int32_t>> normalize_axes(const ir::node& n, const int_list& axes, std::int32_t rank) {
  std::vector<std::int32_t> normal;
  for (std::int64_t axis : axes) {
    QUANTAL_TRY(a, normalize_axis(n, axis, rank));
    normal.push_back(a);
  }
  std::sort(normal.begin(), normal.end());
  auto twice = std::adjacent_find(normal.begin(), normal.end());
  if (twice != normal.end()) {
    return node_error(n, status::model_type, "axis " + std::to_string(*twice) + " is given twice");
  }
  return normal;
}

std::optional<int_list> known_ints(const infer_context& c, std::size_t i) {
  if (const tensor_buffer* t = c.constant(i)) {
    const auto n = static_cast<std::size_t>(t->elements());
    int_list list(n);
    if (t->type() == dtype::s64) {
      std::copy_n(t->as<std::int64_t>(), n, list.begin());
    } else if (t->type() == dtype::s32) {
      std::copy_n(t->as<std::int32_t>(), n, list.begin());
    } else {
      return std::nullopt;
    }
    return list;
  }
  const dim_list* value = c.shape_value(i);
  if (value == nullptr) return std::nullopt;
  int_list list;
  for (const ir::dim& d : *value) {
    if (!d.known()) return std::nullopt;
    list.push_back(d.value);
  }
  return list;
}

std::optional<int_list> ints_argument(const infer_context& c, std::size_t i, std::string_view attribute, bool& given) {
  given = true;
  if (c.node.find(attribute) != nullptr) return c.node.get_ints(attribute);
  if (c.node.has_input(i)) return known_ints(c, i);
  given = false;
  return int_list{};
}

ir::dim product(std::span<const ir::dim> dims) {
  std::uint64_t n = 1;
  const ir::dim* open = nullptr;
  for (const ir::dim& d : dims) {
    if (d.known()) {
      if (!checked_mul(n, static_cast<std::uint64_t>(d.value), n)) return {};
    } else if (open == nullptr && !d.symbol.empty()) {
      open = &d;
    } else {
      return {};
    }
  }
  if (n == 0) return ir::dim(0);
  if (n > static_cast<std::uint64_t>(INT64_MAX)) return {};
  if (open == nullptr) return ir::dim(static_cast<std::int64_t>(n));
  return n == 1 ? ir::dim(open->symbol) : ir::dim();
}

namespace {
ir::dim plain(const ir::dim& d) {
  return d.known() ? ir::dim(d.value) : ir::dim(d.symbol);
}
}  // namespace

result<ir::dim> broadcast_dim(const infer_context& c, const ir::dim& a, const ir::dim& b) {
  if (a.known() && b.known()) {
    if (a.value != b.value && a.value != 1 && b.value != 1) {
      return rule_error(
          c, "dimensions " + std::to_string(a.value) + " and " + std::to_string(b.value) + " do not broadcast");
    }
    return ir::dim(a.value == 1 ? b.value : a.value);
  }
  if (a.known()) return a.value == 1 ? plain(b) : plain(a);
  if (b.known()) return b.value == 1 ? plain(a) : plain(b);
  return a.symbol == b.symbol ? plain(a) : ir::dim();
}

result<dim_list> broadcast_dims(const infer_context& c, const dim_list& a, const dim_list& b) {
  const dim_list& longer = a.size() >= b.size() ? a : b;
  const dim_list& shorter = a.size() >= b.size() ? b : a;
  dim_list out(longer.size());
  const std::size_t lead = longer.size() - shorter.size();
  for (std::size_t i = 0; i < longer.size(); ++i) {
    if (i < lead) {
      out[i] = plain(longer[i]);
    } else {
      QUANTAL_TRY(d, broadcast_dim(c, longer[i], shorter[i - lead]));
      out[i] = d;
    }
  }
  return out;
}

result<ir::dim> merge_dim(const infer_context& c, const ir::dim& a, const ir::dim& b) {
  if (a.known() && b.known() && a.value != b.value) {
    return rule_error(c,
                      "dimensions " + std::to_string(a.value) + " and " + std::to_string(b.value) + " must be equal");
  }
  if (a.known()) return plain(a);
  return b.known() || a.symbol.empty() ? plain(b) : plain(a);
}

result<void> infer_same(infer_context& c) {
  ir::value_type t = c.input(0);
  t.denotation.clear();
  c.set_output(0, std::move(t));
  return {};
}

result<void> infer_same_bool(infer_context& c) {
  if (const dim_list* d = dims_of(c, 0)) {
    set_typed(c, 0, dtype::boolean, *d);
  } else {
    set_typed(c, 0, dtype::boolean);
  }
  return {};
}

namespace {
result<void> broadcast_to(infer_context& c, dtype type) {
  std::optional<dim_list> out;
  const bool legacy = c.opset < 7 && c.node.get_int("broadcast", 0) != 0;
  for (std::size_t i = 0; i < (legacy ? 1 : c.node.inputs.size()); ++i) {
    const dim_list* d = dims_of(c, i);
    if (d == nullptr) {
      set_typed(c, 0, type);
      return {};
    }
    if (!out) {
      out = *d;
    } else {
      QUANTAL_TRY(joined, broadcast_dims(c, *out, *d));
      out = std::move(joined);
    }
  }
  if (!out) return {};
  for (ir::dim& d : *out) d.denotation.clear();
  set_typed(c, 0, type, std::move(*out));
  return {};
}
}  // namespace

result<void> infer_broadcast(infer_context& c) {
  dtype type = elem_of(c, 0);
  for (std::size_t i = 1; i < c.node.inputs.size(); ++i) {
    const dtype other = elem_of(c, i);
    if (type == dtype::none) type = other;
    if (other != dtype::none && other != type && !c.node.is("Pow")) {
      return rule_error(c, std::string("inputs of different types ") + name_of(type) + " and " + name_of(other));
    }
  }
  return broadcast_to(c, type);
}

result<void> infer_compare(infer_context& c) {
  return broadcast_to(c, dtype::boolean);
}

result<void> infer_nothing(infer_context&) {
  return {};
}

}  // namespace quantal::ops
