// ort_cache: ONNX Runtime's calibration JSON, in its three forms.
//
//   save_tensors_data (1.24+)   {"CLS": "TensorsData", "data": {name: TensorData}, "calibration_method": {...},
//                                "smooth_quant": false}
//   write_calibration_table     {name: TensorData}                               (calibration.json)
//   older tables                {name: [lowest, highest]}
//
//   TensorData                  {"lowest": v, "highest": v, "hist": v, "bins": v, "CLS": "TensorData"}
//   v                           a number, or {"data": ..., "dtype": "float32", "CLS": "numpy.array"}
//
// Ranges are read, histograms are not: lowest and highest are already clipped there and the true extremes are not in
// the file, so clipping its histogram again would answer another question. Written is the first form. Source:
// onnxruntime/python/tools/quantization/calibrate.py, quant_utils.py.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/data/calibration_cache.hpp"

namespace quantal::data {

// Tensors without lowest and highest (Distribution) are an error. Errors: model_syntax (byte or place), limit,
// unsupported.
result<calibration_cache> parse_ort_cache(std::span<const std::byte> bytes, const std::string& name);
result<std::string> ort_cache_text(const std::map<std::string, calib::range>& ranges);

result<calibration_cache> read_ort_cache(const std::string& path);
result<void> write_ort_cache(const std::map<std::string, calib::range>& ranges, const std::string& path);

}  // namespace quantal::data
