// quantal calibrate: only the statistics, for later or for another machine; --merge joins what shards have seen.
#include <algorithm>
#include <chrono>

#include "inputs.hpp"
#include "output.hpp"
#include "quantal/calib/method.hpp"
#include "quantal/data/any_cache.hpp"
#include "quantal/io/text.hpp"
#include "quantal/pipeline/calibrate.hpp"
#include "quantal/pipeline/machine.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

struct state {
  std::vector<std::string> files;  // a model, or with --merge the caches
  std::string output, format = "quantal";
  bool merge = false;
  std::int64_t bins = 0;
  data_options data;
  pipeline::quantize_config config;
};

result<pipeline::calibrated> merge_caches(const std::vector<std::string>& files) {
  if (files.size() < 2)
    return error{status::usage, "--merge needs two caches or more", {}, "quantal calibrate --merge A B -o C"};
  QUANTAL_TRY(first, data::read_any_cache(files[0]));
  data::calibration_cache all = std::move(first.cache);
  for (std::size_t i = 1; i < files.size(); ++i) {
    QUANTAL_TRY(next, data::read_any_cache(files[i]));
    auto merged = data::merge(all, next.cache);
    if (!merged) return std::move(merged).failure().at(io::escape_text(files[i]));
    all = *std::move(merged);
  }
  return pipeline::calibrated{std::move(all), {}};
}

result<pipeline::calibrated> observe(state& s, const common_options& common) {
  if (s.files.size() != 1)
    return error{status::usage, "calibrate takes one model", {}, "several caches are joined with --merge"};
  QUANTAL_CHECK(check_model_exists(s.files[0]));
  if (s.data.path.empty()) return error{status::data_missing, "calibration data required: pass --data", {}, {}};
  QUANTAL_TRY(m, load_model(s.files[0]));
  QUANTAL_TRY(samples, open_samples(s.data, *m));
  QUANTAL_TRY(evaluation, open_evaluation(s.data, *m));
  s.config.evaluation = evaluation.get();
  s.config.batch_size = s.data.batch_size;
  s.config.num_calib_batches = s.data.num_calib_batches;
  s.config.workers = static_cast<std::int32_t>(s.data.workers);
  s.config.bins = static_cast<std::int32_t>(s.bins);
  s.config.threads = static_cast<std::size_t>(common.threads);
  progress_bar bar(common);
  QUANTAL_TRY(done, pipeline::calibrate_model(*m, s.config, *samples, bar.hook()));
  for (std::string& line : data::unread_options(s.data.image, samples.get(), evaluation.get()))
    done.warnings.push_back(std::move(line));
  return std::move(done);
}

// In Quantal's own format all that was seen; in other tools' the ranges that the method makes of it.
result<void> write(state& s, const data::calibration_cache& cache) {
  if (s.format == "quantal") return data::write_cache(cache, s.output);
  const bool tensorrt = s.format == "tensorrt";
  if (s.merge && calib::find_method(cache.observer) != nullptr) s.config.activation_observer = cache.observer;
  QUANTAL_TRY(ranges, pipeline::clipped_ranges(cache, s.config, tensorrt));
  return data::write_ranges(ranges, tensorrt ? data::cache_format::tensorrt : data::cache_format::onnxruntime,
                            s.output);
}

result<int> calibrate(state& s, const args& a, const common_options& common) {
  const auto start = std::chrono::steady_clock::now();
  if (s.files.empty())
    return error{status::usage, "no model given", {}, "quantal calibrate MODEL.onnx --data D -o CACHE"};
  if (s.output.empty()) return error{status::usage, "no output given", {}, "pass -o CACHE"};
  if (s.merge) {
    static constexpr const char* recipe[] = {"--data",    "--min-samples", "--eval-data", "--activation-observer",
                                             "--include", "--exclude"};
    QUANTAL_CHECK(a.refuse(recipe, "with --merge"));
    QUANTAL_CHECK(a.refuse(sample_options, "with --merge"));
  }
  if (!s.merge)  // shards may be joined into one of them: they are read first
    QUANTAL_CHECK(refuse_overwrite("--output", s.output,
                                   {{"the model", s.files[0]},
                                    {"the calibration data", s.data.path},
                                    {"the evaluation data", s.data.evaluation},
                                    {"the labels", s.data.labels}}));
  QUANTAL_TRY(done, s.merge ? merge_caches(s.files) : observe(s, common));
  const data::calibration_cache& cache = done.cache;
  // Channel means stand beside the tensors that they belong to.
  const auto tensors = std::count_if(cache.tensors.begin(), cache.tensors.end(),
                                     [](const auto& t) { return !t.first.ends_with(pipeline::means_suffix); });
  QUANTAL_CHECK(write(s, cache));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (common.json) {
    std::string warnings;
    for (const std::string& w : done.warnings) warnings += (warnings.empty() ? "" : ", ") + io::json_string(w);
    QUANTAL_CHECK(
        print("{\"cache\": " + io::json_string(s.output) + ", \"observer\": " + io::json_string(cache.observer) +
              ", \"samples\": " + std::to_string(cache.samples) + ", \"tensors\": " + std::to_string(tensors) +
              ", \"warnings\": [" + warnings + "]" + ", \"seconds\": " + io::number(seconds) +
              ", \"peak_rss_bytes\": " + std::to_string(pipeline::peak_rss_bytes()) + "}\n"));
    return 0;
  }
  std::string text = "Calibration cache: " + io::escape_text(s.output, 4096) + "\n  " + std::to_string(tensors) +
                     " tensors, " + std::to_string(cache.samples) + " samples, observer " +
                     io::escape_text(cache.observer) + "\n";
  if (common.quiet) done.warnings.clear();
  if (!done.warnings.empty()) text += "\nWarnings:\n";
  for (const std::string& w : done.warnings) text += wrapped("  " + io::escape_text(w) + "\n");
  QUANTAL_CHECK(print(text));
  return 0;
}

}  // namespace

action calibrate_verb(args& a) {
  auto s = std::make_shared<state>();
  a.list("FILES", &s->files, "the float model (.onnx); with --merge: the caches");
  a.text("-o,--output", &s->output, "the cache to write");
  a.flag("--merge", &s->merge,
         "join caches of the same model: the result is that of one run over all data (takes no data or recipe)");
  a.text("--cache-format", &s->format, "quantal: statistics; other tools' caches hold ranges only")
      .choices({"quantal", "onnxruntime", "tensorrt"});
  add_data_options(a, s->data, s->config.num_calib_batches);
  add_lint_options(a, s->data, s->config);
  std::vector<std::string> methods;
  for (const calib::method* m : calib::methods()) methods.emplace_back(m->name);
  a.text("--activation-observer", &s->config.activation_observer,
         "what is kept: the statistics that this method clips; histogram keeps what most need")
      .choices(methods)
      .group("Recipe");
  add_method_options(a, s->config, s->bins);
  a.list("--include", &s->config.include, "only these nodes or operator types").group("Recipe");
  a.list("--exclude", &s->config.exclude, "not these nodes or operator types").group("Recipe");
  a.example(
      "quantal calibrate model.onnx --data shard1/ -o a.json\n  quantal calibrate --merge a.json b.json -o all.json\n"
      "  quantal quantize model.onnx --calibration-cache all.json\n"
      "  quantal calibrate m.onnx --data D --activation-observer entropy --cache-format tensorrt -o m.cache");
  return [s, &a](const common_options& common) { return calibrate(*s, a, common); };
}

}  // namespace quantal::cli
