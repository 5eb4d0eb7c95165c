#include "quantal/report/html.hpp"

#include <algorithm>
#include <cmath>

#include "quantal/io/text.hpp"

namespace quantal::report {

namespace {

using io::escape_html;
using io::fixed;

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Quantization report</title>
<style>
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em;border-bottom:1px solid #d0d7de}
table{border-collapse:collapse;width:100%;font-size:13px}th,td{text-align:left;padding:3px 8px;border-bottom:1px solid #eaeef2;vertical-align:top;overflow-wrap:anywhere}
th{background:#f6f8fa}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.bar{display:inline-block;height:9px;background:#2f6feb;vertical-align:middle}.bad .bar{background:#d1242f}
.float td{background:#fff8e6}ul.w li{color:#9a6700}details summary{cursor:pointer;margin:.5em 0}
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}th{background:#161b22}th,td{border-color:#30363d}.float td{background:#2b2411}h2{border-color:#30363d}ul.w li{color:#d29922}}
</style></head><body>
)";

std::string decibels(double db) {
  return std::isinf(db) ? (db > 0 ? "exact" : "none") : fixed(db, 2);
}

std::string cell(const std::string& text) {
  return "<td>" + escape_html(text) + "</td>";
}
std::string figure(const std::string& text) {
  return "<td class=\"n\">" + escape_html(text) + "</td>";
}

void row(std::string& s, const char* name, const std::string& value) {
  s += std::string("<tr><th>") + name + "</th>" + cell(value) + "</tr>\n";
}

void add_summary(std::string& s, const quantize_report& r) {
  s += "<h1>Quantization report</h1>\n<table>\n";
  row(s, "Original model", r.original_model);
  row(s, "Quantized model", r.quantized_model);
  row(s, "Quantization type", r.quantization_type);
  row(s, "Original size", fixed(static_cast<double>(r.original_bytes) / 1048576, 2) + " MB");
  row(s, "Quantized size", fixed(static_cast<double>(r.quantized_bytes) / 1048576, 2) + " MB");
  row(s, "Compression ratio", fixed(r.compression_ratio, 2) + "x");
  row(s, "Multiply-adds in integers", fixed(100 * r.integer_macs, 2) + " %");
  row(s, "Calibration samples", std::to_string(r.samples));
  row(s, "Time", fixed(r.seconds, 2) + " s");
  row(s, "Peak memory", fixed(static_cast<double>(r.peak_rss_bytes) / 1048576, 1) + " MB");
  s += "</table>\n";
  if (r.warnings.empty()) return;
  s += "<h2>Warnings</h2><ul class=\"w\">\n";
  for (const std::string& w : r.warnings) s += "<li>" + escape_html(w) + "</li>\n";
  s += "</ul>\n";
}

void add_outputs(std::string& s, const quantize_report& r) {
  s += "<h2>Outputs</h2>\n";
  if (r.outputs.empty()) {
    s += "<p>Not measured: there was no calibration data.</p>\n";
    return;
  }
  s += "<p>Quantized against float, on " + std::to_string(r.evaluated) +
       " of the calibration samples.</p><table><tr><th>Output</th><th class=\"n\">SQNR dB</th>"
       "<th class=\"n\">Cosine</th><th class=\"n\">Max error</th></tr>\n";
  for (const output_quality& o : r.outputs)
    s += "<tr>" + cell(o.name) + figure(decibels(o.sqnr_db)) + figure(fixed(o.cosine, 6)) +
         figure(io::number(static_cast<float>(o.max_abs_error))) + "</tr>\n";
  s += "</table>\n";
}

void add_errors(std::string& s, const quantize_report& r) {
  if (r.errors.empty()) return;
  s += "<h2>Error per node</h2><p>SQNR of each node's output in the quantized model, in execution order: errors add up "
       "on "
       "the way. A sudden step down names the node that costs most. Short bars are worse.</p>"
       "<table><tr><th>Node</th><th>Operator</th><th class=\"n\">SQNR dB</th><th style=\"width:30%\"></th></tr>\n";
  double before = INFINITY;
  for (const node_error& e : r.errors) {
    const double shown = std::clamp(e.sqnr_db, 0.0, 60.0);
    const bool step = before - e.sqnr_db > 6 && e.sqnr_db < 40;
    s += std::string(step ? "<tr class=\"bad\">" : "<tr>") + cell(e.node) + cell(e.op) + figure(decibels(e.sqnr_db)) +
         "<td><span class=\"bar\" style=\"width:" + fixed(shown / 60 * 100, 1) + "%\"></span></td></tr>\n";
    before = e.sqnr_db;
  }
  s += "</table>\n";
}

void add_coverage(std::string& s, const quantize_report& r) {
  const auto quantized = std::count_if(r.coverage.begin(), r.coverage.end(),
                                       [](const coverage_row& c) { return c.status == "quantized"; });
  s += "<h2>Coverage</h2><p>" + std::to_string(quantized) + " of " + std::to_string(r.coverage.size()) +
       " operators are quantized.</p>"
       "<table><tr><th>Node</th><th>Operator</th><th>Status</th><th "
       "class=\"n\">Multiply-adds</th><th>Reason</th></tr>\n";
  for (const coverage_row& c : r.coverage)
    s += std::string(c.status == "quantized" ? "<tr>" : "<tr class=\"float\">") + cell(c.node) + cell(c.op) +
         cell(c.status) + figure(c.macs > 0 ? std::to_string(c.macs) : "") + cell(c.reason) + "</tr>\n";
  s += "</table>\n";
}

void add_ranges(std::string& s, const quantize_report& r) {
  if (r.ranges.empty()) return;
  s += "<h2>Ranges</h2><table><tr><th>Tensor</th><th class=\"n\">Min</th><th class=\"n\">Max</th><th "
       "class=\"n\">Scale</th>"
       "<th class=\"n\">Zero point</th></tr>\n";
  for (const tensor_range& t : r.ranges)
    s += "<tr>" + cell(t.tensor) + figure(io::number(static_cast<float>(t.min))) +
         figure(io::number(static_cast<float>(t.max))) + figure(io::number(t.scale)) +
         figure(std::to_string(t.zero_point)) + "</tr>\n";
  s += "</table>\n";
}

}  // namespace

std::string html(const quantize_report& r) {
  std::string s = head;
  add_summary(s, r);
  add_outputs(s, r);
  add_coverage(s, r);
  add_errors(s, r);
  add_ranges(s, r);
  s += "</body></html>\n";
  return s;
}

}  // namespace quantal::report
