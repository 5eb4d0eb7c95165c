// x86 leaves on any CPU: the same headers, compiled over emulated instructions.
#pragma once
#include <cstddef>
#include <vector>

#include "quantal/kernels/depthwise_leaf.hpp"
#include "quantal/kernels/gemm_leaf.hpp"

namespace quantal_test {

const quantal::gemm_leaf* const* emulated_leaves(std::size_t& count);
const quantal::depthwise_leaf* const* emulated_depthwise_leaves(std::size_t& count);

// The native leaves, then the emulated ones.
inline std::vector<const quantal::gemm_leaf*> every_leaf() {
  std::size_t native = 0, emulated = 0;
  const quantal::gemm_leaf* const* first = quantal::gemm_leaves(native);
  const quantal::gemm_leaf* const* second = emulated_leaves(emulated);
  std::vector<const quantal::gemm_leaf*> all(first, first + native);
  all.insert(all.end(), second, second + emulated);
  return all;
}

// "" or what the last kernel on this thread did to the tiles that a CPU would fault on, or left behind.
const char* tile_complaint();

}  // namespace quantal_test
