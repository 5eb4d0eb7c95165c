// quantize: the main job. ONNX in, quantized ONNX out, and a report of what was done, what was not and why, and what
// it cost. This folder is the only home of defaults: the CLI, C and Python all fill a quantize_config and call this.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/data/source.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::pipeline {

enum class quant_type { fp16, bf16, fp8, dynamic_int8, static_int8, per_channel_int8, int16x8, int4, mixed };

// Field names are the words of the CLI, the JSON, YAML and Python keys.
struct quantize_config {
  quant_type type = quant_type::static_int8;
  std::string preset;                       // "": Quantal's own recipe
  std::string activation_observer = "minmax";
  std::string weight_observer = "minmax";
  std::string activation_type = "u8";
  std::string weight_type = "s8";
  bool symmetric = false;
  bool reduce_range = false;
  std::string format = "qdq";
  std::vector<std::string> include;         // globs over node names and op types
  std::vector<std::string> exclude;
  std::int64_t batch_size = 16;
  std::int64_t num_calib_batches = 100;
  std::int32_t workers = 4;
  std::int64_t min_samples = 100;
  std::size_t threads = 0;
  bool strict = false;
  std::string calibration_cache;            // read if it fits this model, else written
};

struct coverage_row {
  std::string node, op;
  std::string status;   // "quantized" | "float"
  std::string reason;   // why it stayed in float; "" if quantized
  std::int64_t macs = 0;  // multiply-adds for the calibration samples' shapes; 0 if not a matrix operator or unknown
};

struct output_quality {
  std::string name;
  double sqnr_db = 0, cosine = 0, max_abs_error = 0;
};

struct tensor_range { std::string tensor; double min = 0, max = 0; float scale = 0; std::int32_t zero_point = 0; };
struct node_error { std::string node, op; double sqnr_db = 0; };

// JSON keys of interface.md are these fields.
struct quantize_report {
  std::string original_model, quantized_model, quantization_type;
  std::int64_t original_bytes = 0, quantized_bytes = 0;
  double compression_ratio = 0;
  std::vector<coverage_row> coverage;
  double integer_macs = 0;                 // share, 0..1
  std::vector<output_quality> outputs;     // on the calibration data; empty without data
  std::int64_t samples = 0;
  std::vector<std::string> warnings;
  double seconds = 0;
  std::int64_t peak_rss_bytes = 0;
  std::vector<tensor_range> ranges;        // of quantized activations
  std::vector<node_error> errors;          // accumulated error per node, in execution order
};

// stage: "import", "calibrate", "quantize", "evaluate", "export"; done and total in samples (total -1: unknown).
// Returning false cancels the job (status::cancelled) without a file being written.
using progress_fn = std::function<bool(const char* stage, std::int64_t done, std::int64_t total)>;

// File to file. `output` is the file to write. `samples` may be null for types that need no data.
result<quantize_report> quantize_file(const std::string& model_path, const std::string& output, const quantize_config& config,
                                      data::source* samples, const progress_fn& progress = {});
// In memory: returns the quantized model and the report (sizes from the serialized forms).
struct quantized { ir::model model; quantize_report report; };
result<quantized> quantize_model(const ir::model& m, const quantize_config& config, data::source* samples,
                                 const progress_fn& progress = {});

const char* name_of(quant_type t) noexcept;
std::optional<quant_type> quant_type_from(std::string_view name) noexcept;

}  // namespace quantal::pipeline
