// quantize_dynamic: weights as s8 ahead of time, activations as u8 while running. No data is needed.
//
//   MatMul(x, W) -> y     =>   x -DynamicQuantizeLinear-> q, s, z
//                              MatMulInteger(q, W_quantized, z) -Cast-> * (s * s_W) -> y
//   Gemm(x, W, b) -> y    =>   the same, + b          (transB is undone in the constant)
//   Conv(x, W, b) -> y    =>   ConvInteger..., only if --include names it: measured 3 to 9 times slower than float
//   Gather(table, ids)    =>   Gather(table_quantized, ids) -DequantizeLinear->
//   LSTM, GRU             =>   weights stored as s8 and dequantized when the model is loaded
//
// The order of nodes is the one that ONNX Runtime fuses into DynamicQuantizeMatMul / MatMulIntegerToFloat. One
// DynamicQuantizeLinear serves all readers of a value.
#pragma once
#include "quantal/passes/plan_qdq.hpp"

namespace quantal::passes {

struct dynamic_result {
  std::vector<node_plan> nodes;  // what became of each node of the graph as it was, in its order
  std::vector<std::string> warnings;
};
result<dynamic_result> quantize_dynamic(ir::model& m, const ops::type_map& types, const qdq_options& options);

}  // namespace quantal::passes
