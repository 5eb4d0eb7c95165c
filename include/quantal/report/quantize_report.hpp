// quantize_report: what a quantization did, what it did not and why, and what it cost. Plain data: the renderers
// (summary, html, json) read it, the pipeline fills it. Field names are the JSON keys of the interface.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace quantal::report {

struct coverage_row {
  std::string node, op;
  std::string status;     // "quantized" | "float"
  std::string reason;     // why it stayed in float; "" if quantized
  std::int64_t macs = 0;  // multiply-adds for the calibration samples' shapes; 0 if not a matrix operator or unknown
};

struct output_quality {
  std::string name;
  double sqnr_db = 0, cosine = 0, max_abs_error = 0;
};

struct tensor_range {
  std::string tensor;
  double min = 0, max = 0;
  float scale = 0;
  std::int32_t zero_point = 0;
};

struct node_error {
  std::string node, op;
  double sqnr_db = 0;  // of this node's output in the quantized model against the float model: errors accumulate
};

struct quantize_report {
  std::string original_model, quantized_model, quantization_type;
  std::int64_t original_bytes = 0, quantized_bytes = 0;
  double compression_ratio = 0;
  std::vector<coverage_row> coverage;
  double integer_macs = 0;              // share, 0..1
  std::vector<output_quality> outputs;  // on the calibration data; empty without data
  std::int64_t samples = 0;    // seen by calibration
  std::int64_t evaluated = 0;  // samples behind `outputs` and `errors`
  std::vector<std::string> warnings;
  double seconds = 0;
  std::int64_t peak_rss_bytes = 0;
  std::vector<tensor_range> ranges;  // of quantized activations
  std::vector<node_error> errors;    // accumulated error per node, in execution order
};

}  // namespace quantal::report
