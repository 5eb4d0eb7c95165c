// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && !defined(QUANTAL_EMULATE)
#include "quantal/kernels/dotprod/depthwise.hpp"
#include "quantal/kernels/dotprod/gemm.hpp"
#endif

namespace quantal::kernels::dotprod {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD) && !defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {nullptr, nullptr, &gemm, &depthwise};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::dotprod
