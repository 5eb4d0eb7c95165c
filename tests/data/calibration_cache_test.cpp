#include "quantal/data/calibration_cache.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "quantal/calib/method.hpp"
#include "quantal/data/ort_cache.hpp"
#include "quantal/data/trt_cache.hpp"
#include "quantal/io/atomic_file.hpp"

using namespace quantal;
using namespace quantal::data;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A new directory that vanishes with the object.
struct scratch {
  std::filesystem::path path;
  scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "quantal_cache_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~scratch() { std::filesystem::remove_all(path); }
  std::string file(const char* name) const { return (path / name).string(); }
};

std::vector<float> wave(std::size_t n, float scale, std::size_t from = 0) {
  std::vector<float> x;
  for (std::size_t i = 0; i < n; ++i)
    x.push_back(scale * std::sin(0.7f * static_cast<float>(from + i)) * static_cast<float>(1 + (from + i) % 7));
  return x;
}

calibration_cache shard(const char* method, std::size_t from, std::size_t n) {
  calibration_cache cache;
  cache.model_hash = "0123abcd";
  cache.observer = method;
  cache.samples = static_cast<std::int64_t>(n);
  for (const float scale : {1.0f, 1e-6f, 3e30f}) {
    auto seen = calib::find_method(method)->make_observer();
    const auto x = wave(n, scale, from);
    REQUIRE(seen->observe(x.data(), x.size()));
    cache.tensors["t/" + std::to_string(scale) + ":0"] = seen->stats();
  }
  auto channels = calib::find_method(method)->make_observer();
  const auto x = wave(6 * n, 2.0f, from);
  REQUIRE(channels->observe(x.data(), n, 3, 2));
  cache.tensors["per \"channel\" \xc3\xa9"] = channels->stats();
  cache.tensors["never reached"] = calib::find_method(method)->make_observer()->stats();
  return cache;
}

