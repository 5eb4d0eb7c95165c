// Each warning: from facts to one line of advice. The limits are named here and documented in docs/data.md.
#include <algorithm>
#include <cmath>

#include "quantal/data/linter.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

constexpr double duplicate_share = 0.05, noise_share = 0.5, padded_share = 0.2, unbalanced_factor = 10;
constexpr double largest_f16 = 65504;

std::string of_input(const input_facts& facts) {
  return "input " + io::quote(facts.name) + ": ";
}

std::string count_of(std::int64_t part, std::int64_t all) {
  return std::to_string(part) + " of " + std::to_string(all) + " samples";
}

bool at_least(std::int64_t part, double share, std::int64_t all) {
  return part > 0 && static_cast<double>(part) >= share * static_cast<double>(all);
}

std::string class_text(const data_facts& facts, std::int64_t number) {
  const bool named = number >= 0 && number < static_cast<std::int64_t>(facts.class_names.size());
  return named ? io::quote(facts.class_names[static_cast<std::size_t>(number)]) : std::to_string(number);
}

std::string short_number(double value) {
  const double size = std::abs(value);
  return size != 0 && (size >= 1e6 || size < 1e-3) ? io::number(static_cast<float>(value)) : io::fixed(value, 3);
}

}  // namespace

maybe_warning warn_too_few_samples(const data_facts& facts, const lint_limits& limits) {
  if (facts.samples >= limits.min_samples) return std::nullopt;
  return lint_warning{"too_few_samples", "only " + std::to_string(facts.samples) + " calibration samples, fewer than " +
                                             std::to_string(limits.min_samples) +
                                             ": ranges may be too narrow, add data"};
}

maybe_warning warn_constant(const input_facts& facts) {
  if (facts.elements > 1 && facts.min == facts.max) {
    return lint_warning{"constant",
                        of_input(facts) + "every value is " + short_number(facts.min) + ": this is not real data"};
  }
  if (facts.constant == 0) return std::nullopt;
  return lint_warning{"constant", of_input(facts) + count_of(facts.constant, facts.samples) +
                                      " hold a single value: blank or failed inputs, remove them"};
}

maybe_warning warn_nan(const input_facts& facts) {
  if (facts.nan == 0) return std::nullopt;
  return lint_warning{"nan", of_input(facts) + std::to_string(facts.nan) + " NaN values, the first in " +
                                 facts.nan_origin + ": they are left out of the ranges, check the preprocessing"};
}

maybe_warning warn_out_of_range(const input_facts& facts) {
  if (!facts.floating) return std::nullopt;
  if (facts.infinite > 0) {
    return lint_warning{"out_of_range", of_input(facts) + std::to_string(facts.infinite) +
                                            " infinite values, the first in " + facts.nan_origin +
                                            ": check the preprocessing"};
  }
  const double largest = std::max(std::abs(facts.min), std::abs(facts.max));
  if (facts.elements > 0 && largest > largest_f16) {
    return lint_warning{"out_of_range", of_input(facts) + "values up to " + short_number(largest) +
                                            ": a few outliers or data that were never scaled"};
  }
  if (facts.pixels && facts.whole && facts.min >= 0 && facts.max > 128 && facts.max <= 255) {
    return lint_warning{"out_of_range",
                        of_input(facts) + "whole numbers from " + short_number(facts.min) + " to " +
                            short_number(facts.max) +
                            " look like raw pixels: most models expect scaled ones (0..1), check against training"};
  }
  return std::nullopt;
}

maybe_warning warn_duplicate(const data_facts& facts) {
  if (!at_least(facts.duplicates, duplicate_share, facts.samples)) return std::nullopt;
  return lint_warning{"duplicate",
                      count_of(facts.duplicates, facts.samples) + " repeat an earlier one: they add no information"};
}

maybe_warning warn_noise_like(const input_facts& facts) {
  if (!at_least(facts.noise, noise_share, facts.judged_noise)) return std::nullopt;
  return lint_warning{"noise_like",
                      of_input(facts) + count_of(facts.noise, facts.samples) +
                          " look like random noise (neighbouring values are uncorrelated): calibrate with real data"};
}

maybe_warning warn_padded(const input_facts& facts) {
  if (!at_least(facts.padded, padded_share, facts.samples)) return std::nullopt;
  return lint_warning{
      "padded",
      of_input(facts) + count_of(facts.padded, facts.samples) +
          " have a constant margin of 30 % or more: padding shifts the statistics, use real lengths or sizes"};
}

