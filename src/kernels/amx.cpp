// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too. Ancestors' functions that they use are copies with
// a name of their own, so that the linker cannot give an ancestor code compiled with more instructions.
#define QUANTAL_KERNEL_COPY library_amx
#include "quantal/kernels/amx/kernels.hpp"

namespace quantal::kernels {

extern const isa_kernels amx_kernels;
const isa_kernels amx_kernels = amx::own;

}  // namespace quantal::kernels
