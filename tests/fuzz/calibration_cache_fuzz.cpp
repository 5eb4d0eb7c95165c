// Any bytes as a calibration cache, a TensorRT cache and an ONNX Runtime table: an error, or statistics that every
// method clips to a finite range, that merge with themselves, and that are written and read back equal.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "quantal/calib/method.hpp"
#include "quantal/data/calibration_cache.hpp"
#include "quantal/data/ort_cache.hpp"
#include "quantal/data/trt_cache.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void use(const quantal::calib::statistics& s) {
  for (const auto* m : quantal::calib::methods())
    if (const auto r = m->clip(s)) require(std::isfinite(r->min) && std::isfinite(r->max) && r->min <= r->max);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quantal;
  using namespace quantal::data;
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const auto of_text = [](const std::string& t) {
    return std::span(reinterpret_cast<const std::byte*>(t.data()), t.size());
  };
  if (const auto cache = parse_cache(bytes, "fuzz")) {
    for (const auto& [name, s] : cache->tensors) use(s);
    const auto text = cache_text(*cache);
    require(static_cast<bool>(text));
    const auto again = parse_cache(of_text(*text), "fuzz");
    require(again && *again == *cache);
    (void)merge(*cache, *cache);
  }
  if (const auto cache = parse_trt_cache(bytes, "fuzz")) {
    const auto text = trt_cache_text(*cache);
    require(static_cast<bool>(text));
    const auto again = parse_trt_cache(of_text(*text), "fuzz");
    require(again && *again == *cache);
  }
  if (const auto cache = parse_ort_cache(bytes, "fuzz"))
    for (const auto& [name, s] : cache->tensors) use(s);
  return 0;
}
