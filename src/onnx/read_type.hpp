// read_type: ValueInfoProto and OperatorSetIdProto, and below them TypeProto and TensorShapeProto. Types other than
// tensors are kept as they are written.
#pragma once
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "wire.hpp"

namespace quantal::onnx {

// model_syntax: bytes that are a message, but none that ONNX allows.
error syntax(std::string what);

result<ir::value_info> read_value_info(cursor c);
// Both a name and its version; the same domain may be imported twice: the higher version counts (onnx.proto).
result<void> read_opset(cursor c, std::vector<ir::opset>& out);

}  // namespace quantal::onnx