maybe_warning warn_one_class(const data_facts& facts) {
  if (facts.classes.size() != 1 || facts.samples < 2) return std::nullopt;
  return lint_warning{"one_class", "all samples are of class " + class_text(facts, facts.classes.begin()->first) +
                                       ": take samples of every class"};
}

maybe_warning warn_missing_classes(const data_facts& facts) {
  if (facts.classes.empty()) return std::nullopt;
  // Without names the largest class number tells how many there are.
  const std::int64_t known = facts.class_names.empty() ? facts.classes.rbegin()->first + 1
                                                       : static_cast<std::int64_t>(facts.class_names.size());
  std::string names;
  std::int64_t missing = 0;
  const std::int64_t present = static_cast<std::int64_t>(facts.classes.size());
  for (std::int64_t c = 0; c < known && missing < 4 + present; ++c) {
    if (facts.classes.contains(c)) continue;
    if (++missing <= 3) names += (names.empty() ? "" : ", ") + class_text(facts, c);
  }
  if (missing == 0) return std::nullopt;
  std::int64_t found = 0;
  for (const auto& [c, count] : facts.classes) found += c >= 0 && c < known ? 1 : 0;
  const std::int64_t all_missing = known - found;
  return lint_warning{"missing_classes", std::to_string(all_missing) + " of " + std::to_string(known) +
                                             " classes have no sample (" + names + (all_missing > 3 ? ", ..." : "") +
                                             "): add some of each"};
}

maybe_warning warn_unbalanced_classes(const data_facts& facts) {
  if (facts.classes.size() < 2) return std::nullopt;
  const auto less = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [rare, frequent] = std::minmax_element(facts.classes.begin(), facts.classes.end(), less);
  if (static_cast<double>(frequent->second) < unbalanced_factor * static_cast<double>(rare->second))
    return std::nullopt;
  return lint_warning{"unbalanced_classes", "class " + class_text(facts, frequent->first) + " has " +
                                                std::to_string(frequent->second) + " samples, class " +
                                                class_text(facts, rare->first) + " " + std::to_string(rare->second) +
                                                ": ranges follow the frequent one"};
}

maybe_warning warn_mismatch(const input_facts& calibration, const input_facts& evaluation) {
  if (calibration.elements == 0 || evaluation.elements == 0) return std::nullopt;
  const double width = calibration.max - calibration.min;
  const double spread = std::max(calibration.deviation(), 1e-12);
  const double beyond = std::max(calibration.min - evaluation.min, evaluation.max - calibration.max);
  const double ratio = std::max(evaluation.deviation(), 1e-12) / spread;
  const bool range = beyond > 0.25 * width && beyond > 0;
  const bool mean = std::abs(calibration.mean() - evaluation.mean()) > 0.5 * spread;
  if (!range && !mean && ratio < 2 && ratio > 0.5) return std::nullopt;
  const auto describe = [](const input_facts& f) {
    return short_number(f.min) + ".." + short_number(f.max) + ", mean " + short_number(f.mean()) + ", deviation " +
           short_number(f.deviation());
  };
  return lint_warning{"mismatch", of_input(calibration) + "calibration data (" + describe(calibration) +
                                      ") and evaluation data (" + describe(evaluation) +
                                      ") differ: same preprocessing? augmentation?"};
}

std::vector<lint_warning> lint(const data_facts& facts, const lint_limits& limits) {
  std::vector<lint_warning> all;
  const auto add = [&](maybe_warning w) {
    if (w) all.push_back(std::move(*w));
  };
  const auto each = [&](maybe_warning (*warn)(const input_facts&)) {
    for (const input_facts& f : facts.inputs) add(warn(f));
  };
  add(warn_too_few_samples(facts, limits));
  each(warn_constant);
  each(warn_nan);
  each(warn_out_of_range);
  add(warn_duplicate(facts));
  each(warn_noise_like);
  each(warn_padded);
  add(warn_one_class(facts));
  add(warn_missing_classes(facts));
  add(warn_unbalanced_classes(facts));
  return all;
}

std::vector<lint_warning> lint_mismatch(const data_facts& calibration, const data_facts& evaluation) {
  std::vector<lint_warning> all;
  for (const input_facts& a : calibration.inputs) {
    for (const input_facts& b : evaluation.inputs) {
      if (a.name != b.name) continue;
      if (auto w = warn_mismatch(a, b)) all.push_back(std::move(*w));
    }
  }
  return all;
}

}  // namespace quantal::data
