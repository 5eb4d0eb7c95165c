// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#if defined(__AVXVNNI__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avxvnni/depthwise.hpp"
#include "quantal/kernels/avxvnni/gemm.hpp"
#endif

namespace quantal::kernels::avxvnni {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(__AVXVNNI__) || defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {nullptr, nullptr, &gemm, &depthwise};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avxvnni
