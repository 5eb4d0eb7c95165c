// The reference kernels in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/isa_kernels.hpp"
#include "quantal/kernels/moments_simd.hpp"
#include "quantal/kernels/ref/depthwise_leaf.hpp"
#include "quantal/kernels/ref/elementwise.hpp"
#include "quantal/kernels/ref/gemm_leaf.hpp"
#include "quantal/kernels/ref/integer.hpp"

namespace quantal::kernels::ref {

inline constexpr isa_kernels own = {&elementwise, &integer, &gemm, &depthwise,
                                   &simd::moments_of<simd::base_moments_vec>};

}  // namespace quantal::kernels::ref
