// Attributes that became inputs: the values are the same, only their place changed.
//
//   Slice 10: starts, ends, axes · TopK 10: k · Clip 11: min, max · Pad 11: pads, value · Dropout 12: ratio
//   Squeeze, Unsqueeze, Split, ReduceSum 13: axes (split) · the other Reduce operators 18: axes · DFT 20: axis
// Source: ONNX Changelog, these operators.
#include "rewriter.hpp"

namespace quantal::onnx::convert {

namespace {

result<void> slice_10(rewriter& r) {
  if (r.node.find("starts") == nullptr || r.node.find("ends") == nullptr)
    return r.unsupported("it has no attributes starts and ends");
  r.ints_to_input("starts", 1);
  r.ints_to_input("ends", 2);
  r.ints_to_input("axes", 3);
  return {};
}

result<void> topk_10(rewriter& r) {
  const auto* k = r.node.find("k");
  if (k == nullptr) return r.unsupported("it has no attribute k");
  r.set_input(1, r.ints({r.node.get_int("k", 0)}));
  r.node.erase("k");
  return {};
}

result<void> clip_11(rewriter& r) {
  std::size_t input = 1;
  for (const char* bound : {"min", "max"}) {
    const std::size_t i = input++;
    if (r.node.find(bound) == nullptr) continue;
    QUANTAL_TRY(name, r.scalar_like(r.node.inputs.at(0), r.node.get_float(bound, 0.0f)));
    r.set_input(i, name);
    r.node.erase(bound);
  }
  r.node.erase("consumed_inputs");
  return {};
}

result<void> pad_11(rewriter& r) {
  r.ints_to_input("pads", 1);
  const float value = r.node.get_float("value", 0.0f);
  r.node.erase("value");
  if (value == 0.0f || r.node.get_string("mode", "constant") != "constant") return {};
  QUANTAL_TRY(name, r.scalar_like(r.node.inputs.at(0), value));
  r.set_input(2, name);
  return {};
}

// Up to 6 with is_test = 0, and in 7..11 always, the operator is what it is in inference: x itself.
result<void> dropout_7(rewriter& r) {
  r.node.erase("is_test");
  r.node.erase("consumed_inputs");
  return {};
}

// The mask had the type of x, from 10 on it is bool.
result<void> dropout_10(rewriter& r) {
  if (!r.node.has_output(1)) return {};
  if (!r.is_read(r.node.outputs[1])) {
    r.node.outputs.resize(1);
    return {};
  }
  const ir::value_type* type = r.type_of(r.node.inputs.at(0));
  const dtype t = type == nullptr ? dtype::none : type->elem;
  const std::int64_t to = t == dtype::f32 ? 1 : t == dtype::f16 ? 10 : t == dtype::f64 ? 11 : 0;
  if (to == 0) return r.unsupported("the type of its mask is not known");
  r.make_after(1, "Cast", {}, {ir::attribute("to", to)});
  return {};
}

result<void> dropout_12(rewriter& r) {
  if (r.node.find("ratio") == nullptr) return {};
  r.set_input(1, r.constant(tensor_buffer::of<float>(shape(), {r.node.get_float("ratio", 0.5f)})));
  r.node.erase("ratio");
  return {};
}

result<void> axes_to_input(rewriter& r) {
  if (r.node.find("axes") != nullptr && r.node.get_ints("axes").empty()) r.node.erase("axes");
  r.ints_to_input("axes", 1);
  return {};
}

// Unsqueeze needs its axes even if there are none.
result<void> unsqueeze_13(rewriter& r) {
  r.ints_to_input("axes", 1);
  return {};
}

result<void> split_13(rewriter& r) {
  r.ints_to_input("split", 1);
  return {};
}

// From 18 on either `split` or the number of outputs must be given.
result<void> split_18(rewriter& r) {
  if (!r.node.has_input(1)) r.node.set(ir::attribute("num_outputs", static_cast<std::int64_t>(r.node.outputs.size())));
  return {};
}

// The default axis was 1 and is -2 from 20 on.
result<void> dft_20(rewriter& r) {
  r.set_input(2, r.constant(tensor_buffer::of<std::int64_t>(shape(), {r.node.get_int("axis", 1)})));
  r.node.erase("axis");
  return {};
}

constexpr step steps[] = {
    {"Slice", 10, slice_10},
    {"TopK", 10, topk_10},
    {"Clip", 11, clip_11},
    {"Pad", 11, pad_11},
    {"Dropout", 7, dropout_7},
    {"Dropout", 10, dropout_10},
    {"Dropout", 12, dropout_12},
    {"Squeeze", 13, axes_to_input},
    {"Unsqueeze", 13, unsqueeze_13},
    {"ReduceSum", 13, axes_to_input},
    {"Split", 13, split_13},
    {"Split", 18, split_18},
    {"ReduceL1", 18, axes_to_input},
    {"ReduceL2", 18, axes_to_input},
    {"ReduceLogSum", 18, axes_to_input},
    {"ReduceLogSumExp", 18, axes_to_input},
    {"ReduceMax", 18, axes_to_input},
    {"ReduceMean", 18, axes_to_input},
    {"ReduceMin", 18, axes_to_input},
    {"ReduceProd", 18, axes_to_input},
    {"ReduceSumSquare", 18, axes_to_input},
    {"DFT", 20, dft_20},
};

}  // namespace

std::span<const step> input_steps() {
  return steps;
}

}  // namespace quantal::onnx::convert
