// Upsample -> Resize 10 -> Resize 11 -> Resize 13.
//
// Upsample and Resize 10 sample at x / scale (coordinate mode `asymmetric`); nearest rounds down where it enlarges and
// up where it shrinks (the node tests of Resize 10; ONNX Runtime's "simple" mode). One Resize 11 has one rounding mode:
// if the scales shrink some axes and enlarge others, or are computed at run time, two are made:
//   x -> Resize(max(scales, 1), floor) -> Resize(min(scales, 1), ceil)
// Resize 13 has no tf_half_pixel_for_nn, (x + 0.5) / scale: with rounding down that is half_pixel with rounding half
// up. Source: ONNX Changelog, Upsample-1/7/9, Resize-10/11/13.
#include <algorithm>

#include "rewriter.hpp"

namespace quantal::onnx::convert {

namespace {

// Opset 6 has Upsample 1: one scale for the height and one for the width of [N, C, H, W].
result<void> upsample_7(rewriter& r) {
  ir::node& n = r.node;
  if (n.find("scales") != nullptr) return {};
  n.set(ir::attribute(
      "scales", std::vector<float>{1.0f, 1.0f, n.get_float("height_scale", 1.0f), n.get_float("width_scale", 1.0f)}));
  n.erase("height_scale");
  n.erase("width_scale");
  return {};
}

result<void> upsample_9(rewriter& r) {
  const std::vector<float> scales = r.node.get_floats("scales");
  if (scales.empty()) return r.unsupported("it has no scales");
  r.set_input(1, r.constant(tensor_buffer::of(shape(static_cast<std::int64_t>(scales.size())), scales)));
  r.node.erase("scales");
  return {};
}

result<void> upsample_10(rewriter& r) {
  r.node.op_type = "Resize";
  return {};
}

// Which way constant scales go.
struct directions {
  bool shrinks = true;
  bool enlarges = true;
};

directions directions_of(const tensor_buffer* scales) {
  if (scales == nullptr || scales->type() != dtype::f32) return {};
  const float* s = scales->as<float>();
  const float* const end = s + scales->elements();
  return {std::any_of(s, end, [](float v) { return v < 1.0f; }), std::any_of(s, end, [](float v) { return v > 1.0f; })};
}

result<void> resize_11(rewriter& r) {
  ir::node& n = r.node;
  if (n.inputs.size() != 2) return r.unsupported("it does not have two inputs");
  const std::string scales = n.inputs[1];
  n.inputs = {n.inputs[0], "", scales};
  n.set(ir::attribute("coordinate_transformation_mode", std::string("asymmetric")));
  const std::string mode = n.get_string("mode", "nearest");
  if (mode != "nearest") return {};
  const directions way = directions_of(r.value_of(scales));
  if (way.shrinks && way.enlarges) {
    const std::string one = r.constant(tensor_buffer::of<float>(shape(), {1.0f}));
    std::vector<ir::attribute> enlarge = n.attributes;
    enlarge.emplace_back("nearest_mode", std::string("floor"));
    n.inputs[0] = r.make("Resize", {n.inputs[0], "", r.make("Max", {scales, one})}, std::move(enlarge));
    n.inputs[2] = r.make("Min", {scales, one});
  }
  n.set(ir::attribute("nearest_mode", std::string(way.shrinks ? "ceil" : "floor")));
  return {};
}

result<void> resize_13(rewriter& r) {
  ir::node& n = r.node;
  const auto is_empty = [&](const std::string& name) {
    const tensor_buffer* value = r.value_of(name);
    return value != nullptr && value->elements() == 0;
  };
  // Absent inputs were written as empty tensors; `sizes` needs `scales` to be absent.
  if (n.has_input(3) || (n.has_input(2) && is_empty(n.inputs[2]))) n.inputs[2].clear();
  if (n.has_input(1) && is_empty(n.inputs[1])) n.inputs[1].clear();
  if (n.get_string("coordinate_transformation_mode", "half_pixel") != "tf_half_pixel_for_nn") return {};
  if (n.get_string("mode", "nearest") != "nearest" || n.get_string("nearest_mode", "round_prefer_floor") != "floor")
    return r.unsupported("coordinate mode tf_half_pixel_for_nn with another rounding than floor");
  n.set(ir::attribute("coordinate_transformation_mode", std::string("half_pixel")));
  n.set(ir::attribute("nearest_mode", std::string("round_prefer_ceil")));
  return {};
}

constexpr step steps[] = {
    {"Upsample", 7, upsample_7}, {"Upsample", 9, upsample_9}, {"Upsample", 10, upsample_10},
    {"Resize", 11, resize_11},   {"Resize", 13, resize_13},
};

}  // namespace

std::span<const step> resize_steps() {
  return steps;
}

}  // namespace quantal::onnx::convert
