// quantal quantize: the main job, and the block that people and scripts read afterwards.
//
// Defaults come from pipeline::quantize_config; this file only translates words. Options whose feature is not there yet
// are listed as such, so that none is silently ignored.
#include <filesystem>

#include "inputs.hpp"
#include "output.hpp"
#include "quantal/calib/method.hpp"
#include "quantal/io/atomic_file.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"
#include "quantal/pipeline/json.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "quantal/pipeline/recipe.hpp"
#include "quantal/report/html.hpp"
#include "quantal/report/summary.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

struct state {
  std::string model, weights, quant_type = "static_int8", output = "quantized_models", device = "cpu", report;
  std::int64_t seed = 0, bins = 0;
  data_options data;
  pipeline::quantize_config config;
};

void declare(args& a, state& s) {
  pipeline::quantize_config& c = s.config;
  a.text("MODEL", &s.model, "the float model (.onnx)");
  a.text("--weights", &s.weights, "the same as MODEL");
  a.text("--quant-type", &s.quant_type, "what to make")
      .choices({"static_int8", "per_channel_int8", "dynamic_int8", "fp16"})
      .later({"bf16", "fp8", "int16x8", "int4", "mixed"});
  a.text("-o,--output", &s.output, "file (.onnx) or directory; a directory gets {model}_{quant_type}.onnx");
  a.text("--device", &s.device, "where to calibrate").choices({"cpu", "cuda"});
  a.text("--report", &s.report, "write a report: FILE.html or FILE.json");
  a.flag("--strict", &c.strict, "errors: too few samples, NaN in them, operators asked for that stay in float");
  a.integer("--seed", &s.seed, "of random choices (there are none for these types)", 0, INT64_MAX);

  add_data_options(a, s.data, c.num_calib_batches);
  add_lint_options(a, s.data, c);
  a.text("--calibration-cache", &c.calibration_cache, "statistics: read if they fit this model, else written")
      .group("Data");

  a.text("--preset", &c.preset, "numbers like another tool's")
      .choices({"onnxruntime", "torch", "tflite", "tensorrt", "ai8x"})
      .group("Recipe");
  std::vector<std::string> methods;
  for (const calib::method* m : calib::methods()) methods.emplace_back(m->name);
  a.text("--activation-observer", &c.activation_observer, "how ranges of activations are found")
      .choices(methods)
      .group("Recipe");
  a.text("--weight-observer", &c.weight_observer, "how ranges of weights are found").choices(methods).group("Recipe");
  a.text("--activation-type", &c.activation_type, "codes of activations")
      .choices({"u8", "s8"})
      .later({"u16", "s16"})
      .group("Recipe");
  a.text("--weight-type", &c.weight_type, "codes of weights").choices({"s8", "u8"}).later({"s4", "u4"}).group("Recipe");
  add_method_options(a, c, s.bins);
  a.flag("--symmetric", &c.symmetric, "activations symmetric too").group("Recipe");
  a.flag("--reduce-range", &c.reduce_range, "weights in 7 bits: for runtimes whose 16-bit sums saturate")
      .group("Recipe");
  a.text("--target", &c.target, "forms that ONNX Runtime runs in integers, or any")
      .choices({"onnxruntime", "any"})
      .group("Recipe");
  a.list("--include", &c.include, "only these nodes or operator types (globs; repeatable)").group("Recipe");
  a.list("--exclude", &c.exclude, "not these nodes or operator types (globs; repeatable)").group("Recipe");

  a.later_option("--format", "qdq or qoperator", "qdq");
  a.later_option("--io", "type of the model's inputs and outputs: float, int8, uint8", "float");
  a.later_option("--contract", "how integer results are rescaled: fp32_rne, fixed_double, fixed_single", "fp32_rne");
  a.later_option("--block-size", "of int4 weights");
  a.later_option("--accuracy", "none, auto, or methods", "none");
  a.later_option("--config", "per-layer choices (.yaml)");
  a.later_option("--max-drop", "gate of mixed");
  a.later_option("--min-sqnr", "gate of mixed");
  a.later_option("--max-size", "gate of mixed");
  a.later_option("--eval", "gate of mixed");
  a.note("Recipes:\n" + indented(pipeline::recipe_table()));
  a.example("quantal quantize model.onnx --quant-type per_channel_int8 --data samples/ --report report.html");
}

// Where the result goes: a file, or {model}_{quant_type}.onnx in a directory.
std::string output_file(const state& s) {
  if (io::extension_of(s.output) == "onnx" && !is_directory(s.output)) return s.output;
  return (std::filesystem::path(s.output) / (stem_of(s.model) + "_" + s.quant_type + ".onnx")).string();
}

// Three files may be written; none may be one that is read, or another of the three.
result<void> check_outputs(const state& s, const std::string& output) {
  const std::string& cache = s.config.calibration_cache;
  std::vector<named_file> others = {{"the model", s.model},
                                    {"the calibration data", s.data.path},
                                    {"the evaluation data", s.data.evaluation},
                                    {"the labels", s.data.labels}};
  QUANTAL_CHECK(refuse_overwrite("--calibration-cache", cache, others));
  others.push_back({"the calibration cache", cache});
  QUANTAL_CHECK(refuse_overwrite("--output", output, others));
  others.push_back({"the quantized model", output});
  return refuse_overwrite("--report", s.report, others);
}

