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

namespace detail {

constexpr bool bit(uint64_t word, int32_t i) noexcept {
  return ((word >> i) & 1u) != 0;
}

// Eight tiles of 16 rows x 64 bytes: what the AMX kernels configure.
constexpr bool tiles_are_full_size(const cpuid_words& palette) noexcept {
  const uint32_t bytes_per_tile = palette.a >> 16, bytes_per_row = palette.b & 0xffffu, tiles = palette.b >> 16,
                 rows = palette.c & 0xffffu;
  return bytes_per_tile >= 1024 && bytes_per_row >= 64 && tiles >= 8 && rows >= 16;
}

}  // namespace detail

constexpr cpu_features features_of(const x86_answers& cpu) noexcept {
  using detail::bit;
  cpu_features f;
  if (cpu.highest_leaf < 1) return f;
  f.sse41 = bit(cpu.basic.c, 19) && bit(cpu.basic.c, 9);        // with SSSE3
  if (cpu.highest_leaf < 7 || !bit(cpu.basic.c, 27)) return f;  // OSXSAVE: without it no AVX state
  const bool ymm = (cpu.saved_state & 0x6) == 0x6, zmm = (cpu.saved_state & 0xe6) == 0xe6,
             tiles = bit(cpu.saved_state, 17) && bit(cpu.saved_state, 18);
  const cpuid_words& x = cpu.extended;
  f.avx2 = f.sse41 && ymm && bit(cpu.basic.c, 28) && bit(cpu.basic.c, 12) && bit(cpu.basic.c, 29) && bit(x.b, 5);
  f.avxvnni = f.avx2 && x.a >= 1 && bit(cpu.extended1.a, 4);
  f.avx512 = f.avx2 && zmm && bit(x.b, 16) && bit(x.b, 17) && bit(x.b, 30) && bit(x.b, 31);
  f.avx512vnni = f.avx512 && bit(x.c, 11);
  f.amx = f.avx512vnni && tiles && bit(x.d, 24) && bit(x.d, 25) && cpu.highest_leaf >= 0x1d &&
          detail::tiles_are_full_size(cpu.palette) && cpu.system_has_tiles;
  return f;
}

// The same for AArch64 Linux: the auxiliary vector's AT_HWCAP and AT_HWCAP2.
constexpr cpu_features features_of_aarch64(uint64_t hwcap, uint64_t hwcap2) noexcept {
  cpu_features f;
  f.neon = true;                                  // part of the base architecture
  f.dotprod = detail::bit(hwcap, 20);             // HWCAP_ASIMDDP
  f.i8mm = f.dotprod && detail::bit(hwcap2, 13);  // HWCAP2_I8MM
  return f;
}

}  // namespace quantal
