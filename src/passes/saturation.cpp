#include "quantal/passes/saturation.hpp"

#include <cstdlib>

namespace quantal::passes {

namespace {

bool overflows(std::int8_t a, std::int8_t b) {
  return std::abs(int{a} + int{b}) * 255 > 32767;
}

// Pairs `distance` apart inside blocks of `block` codes.
bool any_pair(const tensor_buffer& codes, std::int64_t block, std::int64_t distance) {
  const auto* q = codes.as<std::int8_t>();
  for (std::int64_t first = 0; first + block <= codes.elements(); first += block)
    for (std::int64_t i = first; i + distance < first + block; ++i)
      if (overflows(q[i], q[i + distance])) return true;
  return false;
}

// The last channel of a kernel position beside the first channel of the next.
bool any_seam(const tensor_buffer& codes, std::int64_t channels, std::int64_t positions) {
  const std::int64_t block = channels * positions;
  const auto* q = codes.as<std::int8_t>();
  for (std::int64_t first = 0; first + block <= codes.elements(); first += block)
    for (std::int64_t p = 0; p + 1 < positions; ++p)
      if (overflows(q[first + (channels - 1) * positions + p], q[first + p + 1])) return true;
  return false;
}

}  // namespace

bool may_saturate(const ir::node& n, const tensor_buffer& codes) {
  const shape& d = codes.dims();
  if (codes.elements() == 0 || d.rank == 0) return false;
  if (n.is("Conv")) {  // [outputs, channels, kernel...]
    const std::int64_t channels = d.rank > 1 ? d[1] : 1, positions = d.elements(2, d.rank);
    return any_pair(codes, channels * positions, positions) || any_seam(codes, channels, positions);
  }
  const bool rows = d.rank == 1 || (n.is("Gemm") && n.get_int("transB", 0) != 0);  // [N, K], or one row
  if (rows) return any_pair(codes, d[d.rank - 1], 1);
  return any_pair(codes, d[d.rank - 2] * d[d.rank - 1], d[d.rank - 1]);  // [..., K, N]
}

std::string saturation_warning(std::size_t operators, dtype activations, const std::string& advice) {
  return std::to_string(operators) + " operators have weights whose " + name_of(activations) +
         " x s8 products can exceed 16 bits: CPUs without VNNI may saturate in other runtimes (Quantal's own kernels "
         "are exact); " +
         advice;
}

}  // namespace quantal::passes