std::string summary_text(const pipeline::quantize_report& r, const common_options& common,
                         const std::string& report_file) {
  std::string out = wrapped(report::summary(r));
  if (common.verbose) {
    std::vector<std::vector<std::string>> rows;
    for (const pipeline::coverage_row& row : r.coverage) rows.push_back({row.op, row.node, row.status, row.reason});
    out += "\nNodes:\n" + table({"operator", "node", "status", "reason"}, rows);
  }
  if (!report_file.empty()) out += "Report: " + io::escape_text(report_file, 4096) + "\n";
  return out + "Took " + io::fixed(r.seconds, 2) + " s, peak memory " + megabytes(r.peak_rss_bytes) + "\n";
}

result<void> write_report(const state& s, const pipeline::quantize_report& r) {
  return io::write_file(
      s.report, std::string_view(io::extension_of(s.report) == "json" ? pipeline::to_json(r) + "\n" : report::html(r)));
}

// Options about data that this type, or the kind of the data, does not read.
std::vector<std::string> unread(const state& s, const data::source* samples) {
  std::vector<std::string> lines = data::unread_options(s.data.image, samples, s.config.evaluation);
  if (!s.data.labels.empty() && (samples == nullptr || !pipeline::recipe_of(s.config.type).needs_data))
    lines.push_back(std::string("--labels has no effect ") +
                    (samples == nullptr ? "without data" : std::string("on ") + pipeline::name_of(s.config.type)));
  return lines;
}

result<int> quantize(state& s, const common_options& common) {
  if (s.device == "cuda")
    return error{status::unsupported, "files are device-independent; use --device cpu", "--device cuda", {}};
  if (!s.weights.empty() && !s.model.empty() && s.weights != s.model) {
    return error{status::usage, "MODEL and --weights name different files", {}, "give one of them"};
  }
  if (s.model.empty()) s.model = s.weights;
  if (s.model.empty())
    return error{status::usage, "no model given", {}, "quantal quantize MODEL.onnx, see quantal quantize --help"};
  if (!s.report.empty()) {
    const std::string extension = io::extension_of(s.report);
    if (extension != "html" && extension != "json") {
      return error{status::usage, "--report must end in .html or .json: " + io::escape_text(s.report), {}, {}};
    }
    const std::string parent = std::filesystem::path(s.report).parent_path().string();
    if (!parent.empty() && !is_directory(parent))
      return error{status::io, "directory for the report does not exist: " + io::escape_text(parent), "--report",
                   "create it first"};
  }
  QUANTAL_CHECK(check_model_exists(s.model));
  const std::string output = output_file(s);
  QUANTAL_CHECK(check_outputs(s, output));
  s.config.type = *pipeline::quant_type_from(s.quant_type);
  s.config.batch_size = s.data.batch_size;
  s.config.num_calib_batches = s.data.num_calib_batches;
  s.config.workers = static_cast<std::int32_t>(s.data.workers);
  s.config.bins = static_cast<std::int32_t>(s.bins);
  s.config.threads = static_cast<std::size_t>(common.threads);
  const bool is_static = s.quant_type == "static_int8" || s.quant_type == "per_channel_int8";
  const bool has_cache = !s.config.calibration_cache.empty() && exists(s.config.calibration_cache);
  if (is_static && s.data.path.empty() && !has_cache) {
    return error{status::data_missing, "calibration data required for " + s.quant_type + ": pass --data", {}, {}};
  }
  if (!s.data.evaluation.empty() && s.data.path.empty())
    return error{status::usage, "--eval-data needs samples to compare with", {}, "add --data"};
  std::unique_ptr<data::source> samples, evaluation;
  if (!s.data.path.empty()) {
    QUANTAL_TRY(m, load_model(s.model));
    QUANTAL_TRY(opened, open_samples(s.data, *m));
    samples = std::move(opened);
    QUANTAL_TRY(held_out, open_evaluation(s.data, *m));
    evaluation = std::move(held_out);
    s.config.evaluation = evaluation.get();
  }
  const std::string parent = std::filesystem::path(output).parent_path().string();
  if (exists(parent) && !is_directory(parent))
    return error{status::io, "not a directory: " + io::escape_text(parent), "--output", {}};
  QUANTAL_TRY(made, result_directory::make(parent));
  (void)made;
  pipeline::quantize_report report;
  {
    progress_bar bar(common);
    QUANTAL_TRY(done, pipeline::quantize_file(s.model, output, s.config, samples.get(), bar.hook()));
    report = std::move(done);
  }
  for (std::string& line : unread(s, samples.get())) report.warnings.push_back(std::move(line));
  if (!s.report.empty()) QUANTAL_CHECK(write_report(s, report));
  if (common.quiet && !common.json) report.warnings.clear();
  QUANTAL_CHECK(print(common.json ? pipeline::to_json(report) + "\n" : summary_text(report, common, s.report)));
  return 0;
}

}  // namespace

action quantize_verb(args& a) {
  auto s = std::make_shared<state>();
  declare(a, *s);
  return [s](const common_options& common) { return quantize(*s, common); };
}

}  // namespace quantal::cli
