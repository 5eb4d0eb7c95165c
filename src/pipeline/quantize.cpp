#include "quantal/pipeline/quantize.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <unordered_map>
#include <unordered_set>

#include "quantal/calib/method.hpp"
#include "quantal/data/any_cache.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"
#include "quantal/onnx/onnx.hpp"
#include "quantal/ops/infer.hpp"
#include "quantal/passes/clean_up.hpp"
#include "quantal/passes/convert_fp16.hpp"
#include "quantal/passes/pass.hpp"
#include "quantal/passes/place_qdq.hpp"
#include "quantal/passes/quantize_dynamic.hpp"
#include "quantal/pipeline/calibrate.hpp"
#include "quantal/pipeline/evaluate.hpp"
#include "quantal/pipeline/lint.hpp"
#include "quantal/pipeline/machine.hpp"
#include "quantal/pipeline/options.hpp"
#include "quantal/pipeline/recipe.hpp"

namespace quantal::pipeline {

namespace {

// Per-channel DequantizeLinear exists from 13 on, HardSwish from 14, LayerNormalization from 17: old models go to 17.
constexpr std::int64_t oldest_opset_written = 13, opset_for_old_models = 17;

error usage(std::string what, std::string where, std::string advice) {
  return error{status::usage, std::move(what), std::move(where), std::move(advice)};
}

result<void> refuse_to_replace(const std::string& output, const std::vector<std::string>& files, const char* what) {
  for (const std::string& file : files)
    if (io::same_file(output, file))
      return usage(std::string("the output would replace ") + what + ": " + io::escape_text(output), "output",
                   "choose another file");
  return {};
}

class job {
 public:
  job(const ir::model& m, const quantize_config& config, data::source* samples, const progress_fn& progress)
      : config_(config),
        samples_(samples),
        progress_(progress),
        given_(std::make_shared<const ir::model>(m)),
        float_(std::make_shared<ir::model>(*given_)) {}

  result<quantized> run() {
    const recipe_row& recipe = recipe_of(config_.type);
    if (!recipe.available)
      return error{status::unsupported, std::string(recipe.name) + " is not available yet", "--quant-type",
                   std::string("use ") + recipe.instead};
    QUANTAL_TRY(options, options_of(config_));
    if (!config_.calibration_cache.empty()) hash_ = onnx::model_hash(*float_);
    if (recipe.needs_data && samples_ == nullptr && !cache_is_there())
      return error{status::data_missing, std::string("calibration data required for ") + recipe.name, "",
                   "pass --data"};
    report_.warnings = unread_options(config_);
    QUANTAL_CHECK(tell("quantize", 0));
    QUANTAL_CHECK(prepare());
    QUANTAL_TRY(types, ops::infer_types(*float_));
    quantized_ = std::make_shared<ir::model>(*float_);
    if (recipe.needs_data) {
      QUANTAL_CHECK(quantize_static(types, options));
    } else if (config_.type == quant_type::dynamic_int8) {
      QUANTAL_TRY(done, passes::quantize_dynamic(*quantized_, types, options));
      plan_ = std::move(done.nodes);
      report_.warnings.insert(report_.warnings.end(), done.warnings.begin(), done.warnings.end());
    } else {
      QUANTAL_TRY(plan, passes::convert_fp16(*quantized_, types, options));
      plan_ = plan;
    }
    QUANTAL_TRY(dead, passes::remove_dead(*quantized_));  // the float weights above all
    (void)dead;
    static_macs(types);
    QUANTAL_CHECK(measure());
    cover();
    stamp();
    QUANTAL_CHECK(strict());
    report_.quantization_type = recipe.name;
    return quantized{std::move(*quantized_), std::move(report_)};
  }

