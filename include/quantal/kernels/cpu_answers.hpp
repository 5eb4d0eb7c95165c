// What a CPU may be used for, as a function of its raw answers: CPUID words, XCR0 and the system's word on AMX (x86),
// the auxiliary vector (AArch64).
//
// A bit in CPUID is a claim, not a permission. The traps:
//   - the instruction is there but its registers are not saved on a context switch: XCR0 bits 1, 2 (ymm), 5-7 (zmm),
//     17, 18 (tiles) decide
//   - a guest sees a newer feature without its ancestors (AVX-VNNI without AVX2, AMX without AVX-512)
//   - leaves above the highest one return the data of another leaf
//   - AMX is shown but its palette leaf (1DH) is masked: ldtilecfg would fault
// Facts: Intel SDM vol. 2 CPUID, vol. 1 ch. 13 and 18. Freestanding; no instruction is executed here.
#pragma once
#include "quantal/kernels/isa_list.hpp"

namespace quantal {

struct cpuid_words {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

struct x86_answers {
  uint32_t highest_leaf = 0;      // CPUID 0: eax
  cpuid_words basic;              // leaf 1
  cpuid_words extended;           // leaf 7, subleaf 0: eax is the highest subleaf
  cpuid_words extended1;          // leaf 7, subleaf 1
  cpuid_words palette;            // leaf 1DH, subleaf 1
  uint64_t saved_state = 0;       // XCR0; not read unless OSXSAVE
  bool system_has_tiles = false;  // Linux: ARCH_GET_XCOMP_SUPP shows tile data
};

struct aarch64_answers {
  uint64_t hwcap = 0, hwcap2 = 0;  // the auxiliary vector's AT_HWCAP and AT_HWCAP2 (Linux)
};

// What the expressions of isa_list.hpp use.
namespace detail {

// Are these bits of `word` all set?
template <class... Index>
constexpr bool bits(uint64_t word, Index... index) noexcept {
  return ((((word >> index) & 1u) != 0) && ...);
}

// Does the system save these registers?
constexpr bool saved(const x86_answers& cpu, uint64_t states) noexcept {
  return (cpu.saved_state & states) == states;
}

// Eight tiles of 16 rows x 64 bytes: what the AMX kernels configure.
constexpr bool tiles_are_full_size(const cpuid_words& palette) noexcept {
  const uint32_t bytes_per_tile = palette.a >> 16, bytes_per_row = palette.b & 0xffffu, tiles = palette.b >> 16,
                 rows = palette.c & 0xffffu;
  return bytes_per_tile >= 1024 && bytes_per_row >= 64 && tiles >= 8 && rows >= 16;
}

// Without what the CPU did not really say: leaves above the highest, a subleaf that is not there, XCR0 without OSXSAVE.
constexpr x86_answers believable(x86_answers cpu) noexcept {
  if (cpu.highest_leaf < 1) cpu.basic = {};
  if (cpu.highest_leaf < 7) cpu.extended = {};
  if (cpu.extended.a < 1) cpu.extended1 = {};
  if (cpu.highest_leaf < 0x1d) cpu.palette = {};
  if (!bits(cpu.basic.c, 27)) cpu.saved_state = 0;
  return cpu;
}

// Each row after its parent.
constexpr cpu_features believed_features(const x86_answers& cpu) noexcept {
  cpu_features f;
#define QUANTAL_ANSWERS_x86(name, parent, answers) f.name = offers(f, isa::parent) && (answers);
#define QUANTAL_ANSWERS_aarch64(name, parent, answers)
#define QUANTAL_ISA(architecture, name, parent, needs, answers) QUANTAL_ANSWERS_##architecture(name, parent, answers)
  QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ANSWERS_x86
#undef QUANTAL_ANSWERS_aarch64
  return f;
}

constexpr cpu_features believed_features([[maybe_unused]] const aarch64_answers& cpu) noexcept {
  cpu_features f;
#define QUANTAL_ANSWERS_x86(name, parent, answers)
#define QUANTAL_ANSWERS_aarch64(name, parent, answers) f.name = offers(f, isa::parent) && (answers);
  QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
#undef QUANTAL_ANSWERS_x86
#undef QUANTAL_ANSWERS_aarch64
  return f;
}

}  // namespace detail

constexpr cpu_features features_of(const x86_answers& cpu) noexcept {
  return detail::believed_features(detail::believable(cpu));
}
constexpr cpu_features features_of(const aarch64_answers& cpu) noexcept {
  return detail::believed_features(cpu);
}

}  // namespace quantal