result<calibration_cache> parse(const std::string& text) {
  return parse_cache(bytes_of(text), "c.json");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("cache: what is written reads back equal, and equal caches are equal files") {
  const scratch dir;
  for (const char* method : {"minmax", "entropy", "stddev", "moving_average"}) {
    CAPTURE(method);
    const calibration_cache cache = shard(method, 0, 500);
    REQUIRE(write_cache(cache, dir.file("c.json")));
    const auto back = read_cache(dir.file("c.json"));
    if (!back) FAIL(back.failure().message());
    REQUIRE(*back == cache);
    REQUIRE(*cache_text(*back) == *cache_text(cache));
  }
  calib::method_options tool;
  tool.histogram_grid = calib::grid::onnxruntime;
  auto seen = calib::find_method("percentile")->make_observer(tool);
  const auto x = wave(300, 1.0f);
  REQUIRE(seen->observe(x.data(), x.size()));
  calibration_cache cache;
  cache.tensors["x"] = seen->stats();
  REQUIRE(*parse(*cache_text(cache)) == cache);
}

TEST_CASE("cache: shards merged are one run, whatever the order") {
  for (const char* method : {"minmax", "entropy", "stddev"}) {
    const auto whole = shard(method, 0, 700), a = shard(method, 0, 300), b = shard(method, 300, 400);
    // the per-channel tensor of the second shard does not continue the first one's wave: compare the others
    auto ab = merge(a, b), ba = merge(b, a);
    REQUIRE(ab);
    REQUIRE(ba);
    REQUIRE(*ab == *ba);
    REQUIRE(ab->samples == 700);
    for (const auto& [name, s] : whole.tensors)
      if (s.channels.empty()) REQUIRE(ab->tensors.at(name) == s);
    // through files too
    REQUIRE(*merge(*parse(*cache_text(a)), *parse(*cache_text(b))) == *ab);
  }
}

TEST_CASE("cache: what does not belong together does not merge") {
  const auto a = shard("minmax", 0, 10);
  auto b = a;
  b.model_hash = "other";
  REQUIRE(merge(a, b).failure().code == status::calibration);
  b = a;
  b.observer = "max";
  REQUIRE(merge(a, b).failure().code == status::calibration);
  b = a;
  b.tensors.erase("never reached");
  REQUIRE(merge(a, b).failure().where.find("never reached") != std::string::npos);
  REQUIRE(merge(b, a).failure().where.find("never reached") != std::string::npos);
  REQUIRE(merge(shard("moving_average", 0, 5), shard("moving_average", 5, 5)).failure().code == status::unsupported);
}

TEST_CASE("cache: bad input names the place") {
  const std::string good = *cache_text(shard("entropy", 0, 50));
  REQUIRE(parse(good));
  struct bad_case {
    const char *from, *to;
    status code;
    const char* where;
  };
  const bad_case cases[] = {
      {"quantal.calibration", "something", status::model_syntax, "c.json"},
      {"\"schema\": 1", "\"schema\": 2", status::version, "c.json"},
      {"\"schema\": 1", "\"schema\": \"1\"", status::model_syntax, "schema"},
      {"\"samples\": 50", "\"samples\": -1", status::model_syntax, "samples"},
      {"\"samples\": 50", "\"samples\": 1e999", status::model_syntax, "c.json"},
      {"\"nans\": 0", "\"nans\": 1.5", status::model_syntax, "nans"},
      {"\"count\": 300", "\"count\": 301", status::model_syntax, "tensors"},
      {"\"exponent\": -", "\"exponent\": -1", status::model_syntax, "histogram"},
      {"\"first\": -", "\"first\": -9", status::model_syntax, "first"},
      {"\"bins\": 2048", "\"bins\": 2047", status::model_syntax, "histogram"},
      {"\"bins\": 2048", "\"bins\": 4294967296", status::model_syntax, "bins"},
      {"\"grid\": \"aligned\"", "\"grid\": \"other\"", status::model_syntax, "grid"},
      {"\"x2\": \"", "\"x2\": \"-", status::model_syntax, "x2"},
      {"\"x\": \"", "\"x\": \"g", status::model_syntax, ".x"},
      {"\"tensors\": {", "\"tensors\": [], \"other\": {", status::model_syntax, "tensors"},
      {"\"model_hash\"", "\"samples\": 3, \"model_hash\"", status::model_syntax, "c.json"},
      {"\"model_hash\"", "\"hash\"", status::model_syntax, "c.json"},
      {"\"min\": ", "\"min\": 1e300, \"was\": ", status::model_syntax, "min"},
  };
  for (const bad_case& c : cases) {
    CAPTURE(c.from, c.to);
    const auto r = parse(replaced(good, c.from, c.to));
    REQUIRE_FALSE(r);
    REQUIRE(r.failure().code == c.code);
    REQUIRE(r.failure().where.find(c.where) != std::string::npos);
    REQUIRE(r.failure().where.find("c.json") == 0);
  }
  REQUIRE(parse(std::string(100000, '[')).failure().code == status::limit);
  REQUIRE(parse("").failure().code == status::model_syntax);
  REQUIRE(parse("{}").failure().code == status::model_syntax);
  REQUIRE(parse("{\"kind\": \"\xff\"}").failure().code == status::model_syntax);
  REQUIRE(read_cache("/nonexistent/cache.json").failure().code == status::not_found);
  calibration_cache unnamed;
  unnamed.tensors["\xff"];
  REQUIRE(cache_text(unnamed).failure().code == status::argument);
}

TEST_CASE("F1_truncation: a cache cut at every byte is an error") {
  calibration_cache cache;
  auto seen = calib::find_method("entropy")->make_observer();
  const float x[3] = {-1, 0.5f, 2};
  REQUIRE(seen->observe(x, 3));
  cache.tensors["x"] = seen->stats();
  std::string text = *cache_text(cache);
  text.resize(text.find_last_of('}') + 1);
  const std::size_t step = text.size() / 700 + 1;  // mostly zeros of the histogram: every few bytes there
  std::size_t cuts = 0;
  for (std::size_t n = 0; n < text.size(); n += n < 500 || n + 500 > text.size() ? 1 : step, ++cuts)
    REQUIRE_FALSE(parse(text.substr(0, n)));
  WARN(cuts << " truncations");
}

TEST_CASE("c13: TensorRT calibration cache") {
  const std::string text = "TRT-8601-EntropyCalibration2\ninput: 3c010a14\nconv: 0: 3C88EDFC\r\n\n";
  const auto cache = parse_trt_cache(bytes_of(text), "c.cache");
  REQUIRE(cache);
  REQUIRE(cache->version == "8601");
  REQUIRE(cache->calibrator == "EntropyCalibration2");
  REQUIRE(cache->scales.at("input") == 0.0078759379f);
  REQUIRE(cache->scales.at("conv: 0") == 0.016715042f);
  const auto ranges = ranges_of(*cache);
  REQUIRE(ranges.at("input").max == Approx(1.0002441).epsilon(1e-7));
  REQUIRE(ranges.at("conv: 0").max == Approx(2.1228104).epsilon(1e-7));
  REQUIRE(ranges.at("input").min == -ranges.at("input").max);
  REQUIRE(*trt_cache_text(*cache) == "TRT-8601-EntropyCalibration2\nconv: 0: 3c88edfc\ninput: 3c010a14\n");
  REQUIRE(trt_cache_of(ranges).scales == cache->scales);
  const scratch dir;
  REQUIRE(write_trt_cache(*cache, dir.file("t.cache")));
  REQUIRE(*read_trt_cache(dir.file("t.cache")) == *cache);
  // into our cache and to a range
  const auto imported = cache_of_ranges(ranges, "minmax");
  REQUIRE(calib::find_method("minmax")->clip(imported.tensors.at("input"))->max == Approx(1.0002441).epsilon(1e-7));
}

TEST_CASE("c13: bad TensorRT caches name the line") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "line 1"},
      {"8601-Entropy\n", "line 1"},
      {"TRT-86a1-Entropy\n", "line 1"},
      {"TRT-8601-\n", "line 1"},
      {"TRT-8601\n", "line 1"},
      {"TRT-8601-E\nx 3c010a14\n", "line 2"},
      {"TRT-8601-E\n: 3c010a14\n", "line 2"},
      {"TRT-8601-E\nx: 3c010a1\n", "line 2"},
      {"TRT-8601-E\nx: 3c010a14f\n", "line 2"},
      {"TRT-8601-E\nx: 3c010a1g\n", "line 2"},
      {"TRT-8601-E\n\nx: 7fc00000\n", "line 3"},  // NaN
      {"TRT-8601-E\nx: 7f800000\n", "line 2"},    // infinity
      {"TRT-8601-E\nx: bc010a14\n", "line 2"},    // negative
      {"TRT-8601-E\nx: 3c010a14\nx: 3c010a14\n", "line 3"},
  };
  for (const auto& [text, where] : cases) {
    CAPTURE(text);
    const auto r = parse_trt_cache(bytes_of(text), "c.cache");
    REQUIRE_FALSE(r);
    REQUIRE(r.failure().code == status::model_syntax);
    REQUIRE(r.failure().where == std::string("c.cache: ") + where);
  }
  trt_cache bad;
  bad.scales["a\nb"] = 1;
  REQUIRE(trt_cache_text(bad).failure().code == status::argument);
  bad.scales = {{"a", -1.0f}};
  REQUIRE(trt_cache_text(bad).failure().code == status::scale);
}

