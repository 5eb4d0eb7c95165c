// ONNX files to and from the IR. One bounded reader over protozero; deterministic writing.
//
// Reading keeps everything: subgraphs, functions, metadata, doc strings, fields Quantal does not interpret. Tensors
// come in whichever way they are stored (raw_data, typed fields, external data, Constant nodes) and leave as raw_data;
// `read(write(read(x))) == read(x)`.
#pragma once
#include <span>
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::onnx {

// From a file: external data is looked for beside it, and nowhere else (io/path.hpp).
result<ir::model> read_file(const std::string& path);
// From memory; `directory` is where external data may be ("" forbids it).
result<ir::model> read(std::span<const std::byte> bytes, const std::string& directory = {});

// Serialized model: fields in schema order, tensors as raw_data. Above 2 GB use write_file (external data).
result<std::string> write(const ir::model& m);
// Atomic: the file appears complete or not at all. Above 2 GB the tensors go to `<file>.data` beside it.
result<void> write_file(const ir::model& m, const std::string& path);

// Rewrites the ai.onnx operators of the model from their opset to `target` (6..current -> 13 or later), operator by operator.
// A model that is at `target` or above is left as it is. Errors: unsupported, naming the operator and both versions.
result<void> convert_opset(ir::model& m, std::int64_t target);
inline constexpr std::int64_t oldest_opset = 6;
inline constexpr std::int64_t newest_opset = 25;

}  // namespace quantal::onnx
