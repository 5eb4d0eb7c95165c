// Float kernels for avx512: see float_body.hpp and the compile options in CMakeLists.txt.
#define QUANTAL_FLOAT_ISA float_avx512
#include "float_body.hpp"
