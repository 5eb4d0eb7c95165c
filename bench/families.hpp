// One file per kernel family adds its rows for a list of shapes; families.cpp reads the lists from cases.json.
#pragma once
#include <string>
#include <vector>

namespace bench {

// Reads cases.json and adds every row that a run for `isa` measures, peers and limits included. False (with a message)
// if the file cannot be read.
bool add_all_rows(const std::string& cases_path, const std::string& isa);

// `family` is the part of a row's name before the first slash.
void add_gemm_rows(const std::string& family, const std::string& isa, const std::string& shape);
void add_conv_rows(const std::string& family, const std::string& isa, const std::string& shape);
void add_array_rows(const std::string& family, const std::string& shape);
void add_limit_rows(const std::string& isa);

// Is the SMT neighbour of this core idle? 1 quiet, 0 busy, -1 unclear or no AMX here (limits.cpp).
int amx_regime();

}  // namespace bench
