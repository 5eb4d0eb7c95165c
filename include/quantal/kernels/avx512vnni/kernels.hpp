// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/avx512vnni/depthwise.hpp"
#include "quantal/kernels/avx512vnni/elementwise.hpp"
#include "quantal/kernels/avx512vnni/gemm.hpp"
#include "quantal/kernels/moments_simd.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(QUANTAL_EMULATE) || \
    (defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__))
inline constexpr isa_kernels own = {&elementwise, &integer, &gemm, &depthwise, &simd::moments_of<vec>};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
