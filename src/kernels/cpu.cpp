#include "quantal/kernels/cpu.hpp"

#include <cstdlib>

#include "quantal/kernels/cpu_answers.hpp"
#include "quantal/kernels/isa_kernels.hpp"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
#endif

namespace quantal {

namespace {

#if defined(__x86_64__) || defined(__i386__)

cpuid_words cpuid(unsigned leaf, unsigned sub) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(leaf, sub, &a, &b, &c, &d) == 0) return {};
  return {a, b, c, d};
}

// Which register states the system saves on a context switch (XGETBV; only where CPUID says OSXSAVE).
uint64_t enabled_state() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

#if defined(__linux__) && defined(__x86_64__)
// Linux: Documentation/arch/x86/xstate.rst. The permission belongs to the process and its threads.
constexpr long arch_get_xcomp_supp = 0x1021, arch_req_xcomp_perm = 0x1023, tile_data = 18;

bool system_has_tiles() {
  uint64_t mask = 0;
  return syscall(SYS_arch_prctl, arch_get_xcomp_supp, &mask) == 0 && ((mask >> tile_data) & 1) != 0;
}
#else
bool system_has_tiles() {
  return false;
}
#endif

x86_answers ask_x86() {
  x86_answers cpu;
  cpu.highest_leaf = cpuid(0, 0).a;
  cpu.basic = cpuid(1, 0);
  cpu.extended = cpuid(7, 0);
  cpu.extended1 = cpuid(7, 1);
  cpu.palette = cpuid(0x1d, 1);
  if (((cpu.basic.c >> 27) & 1) != 0) cpu.saved_state = enabled_state();
  cpu.system_has_tiles = system_has_tiles();
  return cpu;
}

#endif

bool same(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

// Asks Linux to let this process use tiles; asking again is harmless.
bool grant_tiles() {
#if defined(__linux__) && defined(__x86_64__)
  return syscall(SYS_arch_prctl, arch_req_xcomp_perm, tile_data) == 0;
#else
  return false;
#endif
}

// What dispatch decided, once.
struct decision {
  cpu_features cpu;
  isa_cap_info cap;
  isa best = isa::ref;
  isa_state states[isa_count];
};

decision decide() {
  decision d;
  d.cpu = detect_cpu();
  isa limit = isa::ref;
  const char* name = std::getenv("QUANTAL_ISA");
  const bool asked = name != nullptr && !same(name, "");
  const bool known = asked && find_isa(name, limit);
  if (asked) d.cap = {known ? name_of(limit) : name, known ? status::ok : status::argument};
  const isa* cap = known ? &limit : nullptr;
  bool compiled[isa_count];
  for (const isa_row& row : isa_list) compiled[static_cast<size_t>(row.id)] = compiled_kernels(row.id) != nullptr;
  d.best = choose_isa(d.cpu, compiled, cap);
  if (d.best == isa::amx && !grant_tiles()) {  // refused (a small sigaltstack, a seccomp filter): the next best
    d.cpu.amx = false;
    d.best = choose_isa(d.cpu, compiled, cap);
  }
  for (size_t i = 0; i < isa_count; ++i) {
    const isa_row& row = isa_list[i];
    isa_state& s = d.states[i];
    s = {row.id, row.name, row.needs, offers(d.cpu, row.id), compiled[i], !known || within(row.id, limit), false};
    s.used = s.compiled && s.available && s.allowed && within(row.id, d.best);
  }
  return d;
}

const decision& decided() {
  static const decision d = decide();
  return d;
}

}  // namespace

cpu_features detect_cpu() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  return features_of(ask_x86());
#elif defined(__aarch64__) && defined(__linux__)
  return features_of(aarch64_answers{getauxval(AT_HWCAP), getauxval(AT_HWCAP2)});
#elif defined(__aarch64__)
  return features_of(aarch64_answers{});
#else
  return {};
#endif
}

const cpu_features& features() noexcept {
  return decided().cpu;
}

bool request_amx() noexcept {
  return features().amx && grant_tiles();
}

const isa_state* isa_states(size_t& count) noexcept {
  count = isa_count;
  return decided().states;
}

isa selected_isa() noexcept {
  return decided().best;
}
const char* best_isa() noexcept {
  return name_of(decided().best);
}
isa_cap_info isa_cap() noexcept {
  return decided().cap;
}

}  // namespace quantal
