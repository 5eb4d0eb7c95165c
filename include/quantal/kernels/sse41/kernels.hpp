// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#if defined(__SSE4_1__) && !defined(QUANTAL_EMULATE)
#include "quantal/kernels/sse41/elementwise.hpp"
#endif

namespace quantal::kernels::sse41 {
inline namespace QUANTAL_KERNEL_COPY {

#if defined(__SSE4_1__) && !defined(QUANTAL_EMULATE)
inline constexpr isa_kernels own = {&elementwise, &integer, nullptr, nullptr};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::sse41
