// plan_qdq: decides, before any data is seen, which tensors become integers and which nodes stay in float, and why.
//
//   1. every accepted weighted node (Conv, Gemm, MatMul...) wants its activation inputs as integers
//   2. a Conv's output is an integer too, after its fused Relu or Clip: integer kernels requantize
//        x ─Q─DQ─ Conv ─(Relu)─ y ─Q─DQ─ ...
//   3. operators between two integer tensors (Add, Mul, pooling, Concat, data movement, activations) become integer:
//      forward: all activation inputs can be integer; backward: someone wants the result as an integer
//   4. tensors that only move values (Reshape, MaxPool, Slice, Concat inputs read once) share one scale
//
// Nothing else gets a scale: a float residual stream, decomposed LayerNorm or softmax arithmetic, masks and the model's
// outputs keep their bits, and each Q the graph does not need is error it does not have. The ranges of tensors that
// only HardSwish or HardSigmoid read are cut where these saturate: exact, and twice the resolution. Which operators:
// ops::quant_rule; what ONNX Runtime can run in integers: its QDQ selectors (qdq_selectors.cc).
#pragma once
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/ops/infer.hpp"
#include "quantal/passes/quantize_weights.hpp"

namespace quantal::passes {

struct qdq_options {
  bool per_channel = false;
  dtype activation_type = dtype::u8;  // u8 or s8
  dtype weight_type = dtype::s8;      // s8, or u8 with zero point 128 (the same values)
  bool symmetric = false;             // activations around zero
  bool reduce_range = false;
  weight_range weights;              // how ranges of weights are found
  bool for_onnxruntime = true;       // only forms that ONNX Runtime's integer kernels can run
  std::vector<std::string> include;  // if not empty: only these (and what lies between them)
  std::vector<std::string> exclude;
};

enum class node_form : std::uint8_t {
  other,     // moves no float data: shapes, indices
  floating,  // stays in float: `reason`
  weighted,  // integers in, s32 inside
  table,     // Gather from an integer table
  stored,    // float arithmetic, weights stored as integers: `reason`
  integer,   // integers in and out, no weights
  fused,     // Relu or Clip that the range of its producer's output replaces
};

struct node_plan {
  node_form form = node_form::other;
  std::string reason;  // for floating and stored
};

struct tensor_plan {
  std::string name;
  std::size_t group = 0;          // tensors of a group share one scale
  bool root = true;               // its range must be observed (otherwise its values come from others of the group)
  bool integer_producer = false;  // every reader gets the integers
  double low = -INFINITY, high = INFINITY;  // values outside make no difference to any reader
};

struct qdq_plan {
  std::vector<node_plan> nodes;      // by position in graph.nodes
  std::vector<tensor_plan> tensors;  // those that become integers
  std::size_t groups = 0;
  // For a fused activation: node position -> position of the producer whose output it bounds.
  std::unordered_map<std::size_t, std::size_t> fused_into;
  std::vector<std::string> observed() const;  // names whose range is needed
};

// `m` is simplified and sorted, opset >= 13. Errors: internal.
result<qdq_plan> plan_qdq(const ir::model& m, const ops::type_map& types, const qdq_options& options);

// Output-channel axis of a weighted node's weight; -1 if there is none.
std::int32_t channel_axis_of(const ir::node& n, std::int32_t weight_rank);
// Axis of the scales of a weight that is stored as integers and computed in float (ConvTranspose, LSTM, GRU, RNN), -1: one
// for all; none: it stays as it is, too small to pay or no f32.
std::optional<std::int32_t> stored_axis_of(const ir::node& n, const tensor_buffer& weight);
// Is this Gather's constant a table of rows that pays?
bool is_table(const ir::node& gather, const tensor_buffer& table);

}  // namespace quantal::passes
