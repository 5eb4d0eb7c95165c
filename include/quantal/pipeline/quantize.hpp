// quantize: the main job. ONNX in, quantized ONNX out, and a report of what was done, what was not and why, and what
// it cost. This folder is the only home of defaults: the CLI, C and Python all fill a quantize_config and call this.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/data/calibration_cache.hpp"
#include "quantal/data/source.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/report/quantize_report.hpp"

namespace quantal::pipeline {

enum class quant_type { fp16, bf16, fp8, dynamic_int8, static_int8, per_channel_int8, int16x8, int4, mixed };

// Field names are the words of the CLI, the JSON, YAML and Python keys. Words are taken in any case.
struct quantize_config {
  quant_type type = quant_type::static_int8;
  std::string preset;  // "": Quantal's own recipe
  std::string activation_observer = "minmax";
  std::string weight_observer = "minmax";
  std::string activation_type = "u8";
  std::string weight_type = "s8";
  bool symmetric = false;
  bool reduce_range = false;
  std::string format = "qdq";
  std::vector<std::string> include;  // globs over node names and op types
  std::vector<std::string> exclude;
  std::int64_t batch_size = 16;
  std::int64_t num_calib_batches = 100;
  std::int32_t workers = 4;
  std::int64_t min_samples = 100;
  std::size_t threads = 0;
  bool strict = false;
  std::string calibration_cache;  // read if it fits this model, else written
  // Options of observers (calib::method_options has their meaning).
  double percentile = 99.999;
  double stddev = 2.0;
  double scale = 0.85;
  std::int32_t bins = 0;
  std::string target = "onnxruntime";   // or "any": also forms that ONNX Runtime runs in float
  data::source* evaluation = nullptr;   // held-out samples: are the calibration data like them? Not owned
  std::int64_t evaluation_samples = 8;  // at most this many of the samples measure the outputs' SQNR; 0: none
};

using report::coverage_row;
using report::node_error;
using report::output_quality;
using report::quantize_report;
using report::tensor_range;

// stage: "import", "calibrate", "quantize", "evaluate", "export"; done and total in samples (total -1: unknown).
// Returning false cancels the job (status::cancelled) without a file being written.
using progress_fn = std::function<bool(const char* stage, std::int64_t done, std::int64_t total)>;

// File to file. `output` is the file to write; it must not be the model, its external data or the calibration cache
// (usage). `samples` may be null for types that need no data. The report's sizes count external data.
result<quantize_report> quantize_file(const std::string& model_path, const std::string& output,
                                      const quantize_config& config, data::source* samples,
                                      const progress_fn& progress = {});
// In memory: returns the quantized model and the report (its sizes are 0: nothing was serialized).
struct quantized {
  ir::model model;
  quantize_report report;
};
result<quantized> quantize_model(const ir::model& m, const quantize_config& config, data::source* samples,
                                 const progress_fn& progress = {});

// Only the statistics, of the tensors that static quantization with this configuration would observe.
struct calibrated {
  data::calibration_cache cache;
  std::vector<std::string> warnings;  // of the calibration linter
};
result<calibrated> calibrate_model(const ir::model& m, const quantize_config& config, data::source& samples,
                                   const progress_fn& progress = {});
// The ranges that the method clips from a cache's statistics, by tensor, for other tools: `symmetric` as TensorRT
// wants. Errors: usage (unknown observer), calibration (statistics that do not serve it), with the tensor.
result<std::map<std::string, calib::range>> clipped_ranges(const data::calibration_cache& cache,
                                                           const quantize_config& config, bool symmetric);
// What static quantization would do with each operator, without data.
result<std::vector<coverage_row>> planned_coverage(const ir::model& m, const quantize_config& config);

const char* name_of(quant_type t) noexcept;
std::optional<quant_type> quant_type_from(std::string_view name) noexcept;

}  // namespace quantal::pipeline
