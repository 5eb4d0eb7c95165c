// One operator on given tensors, without a session: constant folding, shape-value chains and tests. Nodes with
// subgraphs are not for this (status::unsupported).
#pragma once
#include <span>
#include <vector>

#include "quantal/ops/op.hpp"

namespace quantal::ops {

// Outputs in the node's order; an absent output is an empty tensor. Errors: unsupported (unknown operator), what it
// reports.
result<std::vector<tensor_buffer>> evaluate(const ir::node& n, std::int64_t opset,
                                            std::span<const tensor_buffer> inputs);

}  // namespace quantal::ops
