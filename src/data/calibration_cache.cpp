#include "quantal/data/calibration_cache.hpp"

#include <cmath>

#include "json_read.hpp"
#include "quantal/io/atomic_file.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

using calib::histogram;
using calib::moments;
using calib::statistics;

constexpr std::size_t max_channels = 1 << 20;
constexpr const char* kind = "quantal.calibration";

// ---- writing

void put(std::string& out, const char* key, std::uint64_t value) {
  out += std::string(", \"") + key + "\": " + std::to_string(value);
}

void write_histogram(std::string& out, const histogram& h) {
  out += std::string(", \"histogram\": {\"grid\": \"") + calib::name_of(h.kind) +
         "\", \"bins\": " + std::to_string(h.bins);
  if (h.kind == calib::grid::aligned) {
    out += ", \"exponent\": " + std::to_string(h.exponent) + ", \"first\": " + std::to_string(h.first);
  } else {
    put(out, "dropped", h.dropped);
    out += ", \"edges\": [";
    for (std::size_t i = 0; i < h.edges.size(); ++i) out += (i == 0 ? "" : ",") + io::number(h.edges[i]);
    out += "]";
  }
  out += ", \"counts\": [";
  for (std::size_t i = 0; i < h.counts.size(); ++i) out += (i == 0 ? "" : ",") + std::to_string(h.counts[i]);
  out += "]}";
}

void write_statistics(std::string& out, const statistics& s) {
  out += "{\"observer\": " + io::json_string(s.observer);
  put(out, "count", s.count);
  put(out, "nans", s.nans);
  put(out, "positive_infinities", s.positive_infinities);
  put(out, "negative_infinities", s.negative_infinities);
  if (s.count != 0) out += ", \"min\": " + io::number(s.min) + ", \"max\": " + io::number(s.max);
  if (s.updates != 0) put(out, "updates", s.updates);
  if (s.sums)
    out += ", \"sums\": {\"count\": " + std::to_string(s.sums->count()) + ", \"x\": \"" + s.sums->sum().hex() +
           "\", \"x2\": \"" + s.sums->squares().hex() + "\"}";
  if (s.bins) write_histogram(out, *s.bins);
  if (!s.channels.empty()) {
    out += ", \"channels\": [";
    for (std::size_t i = 0; i < s.channels.size(); ++i) {
      if (i != 0) out += ", ";
      write_statistics(out, s.channels[i]);
    }
    out += "]";
  }
  out += "}";
}

// ---- reading

result<moments> read_moments(const json_place& place, const statistics& s) {
  QUANTAL_CHECK(place.object());
  QUANTAL_TRY(count_place, place.at("count"));
  QUANTAL_TRY(n, count_place.count());
  if (n != s.count)
    return count_place.wrong("the sums are of " + std::to_string(n) + " values, the statistics of " +
                             std::to_string(s.count));
  QUANTAL_TRY(sum_place, place.at("x"));
  QUANTAL_TRY(sum_text, sum_place.text());
  QUANTAL_TRY(square_place, place.at("x2"));
  QUANTAL_TRY(square_text, square_place.text());
  const auto sum = moments::sum_type::from_hex(sum_text);
  if (!sum) return sum_place.wrong("expected a hexadecimal integer");
  const auto squares = moments::square_type::from_hex(square_text);
  if (!squares || squares->negative()) return square_place.wrong("expected a hexadecimal integer that is not negative");
  const moments read = moments::from(n, *sum, *squares);
  if (n == 0) return read == moments{} ? result<moments>(read) : place.wrong("sums of no values must be zero");
  const double mean = read.mean(), slack = 1e-12 * (s.max - s.min);
  if (!(mean >= s.min - slack && mean <= s.max + slack) || read.variance() < 0)
    return place.wrong("the sums do not fit min and max");
  return read;
}

result<void> read_aligned(const json_place& place, histogram& h, const statistics& s) {
  if ((h.bins & (h.bins - 1)) != 0) return place.wrong("bins of an aligned histogram must be a power of two");
  QUANTAL_TRY(exponent_place, place.at("exponent"));
  QUANTAL_TRY(exponent, exponent_place.integer(histogram::finest, 128));
  QUANTAL_TRY(first_place, place.at("first"));
  QUANTAL_TRY(first, first_place.integer(-h.bins, h.bins));
  h.exponent = static_cast<std::int32_t>(exponent);
  h.first = first;
  if (first + static_cast<std::int64_t>(h.counts.size()) > h.bins) return place.wrong("counts reach beyond the bins");
  if (s.count == 0) return {};
  // The grid and its extent follow from min and max; anything else would not merge.
  histogram expected;
  expected.bins = h.bins;
  expected.cover(s.min, s.max);
  if (expected.exponent != h.exponent || expected.first != h.first || expected.counts.size() != h.counts.size())
    return place.wrong("the histogram does not fit min and max");
  return {};
}

