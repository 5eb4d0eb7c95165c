// The `--json` objects: one spelling of every key for the command line, C and Python. Keys are the field names.
// A figure that is infinite (bit-identical outputs have infinite SQNR) or not a number is null: JSON has no word for
// it.
#pragma once
#include <string>

#include "quantal/pipeline/compare.hpp"
#include "quantal/pipeline/quantize.hpp"

namespace quantal::pipeline {

// indent < 0: one line.
std::string to_json(const quantize_report& r, int indent = 2);
std::string to_json(const compare_report& r, int indent = 2);

}  // namespace quantal::pipeline
