// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too. It includes its parent's stores and packing: the
// copy has a name of its own, so that the linker cannot give the parent code compiled with more instructions.
#define QUANTAL_KERNEL_COPY library_avxvnni
#include "quantal/kernels/avxvnni/depthwise.hpp"
#include "quantal/kernels/avxvnni/gemm.hpp"

namespace quantal::kernels {

extern const depthwise_leaf avxvnni_depthwise;
const depthwise_leaf avxvnni_depthwise = avxvnni::depthwise;
extern const gemm_leaf avxvnni_gemm;
const gemm_leaf avxvnni_gemm = avxvnni::gemm;

}  // namespace quantal::kernels