result<void> read_edges(const json_place& place, histogram& h) {
  QUANTAL_TRY(dropped_place, place.at("dropped"));
  QUANTAL_TRY(dropped, dropped_place.count());
  h.dropped = dropped;
  QUANTAL_TRY(edges, place.at("edges"));
  QUANTAL_TRY(n, edges.array(static_cast<std::size_t>(calib::max_bins) + 1));
  if (n != (h.counts.empty() ? 0 : h.counts.size() + 1)) return edges.wrong("there must be one edge more than counts");
  for (std::size_t i = 0; i < n; ++i) {
    QUANTAL_TRY(v, edges.item(i).number());
    const float edge = static_cast<float>(v);
    if (!std::isfinite(edge) || (i != 0 && !(edge >= h.edges.back())))
      return edges.item(i).wrong("edges must be finite and ascend");
    h.edges.push_back(edge);
  }
  return {};
}

result<histogram> read_histogram(const json_place& place, const statistics& s) {
  QUANTAL_CHECK(place.object());
  histogram h;
  QUANTAL_TRY(grid_place, place.at("grid"));
  QUANTAL_TRY(grid_name, grid_place.text());
  bool known = false;
  using calib::grid;
  for (const grid g : {grid::aligned, grid::onnxruntime, grid::onnxruntime_absolute, grid::torch, grid::torch_1})
    if (grid_name == calib::name_of(g)) h.kind = g, known = true;
  if (!known) return grid_place.wrong("unknown grid " + io::quote(grid_name));
  QUANTAL_TRY(bins_place, place.at("bins"));
  QUANTAL_TRY(bins, bins_place.integer(calib::min_bins, calib::max_bins));
  h.bins = static_cast<std::int32_t>(bins);
  QUANTAL_TRY(counts, place.at("counts"));
  QUANTAL_TRY(n, counts.array(2 * static_cast<std::size_t>(calib::max_bins)));
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    QUANTAL_TRY(c, counts.item(i).count());
    if (!checked_add(total, c, total)) return counts.item(i).wrong("the counts overflow");
    h.counts.push_back(c);
  }
  if (h.kind == grid::aligned)
    QUANTAL_CHECK(read_aligned(place, h, s));
  else
    QUANTAL_CHECK(read_edges(place, h));
  if (!checked_add(total, h.dropped, total) || total != s.count)
    return counts.wrong("the counts do not add up to the number of values");
  return h;
}

result<void> read_count(const json_place& place, const char* key, std::uint64_t& out) {
  QUANTAL_TRY(at, place.at(key));
  QUANTAL_TRY(value, at.count());
  if (value > (std::uint64_t{1} << 62)) return at.wrong("the count is too large");
  out = value;
  return {};
}

result<void> read_extremes(const json_place& place, statistics& s) {
  QUANTAL_TRY(min_place, place.at("min"));
  QUANTAL_TRY(min, min_place.number());
  QUANTAL_TRY(max_place, place.at("max"));
  QUANTAL_TRY(max, max_place.number());
  const auto f32 = [](double v) { return std::fabs(v) <= 3.5e38 && static_cast<double>(static_cast<float>(v)) == v; };
  if (!f32(min)) return min_place.wrong("expected a float32 number");
  if (!f32(max) || max < min) return max_place.wrong("expected a float32 number that is not below min");
  s.min = min;
  s.max = max;
  return {};
}

result<statistics> read_statistics(const json_place& place, bool channel) {
  QUANTAL_CHECK(place.object());
  statistics s;
  QUANTAL_TRY(observer_place, place.at("observer"));
  QUANTAL_TRY(observer, observer_place.text());
  s.observer = observer;
  QUANTAL_CHECK(read_count(place, "count", s.count));
  QUANTAL_CHECK(read_count(place, "nans", s.nans));
  QUANTAL_CHECK(read_count(place, "positive_infinities", s.positive_infinities));
  QUANTAL_CHECK(read_count(place, "negative_infinities", s.negative_infinities));
  if (s.count != 0) QUANTAL_CHECK(read_extremes(place, s));
  if (place.has("updates")) QUANTAL_CHECK(read_count(place, "updates", s.updates));
  if (place.has("sums")) {
    QUANTAL_TRY(at, place.at("sums"));
    QUANTAL_TRY(sums, read_moments(at, s));
    s.sums = sums;
  }
  if (place.has("histogram")) {
    QUANTAL_TRY(at, place.at("histogram"));
    QUANTAL_TRY(bins, read_histogram(at, s));
    s.bins = std::move(bins);
  }
  if (place.has("channels")) {
    QUANTAL_TRY(at, place.at("channels"));
    if (channel) return at.wrong("a channel has no channels");
    QUANTAL_TRY(n, at.array(max_channels));
    for (std::size_t i = 0; i < n; ++i) {
      QUANTAL_TRY(c, read_statistics(at.item(i), true));
      s.channels.push_back(std::move(c));
    }
  }
  return s;
}

}  // namespace

