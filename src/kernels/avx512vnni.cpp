// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too.
#define QUANTAL_KERNEL_COPY library
#include "quantal/kernels/avx512vnni/depthwise.hpp"
#include "quantal/kernels/avx512vnni/elementwise.hpp"

namespace quantal::kernels {

extern const elementwise_table avx512vnni_elementwise;
const elementwise_table avx512vnni_elementwise = avx512vnni::elementwise;
extern const depthwise_leaf avx512vnni_depthwise;
const depthwise_leaf avx512vnni_depthwise = avx512vnni::depthwise;

}  // namespace quantal::kernels
