// The machine's limits as rows: limit/<what>. Compute: the multiply-add instruction of an ISA in a loop of independent
// accumulators, operands in registers. Memory: reading a buffer that fits L1, L2, L3 (32-byte loads, or 64 with
// AVX-512), and copying one.
//
// Inline assembly, so that no compiler moves or spills an accumulator. An instruction runs only if the CPU has it;
// whatever needs an unmentioned register is listed as clobbered. AMX: a core whose SMT neighbour is busy runs loops
// that keep eight tiles live 2 to 4 times slower, so AMX samples are tagged by amx_regime().
#include <cstring>

#include "families.hpp"
#include "quantal/kernels/cpu.hpp"
#include "rows.hpp"

namespace bench {

#if defined(__x86_64__)
namespace {

constexpr long steps = 2000;

#define QUANTAL_YMM "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
#define QUANTAL_YMM_ALL QUANTAL_YMM, "xmm12", "xmm13", "xmm14", "xmm15"

// s16 pairs: multiply (ymm12 x ymm13), add. Eight sums, products in ymm8-11. 16 multiply-adds per pair of instructions.
void maddwd() {
  long n = steps;
#define STEP(sum, product) \
  "vpmaddwd %%ymm12, %%ymm13, %%ymm" #product "\n vpaddd %%ymm" #product ", %%ymm" #sum ", %%ymm" #sum "\n"
  asm volatile("vpxor %%ymm12, %%ymm12, %%ymm12\n vpxor %%ymm13, %%ymm13, %%ymm13\n 1:\n" STEP(0, 8) STEP(1, 9) STEP(
                   2, 10) STEP(3, 11) STEP(4, 8) STEP(5, 9) STEP(6, 10) STEP(7, 11) "dec %0\n jnz 1b\n vzeroupper\n"
               : "+r"(n)
               :
               : "cc", QUANTAL_YMM_ALL);
#undef STEP
}

// The saturating chain: u8 x s8 pairs in s16, then by ones into s32. 32 multiply-adds per three instructions.
void maddubs() {
  long n = steps;
#define STEP(sum, product)                                                                               \
  "vpmaddubsw %%ymm12, %%ymm13, %%ymm" #product "\n vpmaddwd %%ymm14, %%ymm" #product ", %%ymm" #product \
  "\n vpaddd "                                                                                           \
  "%%ymm" #product ", %%ymm" #sum ", %%ymm" #sum "\n"
  asm volatile(
      "vpxor %%ymm12, %%ymm12, %%ymm12\n vpxor %%ymm13, %%ymm13, %%ymm13\n vpxor %%ymm14, %%ymm14, %%ymm14\n "
      "1:\n" STEP(0, 8) STEP(1, 9) STEP(2, 10) STEP(3, 11) STEP(4, 8) STEP(5, 9) STEP(6, 10)
          STEP(7, 11) "dec %0\n jnz 1b\n vzeroupper\n"
      : "+r"(n)
      :
      : "cc", QUANTAL_YMM_ALL);
#undef STEP
}

// f32: 8 multiply-adds per instruction, twelve sums.
void fma() {
  long n = steps;
#define STEP(sum) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" #sum "\n"
  asm volatile("vxorps %%ymm12, %%ymm12, %%ymm12\n vxorps %%ymm13, %%ymm13, %%ymm13\n 1:\n" STEP(0) STEP(1) STEP(2)
                   STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10)
                       STEP(11) "dec %0\n jnz 1b\n vzeroupper\n"
               : "+r"(n)
               :
               : "cc", QUANTAL_YMM_ALL);
#undef STEP
}

// AVX-VNNI: 32 multiply-adds per instruction, twelve sums.
void dpbusd_ymm() {
  long n = steps;
#define STEP(sum) "%{vex%} vpdpbusd %%ymm12, %%ymm13, %%ymm" #sum "\n"
  asm volatile("vpxor %%ymm12, %%ymm12, %%ymm12\n vpxor %%ymm13, %%ymm13, %%ymm13\n 1:\n" STEP(0) STEP(1) STEP(2)
                   STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10)
                       STEP(11) "dec %0\n jnz 1b\n vzeroupper\n"
               : "+r"(n)
               :
               : "cc", QUANTAL_YMM_ALL);
#undef STEP
}

// AVX512-VNNI: 64 multiply-adds per instruction, twelve sums.
void dpbusd_zmm() {
  long n = steps;
#define STEP(sum) "vpdpbusd %%zmm12, %%zmm13, %%zmm" #sum "\n"
  asm volatile("vpxord %%zmm12, %%zmm12, %%zmm12\n vpxord %%zmm13, %%zmm13, %%zmm13\n 1:\n" STEP(0) STEP(1) STEP(2)
                   STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) STEP(8) STEP(9) STEP(10)
                       STEP(11) "dec %0\n jnz 1b\n vzeroupper\n"
               : "+r"(n)
               :
               : "cc", QUANTAL_YMM_ALL);
#undef STEP
}

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

// Reads `bytes` (a multiple of 256) once.
void read_ymm(const std::uint8_t* from, std::size_t bytes) {
  const std::uint8_t* end = from + bytes;
  asm volatile(
      "1:\n vmovdqa (%0), %%ymm0\n vmovdqa 32(%0), %%ymm1\n vmovdqa 64(%0), %%ymm2\n vmovdqa 96(%0), %%ymm3\n "
      "vmovdqa 128(%0), %%ymm4\n vmovdqa 160(%0), %%ymm5\n vmovdqa 192(%0), %%ymm6\n vmovdqa 224(%0), %%ymm7\n "
      "add $256, %0\n cmp %1, %0\n jb 1b\n vzeroupper\n"
      : "+r"(from)
      : "r"(end)
      : "cc", "memory", QUANTAL_YMM);
}

