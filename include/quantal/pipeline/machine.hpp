// What this machine offers, as one JSON object for the command line, C and Python; and a self-test that runs every
// integer kernel that this CPU has on known inputs: equal bytes, equal checksum, on every CPU.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace quantal::pipeline {

// {"model": "...", "cores": 2, "isa": "avx2", "cap": "", "isas": [{"name", "needs", "available", "compiled", "used"}...],
//  "kernels": {"elementwise": "avx2", "float": "avx2"}}
std::string cpu_json(int indent = 2);

// The CPU's own name, "" where the system does not tell.
std::string cpu_model();
// Cores that this process may use.
std::size_t usable_cores() noexcept;

struct selftest_row {
  std::string isa;
  bool ran = false;            // CPU and build have it
  std::uint32_t checksum = 0;  // CRC-32 of all outputs
  bool passed = false;         // equals the reference's, which equals the known value
};
// One row per ISA of the list, the reference first.
std::vector<selftest_row> selftest();
// What the reference must give, on every machine.
inline constexpr std::uint32_t selftest_checksum = 0xd1e4b2c6;

}  // namespace quantal::pipeline
