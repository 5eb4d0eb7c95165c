// The elementwise kernels of this ISA; include it where its instructions are switched on.
#pragma once
#if defined(__SSE4_1__)
#include "quantal/kernels/elementwise_simd.hpp"
#include "quantal/kernels/integer_simd.hpp"
#include "quantal/kernels/sse41/vec.hpp"

namespace quantal::kernels::sse41 {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr elementwise_table elementwise = simd::make_elementwise<vec>("sse41");
inline constexpr integer_table integer = simd::make_integer<vec>("sse41");

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::sse41
#endif