  // The statistics alone, of the tensors that static quantization would observe.
  result<calibrated> calibrate_only() {
    QUANTAL_TRY(options, options_of(config_));
    hash_ = onnx::model_hash(*float_);
    QUANTAL_CHECK(prepare());
    QUANTAL_TRY(types, ops::infer_types(*float_));
    QUANTAL_TRY(plan, passes::plan_qdq(*float_, types, options));
    QUANTAL_TRY(seen, calibrate(float_, plan.observed(), *samples_, config_, progress_));
    QUANTAL_TRY(warnings, lint_calibration(seen.facts, config_));
    for (std::string& line : unread_options(config_)) warnings.push_back(std::move(line));
    return calibrated{cache_of(seen), std::move(warnings)};
  }

  // What would happen, without data.
  result<std::vector<coverage_row>> plan_only() {
    QUANTAL_TRY(options, options_of(config_));
    QUANTAL_CHECK(prepare());
    QUANTAL_TRY(types, ops::infer_types(*float_));
    QUANTAL_TRY(plan, passes::plan_qdq(*float_, types, options));
    plan_ = plan.nodes;
    static_macs(types);
    cover();
    return report_.coverage;
  }

 private:
  bool cache_is_there() const {
    std::error_code failed;
    return !config_.calibration_cache.empty() && std::filesystem::exists(config_.calibration_cache, failed);
  }

  data::calibration_cache cache_of(const calibration& seen) const {
    data::calibration_cache cache;
    cache.model_hash = hash_;
    cache.observer = calib::find_method(config_.activation_observer)->name;
    cache.samples = seen.samples;
    cache.tensors = seen.tensors;
    for (const auto& [name, means] : seen.means) cache.tensors[name + std::string(means_suffix)] = means;
    return cache;
  }

  // Does the cache hold what this model and this method need? Says why not.
  std::string misfit(const data::calibration_cache& cache, const std::vector<std::string>& tensors,
                     const passes::qdq_options& options) const {
    if (!cache.model_hash.empty() && cache.model_hash != hash_) return "it was made for another model";
    const calib::method* method = calib::find_method(config_.activation_observer);
    for (const std::string& name : tensors) {
      const auto it = cache.tensors.find(name);
      if (it == cache.tensors.end()) return "it does not know the tensor " + io::quote(name);
      const auto clipped = method->clip(it->second, method_options_of(config_),
                                        {options.activation_type, options.symmetric, options.reduce_range});
      if (!clipped) return "its statistics do not serve " + config_.activation_observer;
    }
    return {};
  }

  // Statistics from the cache if it fits, else from the samples; then the cache is written.
  result<calibration> ranges_seen(const std::vector<std::string>& tensors, const passes::qdq_options& options) {
    const std::string& path = config_.calibration_cache;
    if (cache_is_there()) {
      QUANTAL_TRY(found, data::read_any_cache(path));
      const data::calibration_cache& cache = found.cache;
      const std::string why = misfit(cache, tensors, options);
      if (why.empty()) {
        calibration seen;
        seen.method = cache.observer;
        seen.samples = cache.samples;
        // Other tools do not say how many samples they saw: no reason to warn.
        seen.facts.samples = found.format == data::cache_format::quantal ? cache.samples : config_.min_samples;
        if (config_.evaluation != nullptr)
          report_.warnings.push_back(
              "the calibration cache does not hold its data: not compared with the evaluation data");
        for (const std::string& name : tensors) seen.tensors[name] = cache.tensors.at(name);
        for (const auto& [name, stats] : cache.tensors)
          if (name.ends_with(means_suffix)) seen.means[name.substr(0, name.size() - means_suffix.size())] = stats;
        return seen;
      }
      if (samples_ == nullptr) {
        return error{status::calibration, "the calibration cache cannot be used: " + why, io::escape_text(path),
                     "pass --data to make it anew"};
      }
      report_.warnings.push_back("the calibration cache was made anew: " + why);
    }
    QUANTAL_TRY(seen, calibrate(float_, tensors, *samples_, config_, progress_));
    if (!path.empty()) QUANTAL_CHECK(data::write_cache(cache_of(seen), path));
    return std::move(seen);
  }