TEST_CASE("onnxruntime calibration JSON: all its forms") {
  const char* forms[] = {
      R"({"CLS": "TensorsData", "data": {"x": {"lowest": {"data": -1.5, "dtype": "float32", "CLS": "numpy.array"},
          "highest": {"data": [2.25], "dtype": "float32", "CLS": "numpy.array"}, "CLS": "TensorData"}},
          "calibration_method": {"CLS": "CalibrationMethod", "value": "CalibrationMethod.MinMax"}, "smooth_quant": false})",
      R"({"x": {"lowest": -1.5, "highest": 2.25, "CLS": "TensorData"}})",
      R"({"x": [-1.5, 2.25]})",
  };
  for (const char* text : forms) {
    const auto cache = parse_ort_cache(bytes_of(text), "calibration.json");
    if (!cache) FAIL(cache.failure().message());
    const auto range = calib::find_method("minmax")->clip(cache->tensors.at("x"));
    REQUIRE(range->min == -1.5);
    REQUIRE(range->max == 2.25);
  }
  const std::string written = *ort_cache_text({{"a/\"b\"", {-1, 3, false, 0}}});
  const auto back = parse_ort_cache(bytes_of(written), "calibration.json");
  REQUIRE(back);
  REQUIRE(back->tensors.at("a/\"b\"").min == -1);
  for (const char* bad :
       {"[]", "3", R"({"x": {"avg": 1, "std": 2}})", R"({"x": [1]})", R"({"x": [2, 1]})", R"({"x": ["a", "b"]})",
        R"({"x": [1, NaN]})", R"({"x": {"lowest": {"CLS": "numpy.array"}, "highest": 1}})", R"({"CLS": "TensorsData"})",
        R"({"x": [1, 1e300]})"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(parse_ort_cache(bytes_of(bad), "calibration.json"));
  }
}
