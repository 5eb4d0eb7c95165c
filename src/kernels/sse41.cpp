// The kernels of one ISA, compiled with its instructions on. Nothing but kernels here: no standard containers, no
// inline function of a header that the rest of the library uses too.
#define QUANTAL_KERNEL_COPY library
#include "quantal/kernels/sse41/elementwise.hpp"

namespace quantal::kernels {

extern const elementwise_table sse41_elementwise;
const elementwise_table sse41_elementwise = sse41::elementwise;
extern const integer_table sse41_integer;
const integer_table sse41_integer = sse41::integer;

}  // namespace quantal::kernels
