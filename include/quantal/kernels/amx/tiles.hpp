// The eight AMX tiles: configuration, loads, stores, products, as functions of literal tile numbers.
//
// Why not the compiler's intrinsics: GCC's _tile_loadd and _tile_loadconfig have no memory clobber, so stores to what
// they read may be sunk below them. Here everything that reads or writes memory says so. The configuration is static
// const memory. Tiles are configured at the start of a task and released at its end: they never stay live across a
// caller's code, which may release or reconfigure them.
// A test on a CPU without AMX names a model of the tiles in QUANTAL_EMULATE_TILES (tests/kernels/emulate/tiles.hpp).
// Facts: Intel SDM vol. 1 ch. 18. Freestanding.
#pragma once
#include <stdint.h>

#include "quantal/kernels/copy.hpp"

#if defined(QUANTAL_EMULATE_TILES)
#include QUANTAL_EMULATE_TILES
#endif

// GCC spells the macro __AMX_INT8__, clang 14 __AMXINT8__.
#if defined(__AMX_INT8__) || defined(__AMXINT8__) || defined(QUANTAL_EMULATE_TILES)
namespace quantal::kernels::amx {
inline namespace QUANTAL_KERNEL_COPY {

// As ldtilecfg reads it.
struct alignas(64) tile_config {
  uint8_t palette = 1, start_row = 0, zero[14] = {};
  uint16_t bytes[16] = {};  // of a row, tiles 0..7
  uint8_t rows[16] = {};
};
static_assert(sizeof(tile_config) == 64);

#if defined(QUANTAL_EMULATE_TILES)

inline void load_config(const tile_config& c) noexcept {
  quantal_emulate::tiles().configure(&c);
}
inline void release() noexcept {
  quantal_emulate::tiles().release();
}
template <int T>
inline void zero() noexcept {
  quantal_emulate::tiles().zero(T);
}
template <int T>
inline void load(const void* p, int64_t stride) noexcept {
  quantal_emulate::tiles().load(T, p, stride);
}
template <int T>
inline void store(void* p, int64_t stride) noexcept {
  quantal_emulate::tiles().store(T, p, stride);
}
template <int C, int A, int B, bool UnsignedA, bool UnsignedB>
inline void multiply() noexcept {
  quantal_emulate::tiles().multiply<UnsignedA, UnsignedB>(C, A, B);
}

#else

inline void load_config(const tile_config& c) noexcept {
  __asm__ volatile("ldtilecfg %0" ::"m"(c) : "memory");
}
inline void release() noexcept {
  __asm__ volatile("tilerelease" ::: "memory");
}
template <int T>
inline void zero() noexcept {
  __asm__ volatile("tilezero %%tmm%c0" ::"i"(T));
}
template <int T>
inline void load(const void* p, int64_t stride) noexcept {
  __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(p), "r"(stride), "i"(T) : "memory");
}
template <int T>
inline void store(void* p, int64_t stride) noexcept {
  __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(p), "r"(stride), "i"(T) : "memory");
}
// c += a b; the order of the volatile statements is the order of the instructions.
template <int C, int A, int B, bool UnsignedA, bool UnsignedB>
inline void multiply() noexcept {
  if constexpr (UnsignedA && UnsignedB)
    __asm__ volatile("tdpbuud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  else if constexpr (UnsignedA)
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  else if constexpr (UnsignedB)
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
  else
    __asm__ volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(C), "i"(A), "i"(B));
}

#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::amx
#endif
