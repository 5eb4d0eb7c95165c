#include "quantal/kernels/cpu.hpp"

#include <cstdlib>

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

struct cpuid_leaf {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

cpuid_leaf cpuid(unsigned leaf, unsigned sub) {
  cpuid_leaf r;
  if (__get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d) == 0) r = {};
  return r;
}

constexpr bool bit(unsigned word, int i) {
  return ((word >> i) & 1u) != 0;
}

// Which register states the system saves on a context switch (XGETBV; only where CPUID says OSXSAVE).
uint64_t enabled_state() {
  uint32_t low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

#if defined(__linux__) && defined(__x86_64__)
constexpr long arch_get_xcomp_supp = 0x1021, arch_req_xcomp_perm = 0x1023, tile_data = 18;

bool system_grants_amx() {
  uint64_t mask = 0;
  return syscall(SYS_arch_prctl, arch_get_xcomp_supp, &mask) == 0 && ((mask >> tile_data) & 1) != 0;
}
#else
bool system_grants_amx() {
  return false;
}
#endif

void detect_x86(cpu_features& f) {
  const cpuid_leaf basic = cpuid(1, 0), extended = cpuid(7, 0), extended1 = cpuid(7, 1);
  f.sse41 = bit(basic.c, 19) && bit(basic.c, 9);  // with SSSE3
  if (!bit(basic.c, 27)) return;                  // OSXSAVE: without it no AVX state
  const uint64_t state = enabled_state();
  const bool ymm = (state & 0x6) == 0x6;
  const bool zmm = (state & 0xe6) == 0xe6;
  const bool tiles = ((state >> 17) & 3) == 3;
  f.avx2 = ymm && bit(basic.c, 28) && bit(basic.c, 12) && bit(basic.c, 29) && bit(extended.b, 5);
  f.avxvnni = f.avx2 && bit(extended1.a, 4);
  f.avx512 = zmm && f.avx2 && bit(extended.b, 16) && bit(extended.b, 17) && bit(extended.b, 30) && bit(extended.b, 31);
  f.avx512vnni = f.avx512 && bit(extended.c, 11);
  f.amx = tiles && bit(extended.d, 24) && bit(extended.d, 25) && system_grants_amx();
}

#endif

bool same(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

// What dispatch decided, once.
struct decision {
  cpu_features cpu;
  isa_cap_info cap;
  isa best = isa::ref;
  isa_state states[isa_count];
};

constexpr bool compiled_list[isa_count] = {
    true,
#if defined(QUANTAL_KERNELS_X86)
    true, true,  false, true, false,
#else
    false, false, false, false, false,
#endif
#if defined(QUANTAL_KERNELS_NEON)
    true, false,
#else
    false, false,
#endif
};

decision decide() {
  decision d;
  d.cpu = detect_cpu();
  isa limit = isa::ref;
  const char* name = std::getenv("QUANTAL_ISA");
  const bool asked = name != nullptr && !same(name, "");
  const bool known = asked && find_isa(name, limit);
  if (asked) d.cap = {known ? name_of(limit) : name, known ? status::ok : status::argument};
  d.best = choose_isa(d.cpu, compiled_list, known ? &limit : nullptr);
  for (size_t i = 0; i < isa_count; ++i) {
    const isa_row& row = isa_list[i];
    isa_state& s = d.states[i];
    s = {row.id, row.name, row.needs, offers(d.cpu, row.id), compiled_list[i], !known || within(row.id, limit), false};
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
  cpu_features f;
#if defined(__x86_64__) || defined(__i386__)
  detect_x86(f);
#elif defined(__aarch64__)
  f.neon = true;
#if defined(__linux__)
  f.dotprod = ((getauxval(AT_HWCAP) >> 20) & 1) != 0;  // HWCAP_ASIMDDP
  f.i8mm = ((getauxval(AT_HWCAP2) >> 13) & 1) != 0;    // HWCAP2_I8MM
#endif
#endif
  return f;
}

const cpu_features& features() noexcept {
  return decided().cpu;
}

bool request_amx() noexcept {
#if defined(__linux__) && defined(__x86_64__)
  return features().amx && syscall(SYS_arch_prctl, arch_req_xcomp_perm, tile_data) == 0;
#else
  return false;
#endif
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
