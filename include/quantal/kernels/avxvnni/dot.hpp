// vpdpbusd on 256 bits, VEX-encoded: sum(s32) += 4 products u8 * s8, exact (no saturation). A statement that holds the
// sum in its register, for the reason that avx512vnni/dot.hpp gives.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVXVNNI__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::avxvnni {
inline namespace QUANTAL_KERNEL_COPY {

inline void add_dot(__m256i& sum, __m256i x, __m256i w) noexcept {
#if defined(QUANTAL_EMULATE)
  sum = _mm256_dpbusd_avx_epi32(sum, x, w);
#else
  __asm__("%{vex%} vpdpbusd {%2, %1, %0|%0, %1, %2}" : "+x"(sum) : "x"(x), "x"(w));
#endif
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avxvnni
#endif
