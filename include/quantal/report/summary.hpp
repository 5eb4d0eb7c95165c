// summary: the report as text for a terminal: the block of the interface, coverage grouped by reason, quality,
// warnings. At most 100 columns; names from files are escaped and shortened.
#pragma once
#include <string>

#include "quantal/report/quantize_report.hpp"

namespace quantal::report {

std::string summary(const quantize_report& r);

}  // namespace quantal::report