  result<void> tell(const char* stage, std::int64_t done) {
    if (progress_ && !progress_(stage, done, -1)) return error{status::cancelled, "the job was cancelled", "", ""};
    return {};
  }

  result<void> prepare() {
    const std::int64_t opset = float_->opset_version("");
    if (opset < oldest_opset_written) QUANTAL_CHECK(onnx::convert_opset(*float_, opset_for_old_models));
    QUANTAL_TRY(changes, passes::run(*float_, passes::simplify()));
    (void)changes;
    return {};
  }

  // Channels that saw NaN or an infinity have no mean: their tensors are left out.
  static passes::mean_map means_of(const calibration& seen) {
    passes::mean_map means;
    for (const auto& [name, stats] : seen.means) {
      std::vector<double> of_channel;
      for (const calib::statistics& c : stats.channels)
        if (c.sums && c.count > 0 && c.nans + c.positive_infinities + c.negative_infinities == 0)
          of_channel.push_back(c.sums->mean());
      if (of_channel.size() == stats.channels.size()) means[name] = std::move(of_channel);
    }
    return means;
  }

  result<void> quantize_static(const ops::type_map& types, const passes::qdq_options& options) {
    QUANTAL_TRY(plan, passes::plan_qdq(*float_, types, options));
    QUANTAL_TRY(seen, ranges_seen(plan.observed(), options));
    report_.samples = seen.samples;
    macs_ = seen.macs;
    QUANTAL_TRY(warnings, lint_calibration(seen.facts, config_));
    report_.warnings.insert(report_.warnings.end(), warnings.begin(), warnings.end());
    passes::range_map ranges;
    const calib::method* method = calib::find_method(config_.activation_observer);
    std::unordered_map<std::string_view, const passes::tensor_plan*> planned;
    for (const passes::tensor_plan& t : plan.tensors) planned[t.name] = &t;
    for (const auto& [name, stats] : seen.tensors) {
      const auto t = planned.find(name);
      auto r =
          method->clip(t == planned.end() ? stats : calib::confined(stats, t->second->low, t->second->high),
                       method_options_of(config_), {options.activation_type, options.symmetric, options.reduce_range});
      if (!r) return std::move(r).failure().at(name);
      ranges[name] = {r->min, r->max};
      const std::uint64_t odd = stats.nans + stats.positive_infinities + stats.negative_infinities;
      if (odd > 0)
        report_.warnings.push_back(std::to_string(odd) + " values of " + name +
                                   " were NaN or infinite; ranges ignore them");
    }
    const bool correct = recipe_of(config_.type).correct_bias;
    if (correct && seen.feeds == 0 && seen.means.empty())
      report_.warnings.push_back("biases are not corrected: the calibration cache holds ranges, not channel means");
    QUANTAL_TRY(done,
                passes::place_qdq(*quantized_, plan, ranges, options, correct ? means_of(seen) : passes::mean_map{}));
    for (const passes::placed_tensor& t : done.tensors)
      report_.ranges.push_back({t.name, t.range.min, t.range.max, t.params.scale, t.params.zero_point});
    report_.warnings.insert(report_.warnings.end(), done.warnings.begin(), done.warnings.end());
    for (const passes::placed_tensor& t : done.tensors) counterpart_[t.name] = t.counterpart;
    plan_ = plan.nodes;
    return {};
  }

  // Multiply-adds from inferred shapes, for what no sample has run through.
  void static_macs(const ops::type_map& types) {
    if (!macs_.empty()) return;
    const auto shape_of = [&](const std::string& name) -> std::optional<shape> {
      if (const ir::constant* c = float_->graph.initializer(name)) return c->value.dims();
      const auto it = types.find(name);
      return it == types.end() ? std::nullopt : it->second.concrete();
    };
    for (const ir::node& n : float_->graph.nodes) {
      if (n.inputs.size() < 2 || n.outputs.empty()) continue;
      const auto x = shape_of(n.inputs[0]), w = shape_of(n.inputs[1]), y = shape_of(n.outputs[0]);
      if (x && w && y) macs_[n.outputs[0]] = macs_of(n, *x, *w, *y);
    }
  }

