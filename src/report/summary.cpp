#include "quantal/report/summary.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>

#include "quantal/io/text.hpp"

namespace quantal::report {

namespace {

std::string short_name(const std::string& name, std::size_t most) {
  const std::string safe = io::escape_text(name);
  return safe.size() <= most ? safe : "..." + safe.substr(safe.size() - most + 3);
}

std::string megabytes(std::int64_t bytes) {
  return io::fixed(static_cast<double>(bytes) / 1048576.0, 2) + " MB";
}

std::string decibels(double db) {
  return std::isinf(db) ? (db > 0 ? "exact" : "none") : io::fixed(db, 1) + " dB";
}

struct group {
  std::size_t nodes = 0;
  std::int64_t macs = 0;
  std::map<std::string, std::size_t> ops;
};

std::string list_of(const std::map<std::string, std::size_t>& ops) {
  std::string text;
  for (const auto& [op, count] : ops) text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + op;
  return text;
}

}  // namespace

std::string summary(const quantize_report& r) {
  std::string s = "Quantization Summary:\n";
  s += "  Original model: " + io::escape_text(r.original_model) + "\n";
  s += "  Quantized model: " + io::escape_text(r.quantized_model) + "\n";
  s += "  Quantization type: " + r.quantization_type + "\n";
  s += "  Original size: " + megabytes(r.original_bytes) + "\n";
  s += "  Quantized size: " + megabytes(r.quantized_bytes) + "\n";
  s += "  Compression ratio: " + io::fixed(r.compression_ratio, 2) + "x\n";

  group quantized;
  std::map<std::string, group> floating;
  std::int64_t all = 0;
  for (const coverage_row& row : r.coverage) {
    group& g = row.status == "quantized" ? quantized : floating[row.reason];
    ++g.nodes;
    g.macs += row.macs;
    ++g.ops[row.op];
    all += row.macs;
  }
  s += "\nCoverage:\n  quantized  " + std::to_string(quantized.nodes) + " operators: " + list_of(quantized.ops) + "\n";
  for (const auto& [reason, g] : floating)
    s += "  float      " + std::to_string(g.nodes) + " (" + list_of(g.ops) + "): " + io::escape_text(reason) + "\n";
  if (all > 0) s += "  multiply-adds in integers: " + io::fixed(100 * r.integer_macs, 1) + " %\n";

  if (r.outputs.empty()) {
    s += "\nOutput SQNR: not measured (no calibration data)\n";
  } else {
    s += "\nOutput quality on the calibration data (" + std::to_string(r.evaluated) + " of " +
         std::to_string(r.samples) + " samples):\n";
    for (const output_quality& o : r.outputs) {
      char line[160];
      std::snprintf(line, sizeof line, "  %-40s SQNR %-9s cosine %.5f  max error %.4g\n",
                    short_name(o.name, 40).c_str(), decibels(o.sqnr_db).c_str(), o.cosine, o.max_abs_error);
      s += line;
    }
  }
  if (!r.warnings.empty()) s += "\nWarnings:\n";
  for (const std::string& w : r.warnings) s += "  " + io::escape_text(w) + "\n";
  return s;
}

}  // namespace quantal::report
