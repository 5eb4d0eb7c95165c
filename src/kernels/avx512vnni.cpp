// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too. It includes AVX2's packing: the
// copy has a name of its own, so that the linker cannot give AVX2 code compiled with more instructions.
#define QUANTAL_KERNEL_COPY library_avx512vnni
#include "quantal/kernels/avx512vnni/depthwise.hpp"
#include "quantal/kernels/avx512vnni/elementwise.hpp"
#include "quantal/kernels/avx512vnni/gemm.hpp"

namespace quantal::kernels {

extern const elementwise_table avx512vnni_elementwise;
const elementwise_table avx512vnni_elementwise = avx512vnni::elementwise;
extern const depthwise_leaf avx512vnni_depthwise;
const depthwise_leaf avx512vnni_depthwise = avx512vnni::depthwise;
extern const gemm_leaf avx512vnni_gemm;
const gemm_leaf avx512vnni_gemm = avx512vnni::gemm;
extern const integer_table avx512vnni_integer;
const integer_table avx512vnni_integer = avx512vnni::integer;

}  // namespace quantal::kernels
