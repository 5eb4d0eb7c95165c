// Renders reports as JSON (see pipeline/json.hpp). Names that are no valid UTF-8 are written with replacement
// characters.
#include "quantal/pipeline/json.hpp"

#include <nlohmann/json.hpp>

namespace quantal::pipeline {
namespace {

using json = nlohmann::ordered_json;  // keys in the order of the structs

std::string dump(const json& j, int indent) {
  return j.dump(indent, ' ', false, json::error_handler_t::replace);
}

json quality(const std::vector<output_quality>& outputs) {
  json list = json::array();
  for (const output_quality& o : outputs) {
    list.push_back(
        {{"name", o.name}, {"sqnr_db", o.sqnr_db}, {"cosine", o.cosine}, {"max_abs_error", o.max_abs_error}});
  }
  return list;
}

}  // namespace

std::string to_json(const quantize_report& r, int indent) {
  json coverage = json::array();
  for (const coverage_row& row : r.coverage) {
    coverage.push_back(
        {{"node", row.node}, {"op", row.op}, {"status", row.status}, {"reason", row.reason}, {"macs", row.macs}});
  }
  json ranges = json::array();
  for (const tensor_range& t : r.ranges) {
    ranges.push_back(
        {{"tensor", t.tensor}, {"min", t.min}, {"max", t.max}, {"scale", t.scale}, {"zero_point", t.zero_point}});
  }
  json errors = json::array();
  for (const node_error& e : r.errors) errors.push_back({{"node", e.node}, {"op", e.op}, {"sqnr_db", e.sqnr_db}});
  const json j = {{"original_model", r.original_model},
                  {"quantized_model", r.quantized_model},
                  {"quantization_type", r.quantization_type},
                  {"original_bytes", r.original_bytes},
                  {"quantized_bytes", r.quantized_bytes},
                  {"compression_ratio", r.compression_ratio},
                  {"coverage", coverage},
                  {"integer_macs", r.integer_macs},
                  {"outputs", quality(r.outputs)},
                  {"samples", r.samples},
                  {"warnings", r.warnings},
                  {"seconds", r.seconds},
                  {"peak_rss_bytes", r.peak_rss_bytes},
                  {"ranges", ranges},
                  {"errors", errors}};
  return dump(j, indent);
}

std::string to_json(const compare_report& r, int indent) {
  json j = {{"model_a", r.model_a}, {"model_b", r.model_b}, {"samples", r.samples}, {"outputs", quality(r.outputs)}};
  if (!r.metric.empty()) {
    j["metric"] = r.metric;
    j["metric_a"] = r.metric_a ? json(*r.metric_a) : json();
    j["metric_b"] = r.metric_b ? json(*r.metric_b) : json();
    j["drop"] = r.metric_a && r.metric_b ? json(*r.metric_a - *r.metric_b) : json();
  }
  if (!r.nodes.empty()) {
    json nodes = json::array();
    for (const node_quality& n : r.nodes) {
      nodes.push_back({{"node", n.node},
                       {"op", n.op},
                       {"value", n.value},
                       {"accumulated_db", n.accumulated_db},
                       {"isolated_db", n.isolated_db ? json(*n.isolated_db) : json()}});
    }
    j["nodes"] = nodes;
  }
  j["seconds"] = r.seconds;
  j["peak_rss_bytes"] = r.peak_rss_bytes;
  return dump(j, indent);
}

}  // namespace quantal::pipeline
