// Float kernels for avx2: see float_body.hpp and the compile options in CMakeLists.txt.
#define QUANTAL_FLOAT_ISA float_avx2
#include "float_body.hpp"
