// One file per kernel family adds its rows for a list of shapes; families.cpp reads the lists from cases.json.
//
// A new family: a file named after it with an add_<family>_rows(), its line here and in the table of families.cpp, and
// its gates in cases.json.
#pragma once
#include <string>

namespace bench {

// Reads cases.json and adds every row that a run for `isa` measures, peers and limits included. False (with a message)
// if the file cannot be read or names an unknown family.
bool add_all_rows(const std::string& cases_path, const std::string& isa);

// `family` is the part of a row's name before the first slash. Families whose kernel is dispatched whatever `isa` says
// do not have it in their names.
using add_rows = void(const std::string& family, const std::string& isa, const std::string& shape);
add_rows add_gemm_rows, add_conv_rows, add_depthwise_rows, add_quantize_rows, add_observer_rows, add_codes_rows;

void add_limit_rows(const std::string& isa);

// Tells whether the SMT neighbour of this core is idle (limits.cpp): `time` runs a loop of some microseconds. Against
// the fastest of a run, up to `quiet` times as long means idle, more than `busy` times as long busy.
struct smt_probe {
  double (*time)() = nullptr;  // null: no such probe here
  double quiet = 0, busy = 0;
};
smt_probe smt_probe_of(const std::string& isa);

}  // namespace bench
