// calibration_cache: what calibration learned about a model's tensors, in a JSON file: statistics, not only ranges, so
// that any clip method can be applied later without data, and shards made on several machines merge into what one run
// would have given.
//
//   {"kind": "quantal.calibration", "schema": 1, "model_hash": "...", "observer": "entropy", "samples": 128,
//    "tensors": {"conv1_out": {"observer": "histogram", "count": ..., "min": ..., "max": ..., "sums": {...},
//    "histogram": {...}}}}
//
// Numbers are written with the shortest digits that read back exactly; exact sums as hexadecimal integers; tensors are
// sorted: equal caches are equal files. A cache is untrusted input: sizes, nesting, duplicate keys and every relation
// between figures are checked, and an error names file and place. docs/calibration.md describes the format.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/calib/clip/clip.hpp"
#include "quantal/calib/statistics.hpp"

namespace quantal::data {

struct calibration_cache {
  static constexpr std::int32_t current_schema = 1;

  std::int32_t schema = current_schema;
  std::string model_hash;    // of the model whose tensors these are; "": unknown (imported from another tool)
  std::string observer;      // the method (calib/method.hpp) it was made for; others may be applied
  std::int64_t samples = 0;  // samples seen
  std::map<std::string, calib::statistics> tensors;

  bool operator==(const calibration_cache&) const = default;
};

// The text of a cache. Errors: argument (a tensor name that is not UTF-8).
result<std::string> cache_text(const calibration_cache& cache);
// Errors: model_syntax (not JSON, or not a cache: byte and place), version (newer schema), limit, count.
result<calibration_cache> parse_cache(std::span<const std::byte> bytes, const std::string& name);

// Written whole or not at all. Errors: io, not_found, argument.
result<void> write_cache(const calibration_cache& cache, const std::string& path);
result<calibration_cache> read_cache(const std::string& path);

// What one run over the data of both would have given: exact, in any order. Errors: calibration (other model, observer,
// tensors), unsupported (statistics that depend on order); they name the tensor.
result<calibration_cache> merge(const calibration_cache& a, const calibration_cache& b);

// A cache that knows ranges only, of another tool: each tensor's statistics are those of its two extremes.
calibration_cache cache_of_ranges(const std::map<std::string, calib::range>& ranges, const std::string& observer);

}  // namespace quantal::data
