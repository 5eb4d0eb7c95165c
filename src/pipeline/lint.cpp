#include "quantal/pipeline/lint.hpp"

namespace quantal::pipeline {

namespace {

result<void> refuse(const data::lint_warning& w) {
  if (w.id == "too_few_samples")
    return error{status::calibration, w.message, "--data", "add samples or lower --min-samples"};
  if (w.id == "nan") return error{status::nan_value, w.message, "--data", "or leave --strict out"};
  return {};
}

}  // namespace

result<std::vector<std::string>> lint_calibration(const data::data_facts& facts, const quantize_config& config) {
  std::vector<data::lint_warning> all = data::lint(facts, {config.min_samples});
  if (config.evaluation != nullptr && !facts.inputs.empty()) {
    QUANTAL_CHECK(config.evaluation->rewind());
    auto other = data::survey(*config.evaluation);
    if (!other) return std::move(other).failure().at("evaluation data");
    for (data::lint_warning& w : data::lint_mismatch(facts, *other)) all.push_back(std::move(w));
  }
  std::vector<std::string> lines;
  for (const data::lint_warning& w : all) {
    if (config.strict) QUANTAL_CHECK(refuse(w));
    lines.push_back(w.id + ": " + w.message);
  }
  return lines;
}

}  // namespace quantal::pipeline