  // Runs both models on a few samples.
  result<void> measure() {
    if (samples_ == nullptr || config_.evaluation_samples <= 0) return {};
    std::unordered_set<std::string> there;
    for (const ir::node& n : quantized_->graph.nodes) there.insert(n.outputs.begin(), n.outputs.end());
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const ir::node& n : float_->graph.nodes) {
      if (n.outputs.empty()) continue;
      const std::string& y = n.outputs[0];
      if (const auto it = counterpart_.find(y); it != counterpart_.end()) {
        pairs.emplace_back(y, it->second);
      } else if (there.count(y) != 0) {
        pairs.emplace_back(y, y);
      }
    }
    QUANTAL_TRY(e, evaluate(given_, float_, quantized_, pairs, *samples_, config_.evaluation_samples, config_.threads,
                            progress_));
    report_.outputs = e.outputs;
    report_.evaluated = e.samples;
    if (report_.samples == 0) report_.samples = e.samples;
    for (const ir::node& n : float_->graph.nodes) {
      if (n.outputs.empty()) continue;
      if (const auto it = e.values.find(n.outputs[0]); it != e.values.end())
        report_.errors.push_back({n.label(), n.op_type, it->second});
    }
    return {};
  }

  void cover() {
    using passes::node_form;
    std::int64_t all = 0, integer = 0;
    for (std::size_t i = 0; i < plan_.size(); ++i) {
      const ir::node& n = float_->graph.nodes[i];
      const node_form form = plan_[i].form;
      if (form == node_form::other) continue;
      coverage_row row;
      row.node = n.label();
      row.op = n.op_type;
      const bool stays = form == node_form::floating || form == node_form::stored;
      row.status = stays ? "float" : "quantized";
      row.reason = plan_[i].reason;
      if (const auto it = macs_.find(n.outputs[0]); it != macs_.end()) row.macs = it->second;
      all += row.macs;
      if (form == node_form::weighted) integer += row.macs;
      if (row.macs > 0 && stays) skipped_.push_back(row.node + ": " + row.reason);
      report_.coverage.push_back(std::move(row));
    }
    report_.integer_macs = all > 0 ? static_cast<double>(integer) / static_cast<double>(all) : 0;
  }

  void stamp() {
    auto set = [&](const std::string& key, const std::string& value) {
      for (auto& [k, v] : quantized_->metadata)
        if (k == key) {
          v = value;
          return;
        }
      quantized_->metadata.emplace_back(key, value);
    };
    set("quantal.quant_type", recipe_of(config_.type).name);
    if (recipe_of(config_.type).needs_data) set("quantal.contract", "fp32_rne");
  }

  result<void> strict() {
    using passes::node_form;
    const bool nothing = std::all_of(plan_.begin(), plan_.end(), [](const passes::node_plan& p) {
      return p.form == node_form::other || p.form == node_form::floating;
    });
    if (nothing && config_.type != quant_type::fp16) {
      const std::string first = report_.coverage.empty() ? std::string("it has no operators that take part")
                                                         : report_.coverage[0].node + ": " + report_.coverage[0].reason;
      return error{status::unsupported, std::string("nothing could be quantized as ") + recipe_of(config_.type).name,
                   skipped_.empty() ? first : skipped_[0], "see quantal inspect for each operator's reason"};
    }
    if (config_.strict && !skipped_.empty())
      return error{status::unsupported, std::to_string(skipped_.size()) + " operators with weights stayed in float",
                   skipped_[0], "leave --strict out, or --exclude them"};
    return {};
  }

