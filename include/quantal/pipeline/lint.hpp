// lint: what the calibration linter says about a job's data, as lines of its report.
//
//   facts of the calibration data (calibrate.hpp counts them while it runs the model)      -> data::lint
//   and of the evaluation data, if there are any (config.evaluation is read for it)        -> data::lint_mismatch
//
// A line is "id: message". Warnings stop nothing; with `strict`, data that are too few or hold NaN are an error.
#pragma once
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/data/linter.hpp"
#include "quantal/pipeline/quantize.hpp"

namespace quantal::pipeline {

// Errors: calibration (too few samples), nan_value, and what reading the evaluation data reports.
result<std::vector<std::string>> lint_calibration(const data::data_facts& facts, const quantize_config& config);

}  // namespace quantal::pipeline
