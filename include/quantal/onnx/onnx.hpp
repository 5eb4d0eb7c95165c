// ONNX files to and from the IR. One bounded reader over protozero; deterministic writing.
//
// Reading keeps everything: subgraphs, functions, metadata, doc strings, fields Quantal does not interpret. Tensors
// come in whichever way they are stored (raw_data, typed fields, external data, Constant nodes) and leave as raw_data;
// `read(write(read(x))) == read(x)`.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::onnx {

inline constexpr std::int64_t newest_ir_version = 14;  // onnx.proto of onnx 1.23

inline constexpr std::uint64_t largest_file = 0x7fffffff;  // a protobuf message is smaller than 2 GB

// What is returned is verified (ir/verify.hpp) and sorted.
// From a file: external data is looked for beside it, and nowhere else (io/path.hpp).
// `data_files`: receives the paths of the files with external data that were read.
result<ir::model> read_file(const std::string& path, std::vector<std::string>* data_files = nullptr);
// From memory; `directory` is where external data may be ("" forbids it).
result<ir::model> read(std::span<const std::byte> bytes, const std::string& directory = {});

// Serialized model: fields in schema order, tensors as raw_data. Above 2 GB use write_file (external data).
result<std::string> write(const ir::model& m);
// Atomic: the file appears complete or not at all. Above 2 GB the tensors go to `<file>.data` beside it.
// `inline_limit`: file size in bytes from which the tensors go there (tensors of 1 KB and more). Returns the bytes
// written, in both files.
result<std::uint64_t> write_file(const ir::model& m, const std::string& path,
                                 std::uint64_t inline_limit = largest_file);

// SHA-256 (64 hexadecimal digits) of the serialized model: the same for models that differ only in how their file
// stores tensors. Ties calibration statistics to the float model they were made with.
std::string model_hash(const ir::model& m);

// Rewrites the ai.onnx operators of the model, its subgraphs and functions from their opset (6 or later) to `target`
// (13 or later), operator by operator. A model that is at `target` or above keeps its operators. Initializers that an
// IR version up to 3 lists as inputs become plain ones, and the IR version is raised to the opset's. Errors:
// unsupported, naming the operator and both versions; the model is then unchanged.
result<void> convert_opset(ir::model& m, std::int64_t target);
inline constexpr std::int64_t oldest_opset = 6;
inline constexpr std::int64_t oldest_target = 13;
inline constexpr std::int64_t newest_opset = 25;

}  // namespace quantal::onnx
