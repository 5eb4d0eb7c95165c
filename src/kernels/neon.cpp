// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too.
#define QUANTAL_KERNEL_COPY library
#include "quantal/kernels/neon/elementwise.hpp"
#include "quantal/kernels/neon/gemm.hpp"

namespace quantal::kernels {

extern const elementwise_table neon_elementwise;
const elementwise_table neon_elementwise = neon::elementwise;
extern const gemm_leaf neon_gemm;
const gemm_leaf neon_gemm = neon::gemm;
extern const integer_table neon_integer;
const integer_table neon_integer = neon::integer;

}  // namespace quantal::kernels
