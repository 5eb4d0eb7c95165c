// What this CPU offers and which kernels run: CPUID and XCR0 on x86, the auxiliary vector on AArch64. Host only.
//
// An ISA is used if the CPU offers it, the operating system has enabled its registers, the build contains it, and
// the cap allows it: QUANTAL_ISA=<name> in the environment limits dispatch to that ISA and its ancestors (read once).
// An unknown name in QUANTAL_ISA limits nothing and is reported by isa_cap(). The traps: CPUID alone lies where the
// system does not save the registers (XCR0), and Linux grants AMX tiles only to processes that ask.
#pragma once
#include "quantal/base/status.hpp"
#include "quantal/kernels/isa_list.hpp"

namespace quantal {

// Asks the CPU and the system each time; see features() for the answer that dispatch uses. Never fails: what cannot be
// found out is absent.
cpu_features detect_cpu() noexcept;
const cpu_features& features() noexcept;

// Does Linux let this process use AMX tiles (arch_prctl ARCH_REQ_XCOMP_PERM)? Dispatch asks once when it would choose
// AMX, and takes the next best ISA where it is refused. Whoever takes AMX kernels past dispatch (`..._of("amx")`) asks
// first.
bool request_amx() noexcept;

struct isa_state {
  isa id = isa::ref;
  const char* name = "";
  const char* needs = "";
  bool available = false;  // CPU and system offer it
  bool compiled = false;   // its kernels are in this build
  bool allowed = false;    // QUANTAL_ISA permits it
  bool used = false;       // dispatch takes kernels of it: available, compiled, allowed, on the path to best_isa()
};

// One entry per row of isa_list.
const isa_state* isa_states(size_t& count) noexcept;
// The name of the best ISA whose kernels run.
const char* best_isa() noexcept;
isa selected_isa() noexcept;

// QUANTAL_ISA: the name that was set ("" if none) and whether it could be followed: ok, or argument for an unknown
// name.
struct isa_cap_info {
  const char* name = "";
  status code = status::ok;
};
isa_cap_info isa_cap() noexcept;

// The choice as a function of its facts, for tests and for planners: the best row that `cpu` offers, is in `compiled`
// (one flag per row) and within `cap` (nullptr: no cap).
constexpr isa choose_isa(const cpu_features& cpu, const bool (&compiled)[isa_count], const isa* cap) noexcept {
  isa best = isa::ref;
  for (const isa_row& row : isa_list) {
    const bool permitted = cap == nullptr || within(row.id, *cap);
    if (permitted && compiled[static_cast<size_t>(row.id)] && offers(cpu, row.id)) best = row.id;
  }
  return best;
}

}  // namespace quantal