result<std::string> cache_text(const calibration_cache& cache) {
  std::string out = std::string("{\"kind\": \"") + kind + "\", \"schema\": " + std::to_string(cache.schema) +
                    ",\n\"model_hash\": " + io::json_string(cache.model_hash) +
                    ", \"observer\": " + io::json_string(cache.observer) +
                    ", \"samples\": " + std::to_string(cache.samples) + ",\n\"tensors\": {";
  bool first = true;
  for (const auto& [name, s] : cache.tensors) {
    if (!io::is_utf8(name))
      return error{status::argument, "a tensor's name is not UTF-8 and cannot be a JSON key", io::quote(name),
                   "rename the tensor"};
    out += (first ? "\n" : ",\n") + io::json_string(name) + ": ";
    write_statistics(out, s);
    first = false;
  }
  return out + "\n}}\n";
}

result<calibration_cache> parse_cache(std::span<const std::byte> bytes, const std::string& name) {
  QUANTAL_TRY(dom, parse_json(bytes, name));
  const json_place root(dom, name);
  if (!root.has("kind") || dom["kind"] != kind)
    return error{status::model_syntax, "this is not a Quantal calibration cache", name,
                 "pass a file that quantal calibrate wrote"};
  calibration_cache cache;
  QUANTAL_TRY(schema_place, root.at("schema"));
  QUANTAL_TRY(schema, schema_place.integer(1, INT32_MAX));
  if (schema > calibration_cache::current_schema)
    return error{status::version,
                 "calibration cache of schema " + std::to_string(schema) + ", this version knows up to 1", name,
                 "calibrate again, or use a newer Quantal"};
  QUANTAL_TRY(hash_place, root.at("model_hash"));
  QUANTAL_TRY(hash, hash_place.text());
  QUANTAL_TRY(observer_place, root.at("observer"));
  QUANTAL_TRY(observer, observer_place.text());
  QUANTAL_TRY(samples_place, root.at("samples"));
  QUANTAL_TRY(samples, samples_place.integer(0, INT64_MAX));
  cache.model_hash = hash;
  cache.observer = observer;
  cache.samples = samples;
  QUANTAL_TRY(tensors, root.at("tensors"));
  QUANTAL_CHECK(tensors.object());
  for (const auto& [key, value] : tensors.value().items()) {
    QUANTAL_TRY(s, read_statistics(tensors.named(key, value), false));
    cache.tensors.emplace(key, std::move(s));
  }
  return cache;
}

result<void> write_cache(const calibration_cache& cache, const std::string& path) {
  QUANTAL_TRY(text, cache_text(cache));
  return io::write_file(path, text);
}

result<calibration_cache> read_cache(const std::string& path) {
  QUANTAL_TRY(bytes, io::read_file(path, max_json_bytes));
  return parse_cache(bytes.span(), path);
}

result<calibration_cache> merge(const calibration_cache& a, const calibration_cache& b) {
  const char* advice = "merge caches of shards of one model and one observer";
  if (a.model_hash != b.model_hash) return error{status::calibration, "the caches are of different models", {}, advice};
  if (a.observer != b.observer)
    return error{
        status::calibration,
        "the caches were made with different observers, " + io::quote(a.observer) + " and " + io::quote(b.observer),
        {},
        advice};
  if (a.samples > INT64_MAX - b.samples) return error{status::overflow, "the number of samples overflows", {}, {}};
  calibration_cache out = a;
  out.samples += b.samples;
  for (const auto& [name, s] : b.tensors) {
    const auto mine = out.tensors.find(name);
    if (mine == out.tensors.end())
      return error{status::calibration, "only the second cache knows this tensor", io::quote(name), advice};
    if (auto merged = mine->second.merge(s); !merged) return std::move(merged).failure().at(io::quote(name));
  }
  for (const auto& [name, s] : a.tensors)
    if (!b.tensors.contains(name))
      return error{status::calibration, "only the first cache knows this tensor", io::quote(name), advice};
  return out;
}

calibration_cache cache_of_ranges(const std::map<std::string, calib::range>& ranges, const std::string& observer) {
  calibration_cache cache;
  cache.observer = observer;
  for (const auto& [name, r] : ranges) {
    statistics s;
    s.observer = "min_max";
    s.count = 2;
    s.min = static_cast<double>(static_cast<float>(r.min));
    s.max = static_cast<double>(static_cast<float>(r.max));
    cache.tensors.emplace(name, std::move(s));
  }
  return cache;
}

}  // namespace quantal::data
