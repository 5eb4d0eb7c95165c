// The machine's limits as rows: limit/<what>. Compute: the multiply-add instruction of an ISA in a loop of independent
// accumulators, operands in registers. Memory: reading a buffer that fits L1, L2, L3 (32-byte loads, or 64 with
// AVX-512), and copying one.
//
// Inline assembly, so that no compiler moves or spills an accumulator. An instruction runs only if the CPU has it;
// whatever needs an unmentioned register is listed as clobbered.
//
// The probes of the SMT neighbour stand here too, for they are such loops. A guest does not see who shares its core,
// but a loop that fills every vector pipe does: four vpaddd a cycle alone on Zen 3, 2.1 to 3 with a busy neighbour, at
// one clock (vpmaddwd + vpaddd: 167 GOPS and 125 to 150). Loops that keep eight AMX tiles live become 2 to 4 times
// slower.
#include "copies.hpp"
#include "families.hpp"
#include "quantal/kernels/cpu.hpp"
#include "rows.hpp"

namespace bench {

#if defined(__x86_64__)
namespace {

constexpr long steps = 2000;

// Twelve accumulators, ymm0-11 or zmm0-11; operands in 12-14, all zero.
#define QUANTAL_SUMS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define QUANTAL_LOOP(name, step)                                                       \
  void name() {                                                                        \
    long n = steps;                                                                    \
    asm volatile(                                                                      \
        "vpxor %%xmm12, %%xmm12, %%xmm12\n vpxor %%xmm13, %%xmm13, %%xmm13\n"          \
        "vpxor %%xmm14, %%xmm14, %%xmm14\n 1:\n" step "dec %0\n jnz 1b\n vzeroupper\n" \
        : "+r"(n)                                                                      \
        :                                                                              \
        : "cc", QUANTAL_SUMS, "xmm12", "xmm13", "xmm14", "xmm15");                     \
  }

// One instruction that multiplies and adds, into twelve sums.
#define TWELVE(to) \
  to "0\n" to "1\n" to "2\n" to "3\n" to "4\n" to "5\n" to "6\n" to "7\n" to "8\n" to "9\n" to "10\n" to "11\n"
QUANTAL_LOOP(fma, TWELVE("vfmadd231ps %%ymm12, %%ymm13, %%ymm"))              // f32: 8 multiply-adds each
QUANTAL_LOOP(dpbusd_ymm, TWELVE("%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm"))  // AVX-VNNI: 32
QUANTAL_LOOP(dpbusd_zmm, TWELVE("vpdpbusd %%zmm12, %%zmm13, %%zmm"))          // AVX512-VNNI: 64
QUANTAL_LOOP(additions, TWELVE("vpaddd %%ymm12, %%ymm13, %%ymm"))             // of the probe
#undef TWELVE

// A product, then its addition, into eight sums; products in ymm8-11.
#define ADD(product, p, to) product(p) "vpaddd %%ymm" p ", %%ymm" to ", %%ymm" to "\n"
#define EIGHT(product)                                                                          \
  ADD(product, "8", "0")                                                                        \
  ADD(product, "9", "1")                                                                        \
  ADD(product, "10", "2")                                                                       \
  ADD(product, "11", "3") ADD(product, "8", "4") ADD(product, "9", "5") ADD(product, "10", "6") \
      ADD(product, "11", "7")
// s16 pairs: 16 multiply-adds per product and addition.
#define MADDWD(p) "vpmaddwd %%ymm12, %%ymm13, %%ymm" p "\n"
QUANTAL_LOOP(maddwd, EIGHT(MADDWD))
// The saturating chain: u8 x s8 pairs in s16, then by ones into s32: 32.
#define MADDUBS(p) "vpmaddubsw %%ymm12, %%ymm13, %%ymm" p "\n vpmaddwd %%ymm14, %%ymm" p ", %%ymm" p "\n"
QUANTAL_LOOP(maddubs, EIGHT(MADDUBS))
#undef MADDUBS
#undef MADDWD
#undef EIGHT
#undef ADD
#undef QUANTAL_LOOP

// 16-row, 64-byte tiles everywhere (palette 1).
struct alignas(64) tile_config {
  std::uint8_t palette = 1, start = 0, reserved[14] = {};
  std::uint16_t bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// AMX: 16 x 16 x 64 multiply-adds per instruction, four sums.
void tdpbusd() {
  static const tile_config config;
  long n = steps;
  asm volatile(
      "ldtilecfg %1\n tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n tilezero %%tmm4\n "
      "tilezero %%tmm5\n tilezero %%tmm6\n tilezero %%tmm7\n 1:\n tdpbusd %%tmm6, %%tmm4, %%tmm0\n tdpbusd %%tmm7, "
      "%%tmm4, %%tmm1\n tdpbusd %%tmm6, %%tmm5, %%tmm2\n tdpbusd %%tmm7, %%tmm5, %%tmm3\n dec %0\n jnz 1b\n "
      "tilerelease\n"
      : "+r"(n)
      : "m"(config)
      : "cc", "memory");
}

// Reads `bytes` (a multiple of 512) once, eight registers at a time.
#define LOAD(instruction, bits, i, width) instruction " " i "*" width "(%0), %%" bits i "\n"
#define QUANTAL_READ(name, in, bits, width)                                                                        \
  void name(const std::uint8_t* from, std::size_t bytes) {                                                         \
    asm volatile("1:\n" LOAD(in, bits, "0", width) LOAD(in, bits, "1", width) LOAD(in, bits, "2", width)           \
                     LOAD(in, bits, "3", width) LOAD(in, bits, "4", width) LOAD(in, bits, "5", width)              \
                         LOAD(in, bits, "6", width)                                                                \
                             LOAD(in, bits, "7", width) "add $8*" width ", %0\n cmp %1, %0\n jb 1b\n vzeroupper\n" \
                 : "+r"(from)                                                                                      \
                 : "r"(from + bytes)                                                                               \
                 : "cc", "memory", QUANTAL_SUMS);                                                                  \
  }
QUANTAL_READ(read_ymm, "vmovdqa", "ymm", "32")
QUANTAL_READ(read_zmm, "vmovdqa64", "zmm", "64")
#undef QUANTAL_READ
#undef LOAD
#undef QUANTAL_SUMS

void add_compute(const char* name, double multiply_adds, void (*loop)()) {
  add_row(std::string("limit/") + name, [multiply_adds, loop] {
    prepared p;
    p.operations = 2 * multiply_adds * static_cast<double>(steps);
    p.time = repeat([loop] { loop(); });
    return p;
  });
}

void add_read(const char* name, std::size_t bytes, bool wide) {
  add_row(std::string("limit/") + name, [bytes, wide] {
    prepared p;
    p.bytes = static_cast<double>(bytes);
    const auto from = std::make_shared<array<std::uint8_t>>(bytes);
    p.time = repeat([from, bytes, loop = wide ? read_zmm : read_ymm] { loop(from->data(), bytes); });
    return p;
  });
}

}  // namespace

void add_limit_rows(const std::string& isa) {
  const quantal::cpu_features& cpu = quantal::features();
  if (!cpu.avx2) return;
  const bool wide = cpu.avx512vnni && isa != "avx2" && isa != "avxvnni";
  add_compute("avx2_maddwd", 8 * 16, maddwd);
  add_compute("avx2_maddubs", 8 * 32, maddubs);
  add_compute("avx2_fma", 12 * 8, fma);
  if (cpu.avxvnni) add_compute("avxvnni_dpbusd", 12 * 32, dpbusd_ymm);
  if (cpu.avx512vnni) add_compute("avx512vnni_dpbusd", 12 * 64, dpbusd_zmm);
  if (cpu.amx && quantal::request_amx()) add_compute("amx_tdpbusd", 4 * 16 * 16 * 64, tdpbusd);
  add_read("read_l1", 16 << 10, wide);
  add_read("read_l2", 320 << 10, wide);
  add_read("read_1mib", 1 << 20, wide);
  add_read("read_l3", 4 << 20, wide);
  add_read("read_memory", 256 << 20, wide);
  add_copies("limit/memcpy_l2", "limit/copy_loop_l2", 320 << 10);  // as many bytes as 65536 floats and their codes
  add_copies("limit/memcpy_l3", "limit/copy_loop_l3", 4 << 20);
}

namespace {

template <class Loop>
double seconds_taken(Loop loop) {
  const double start = seconds_of(CLOCK_MONOTONIC);
  loop();
  return seconds_of(CLOCK_MONOTONIC) - start;
}

// One 2 x 2 block of tiles from L1, all eight tiles live: 16.8 cycles per tdpbusd with an idle neighbour, 68 to 75 with
// a busy one (measured at 2.3 GHz, 2026-11).
void eight_live_tiles() {
  static const tile_config config;
  alignas(64) static std::uint8_t tiles[8 * 1024];
  long n = 40;
  asm volatile(
      "ldtilecfg %2\n tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n 1:\n tileloadd "
      "(%1,%3,1), %%tmm4\n tileloadd 1024(%1,%3,1), %%tmm6\n tdpbusd %%tmm6, %%tmm4, %%tmm0\n tileloadd "
      "2048(%1,%3,1), %%tmm7\n tdpbusd %%tmm7, %%tmm4, %%tmm1\n tileloadd 3072(%1,%3,1), %%tmm5\n tdpbusd %%tmm6, "
      "%%tmm5, %%tmm2\n tdpbusd %%tmm7, %%tmm5, %%tmm3\n dec %0\n jnz 1b\n tilerelease\n"
      : "+r"(n)
      : "r"(tiles), "m"(config), "r"(64L)
      : "cc", "memory");
}

}  // namespace

smt_probe smt_probe_of(const std::string& isa) {
  const quantal::cpu_features& cpu = quantal::features();
  if (isa == "amx" && cpu.amx && quantal::request_amx())
    return {[] { return seconds_taken(eight_live_tiles); }, 1.35, 2.0};
  if (cpu.avx2) return {[] { return seconds_taken([] { additions(), additions(), additions(); }); }, 1.05, 1.15};
  return {};
}

#else  // no limits known here yet

void add_limit_rows(const std::string&) {}
smt_probe smt_probe_of(const std::string&) {
  return {};
}

#endif

}  // namespace bench
