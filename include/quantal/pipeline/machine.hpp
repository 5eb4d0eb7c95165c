// What this machine offers, as one JSON object for the command line, C and Python; and a self-test that runs every
// integer kernel that this CPU has on known inputs: equal bytes, equal checksum, on every CPU.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace quantal::pipeline {

// {"model": "...", "cores": 2, "isa": "avx2", "cap": "", "isas": [{"name", "needs", "available", "compiled",
// "used"}...],
//  "kernels": {"elementwise": "avx2", "float": "avx2"}}
std::string cpu_json(int indent = 2);

// The CPU's own name, "" where the system does not tell.
std::string cpu_model();
// Largest resident set of this process so far, in bytes (VmHWM); 0 where the system does not tell.
std::int64_t peak_rss_bytes() noexcept;

inline constexpr const char* selftest_parts[] = {"integer", "numbers", "params", "elementwise",
                                                 "gemm",    "codes",   "conv",   "depthwise"};
using selftest_words = std::array<std::uint32_t, std::size(selftest_parts)>;  // CRC-32 of each part

struct selftest_row {
  std::string isa;
  bool ran = false;      // CPU and build have it
  std::string checksum;  // eight digits: CRC-32 of the parts' words
  selftest_words parts{};
  bool passed = false;  // every part equals its known value
  std::string differs;  // names of the parts that do not, with spaces between
};
// One row per ISA of the list, the reference first.
std::vector<selftest_row> selftest();
// What every machine must find.
std::string selftest_checksum();
// {"passed": true, "checksum": "...", "parts": {"integer": "...", ...}, "isas": [{"isa", "ran", "checksum", "parts",
// "passed"}...]}
std::string selftest_json(const std::vector<selftest_row>& rows);
// No kernel that ran computes something else.
bool passed(const std::vector<selftest_row>& rows) noexcept;

}  // namespace quantal::pipeline
