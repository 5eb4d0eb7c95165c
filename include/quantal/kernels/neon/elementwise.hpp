// The elementwise kernels of this ISA; include it where its instructions are switched on.
#pragma once
#if defined(__aarch64__)
#include "quantal/kernels/elementwise_simd.hpp"
#include "quantal/kernels/integer_simd.hpp"
#include "quantal/kernels/neon/vec.hpp"

namespace quantal::kernels::neon {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr elementwise_table elementwise = simd::make_elementwise<vec>("neon");
inline constexpr integer_table integer = simd::make_integer<vec>("neon");

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::neon
#endif