  const quantize_config& config_;
  data::source* samples_;
  const progress_fn& progress_;
  std::shared_ptr<const ir::model> given_;
  std::shared_ptr<ir::model> float_;  // given_, converted and simplified
  std::shared_ptr<ir::model> quantized_;
  std::vector<passes::node_plan> plan_;  // of float_'s nodes
  std::unordered_map<std::string, std::int64_t> macs_;
  std::unordered_map<std::string, std::string> counterpart_;
  std::vector<std::string> skipped_;
  std::string hash_;  // of the model as it was given; only where a cache is asked for
  quantize_report report_;
};

}  // namespace

result<calibrated> calibrate_model(const ir::model& m, const quantize_config& config, data::source& samples,
                                   const progress_fn& progress) {
  return job(m, config, &samples, progress).calibrate_only();
}

result<std::map<std::string, calib::range>> clipped_ranges(const data::calibration_cache& cache,
                                                           const quantize_config& config, bool symmetric) {
  const calib::method* method = calib::find_method(config.activation_observer);
  if (method == nullptr)
    return usage("unknown observer " + config.activation_observer, "--activation-observer",
                 "use one of " + calib::method_names());
  std::map<std::string, calib::range> ranges;
  for (const auto& [name, stats] : cache.tensors) {
    if (name.ends_with(means_suffix)) continue;
    auto r = method->clip(stats, method_options_of(config), {symmetric ? dtype::s8 : dtype::u8, symmetric, false});
    if (!r) return std::move(r).failure().at(name);
    ranges[name] = *r;
  }
  return ranges;
}

result<std::vector<coverage_row>> planned_coverage(const ir::model& m, const quantize_config& config) {
  const progress_fn none;
  return job(m, config, nullptr, none).plan_only();
}

result<quantized> quantize_model(const ir::model& m, const quantize_config& config, data::source* samples,
                                 const progress_fn& progress) {
  const auto begin = std::chrono::steady_clock::now();
  QUANTAL_TRY(done, job(m, config, samples, progress).run());
  done.report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  done.report.peak_rss_bytes = peak_rss_bytes();
  return std::move(done);
}

result<quantize_report> quantize_file(const std::string& model_path, const std::string& output,
                                      const quantize_config& config, data::source* samples,
                                      const progress_fn& progress) {
  const auto begin = std::chrono::steady_clock::now();
  QUANTAL_CHECK(refuse_to_replace(output, {model_path}, "the model"));
  if (!config.calibration_cache.empty())
    QUANTAL_CHECK(refuse_to_replace(output, {config.calibration_cache}, "the calibration cache"));
  if (progress && !progress("import", 0, -1)) return error{status::cancelled, "the job was cancelled", "", ""};
  std::vector<std::string> data_files;
  QUANTAL_TRY(m, onnx::read_file(model_path, &data_files));
  QUANTAL_CHECK(refuse_to_replace(output, data_files, "the model's external data"));
  QUANTAL_CHECK(refuse_to_replace(output + ".data", data_files, "the model's external data"));
  auto done = quantize_model(m, config, samples, progress);
  if (!done) return std::move(done).failure().at(model_path);
  if (progress && !progress("export", 0, -1)) return error{status::cancelled, "the job was cancelled", "", ""};
  QUANTAL_TRY(written, onnx::write_file(done->model, output));
  quantize_report& r = done->report;
  r.original_model = model_path;
  r.quantized_model = output;
  data_files.push_back(model_path);
  for (const std::string& path : data_files) {
    QUANTAL_TRY(file, io::random_file::open(path));
    r.original_bytes += static_cast<std::int64_t>(file.size());
  }
  r.quantized_bytes = static_cast<std::int64_t>(written);
  if (r.quantized_bytes > r.original_bytes)
    r.warnings.push_back("the quantized model is larger than the original: is it quantized already?");
  if (written > 0) r.compression_ratio = static_cast<double>(r.original_bytes) / static_cast<double>(written);
  r.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  r.peak_rss_bytes = peak_rss_bytes();
  return std::move(r);
}

}  // namespace quantal::pipeline
