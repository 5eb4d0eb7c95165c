// html: the report as one self-contained page: summary, coverage with reasons, ranges, error per node.
// No script, no font, no image from elsewhere; every name from a file is escaped. Works from file:// and by mail.
#pragma once
#include <string>

#include "quantal/report/quantize_report.hpp"

namespace quantal::report {

std::string html(const quantize_report& r);

}  // namespace quantal::report
