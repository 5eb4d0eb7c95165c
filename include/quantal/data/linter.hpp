// The calibration linter: what is wrong with calibration data, told before it costs accuracy.
//
//   linter observes feeds (streaming, a few numbers per input) -> data_facts -> lint(facts, limits) -> warnings
//
// Observing and judging are separate: each warning is a function of facts, so that it can be tested, and facts of the
// calibration and of the evaluation data can be compared. Samples that only fill a fixed batch are left out.
// Memory: 8 bytes per sample for duplicates, up to a million samples, and one batch.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/data/source.hpp"

namespace quantal::data {

// Of one input, over all samples. Elements that are NaN count in `nan` only, infinities in `infinite` only.
struct input_facts {
  std::string name;
  bool floating = false;
  bool pixels = false;  // four dimensions, 1 or 3 channels
  std::int64_t samples = 0;
  std::int64_t elements = 0;  // finite ones
  std::int64_t nan = 0, infinite = 0;
  double min = 0, max = 0;  // of the finite elements
  double sum = 0, sum_of_squares = 0;
  bool whole = true;            // every finite element is a whole number
  std::int64_t constant = 0;    // samples whose elements are all equal
  std::int64_t duplicates = 0;  // samples equal to an earlier one in this input
  std::int64_t padded = 0;      // samples with a constant margin of 30 % or more of an axis of 16 or more
  std::int64_t judged_noise = 0,
               noise = 0;  // samples with an axis of 16 or more; those whose neighbours are uncorrelated
  std::string nan_origin;  // where the first NaN or infinity was seen

  double mean() const noexcept;
  double deviation() const noexcept;  // standard deviation
};

struct data_facts {
  std::int64_t samples = 0;
  std::int64_t duplicates = 0;  // samples equal to an earlier one in every input
  std::vector<input_facts> inputs;
  std::map<std::int64_t, std::int64_t> classes;  // samples (or objects) per class; empty: no labels
  std::vector<std::string> class_names;          // what the data set says exists
};

class linter {
 public:
  void observe(const feed& f);
  data_facts facts() const { return facts_; }

 private:
  data_facts facts_;
  std::vector<std::unordered_set<std::uint64_t>> seen_;  // per input; the last one: whole samples
};

// Reads a source to its end (from where it stands) and observes it.
result<data_facts> survey(source& samples);

struct lint_warning {
  std::string id;       // "too_few_samples", "constant", "nan", "out_of_range", "duplicate", "noise_like", "padded",
                        // "one_class", "missing_classes", "unbalanced_classes", "mismatch"
  std::string message;  // one line: what was seen, and what to do
};

struct lint_limits {
  std::int64_t min_samples = 100;  // --min-samples
};

using maybe_warning = std::optional<lint_warning>;

maybe_warning warn_too_few_samples(const data_facts& facts, const lint_limits& limits);
maybe_warning warn_constant(const input_facts& facts);  // any sample, or all data
maybe_warning warn_nan(const input_facts& facts);
maybe_warning warn_out_of_range(
    const input_facts& facts);                            // infinite, beyond f16, or raw 0..255 pixels in a float input
maybe_warning warn_duplicate(const data_facts& facts);    // from 5 % on
maybe_warning warn_noise_like(const input_facts& facts);  // from half of the samples on
maybe_warning warn_padded(const input_facts& facts);      // from a fifth of the samples on
maybe_warning warn_one_class(const data_facts& facts);
maybe_warning warn_missing_classes(const data_facts& facts);
maybe_warning warn_unbalanced_classes(const data_facts& facts);  // the most frequent class 10 times the rarest
// Calibration against evaluation data: a range that leaves the calibrated one by a quarter of its width, means that
// differ by half a standard deviation, deviations by a factor of 2.
maybe_warning warn_mismatch(const input_facts& calibration, const input_facts& evaluation);

// All of them, in the order above.
std::vector<lint_warning> lint(const data_facts& facts, const lint_limits& limits = {});
std::vector<lint_warning> lint_mismatch(const data_facts& calibration, const data_facts& evaluation);

}  // namespace quantal::data
