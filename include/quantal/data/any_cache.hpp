// any_cache: a calibration cache whoever wrote it: Quantal, TensorRT or ONNX Runtime. The first bytes tell: "TRT-"
// begins a TensorRT cache; of JSON, what is not Quantal's is read as ONNX Runtime's. The other tools' caches hold
// ranges only, no statistics and no model hash: they are used as they are (method minmax) and trusted to belong to the
// model.
#pragma once
#include <map>
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/data/calibration_cache.hpp"

namespace quantal::data {

enum class cache_format { quantal, onnxruntime, tensorrt };
const char* name_of(cache_format f) noexcept;

struct found_cache {
  calibration_cache cache;
  cache_format format = cache_format::quantal;
};
// Errors: not_found, io, and those of the formats; model_syntax for anything else.
result<found_cache> read_any_cache(const std::string& path);
// Could this file be a cache? (By its first bytes; a model never begins so.)
bool looks_like_cache(const std::string& path);

// Ranges for another tool; Quantal's own format holds more: use write_cache. Errors: unsupported (quantal), io.
result<void> write_ranges(const std::map<std::string, calib::range>& ranges, cache_format format,
                          const std::string& path);

}  // namespace quantal::data
