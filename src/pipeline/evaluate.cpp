#include "quantal/pipeline/evaluate.hpp"

#include "quantal/exec/session.hpp"
#include "quantal/report/error.hpp"

namespace quantal::pipeline {

namespace {

constexpr std::int64_t elements_per_value = 4096;

std::int64_t stride_of(std::int64_t elements) {
  const std::int64_t s = (elements + elements_per_value - 1) / elements_per_value;
  return s <= 1 ? 1 : s | 1;
}

std::vector<float> excerpt(const tensor_buffer& t) {
  const std::int64_t n = t.elements(), stride = stride_of(n);
  std::vector<float> kept;
  kept.reserve(static_cast<std::size_t>(n / stride + 1));
  for (std::int64_t i = 0; i < n; i += stride) kept.push_back(static_cast<float>(report::element(t, i)));
  return kept;
}

bool is_real(const tensor_buffer& t) {
  return t.type() == dtype::f32 || t.type() == dtype::f16;
}

}  // namespace

result<evaluation> evaluate(std::shared_ptr<const ir::model> given, std::shared_ptr<const ir::model> reference,
                            std::shared_ptr<const ir::model> quantized,
                            const std::vector<std::pair<std::string, std::string>>& pairs, data::source& samples,
                            std::int64_t limit, std::size_t threads, const progress_fn& progress) {
  exec::session_options options;
  options.threads = threads;
  const auto original = exec::session::create(given, options);
  QUANTAL_TRY(a, exec::session::create(reference, options));
  QUANTAL_TRY(b, exec::session::create(quantized, options));
  std::unordered_map<std::string_view, std::vector<float>> kept;
  std::unordered_map<std::string_view, std::string_view> float_name;
  std::unordered_map<std::string, report::error_sum> errors;
  for (const auto& [x, y] : pairs) {
    kept[x];
    float_name[y] = x;
  }
  exec::run_options run_a, run_b;
  run_a.observe = [&](std::string_view name, const tensor_buffer& value) {
    const auto it = kept.find(name);
    if (it != kept.end() && is_real(value)) it->second = excerpt(value);
  };
  run_b.observe = [&](std::string_view name, const tensor_buffer& value) {
    const auto it = float_name.find(name);
    if (it == float_name.end() || !is_real(value)) return;
    const std::vector<float>& x = kept[it->second];
    const std::int64_t n = value.elements(), stride = stride_of(n);
    if (x.size() != static_cast<std::size_t>((n + stride - 1) / stride)) return;
    report::error_sum& sum = errors[std::string(it->second)];
    for (std::size_t k = 0; k < x.size(); ++k)
      sum.add(static_cast<double>(x[k]), report::element(value, static_cast<std::int64_t>(k) * stride));
  };

  QUANTAL_CHECK(samples.rewind());
  evaluation done;
  std::vector<report::error_sum> outputs;
  while (done.samples < limit) {
    QUANTAL_TRY(feed, samples.next());
    if (!feed) break;
    std::vector<exec::named_tensor> inputs;
    for (auto& [name, value] : feed->inputs) inputs.push_back({name, value});
    std::vector<exec::named_tensor> wanted;
    if (original) {
      QUANTAL_TRY(y, original->run(inputs));
      wanted = std::move(y);
    }
    QUANTAL_TRY(ya, a.run(inputs, run_a));
    QUANTAL_TRY(yb, b.run(inputs, run_b));
    if (!original) wanted = std::move(ya);
    outputs.resize(wanted.size());
    for (std::size_t k = 0; k < wanted.size() && k < yb.size(); ++k) {
      if (wanted[k].value.type() == dtype::string) continue;
      if (auto added = outputs[k].add(wanted[k].value, yb[k].value); !added)
        return std::move(added).failure().at(wanted[k].name);
    }
    done.samples += feed->samples;
    if (progress && !progress("evaluate", done.samples, limit))
      return error{status::cancelled, "evaluation was cancelled", "", ""};
  }
  for (std::size_t k = 0; k < outputs.size(); ++k)
    done.outputs.push_back(
        {reference->graph.outputs[k].name, outputs[k].sqnr_db(), outputs[k].cosine(), outputs[k].max_abs_error()});
  for (const auto& [name, sum] : errors) done.values[name] = sum.sqnr_db();
  return done;
}

}  // namespace quantal::pipeline
