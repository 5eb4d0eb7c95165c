// options: the words of a configuration as what the passes take; which of them a quantization type does not read.
//
// Words are taken in any case. One that belongs to a later version is status::unsupported, one that nobody knows
// status::usage, a number out of range status::argument: before any work, and naming the option.
#pragma once
#include <string>
#include <vector>

#include "quantal/passes/plan_qdq.hpp"
#include "quantal/pipeline/quantize.hpp"

namespace quantal::pipeline {

result<passes::qdq_options> options_of(const quantize_config& config);

// A line for each option that was changed but makes no difference to this type or these observers.
std::vector<std::string> unread_options(const quantize_config& config);

}  // namespace quantal::pipeline
