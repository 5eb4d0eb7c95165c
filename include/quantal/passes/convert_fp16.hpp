// convert_fp16: f32 values become f16, the model's inputs and outputs stay f32.
//
//   x(f32) -Cast-> f16 ... f16 -> [operator kept in f32: Cast in, Cast out] -> f16 ... -Cast-> y(f32)
//
// f16 holds 6e-5 .. 65504 with 11 bits. Kept in f32: operators that square, exponentiate, take logarithms or sum long
// rows (Pow, Exp, Log, x * x, ReduceSum..., Softmax, the normalizations, decomposed LayerNorm and softmax), operators
// with a constant that f16 cannot hold (an epsilon of 1e-10 would become 0, a mask of -1e9 infinite), inputs that the
// ONNX schema wants in f32 (Resize scales), nodes with subgraphs and operators of other domains. Weights inside
// subgraphs are stored as f16 and cast back where they are read. Types come from inference; a node whose types are not
// known in full is left alone. The trap: each reader of a value must see one type; casts are made per value and type,
// never per guess.
#pragma once
#include "quantal/passes/plan_qdq.hpp"

namespace quantal::passes {

result<std::vector<node_plan>> convert_fp16(ir::model& m, const ops::type_map& types, const qdq_options& options);

}  // namespace quantal::passes
