#include "quantal/data/any_cache.hpp"

#include "quantal/data/ort_cache.hpp"
#include "quantal/data/trt_cache.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

bool begins_with(const io::random_file& file, std::string_view text) {
  std::string head(text.size(), 0);
  return file.size() >= head.size() && file.read(0, head.data(), head.size()) && head == text;
}

}  // namespace

const char* name_of(cache_format f) noexcept {
  return f == cache_format::tensorrt ? "tensorrt" : f == cache_format::onnxruntime ? "onnxruntime" : "quantal";
}

bool looks_like_cache(const std::string& path) {
  const auto file = io::random_file::open(path);
  return file && (begins_with(*file, "TRT-") || begins_with(*file, "{"));
}

result<found_cache> read_any_cache(const std::string& path) {
  QUANTAL_TRY(file, io::random_file::open(path));
  if (begins_with(file, "TRT-")) {
    QUANTAL_TRY(trt, read_trt_cache(path));
    return found_cache{cache_of_ranges(ranges_of(trt), "tensorrt"), cache_format::tensorrt};
  }
  if (!begins_with(file, "{"))
    return error{status::model_syntax, "not a calibration cache", io::escape_text(path),
                 "give a cache of Quantal, TensorRT or ONNX Runtime"};
  auto own = read_cache(path);
  if (own) return found_cache{*std::move(own), cache_format::quantal};
  if (auto other = read_ort_cache(path)) return found_cache{*std::move(other), cache_format::onnxruntime};
  return std::move(own).failure();
}

result<void> write_ranges(const std::map<std::string, calib::range>& ranges, cache_format format,
                          const std::string& path) {
  if (format == cache_format::tensorrt) return write_trt_cache(trt_cache_of(ranges), path);
  if (format == cache_format::onnxruntime) return write_ort_cache(ranges, path);
  return error{status::unsupported, "Quantal's cache holds statistics, not ranges", io::escape_text(path), ""};
}

}  // namespace quantal::data
