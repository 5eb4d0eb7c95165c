// The instruction sets that have kernels: one row and one include each, in this file. Enumeration, detection, dispatch,
// the names that can be forced, the header-only choice and the tests' lists follow from the rows.
//
//   ref <- sse41 <- avx2 <- avxvnni            ref <- neon <- dotprod
//                   avx2 <- avx512vnni <- amx
//
// ISA(architecture, name, parent, what it needs in words, what the CPU must answer beyond its parent's row). The name
// is also that of the folder, of its unit in src/kernels/ and of the value of QUANTAL_ISA. The answers are those of
// kernels/cpu_answers.hpp, where the expression is used. Parents stand before children, and of two that a CPU may have
// the better one last. A kernel that an ISA does not improve is its parent's. A row costs nothing: an ISA that is not
// in the build is listed as not compiled and never used. How to add one: docs/kernels.md. Freestanding.
#if !defined(QUANTAL_ISA_ROWS)

// clang-format off
#define QUANTAL_ISA_ROWS(ISA)                                                                                          \
  ISA(x86, sse41, ref, "SSE4.1", bits(cpu.basic.c, 9, 19)) /* with SSSE3 */                                            \
  ISA(x86, avx2, sse41, "AVX2, FMA, F16C",                                                                             \
      saved(cpu, 0x6) && bits(cpu.basic.c, 12, 28, 29) && bits(cpu.extended.b, 5))                                     \
  ISA(x86, avxvnni, avx2, "AVX-VNNI", bits(cpu.extended1.a, 4))                                                        \
  ISA(x86, avx512vnni, avx2, "AVX-512 F, BW, DQ, VL, VNNI",                                                            \
      saved(cpu, 0xe6) && bits(cpu.extended.b, 16, 17, 30, 31) && bits(cpu.extended.c, 11))                            \
  ISA(x86, amx, avx512vnni, "AMX-TILE, AMX-INT8",                                                                      \
      saved(cpu, 0x60000) && bits(cpu.extended.d, 24, 25) && tiles_are_full_size(cpu.palette) && cpu.system_has_tiles) \
  ISA(aarch64, neon, ref, "AArch64 Advanced SIMD", true) /* part of the base architecture */                           \
  ISA(aarch64, dotprod, neon, "AArch64 dot product", bits(cpu.hwcap, 20))
// clang-format on

#include <stddef.h>
#include <stdint.h>

namespace quantal {

#define QUANTAL_ISA(architecture, name, parent, needs, answers) , name
enum class isa : int32_t { ref = 0 QUANTAL_ISA_ROWS(QUANTAL_ISA) };
#undef QUANTAL_ISA

// What the CPU has and the operating system has enabled, ancestors included; amx: also that the kernel grants it to
// this process.
struct cpu_features {
#define QUANTAL_ISA(architecture, name, parent, needs, answers) bool name = false;
  QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
};

struct isa_row {
  isa id;
  const char* name;
  isa parent;  // ref's parent is itself
  const char* needs;
  bool cpu_features::*feature;  // ref: none
};

inline constexpr isa_row isa_list[] = {{isa::ref, "ref", isa::ref, "nothing", nullptr},
#define QUANTAL_ISA(architecture, name, parent, needs, answers) \
  {isa::name, #name, isa::parent, needs, &cpu_features::name},
                                       QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
};
inline constexpr size_t isa_count = sizeof(isa_list) / sizeof(isa_list[0]);

constexpr const char* name_of(isa id) noexcept {
  return isa_list[static_cast<size_t>(id)].name;
}
constexpr isa parent_of(isa id) noexcept {
  return isa_list[static_cast<size_t>(id)].parent;
}

// Does the CPU offer what this ISA and its ancestors need?
constexpr bool offers(const cpu_features& cpu, isa id) noexcept {
  for (; id != isa::ref; id = parent_of(id)) {
    if (!(cpu.*isa_list[static_cast<size_t>(id)].feature)) return false;
  }
  return true;
}

// Is `id` the cap or one of its ancestors?
constexpr bool within(isa id, isa cap) noexcept {
  while (cap != id && cap != isa::ref) cap = parent_of(cap);
  return cap == id;
}

// The ISA of that name; false if there is none.
constexpr bool find_isa(const char* name, isa& out) noexcept {
  for (const isa_row& row : isa_list) {
    size_t i = 0;
    while (row.name[i] != 0 && row.name[i] == name[i]) ++i;
    if (row.name[i] != 0 || name[i] != 0) continue;
    out = row.id;
    return true;
  }
  return false;
}

}  // namespace quantal

#endif

// The kernels themselves, for those who ask (kernels/native.hpp): of each row, kernels::<isa>::own.
#if defined(QUANTAL_ISA_HEADERS)
#include "quantal/kernels/amx/kernels.hpp"
#include "quantal/kernels/avx2/kernels.hpp"
#include "quantal/kernels/avx512vnni/kernels.hpp"
#include "quantal/kernels/avxvnni/kernels.hpp"
#include "quantal/kernels/dotprod/kernels.hpp"
#include "quantal/kernels/neon/kernels.hpp"
#include "quantal/kernels/ref/kernels.hpp"
#include "quantal/kernels/sse41/kernels.hpp"
#endif
