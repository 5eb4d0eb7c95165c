// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too. It includes its parent's stores: the copy has a
// name of its own, so that the linker cannot give the parent code compiled with more instructions.
#define QUANTAL_KERNEL_COPY library_dotprod
#include "quantal/kernels/dotprod/depthwise.hpp"
#include "quantal/kernels/dotprod/gemm.hpp"

namespace quantal::kernels {

extern const gemm_leaf dotprod_gemm;
const gemm_leaf dotprod_gemm = dotprod::gemm;
extern const depthwise_leaf dotprod_depthwise;
const depthwise_leaf dotprod_depthwise = dotprod::depthwise;

}  // namespace quantal::kernels
