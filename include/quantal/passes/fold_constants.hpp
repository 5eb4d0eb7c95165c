// fold_constants: computes at quantization time what does not depend on the inputs.
//
//   Shape -> Slice -> Concat -> Pad.pads      =>  initializer          (chains of constants, pads and shapes included)
//   Reshape(bias, [1,C,1,1])                  =>  initializer
//
// All foldable nodes run once in one session. A Shape whose input has a shape known in full is a constant too.
// The trap: a ConstantOfShape or Expand can turn 8 bytes into a gigabyte; what would add more than `max_growth` bytes
// stays a node. Random and stateful operators, and nodes with subgraphs, are never folded.
#pragma once
#include "quantal/passes/pass.hpp"

namespace quantal::passes {

inline constexpr std::size_t max_growth = std::size_t{1} << 20;  // bytes a single folded value may add
result<std::size_t> fold_constants(ir::model& m);

}  // namespace quantal::passes
