// The C ABI's whole-model part: quantal_job -> pipeline::quantize_config and a data source, reports as JSON.
#include <cstddef>
#include <cstdlib>

#include "guard.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"
#include "quantal/onnx/onnx.hpp"
#include "quantal/pipeline/compare.hpp"
#include "quantal/pipeline/json.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "source.hpp"

namespace quantal::capi {
namespace {

void take(std::string& to, const char* from) {
  if (from != nullptr) to = from;
}

result<void> take_list(std::vector<std::string>& to, const char* const* from, std::uint64_t count, const char* field) {
  if (count == 0) return {};
  if (from == nullptr) return error{status::null_pointer, std::string(field) + " is NULL", "quantal_job", {}};
  if (count > 1'000'000) return error{status::count, std::string(field) + " has too many entries", "quantal_job", {}};
  for (std::uint64_t i = 0; i < count; ++i) {
    if (from[i] == nullptr)
      return error{status::null_pointer, std::string(field) + " has a NULL entry", "quantal_job", {}};
    to.emplace_back(from[i]);
  }
  return {};
}

// The configuration that a job asks for.
result<pipeline::quantize_config> config_of(const quantal_job& job) {
  pipeline::quantize_config c;
  if (job.quant_type != nullptr) {
    const auto type = pipeline::quant_type_from(job.quant_type);
    if (!type) return error{status::usage, "unknown quant type " + io::quote(job.quant_type), "quant_type", {}};
    c.type = *type;
  }
  take(c.preset, job.preset);
  take(c.activation_observer, job.activation_observer);
  take(c.weight_observer, job.weight_observer);
  take(c.activation_type, job.activation_type);
  take(c.weight_type, job.weight_type);
  take(c.format, job.format);
  take(c.target, job.target);
  take(c.calibration_cache, job.calibration_cache);
  QUANTAL_CHECK(take_list(c.include, job.include, job.include_count, "include"));
  QUANTAL_CHECK(take_list(c.exclude, job.exclude, job.exclude_count, "exclude"));
  c.strict = (job.flags & QUANTAL_STRICT) != 0;
  c.symmetric = (job.flags & QUANTAL_SYMMETRIC) != 0;
  c.reduce_range = (job.flags & QUANTAL_REDUCE_RANGE) != 0;
  if (job.batch_size < 0 || job.workers < -1 || job.threads < 0 || job.num_calib_batches < -1 || job.min_samples < -1) {
    return error{status::argument, "a number of the job is negative", "quantal_job", {}};
  }
  if (job.batch_size > 0) c.batch_size = job.batch_size;
  if (job.num_calib_batches != 0) c.num_calib_batches = job.num_calib_batches;
  if (job.min_samples != 0) c.min_samples = job.min_samples < 0 ? 0 : job.min_samples;
  if (job.workers != 0) c.workers = job.workers < 0 ? 0 : job.workers;
  c.threads = static_cast<std::size_t>(job.threads);
  if (job.reserved != 0) return error{status::argument, "reserved is not 0", "quantal_job", {}};
  if (job.percentile != 0) c.percentile = job.percentile;
  if (job.stddev != 0) c.stddev = job.stddev;
  if (job.scale != 0) c.scale = job.scale;
  c.bins = job.bins;
  return c;
}

pipeline::progress_fn progress_of(const quantal_job& job) {
  if (job.progress == nullptr) return {};
  return
      [call = job.progress, context = job.progress_context](const char* stage, std::int64_t done, std::int64_t total) {
        return call(context, stage, done, total) == 0;
      };
}

data::source_options source_options_of(const quantal_job& job, const pipeline::quantize_config& c, std::int64_t feeds) {
  data::source_options options;
  options.batch_size = c.batch_size;
  options.max_feeds = feeds;
  options.workers = c.workers;
  take(options.labels, job.labels);
  take(options.split, job.split);
  take(options.image.imgsz, job.imgsz);
  take(options.image.layout, job.layout);
  take(options.image.mean, job.mean);
  take(options.image.std, job.std);
  take(options.image.value_range, job.value_range);
  take(options.image.color, job.color);
  options.image.letterbox = (job.flags & QUANTAL_LETTERBOX) != 0;
  return options;
}

bool about_files(const quantal_job& job) {
  for (const char* option :
       {job.labels, job.split, job.imgsz, job.layout, job.mean, job.std, job.value_range, job.color})
    if (option != nullptr) return true;
  return (job.flags & QUANTAL_LETTERBOX) != 0;
}

// Samples of a job: a path, the caller's callback, or none.
result<std::unique_ptr<data::source>> source_of(const quantal_job& job, const ir::model& m,
                                                const pipeline::quantize_config& c, std::int64_t feeds) {
  if (job.data != nullptr && job.pull != nullptr)
    return error{status::argument, "both data and pull are given", "quantal_job", "give one"};
  if (job.eval_data != nullptr && job.data == nullptr && job.pull == nullptr)
    return error{status::argument, "eval_data needs samples to compare with", "quantal_job", "give data or pull"};
  if (job.data == nullptr && job.eval_data == nullptr && about_files(job))
    return error{status::argument, "labels, split and the options of images are about files", "quantal_job",
                 "give data"};
  if (job.data != nullptr) return data::open(job.data, pipeline::fed_inputs(m), source_options_of(job, c, feeds));
  if (job.pull != nullptr) return pull_source(job.pull, job.rewind, job.pull_context, feeds, pipeline::fed_inputs(m));
  return std::unique_ptr<data::source>();
}

// The samples that those of the job are held against; none if it names none.
result<std::unique_ptr<data::source>> evaluation_of(const quantal_job& job, const ir::model& m,
                                                    const pipeline::quantize_config& c) {
  if (job.eval_data == nullptr) return std::unique_ptr<data::source>();
  return data::open(job.eval_data, pipeline::fed_inputs(m),
                    data::held_out(source_options_of(job, c, c.num_calib_batches)));
}

// Names the options about files that made no difference.
void add_unread(const quantal_job& job, const pipeline::quantize_config& c, const data::source* samples,
                pipeline::quantize_report& report) {
  for (std::string& line : data::unread_options(source_options_of(job, c, -1).image, samples, c.evaluation))
    report.warnings.push_back(std::move(line));
}

std::int32_t read_job(const quantal_job* in, quantal_job& job, quantal_diag* diag) noexcept {
  const std::int32_t s = read_struct(in, job, offsetof(quantal_job, labels),  // where version 1 ended
                                     std::uint32_t{QUANTAL_STRICT} | std::uint32_t{QUANTAL_SYMMETRIC} |
                                         std::uint32_t{QUANTAL_REDUCE_RANGE} | std::uint32_t{QUANTAL_LETTERBOX});
  return s == QUANTAL_OK
             ? s
             : fail(s, in == nullptr ? "job is NULL" : "quantal_job is not one this library can read", diag);
}

// Hands a report to the caller; the last step, so that nothing is half returned.
std::int32_t hand_over(const std::string& json, char** out, quantal_diag* diag) {
  if (out == nullptr) return QUANTAL_OK;
  char* copy = copy_out(json);
  if (copy == nullptr) return fail(QUANTAL_E_OUT_OF_MEMORY, "out of memory", diag);
  *out = copy;
  return QUANTAL_OK;
}

}  // namespace
}  // namespace quantal::capi

