// Broadcasting before opset 7: off, or with `broadcast` = 1 and `axis` = position in A where B's dimensions line up
// (without `axis`: at the end). From 7 on B lines up with A's last dimensions, always.
//
//   A [2, 3, 4, 5], B [3, 4], axis 1   ->   B [3, 4, 1]
//
// Where ranks are not known the ones are counted at run time. PRelu 6 has one slope per channel, [C] or [1]: [C, 1, 1].
// Source: ONNX Changelog, Add-6, Add-7, PRelu-6, PRelu-7, Gemm-6, Gemm-7.
#include "rewriter.hpp"

namespace quantal::onnx::convert {

namespace {

// `name` reshaped to its shape followed by `ones` dimensions of 1; ones: a name of an s64[1] value.
std::string append_ones(rewriter& r, const std::string& name, const std::string& ones) {
  const std::string tail =
      r.make("ConstantOfShape", {ones},
             {ir::attribute("value", ir::constant{"", tensor_buffer::of<std::int64_t>(shape(1), {1}), "", {}})});
  const std::string dims = r.make("Concat", {r.make("Shape", {name}), tail}, {ir::attribute("axis", std::int64_t{0})});
  return r.make("Reshape", {name, dims});
}

std::string append_ones(rewriter& r, const std::string& name, std::int64_t rank, std::int64_t ones) {
  std::vector<std::int64_t> axes;
  for (std::int64_t i = 0; i < ones; ++i) axes.push_back(rank + i);
  return r.make("Unsqueeze", {name}, {ir::attribute("axes", axes)});
}

std::string rank_at_run_time(rewriter& r, const std::string& name) {
  return r.make("Shape", {r.make("Shape", {name})});
}

result<void> broadcast_7(rewriter& r) {
  ir::node& n = r.node;
  if (n.inputs.size() != 2) return r.unsupported("it does not have two inputs");
  const bool has_axis = n.get_int("broadcast", 0) != 0 && n.find("axis") != nullptr;
  std::int64_t axis = n.get_int("axis", 0);
  n.erase("axis");
  n.erase("broadcast");
  n.erase("consumed_inputs");
  if (!has_axis) return {};
  const std::optional<std::int64_t> a = r.rank_of(n.inputs[0]);
  const std::optional<std::int64_t> b = r.rank_of(n.inputs[1]);
  if (a && b) {
    if (axis < 0) axis += *a;
    const std::int64_t ones = *a - axis - *b;
    if (axis < 0 || ones < 0) return *b == 0 ? result<void>() : r.unsupported("its axis is out of range");
    if (ones > 0 && *b > 0) n.inputs[1] = append_ones(r, n.inputs[1], *b, ones);
    return {};
  }
  // ones = rank(A) - axis - rank(B); a negative axis counts from A's end: -axis - rank(B)
  const std::string from =
      axis < 0 ? r.ints({-axis}) : r.make("Sub", {rank_at_run_time(r, n.inputs[0]), r.ints({axis})});
  const std::string ones = r.make("Sub", {from, rank_at_run_time(r, n.inputs[1])});
  n.inputs[1] = append_ones(r, n.inputs[1], ones);
  return {};
}

result<void> gemm_7(rewriter& r) {
  r.node.erase("broadcast");
  return {};
}

result<void> prelu_7(rewriter& r) {
  ir::node& n = r.node;
  if (n.inputs.size() != 2) return r.unsupported("it does not have two inputs");
  const ir::value_type* slope = r.type_of(n.inputs[1]);
  const tensor_buffer* value = r.value_of(n.inputs[1]);
  const std::optional<std::int64_t> rank = r.rank_of(n.inputs[1]);
  if (rank && *rank != 1) return {};
  const bool one = value != nullptr ? value->elements() == 1
                                    : slope != nullptr && slope->has_rank() && slope->dims->at(0).value == 1;
  if (rank && one) return {};
  const std::optional<std::int64_t> x = r.rank_of(n.inputs[0]);
  if (rank && x) {
    if (*x > 2) n.inputs[1] = append_ones(r, n.inputs[1], 1, *x - 2);
    return {};
  }
  if (!rank) return r.unsupported("the rank of its slope is not known");
  n.inputs[1] = append_ones(r, n.inputs[1], r.make("Sub", {rank_at_run_time(r, n.inputs[0]), r.ints({2})}));
  return {};
}

constexpr step steps[] = {
    {"Add", 7, broadcast_7},     {"Sub", 7, broadcast_7},  {"Mul", 7, broadcast_7}, {"Div", 7, broadcast_7},
    {"And", 7, broadcast_7},     {"Or", 7, broadcast_7},   {"Xor", 7, broadcast_7}, {"Equal", 7, broadcast_7},
    {"Greater", 7, broadcast_7}, {"Less", 7, broadcast_7}, {"Pow", 7, broadcast_7}, {"Gemm", 7, gemm_7},
    {"PRelu", 7, prelu_7},
};

}  // namespace

std::span<const step> arithmetic_steps() {
  return steps;
}

}  // namespace quantal::onnx::convert
