// What meanings (eval functions) share when they read their arguments: required inputs, integer lists that are an
// attribute in old opsets and an input in new ones, axes, and one switch over the numeric types.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "quantal/ops/op.hpp"
#include "quantal/ops/rules.hpp"

namespace quantal::ops {

// Error unless inputs [0, count) are present.
result<void> require_inputs(const eval_context& c, std::size_t count);
// Integers of input i (s32 or s64, any shape); error for another type.
result<int_list> ints_of(const eval_context& c, std::size_t i);
// One integer: input i holds exactly one element.
result<std::int64_t> int_of(const eval_context& c, std::size_t i);
// Attribute (old opsets) or input i (new ones); nullopt: neither is given.
result<std::optional<int_list>> ints_argument(const eval_context& c, std::size_t i, std::string_view attribute);
inline result<std::int32_t> axis_of(const eval_context& c, std::int64_t axis, std::int32_t rank) {
  return normalize_axis(c.node, axis, rank);
}
error unsupported_type(const eval_context& c, dtype t);

// Result shape of broadcasting; error if they do not fit.
result<shape> broadcast_shape(const eval_context& c, const shape& a, const shape& b);
// Opset 6 and below: attribute broadcast=1 with `axis` says where b's dimensions lie in a's; gives b a shape that
// broadcasts by today's rule.
result<tensor_buffer> legacy_broadcast(const eval_context& c, const tensor_buffer& a, const tensor_buffer& b);

// Calls f(T{}) with the C++ type of t; false if t is not one of f32 f64 s8..u64. Instantiates f ten times: keep f
// small.
template <class F>
bool with_number(dtype t, F&& f) {
  switch (t) {
    case dtype::f32: f(float{}); return true;
    case dtype::f64: f(double{}); return true;
    case dtype::s8: f(std::int8_t{}); return true;
    case dtype::u8: f(std::uint8_t{}); return true;
    case dtype::s16: f(std::int16_t{}); return true;
    case dtype::u16: f(std::uint16_t{}); return true;
    case dtype::s32: f(std::int32_t{}); return true;
    case dtype::u32: f(std::uint32_t{}); return true;
    case dtype::s64: f(std::int64_t{}); return true;
    case dtype::u64: f(std::uint64_t{}); return true;
    default: return false;
  }
}

// Cuts [0, count) into pieces of at least `grain` and runs body(begin, end) on the caller's threads.
template <class Body>
void parallel_ranges(const parallel_for& parallel, std::int64_t count, std::int64_t grain, Body&& body) {
  if (count <= 0) return;
  std::int64_t pieces = count / (grain < 1 ? 1 : grain);
  const std::int64_t most = static_cast<std::int64_t>(parallel.width) * 4;
  if (pieces > most) pieces = most;
  if (pieces < 2) {
    body(std::int64_t{0}, count);
    return;
  }
  parallel(static_cast<std::size_t>(pieces), [&](std::size_t i) {
    const auto p = static_cast<std::int64_t>(i);
    body(count / pieces * p + count % pieces * p / pieces,
         count / pieces * (p + 1) + count % pieces * (p + 1) / pieces);
  });
}

}  // namespace quantal::ops
