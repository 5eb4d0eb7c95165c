// trt_cache: TensorRT's calibration cache.
//
//   TRT-8601-EntropyCalibration2
//   input: 3c010a14                      the bits of float32 0.0078759379 = amax / 127, amax = 1.0002441
//
// One line of version and calibrator, then a tensor per line: name, ": ", eight hexadecimal digits, most significant
// first. Names may hold colons and blanks: the last ": " separates. Source: TensorRT developer guide (IInt8Calibrator
// caches), files. Only symmetric ranges fit: what is written is amax = max(|min|, |max|).
#pragma once
#include <cstddef>
#include <map>
#include <span>
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/calib/clip/clip.hpp"

namespace quantal::data {

struct trt_cache {
  std::string version = "8601";                    // digits
  std::string calibrator = "EntropyCalibration2";  // or MinMaxCalibration, LegacyCalibration...
  std::map<std::string, float> scales;             // amax / 127 by tensor

  bool operator==(const trt_cache&) const = default;
};

// Errors: model_syntax (with the line), limit.
result<trt_cache> parse_trt_cache(std::span<const std::byte> bytes, const std::string& name);
// Errors: argument (a name with a line break, a scale that is not finite).
result<std::string> trt_cache_text(const trt_cache& cache);

result<trt_cache> read_trt_cache(const std::string& path);
result<void> write_trt_cache(const trt_cache& cache, const std::string& path);

std::map<std::string, calib::range> ranges_of(const trt_cache& cache);
trt_cache trt_cache_of(const std::map<std::string, calib::range>& ranges);

}  // namespace quantal::data
