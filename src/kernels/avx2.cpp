// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too.
#define QUANTAL_KERNEL_COPY library
#include "quantal/kernels/avx2/depthwise.hpp"
#include "quantal/kernels/avx2/elementwise.hpp"
#include "quantal/kernels/avx2/gemm.hpp"

namespace quantal::kernels {

extern const elementwise_table avx2_elementwise;
const elementwise_table avx2_elementwise = avx2::elementwise;
extern const integer_table avx2_integer;
const integer_table avx2_integer = avx2::integer;
extern const gemm_leaf avx2_gemm;
const gemm_leaf avx2_gemm = avx2::gemm;
extern const depthwise_leaf avx2_depthwise;
const depthwise_leaf avx2_depthwise = avx2::depthwise;

}  // namespace quantal::kernels