void read_zmm(const std::uint8_t* from, std::size_t bytes) {
  const std::uint8_t* end = from + bytes;
  asm volatile(
      "1:\n vmovdqa64 (%0), %%zmm0\n vmovdqa64 64(%0), %%zmm1\n vmovdqa64 128(%0), %%zmm2\n vmovdqa64 192(%0), "
      "%%zmm3\n add $256, %0\n cmp %1, %0\n jb 1b\n vzeroupper\n"
      : "+r"(from)
      : "r"(end)
      : "cc", "memory", QUANTAL_YMM);
}

void copy_ymm(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) {
  const std::uint8_t* end = from + bytes;
  asm volatile(
      "1:\n vmovdqa (%0), %%ymm0\n vmovdqa 32(%0), %%ymm1\n vmovdqa 64(%0), %%ymm2\n vmovdqa 96(%0), %%ymm3\n "
      "vmovdqa %%ymm0, (%1)\n vmovdqa %%ymm1, 32(%1)\n vmovdqa %%ymm2, 64(%1)\n vmovdqa %%ymm3, 96(%1)\n "
      "sub $-128, %0\n sub $-128, %1\n cmp %2, %0\n jb 1b\n vzeroupper\n"
      : "+r"(from), "+r"(to)
      : "r"(end)
      : "cc", "memory", QUANTAL_YMM);
}

#undef QUANTAL_YMM
#undef QUANTAL_YMM_ALL

using buffer = std::shared_ptr<std::uint8_t>;
buffer make_buffer(std::size_t bytes) {
  auto* p = static_cast<std::uint8_t*>(std::aligned_alloc(4096, (bytes + 4095) / 4096 * 4096));
  std::memset(p, 1, bytes);
  return buffer(p, std::free);
}

void add_compute(const char* name, double multiply_adds, void (*loop)()) {
  add_row(std::string("limit/") + name, [multiply_adds, loop] {
    prepared p;
    p.operations = 2 * multiply_adds * static_cast<double>(steps);
    p.time = fastest([loop] { loop(); });
    return p;
  });
}

void add_read(const char* name, std::size_t bytes, bool wide) {
  add_row(std::string("limit/") + name, [bytes, wide] {
    prepared p;
    p.bytes = static_cast<double>(bytes);
    const auto read = [from = make_buffer(bytes), bytes, wide] { (wide ? read_zmm : read_ymm)(from.get(), bytes); };
    p.time = bytes < (1 << 20) ? fastest(read) : repeat(read);
    return p;
  });
}

// `bytes` are copied: as many are read as written.
void add_copies(const char* level, std::size_t bytes) {
  for (const bool library : {true, false}) {
    add_row(std::string("limit/") + (library ? "memcpy_" : "copy_loop_") + level, [bytes, library] {
      prepared p;
      p.bytes = 2 * static_cast<double>(bytes);
      const buffer from = make_buffer(bytes), to = make_buffer(bytes);
      if (library) {
        p.time = repeat([from, to, bytes] {
          std::memcpy(to.get(), from.get(), bytes);
          asm volatile("" ::"r"(to.get()) : "memory");
        });
      } else {
        p.time = repeat([from, to, bytes] { copy_ymm(to.get(), from.get(), bytes); });
      }
      return p;
    });
  }
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
  // 160 KiB there and back: as much as 65536 floats and their codes.
  add_copies("l2", 160 << 10);
  add_copies("l3", 2 << 20);
}

// One 2 x 2 block of tiles from L1, all eight tiles live: 16.8 cycles per tdpbusd with an idle neighbour, 68 to 75 with
// a busy one (measured at 2.3 GHz, 2026-11). The fastest of this run is taken as idle.
int amx_regime() {
  static const bool ready = quantal::features().amx && quantal::request_amx();
  if (!ready) return -1;
  static const tile_config config;
  alignas(64) static std::uint8_t tiles[8 * 1024];
  static double fastest = 1;
  long n = 40;
  const double start = seconds_of(CLOCK_MONOTONIC);
  asm volatile(
      "ldtilecfg %2\n tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n tilezero %%tmm3\n 1:\n tileloadd "
      "(%1,%3,1), %%tmm4\n tileloadd 1024(%1,%3,1), %%tmm6\n tdpbusd %%tmm6, %%tmm4, %%tmm0\n tileloadd "
      "2048(%1,%3,1), %%tmm7\n tdpbusd %%tmm7, %%tmm4, %%tmm1\n tileloadd 3072(%1,%3,1), %%tmm5\n tdpbusd %%tmm6, "
      "%%tmm5, %%tmm2\n tdpbusd %%tmm7, %%tmm5, %%tmm3\n dec %0\n jnz 1b\n tilerelease\n"
      : "+r"(n)
      : "r"(tiles), "m"(config), "r"(64L)
      : "cc", "memory");
  const double took = seconds_of(CLOCK_MONOTONIC) - start;
  if (took < fastest) fastest = took;
  return took < 1.35 * fastest ? 1 : took > 2 * fastest ? 0 : -1;
}

#else  // no limits known here yet

void add_limit_rows(const std::string&) {}
int amx_regime() {
  return -1;
}

#endif

}  // namespace bench
