// Softmax, LogSoftmax and Hardmax before opset 13 see x as a matrix: the dimensions from `axis` (default 1) on are one
// row. From 13 on they work along one axis (default -1). The same thing, if at most one of the dimensions from `axis`
// on is not 1; otherwise
//   x -> Flatten(axis) -> Softmax(-1) -> Reshape(shape of x)
// Source: ONNX Changelog, Softmax-11, Softmax-13.
#include "rewriter.hpp"

namespace quantal::onnx::convert {

namespace {

// The one axis along which the matrix form works on this shape, if there is one.
std::optional<std::int64_t> single_axis(const ir::value_type* type, std::int64_t axis) {
  if (axis == -1) return -1;
  if (type == nullptr || !type->has_rank()) return std::nullopt;
  const auto rank = static_cast<std::int64_t>(type->dims->size());
  if (axis < 0) axis += rank;
  if (axis < 0 || axis >= rank) return std::nullopt;
  if (axis == rank - 1) return -1;
  std::optional<std::int64_t> long_axis;
  for (std::int64_t i = axis; i < rank; ++i) {
    if (type->dims->at(static_cast<std::size_t>(i)).value == 1) continue;
    if (long_axis) return std::nullopt;
    long_axis = i;
  }
  return long_axis.value_or(axis);
}

result<void> softmax_13(rewriter& r) {
  ir::node& n = r.node;
  if (n.inputs.size() != 1 || n.outputs.size() != 1) return r.unsupported("it does not have one input and one output");
  const std::int64_t axis = n.get_int("axis", 1);
  if (const auto single = single_axis(r.type_of(n.inputs[0]), axis)) {
    n.set(ir::attribute("axis", *single));
    return {};
  }
  const std::string dims = r.make("Shape", {n.inputs[0]});
  n.inputs[0] = r.make("Flatten", {n.inputs[0]}, {ir::attribute("axis", axis)});
  n.set(ir::attribute("axis", std::int64_t{-1}));
  r.make_after(0, "Reshape", {dims});
  return {};
}

constexpr step steps[] = {{"Softmax", 13, softmax_13}, {"LogSoftmax", 13, softmax_13}, {"Hardmax", 13, softmax_13}};

}  // namespace

std::span<const step> softmax_steps() {
  return steps;
}

}  // namespace quantal::onnx::convert
