// Float kernels for base: see float_body.hpp and the compile options in CMakeLists.txt.
#define QUANTAL_FLOAT_ISA float_base
#include "float_body.hpp"
