#include "quantal/data/ort_cache.hpp"

#include <cmath>

#include "json_read.hpp"
#include "quantal/io/atomic_file.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

// The payload of {"data": ..., "CLS": "numpy.array"}, or the value itself.
result<json_place> unwrapped(const json_place& place) {
  if (!place.value().is_object()) return place;
  return place.at("data");
}

// A float32 that may stand alone or in an array of one.
result<double> read_value(const json_place& place) {
  QUANTAL_TRY(inner, unwrapped(place));
  const json_place single = inner.value().is_array() && inner.value().size() == 1 ? inner.item(0) : inner;
  QUANTAL_TRY(v, single.number());
  const float f = static_cast<float>(v);
  if (!std::isfinite(f)) return single.wrong("expected a float32 number");
  return static_cast<double>(f + 0.0f);
}

result<calib::statistics> read_tensor(const json_place& place) {
  calib::statistics s;
  s.observer = "min_max";
  s.count = 2;
  if (place.value().is_array()) {
    QUANTAL_TRY(n, place.array(2));
    if (n != 2) return place.wrong("expected [lowest, highest]");
    QUANTAL_TRY(low, read_value(place.item(0)));
    QUANTAL_TRY(high, read_value(place.item(1)));
    s.min = low;
    s.max = high;
  } else {
    QUANTAL_CHECK(place.object());
    if (!place.has("lowest") || !place.has("highest"))
      return error{status::unsupported, "this tensor has no lowest and highest (Distribution calibration)",
                   place.where(), "calibrate with another method"};
    QUANTAL_TRY(lowest, place.at("lowest"));
    QUANTAL_TRY(low, read_value(lowest));
    QUANTAL_TRY(highest, place.at("highest"));
    QUANTAL_TRY(high, read_value(highest));
    s.min = low;
    s.max = high;
  }
  if (s.max < s.min) return place.wrong("highest is below lowest");
  return s;
}

}  // namespace

result<calibration_cache> parse_ort_cache(std::span<const std::byte> bytes, const std::string& name) {
  QUANTAL_TRY(dom, parse_json(bytes, name));
  const json_place root(dom, name);
  QUANTAL_CHECK(root.object());
  calibration_cache cache;
  cache.observer = "minmax";
  json_place tensors = root;
  if (root.has("CLS") && dom["CLS"].is_string()) {
    QUANTAL_TRY(data, root.at("data"));
    QUANTAL_CHECK(data.object());
    tensors = data;
  }
  for (const auto& [key, value] : tensors.value().items()) {
    QUANTAL_TRY(s, read_tensor(tensors.named(key, value)));
    cache.tensors.emplace(key, std::move(s));
  }
  return cache;
}

result<std::string> ort_cache_text(const std::map<std::string, calib::range>& ranges) {
  const auto array = [](double v) {
    std::string number = io::number(static_cast<float>(v));
    if (number.find_first_of(".e") == std::string::npos) number += ".0";
    return "{\"data\": " + number + ", \"dtype\": \"float32\", \"CLS\": \"numpy.array\"}";
  };
  std::string out = "{\"CLS\": \"TensorsData\", \"data\": {";
  bool first = true;
  for (const auto& [name, r] : ranges) {
    if (!io::is_utf8(name))
      return error{status::argument, "a tensor's name is not UTF-8 and cannot be a JSON key", io::quote(name),
                   "rename the tensor"};
    if (!std::isfinite(static_cast<float>(r.min)) || !std::isfinite(static_cast<float>(r.max)))
      return error{status::range, "the range is not finite in float32", io::quote(name), {}};
    out += (first ? "" : ", ") + io::json_string(name) + ": {\"lowest\": " + array(r.min) +
           ", \"highest\": " + array(r.max) + ", \"CLS\": \"TensorData\"}";
    first = false;
  }
  return out +
         "}, \"calibration_method\": {\"CLS\": \"CalibrationMethod\", \"value\": \"CalibrationMethod.MinMax\"}, "
         "\"smooth_quant\": false}\n";
}

result<calibration_cache> read_ort_cache(const std::string& path) {
  QUANTAL_TRY(bytes, io::read_file(path, max_json_bytes));
  return parse_ort_cache(bytes.span(), path);
}

result<void> write_ort_cache(const std::map<std::string, calib::range>& ranges, const std::string& path) {
  QUANTAL_TRY(text, ort_cache_text(ranges));
  return io::write_file(path, text);
}

}  // namespace quantal::data