using namespace quantal;
using namespace quantal::capi;

#define QUANTAL_C_TRY(name, expression)                           \
  auto name##_result = (expression);                              \
  if (!name##_result) return fail(name##_result.failure(), diag); \
  auto& name = *name##_result

extern "C" {

int32_t quantal_quantize_file(const quantal_job* in, const char* model_path, const char* output_path,
                              char** report_json, quantal_diag* diag) {
  quantal_job job;
  if (const int32_t s = read_job(in, job, diag); s != QUANTAL_OK) return s;
  if (model_path == nullptr || output_path == nullptr) return fail(QUANTAL_E_NULL, "a path is NULL", diag);
  return fenced(diag, [&]() -> int32_t {
    QUANTAL_C_TRY(config, config_of(job));
    for (const char* read : {job.data, job.eval_data, job.labels})
      if (read != nullptr && io::same_file(read, output_path))
        return fail(error{status::usage, "the output would replace the data", io::escape_text(output_path), {}}, diag);
    std::unique_ptr<data::source> samples, evaluation;
    if (job.data != nullptr || job.pull != nullptr || job.eval_data != nullptr || about_files(job)) {
      QUANTAL_C_TRY(m, onnx::read_file(model_path));
      QUANTAL_C_TRY(opened, source_of(job, m, config, config.num_calib_batches));
      samples = std::move(opened);
      QUANTAL_C_TRY(held_out, evaluation_of(job, m, config));
      evaluation = std::move(held_out);
      config.evaluation = evaluation.get();
    }
    QUANTAL_C_TRY(done, pipeline::quantize_file(model_path, output_path, config, samples.get(), progress_of(job)));
    add_unread(job, config, samples.get(), done);
    return hand_over(pipeline::to_json(done), report_json, diag);
  });
}

int32_t quantal_quantize_memory(const quantal_job* in, const void* model, size_t model_bytes, void** output,
                                size_t* output_bytes, char** report_json, quantal_diag* diag) {
  quantal_job job;
  if (const int32_t s = read_job(in, job, diag); s != QUANTAL_OK) return s;
  if (model == nullptr || output == nullptr || output_bytes == nullptr)
    return fail(QUANTAL_E_NULL, "model or output is NULL", diag);
  return fenced(diag, [&]() -> int32_t {
    QUANTAL_C_TRY(config, config_of(job));
    QUANTAL_C_TRY(m, onnx::read({static_cast<const std::byte*>(model), model_bytes}));
    QUANTAL_C_TRY(samples, source_of(job, m, config, config.num_calib_batches));
    QUANTAL_C_TRY(evaluation, evaluation_of(job, m, config));
    config.evaluation = evaluation.get();
    QUANTAL_C_TRY(done, pipeline::quantize_model(m, config, samples.get(), progress_of(job)));
    add_unread(job, config, samples.get(), done.report);
    QUANTAL_C_TRY(bytes, onnx::write(done.model));
    void* copy = std::malloc(bytes.empty() ? 1 : bytes.size());
    if (copy == nullptr) return fail(QUANTAL_E_OUT_OF_MEMORY, "out of memory", diag);
    std::memcpy(copy, bytes.data(), bytes.size());
    done.report.original_bytes = static_cast<std::int64_t>(model_bytes);
    done.report.quantized_bytes = static_cast<std::int64_t>(bytes.size());
    if (!bytes.empty())
      done.report.compression_ratio = static_cast<double>(model_bytes) / static_cast<double>(bytes.size());
    if (const int32_t s = hand_over(pipeline::to_json(done.report), report_json, diag); s != QUANTAL_OK) {
      std::free(copy);
      return s;
    }
    *output = copy;
    *output_bytes = bytes.size();
    return QUANTAL_OK;
  });
}

int32_t quantal_compare(const quantal_job* in, const char* model_a, const char* model_b, const char* metric,
                        char** json, quantal_diag* diag) {
  quantal_job job;
  if (const int32_t s = read_job(in, job, diag); s != QUANTAL_OK) return s;
  if (model_a == nullptr || model_b == nullptr || json == nullptr)
    return fail(QUANTAL_E_NULL, "a path or json is NULL", diag);
  return fenced(diag, [&]() -> int32_t {
    QUANTAL_C_TRY(config, config_of(job));
    QUANTAL_C_TRY(a, onnx::read_file(model_a));
    QUANTAL_C_TRY(b, onnx::read_file(model_b));
    QUANTAL_C_TRY(samples, source_of(job, a, config, job.num_calib_batches == 0 ? -1 : job.num_calib_batches));
    if (samples == nullptr) return fail(QUANTAL_E_DATA_MISSING, "compare needs samples: data or pull", diag);
    pipeline::compare_options options;
    take(options.metric, metric);
    options.threads = config.threads;
    QUANTAL_C_TRY(
        done, pipeline::compare(std::make_shared<ir::model>(std::move(a)), std::make_shared<ir::model>(std::move(b)),
                                *samples, options, progress_of(job)));
    done.model_a = model_a;
    done.model_b = model_b;
    return hand_over(pipeline::to_json(done), json, diag);
  });
}

}  // extern "C"
