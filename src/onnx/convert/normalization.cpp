// BatchNormalization and GroupNormalization.
//
// BatchNormalization 6 has `is_test`, 6 to 8 `spatial` (0: scale, bias and statistics per element [C, D1, ...] instead
// of per channel), 6 to 13 tell training from inference by the number of outputs, 14 by `training_mode`. Training
// cannot be converted. spatial = 0 is written out: (x - mean) / sqrt(var + epsilon) * scale + bias. GroupNormalization
// 18 scales per group, 21 per channel. Source: ONNX Changelog.
#include "rewriter.hpp"

namespace quantal::onnx::convert {

namespace {

result<void> drop_unread_statistics(rewriter& r) {
  for (std::size_t i = 1; i < r.node.outputs.size(); ++i)
    if (r.is_read(r.node.outputs[i])) return r.unsupported("it is in training mode (its batch statistics are read)");
  r.node.outputs.resize(1);
  return {};
}

result<void> batch_norm_7(rewriter& r) {
  if (r.node.get_int("is_test", 0) == 0) return r.unsupported("it is in training mode (is_test is 0)");
  r.node.erase("is_test");
  r.node.erase("consumed_inputs");
  return drop_unread_statistics(r);
}

result<void> batch_norm_9(rewriter& r) {
  ir::node& n = r.node;
  const bool per_element = n.get_int("spatial", 1) == 0;
  n.erase("spatial");
  if (!per_element) return {};
  if (n.inputs.size() != 5) return r.unsupported("it does not have five inputs");
  if (r.rank_of(n.inputs[1]) == 1 && r.rank_of(n.inputs[0]) == 2) return {};  // per channel after all
  QUANTAL_TRY(epsilon, r.scalar_like(n.inputs[0], n.get_float("epsilon", 1e-5f)));
  const std::string centred = r.make("Sub", {n.inputs[0], n.inputs[3]});
  const std::string deviation = r.make("Sqrt", {r.make("Add", {n.inputs[4], epsilon})});
  const std::string scaled = r.make("Mul", {r.make("Div", {centred, deviation}), n.inputs[1]});
  n.op_type = "Add";
  n.inputs = {scaled, n.inputs[2]};
  n.attributes.clear();
  n.outputs.resize(1);
  return {};
}

result<void> batch_norm_14(rewriter& r) {
  return drop_unread_statistics(r);
}

// scale and bias [G] -> [G, 1] -> [G, C / G] -> [C]
result<void> group_norm_21(rewriter& r) {
  ir::node& n = r.node;
  if (n.inputs.size() != 3) return r.unsupported("it does not have three inputs");
  const std::int64_t groups = n.get_int("num_groups", 0);
  if (groups <= 0) return r.unsupported("num_groups is missing");
  const std::string channels =
      r.make("Shape", {n.inputs[0]}, {ir::attribute("start", std::int64_t{1}), ir::attribute("end", std::int64_t{2})});
  const std::string each = r.make("Div", {channels, r.ints({groups})});
  const std::string dims = r.make("Concat", {r.ints({1}), each}, {ir::attribute("axis", std::int64_t{0})});
  for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    const std::string column = r.make("Reshape", {n.inputs[i], r.ints({-1, 1})});
    n.inputs[i] = r.make("Reshape", {r.make("Expand", {column, dims}), r.ints({-1})});
  }
  return {};
}

constexpr step steps[] = {
    {"BatchNormalization", 7, batch_norm_7},
    {"BatchNormalization", 9, batch_norm_9},
    {"BatchNormalization", 14, batch_norm_14},
    {"GroupNormalization", 21, group_norm_21},
};

}  // namespace

std::span<const step> normalization_steps() {
  return steps;
}

}  // namespace quantal::onnx::convert
