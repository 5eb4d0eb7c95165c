// x86 leaves on any CPU: the same headers, compiled over emulated instructions.
#pragma once
#include <cstddef>
#include <type_traits>
#include <vector>

#include "quantal/kernels/depthwise_leaf.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/integer.hpp"

namespace quantal_test {

const quantal::gemm_leaf* const* emulated_leaves(std::size_t& count);
const quantal::depthwise_leaf* const* emulated_depthwise_leaves(std::size_t& count);
const quantal::elementwise_table* const* emulated_elementwise(std::size_t& count);
const quantal::integer_table* const* emulated_integer(std::size_t& count);

template <class Leaf>
struct leaf_row {
  const Leaf* leaf;
  bool emulated;
};

// The native leaves of a kind, then the emulated ones.
template <class Leaf>
std::vector<leaf_row<Leaf>> all_leaves() {
  constexpr bool products = std::is_same_v<Leaf, quantal::gemm_leaf>;
  std::vector<leaf_row<Leaf>> rows;
  const auto add = [&](const Leaf* const* leaves, std::size_t count, bool emulated) {
    for (std::size_t i = 0; i < count; ++i) rows.push_back({leaves[i], emulated});
  };
  std::size_t count = 0;
  if constexpr (products) {
    const Leaf* const* native = quantal::gemm_leaves(count);
    add(native, count, false);
    const Leaf* const* emulated = emulated_leaves(count);
    add(emulated, count, true);
  } else {
    const Leaf* const* native = quantal::depthwise_leaves(count);
    add(native, count, false);
    const Leaf* const* emulated = emulated_depthwise_leaves(count);
    add(emulated, count, true);
  }
  return rows;
}

// "" or what the last kernel on this thread did to the tiles that a CPU would fault on, or left behind.
const char* tile_complaint();

// What kernels have done with the tiles of this thread since the last call.
struct tile_work {
  int loads, products, most_live;
};
tile_work take_tile_work();

}  // namespace quantal_test
