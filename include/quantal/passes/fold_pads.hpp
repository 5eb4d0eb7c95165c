// fold_pads: a Pad node before a Conv becomes the Conv's own padding.
//
//   x -> Pad(0, pads) -> Conv(pads p)   =>   x -> Conv(pads p + pads)
//
// Only for constant mode with value 0 (what Conv pads with), only spatial axes, only non-negative pads, only where the
// Conv is the sole reader and states its pads. Saves a copy of the tensor, and one more place that would need a range.
#pragma once
#include "quantal/passes/pass.hpp"

namespace quantal::passes {

result<std::size_t> fold_pads(ir::model& m);

}  // namespace quantal::passes
