// vpdpbusd on 512 bits: sum(s32) += 4 products u8 * s8, exact (no saturation).
//
// As a statement that holds the sum in its register: the instruction overwrites it, and GCC 12 left alone copies sums to
// other registers and back around each step, or to the stack, up to twice the instructions of a loop.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX512VNNI__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

// Both operands in registers: a load that the compiler makes part of the instruction is made again for its next use.
inline void add_dot(__m512i& sum, __m512i x, __m512i w) noexcept {
#if defined(QUANTAL_EMULATE)
  sum = _mm512_dpbusd_epi32(sum, x, w);
#else
  __asm__("vpdpbusd {%2, %1, %0|%0, %1, %2}" : "+v"(sum) : "v"(x), "v"(w));
#endif
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
