// place_qdq: writes a plan into the graph as QuantizeLinear and DequantizeLinear pairs around float operators, the form
// that every ONNX runtime can load and that ONNX Runtime, TensorRT and Quantal's own executor fuse into integer
// kernels.
//
//   before   x ── Conv(W, b) ── Relu ── y ── next
//   after    x ─Q─DQ─ Conv(DQ(W_quantized), DQ(b_quantized)) ── y ─Q─DQ─ next
//
// The Relu is gone: u8 codes with zero point 0 cannot be negative. A bound goes only if the codes of y lie inside it
// (to half a step). Bias: s32 with scale s_x * s_W and zero point 0 (absent), guarded against overflow
// (quantize_weights.hpp). Names: T_QuantizeLinear_Output, T_DequantizeLinear_Output, T_scale, T_zero_point, W_quantized
// (as ONNX Runtime's tools). A model output keeps its name and stays float.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "quantal/passes/correct_bias.hpp"
#include "quantal/passes/plan_qdq.hpp"
#include "quantal/quant/choose.hpp"

namespace quantal::passes {

struct value_range {
  double min = 0, max = 0;
};
using range_map = std::unordered_map<std::string, value_range>;

struct placed_tensor {
  std::string name;
  std::string counterpart;  // the value in the quantized graph that stands for it: the end of its pair
  value_range range;        // as quantized: cut, merged with its group, 0 included
  quant_params params;
};

struct placed {
  std::vector<placed_tensor> tensors;
  std::vector<std::string> warnings;
};

// `ranges` has every name of plan.observed(); biases are corrected (correct_bias.hpp) where `means` knows the input.
// Errors: calibration (a range is missing or not finite), nan_value.
result<placed> place_qdq(ir::model& m, const qdq_plan& plan, const range_map& ranges, const qdq_options& options,
                         const mean_map& means = {});

}  // namespace quantal::passes
