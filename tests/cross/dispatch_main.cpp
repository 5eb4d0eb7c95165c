// Prints the best instruction set and whose matrix product the library takes.
#include <cstdio>

#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/gemm_leaf.hpp"

int main() {
  std::printf("%s %s\n", quantal::best_isa(), quantal::best_gemm_leaf().isa);
}
