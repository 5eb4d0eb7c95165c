// share_scales: which of the planned integer tensors have one scale between them, and which ranges may be cut.
//
//   x ─MaxPool─ y           y's codes are x's codes: one group, only x is observed
//   a ─┐
//   b ─┴Concat─ c           a and b take c's scale if Concat is their only reader: no requantization
//
// A range is cut where every reader saturates: HardSwish is zero below -3, HardSigmoid constant outside [-b/a,
// (1-b)/a]. Exact, and more codes for the values that matter. HardSigmoid's range keeps one step of 8 bits more: with
// exactly its slope every code's result would lie halfway between two codes of [0, 1].
#pragma once
#include <string>
#include <vector>

#include "quantal/ir/index.hpp"
#include "quantal/passes/plan_qdq.hpp"

namespace quantal::passes {

// One integer node that moves values: its first output and `inputs` may share a scale.
struct value_mover {
  std::size_t node = 0;             // position in graph.nodes
  bool merges = false;              // Concat: an input joins only if nobody else reads it
  std::vector<std::string> inputs;  // its activations
};

// Sets group, root, low and high of plan.tensors, and plan.groups. Every name of a mover is in plan.tensors.
void share_scales(const ir::graph& g, const ir::index& index, const std::vector<value_mover>& movers, qdq_plan& plan);

}  // namespace quantal::passes
