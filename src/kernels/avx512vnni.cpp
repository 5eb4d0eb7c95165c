// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too. Ancestors' functions that they use are copies with
// a name of their own, so that the linker cannot give an ancestor code compiled with more instructions.
#define QUANTAL_KERNEL_COPY library_avx512vnni
#include "quantal/kernels/avx512vnni/kernels.hpp"

namespace quantal::kernels {

extern const isa_kernels avx512vnni_kernels;
const isa_kernels avx512vnni_kernels = avx512vnni::own;

}  // namespace quantal::kernels
