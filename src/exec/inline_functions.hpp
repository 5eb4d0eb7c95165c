// Replaces every call of a model-local function by the function's nodes, in the graph and in subgraphs.
//
// Formal names become the call's names, inner names get a prefix of their own, attribute references the call's
// values or the function's defaults. A function may import another opset version than the model: its nodes then
// carry it as metadata "quantal.opset", which the compiler of programs reads. Bounded in depth and in nodes.
#pragma once
#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::exec {

result<void> inline_functions(ir::model& m);

}  // namespace quantal::exec
