// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#if defined(__aarch64__) && !defined(QUANTAL_EMULATE)
#include "quantal/kernels/neon/depthwise.hpp"
#include "quantal/kernels/neon/elementwise.hpp"
#include "quantal/kernels/neon/gemm.hpp"
#endif

namespace quantal::kernels::neon {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(__aarch64__) && !defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {&elementwise, &integer, &gemm, &depthwise};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::neon
