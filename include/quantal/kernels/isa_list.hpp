// The instruction sets that have kernels, as rows of one table: name (also of the folder and of the values of
// QUANTAL_ISA), parent, and what the CPU must offer. A kernel that an ISA does not improve is its parent's.
//
//   ref <- sse41 <- avx2 <- avxvnni            ref <- neon <- dotprod
//                   avx2 <- avx512vnni <- amx
//
// A row costs nothing: an ISA whose translation unit is not in the build is listed as not compiled and never used.
// Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace quantal {

enum class isa : int32_t { ref = 0, sse41, avx2, avxvnni, avx512vnni, amx, neon, dotprod };

// What the CPU has and the operating system has enabled.
struct cpu_features {
  bool sse41 = false;
  bool avx2 = false;  // with FMA and F16C, and ymm state enabled
  bool avxvnni = false;
  bool avx512 = false;  // F, BW, DQ, VL, and zmm state enabled
  bool avx512vnni = false;
  bool amx = false;  // TILE and INT8, tile state enabled, and the kernel grants it to this process
  bool neon = false;
  bool dotprod = false;
  bool i8mm = false;
};

struct isa_row {
  isa id;
  const char* name;
  isa parent;  // ref's parent is itself
  const char* needs;
};

inline constexpr isa_row isa_list[] = {
    {isa::ref, "ref", isa::ref, "nothing"},
    {isa::sse41, "sse41", isa::ref, "SSE4.1"},
    {isa::avx2, "avx2", isa::sse41, "AVX2, FMA, F16C"},
    {isa::avxvnni, "avxvnni", isa::avx2, "AVX-VNNI"},
    {isa::avx512vnni, "avx512vnni", isa::avx2, "AVX-512 F, BW, DQ, VL, VNNI"},
    {isa::amx, "amx", isa::avx512vnni, "AMX-TILE, AMX-INT8"},
    {isa::neon, "neon", isa::ref, "AArch64 Advanced SIMD"},
    {isa::dotprod, "dotprod", isa::neon, "AArch64 dot product"},
};
inline constexpr size_t isa_count = sizeof(isa_list) / sizeof(isa_list[0]);

constexpr const char* name_of(isa id) noexcept {
  return isa_list[static_cast<size_t>(id)].name;
}

// Does the CPU offer what this ISA and its ancestors need?
constexpr bool offers(const cpu_features& cpu, isa id) noexcept {
  switch (id) {
    case isa::ref: return true;
    case isa::sse41: return cpu.sse41;
    case isa::avx2: return cpu.sse41 && cpu.avx2;
    case isa::avxvnni: return cpu.sse41 && cpu.avx2 && cpu.avxvnni;
    case isa::avx512vnni: return cpu.sse41 && cpu.avx2 && cpu.avx512 && cpu.avx512vnni;
    case isa::amx: return cpu.sse41 && cpu.avx2 && cpu.avx512 && cpu.avx512vnni && cpu.amx;
    case isa::neon: return cpu.neon;
    case isa::dotprod: return cpu.neon && cpu.dotprod;
  }
  return false;
}

// Is `id` the cap or one of its ancestors?
constexpr bool within(isa id, isa cap) noexcept {
  while (cap != id && cap != isa::ref) cap = isa_list[static_cast<size_t>(cap)].parent;
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
