// The elementwise kernels of this ISA; include it where its instructions are switched on.
#pragma once
#if (defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)) || \
    defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx512vnni/vec.hpp"
#include "quantal/kernels/elementwise_simd.hpp"
#include "quantal/kernels/integer_simd.hpp"

namespace quantal::kernels::avx512vnni {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr elementwise_table elementwise = simd::make_elementwise<vec>("avx512vnni");
inline constexpr integer_table integer = simd::make_integer<vec>("avx512vnni");

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx512vnni
#endif
