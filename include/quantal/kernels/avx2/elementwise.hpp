// The elementwise kernels of this ISA; include it where its instructions are switched on.
#pragma once
#if defined(__AVX2__) && defined(__FMA__)
#include "quantal/kernels/avx2/vec.hpp"
#include "quantal/kernels/elementwise_simd.hpp"
#include "quantal/kernels/integer_simd.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr elementwise_table elementwise = simd::make_elementwise<vec>("avx2");
inline constexpr integer_table integer = simd::make_integer<vec>("avx2");

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
#endif
