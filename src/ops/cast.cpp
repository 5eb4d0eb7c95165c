// Cast, CastLike: element types (rules in ops/convert.hpp). BitCast: the same bits under another type of the same size.
#include "quantal/ir/dtype_map.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

cast_rules rules_of(const ir::node& n, std::int64_t opset) {
  cast_rules r;
  r.saturate = n.get_int("saturate", 1) != 0;
  r.fnuz_infinity = opset >= 24;
  const std::string mode = n.get_string("round_mode", "up");
  r.e8m0 = mode == "down" ? scale_rounding::down : mode == "nearest" ? scale_rounding::nearest : scale_rounding::up;
  return r;
}

// Cast-1 names its target by a string: "FLOAT".
dtype target_of(const ir::node& n) {
  if (n.find("to") == nullptr) return dtype::none;
  const std::string name = n.get_string("to", "");
  if (name.empty()) return ir::dtype_of_onnx(n.get_int("to", 0));
  return ir::dtype_of_onnx(name);
}

result<void> cast_input(eval_context& c, dtype to) {
  const tensor_buffer& x = c.input(0);
  if (x.type() == to) return c.forward(0, x);
  if (bits_of(to) == 0 || bits_of(x.type()) == 0 || bits_of(to) > 64) return unsupported_type(c, to);
  QUANTAL_TRY(out, c.output(0, to, x.dims()));
  const cast_rules rules = rules_of(c.node, c.opset);
  const std::size_t in_bits = bits_of(x.type());
  const std::size_t out_bits = bits_of(to);
  if (!convert_elements(x.type(), x.data(), to, out->mutable_data(), 0, rules)) return unsupported_type(c, x.type());
  // Packed types share bytes between neighbours: one piece.
  const std::int64_t grain = in_bits < 8 || out_bits < 8 ? x.elements() : 16384;
  parallel_ranges(c.parallel(), x.elements(), grain, [&](std::int64_t begin, std::int64_t end) {
    const auto b = static_cast<std::size_t>(begin);
    convert_elements(x.type(), x.as<std::byte>() + b * in_bits / 8, to, out->mutable_as<std::byte>() + b * out_bits / 8,
                     static_cast<std::size_t>(end - begin), rules);
  });
  return {};
}

result<void> eval_cast(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const dtype to = target_of(c.node);
  if (to == dtype::none) return c.fail(status::unsupported, "attribute 'to' names no element type Quantal knows");
  return cast_input(c, to);
}

result<void> eval_cast_like(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  return cast_input(c, c.input(1).type());
}

result<void> infer_to(infer_context& c, dtype to) {
  if (const dim_list* d = dims_of(c, 0)) {
    set_typed(c, 0, to, *d);
  } else {
    set_typed(c, 0, to);
  }
  if (is_integer(to) && c.shape_value(0) != nullptr) c.set_shape_value(0, *c.shape_value(0));
  return {};
}

result<void> infer_cast(infer_context& c) {
  const dtype to = target_of(c.node);
  if (to == dtype::none) return rule_error(c, "attribute 'to' names no element type");
  return infer_to(c, to);
}

result<void> infer_cast_like(infer_context& c) {
  return elem_of(c, 1) == dtype::none ? result<void>() : infer_to(c, elem_of(c, 1));
}

result<void> eval_bit_cast(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const dtype to = target_of(c.node);
  if (to == dtype::none || bits_of(to) == 0 || bits_of(to) != bits_of(x.type())) {
    return c.fail(status::model_type, std::string("no bit cast from ") + name_of(x.type()) + " to " + name_of(to));
  }
  return c.forward(0, tensor_buffer::wrap(to, x.dims(), const_cast<void*>(x.data()), x.owner()));
}

result<void> infer_bit_cast(infer_context& c) {
  const dtype to = target_of(c.node);
  if (to == dtype::none) return rule_error(c, "attribute 'to' names no element type");
  if (elem_of(c, 0) != dtype::none && bits_of(elem_of(c, 0)) != bits_of(to)) {
    return rule_error(c, std::string("no bit cast from ") + name_of(elem_of(c, 0)) + " to " + name_of(to));
  }
  if (const dim_list* d = dims_of(c, 0)) {
    set_typed(c, 0, to, *d);
  } else {
    set_typed(c, 0, to);
  }
  return {};
}

constexpr op_def table[] = {
    {"Cast", 1, infer_cast, eval_cast},
    {"CastLike", 15, infer_cast_like, eval_cast_like},
    {"BitCast", 26, infer_bit_cast, eval_bit_cast},
};

}  // namespace

op_list cast_ops() {
  return table;
}

}  // namespace quantal::ops
