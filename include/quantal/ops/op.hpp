// What Quantal knows about an operator: one op_def per operator and version range, one file per operator (or
// family), all its facts together: shape rule, meaning, and how the quantizer treats it. The importer, the executor
// and the passes know no operator by name where a fact here can tell them.
//
//   op_def { "Conv", since 1, infer_conv, eval_conv, quant_rule{...} }
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "quantal/base/parallel.hpp"
#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::ops {

// ---- shape rule -------------------------------------------------------------------------------------------------

// What inference knows when it asks for an operator's output types. Unknown is always allowed; a contradiction
// (wrong rank, mismatched dimensions, an attribute out of range) is an error: status::model_type.
class infer_context {
 public:
  infer_context(const ir::node& n, std::int64_t version) : node(n), opset(version) {}
  virtual ~infer_context() = default;

  const ir::node& node;
  const std::int64_t opset;  // version of the node's domain

  virtual const ir::value_type& input(std::size_t i) const = 0;             // unknown type if absent
  virtual const tensor_buffer* constant(std::size_t i) const = 0;           // its value, if known in full
  // Value of a 1-D or scalar integer input, element by element as far as known (symbols kept): for Shape/Gather/Concat
  // chains that feed Reshape, Expand, Slice... nullptr if nothing is known.
  virtual const std::vector<ir::dim>* shape_value(std::size_t i) const = 0;
  virtual void set_output(std::size_t i, ir::value_type type) = 0;
  virtual void set_shape_value(std::size_t i, std::vector<ir::dim> value) = 0;
  // Infers a subgraph with these input types; returns the types of its outputs.
  virtual result<std::vector<ir::value_type>> infer_subgraph(const ir::graph& g, std::span<const ir::value_type> inputs) = 0;
};

// ---- meaning ----------------------------------------------------------------------------------------------------

// One call of an operator. Inputs are dense; an absent optional input is an empty tensor_buffer.
class eval_context {
 public:
  eval_context(const ir::node& n, std::int64_t version) : node(n), opset(version) {}
  virtual ~eval_context() = default;

  const ir::node& node;
  const std::int64_t opset;

  virtual std::size_t input_count() const = 0;
  virtual const tensor_buffer& input(std::size_t i) const = 0;
  bool has_input(std::size_t i) const { return i < input_count() && static_cast<bool>(input(i)); }
  // Allocates output i (uninitialised). The pointer stays valid during the call. Errors as tensor_buffer::make.
  virtual result<tensor_buffer*> output(std::size_t i, dtype type, const shape& dims) = 0;
  // Passes a tensor on as output i without a copy (Reshape, Identity, a branch of If).
  virtual result<void> forward(std::size_t i, tensor_buffer value) = 0;
  // Scratch that lives until the call ends, 64-byte aligned, uninitialised.
  virtual result<void*> scratch(std::size_t bytes) = 0;
  virtual const parallel_for& parallel() const = 0;
  // Runs a subgraph of the node; outer names are visible to it.
  virtual result<std::vector<tensor_buffer>> run_subgraph(const ir::graph& g, std::span<const tensor_buffer> inputs) = 0;
  // Per-node memory between calls (packed weights); created on first use by `make`, dropped with the session.
  // Sessions may run concurrently: what is stored must be immutable once made.
  virtual std::shared_ptr<const void> cached(const std::function<std::shared_ptr<const void>()>& make) = 0;
  // True when input i is the same constant in every call: what the cache may depend on.
  virtual bool is_constant(std::size_t i) const = 0;

  // An error that names this node: status::data_shape for inputs that do not fit, status::model_type for attributes.
  error fail(status code, std::string what, std::string advice = {}) const;
};

// ---- quantization rule ------------------------------------------------------------------------------------------

// How static quantization treats an operator. See passes/place_qdq.hpp for the recipe that reads this.
enum class quant_kind : std::uint8_t {
  none,          // stays in float
  weighted,      // multiplies by a weight: Conv, ConvTranspose, Gemm, MatMul, LSTM/GRU: inputs become integers
  arithmetic,    // Add, Mul...: integer if its inputs and its output are quantized
  pooling,       // averages: integers in, integers out, own output range
  activation,    // unary function: fused into its producer's range (Relu, Clip) or a table (Sigmoid, HardSwish...)
  passthrough,   // moves data: output has the parameters of its input (Reshape, Transpose, MaxPool, Slice...)
  merge,         // Concat: inputs and output share or are requantized
  table,         // Gather: data is a weight
};

struct quant_rule {
  quant_kind kind = quant_kind::none;
  std::int8_t data_input = 0;     // the activation input
  std::int8_t weight_input = -1;  // weighted and table: which input is the weight
  std::int8_t bias_input = -1;    // becomes s32 with scale s_x * s_w
  // Axis of the weight's output channels for per-channel scales (depends on attributes, e.g. Gemm transB); -1: none.
  std::int32_t (*channel_axis)(const ir::node&, std::int32_t weight_rank) = nullptr;
};

using infer_fn = result<void> (*)(infer_context&);
using eval_fn = result<void> (*)(eval_context&);

struct op_def {
  std::string_view type;
  std::int64_t since = 1;       // first version of the domain's opset this entry claims
  infer_fn infer = nullptr;
  eval_fn eval = nullptr;
  quant_rule quant = {};
  std::string_view domain = "";
  std::int64_t until = INT64_MAX;  // last version
};

// The entry for a node's operator at that opset version; nullptr: unknown to Quantal.
const op_def* find(std::string_view domain, std::string_view type, std::int64_t opset) noexcept;
// All entries, sorted by domain, type, since: for docs and tests.
std::vector<const op_def*> all();

}  // namespace quantal::ops
