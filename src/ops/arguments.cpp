#include "quantal/ops/arguments.hpp"

#include <algorithm>

namespace quantal::ops {

result<void> require_inputs(const eval_context& c, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!c.has_input(i)) {
      return c.fail(status::model_graph, "input " + std::to_string(i) + " is missing",
                    "the operator needs it; repair the model");
    }
  }
  return {};
}

error unsupported_type(const eval_context& c, dtype t) {
  return c.fail(status::unsupported, std::string("element type ") + name_of(t) + " is not supported by this operator",
                "cast the tensor to f32");
}

result<int_list> ints_of(const eval_context& c, std::size_t i) {
  QUANTAL_CHECK(require_inputs(c, 0));
  if (!c.has_input(i)) return c.fail(status::model_graph, "input " + std::to_string(i) + " is missing");
  const tensor_buffer& t = c.input(i);
  const auto n = static_cast<std::size_t>(t.elements());
  int_list list(n);
  if (t.type() == dtype::s64) {
    std::copy_n(t.as<std::int64_t>(), n, list.begin());
  } else if (t.type() == dtype::s32) {
    std::copy_n(t.as<std::int32_t>(), n, list.begin());
  } else {
    return c.fail(status::model_type, "input " + std::to_string(i) + " is " + name_of(t.type()) + ", not s32 or s64");
  }
  return list;
}

result<std::int64_t> int_of(const eval_context& c, std::size_t i) {
  QUANTAL_TRY(list, ints_of(c, i));
  if (list.size() != 1) return c.fail(status::data_shape, "input " + std::to_string(i) + " must hold one integer");
  return list[0];
}

result<std::optional<int_list>> ints_argument(const eval_context& c, std::size_t i, std::string_view attribute) {
  if (c.node.find(attribute) != nullptr) return std::optional<int_list>(c.node.get_ints(attribute));
  if (!c.has_input(i)) return std::optional<int_list>();
  QUANTAL_TRY(list, ints_of(c, i));
  return std::optional<int_list>(std::move(list));
}

result<shape> broadcast_shape(const eval_context& c, const shape& a, const shape& b) {
  shape out = a.rank >= b.rank ? a : b;
  const shape& other = a.rank >= b.rank ? b : a;
  for (std::int32_t i = 1; i <= other.rank; ++i) {
    std::int64_t& d = out[out.rank - i];
    const std::int64_t e = other[other.rank - i];
    if (d != e && d != 1 && e != 1) {
      return c.fail(status::data_shape,
                    "dimensions " + std::to_string(d) + " and " + std::to_string(e) + " do not broadcast");
    }
    if (d == 1) d = e;
  }
  return out;
}

result<tensor_buffer> legacy_broadcast(const eval_context& c, const tensor_buffer& a, const tensor_buffer& b) {
  if (c.opset >= 7 || c.node.find("axis") == nullptr || c.node.get_int("broadcast", 0) == 0) return b;
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 0), a.dims().rank));
  shape wide = b.dims();
  while (wide.rank + axis < a.dims().rank) wide.push_back(1);
  return b.reshaped(wide);
}

}  // namespace quantal::ops
