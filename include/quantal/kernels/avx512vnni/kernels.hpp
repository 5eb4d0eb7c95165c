// The kernels of this ISA in one table; see kernels/isa_kernels.hpp. Emulation has the products only.
#pragma once
#include "quantal/kernels/avx512vnni/depthwise.hpp"
#include "quantal/kernels/avx512vnni/gemm.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#if !defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx512vnni/elementwise.hpp"
#endif

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {nullptr, nullptr, &gemm, &depthwise};
#elif defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
inline constexpr isa_kernels own = {&elementwise, &integer, &gemm, &depthwise};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
