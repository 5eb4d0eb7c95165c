// The kernels of this ISA in one table; see kernels/isa_kernels.hpp.
#pragma once
#include "quantal/kernels/amx/gemm.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/isa_kernels.hpp"

namespace quantal::kernels::amx {
inline namespace QUANTAL_KERNEL_COPY {

#if ((defined(__AMX_INT8__) || defined(__AMXINT8__)) && defined(__AVX512BW__) && defined(__AVX512VL__)) || \
    defined(QUANTAL_EMULATE_TILES)
inline constexpr isa_kernels own = {nullptr, nullptr, &gemm, nullptr};
#else
inline constexpr isa_kernels own = {};
#endif

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::amx
