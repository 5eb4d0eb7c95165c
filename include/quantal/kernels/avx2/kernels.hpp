// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#if defined(__AVX2__) && !defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/depthwise.hpp"
#include "quantal/kernels/avx2/elementwise.hpp"
#include "quantal/kernels/avx2/gemm.hpp"
#include "quantal/kernels/moments_simd.hpp"
#endif

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(__AVX2__) && defined(__FMA__) && !defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {&elementwise, &integer, &gemm, &depthwise, &simd::moments_of<vec>};
#elif defined(__AVX2__) && !defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {nullptr, nullptr, &gemm, &depthwise};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
