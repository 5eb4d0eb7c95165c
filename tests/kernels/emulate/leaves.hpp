// x86 leaves on any CPU: the same headers, compiled over emulated instructions.
#pragma once
#include <cstddef>

#include "quantal/kernels/depthwise_leaf.hpp"
#include "quantal/kernels/gemm_leaf.hpp"

namespace quantal_test {

const quantal::gemm_leaf* const* emulated_leaves(std::size_t& count);
const quantal::depthwise_leaf* const* emulated_depthwise_leaves(std::size_t& count);

// "" or what the last kernel on this thread did to the tiles that a CPU would fault on, or left behind.
const char* tile_complaint();

}  // namespace quantal_test
