#include "kernels/emulate/leaves.hpp"

#define QUANTAL_KERNEL_COPY emulated
#define QUANTAL_EMULATE "kernels/emulate/x86.hpp"
#define QUANTAL_EMULATE_TILES "kernels/emulate/tiles.hpp"
#include "quantal/kernels/amx/gemm.hpp"
#include "quantal/kernels/avx512vnni/depthwise.hpp"
#include "quantal/kernels/avx512vnni/gemm.hpp"
#include "quantal/kernels/avxvnni/depthwise.hpp"
#include "quantal/kernels/avxvnni/gemm.hpp"

namespace quantal_test {

const quantal::gemm_leaf* const* emulated_leaves(std::size_t& count) {
  static const quantal::gemm_leaf* const leaves[] = {&quantal::kernels::avxvnni::emulated::gemm,
                                                     &quantal::kernels::avx512vnni::emulated::gemm,
                                                     &quantal::kernels::amx::emulated::gemm};
  count = sizeof leaves / sizeof leaves[0];
  return leaves;
}

const quantal::depthwise_leaf* const* emulated_depthwise_leaves(std::size_t& count) {
  static const quantal::depthwise_leaf* const leaves[] = {&quantal::kernels::avxvnni::emulated::depthwise,
                                                          &quantal::kernels::avx512vnni::emulated::depthwise};
  count = sizeof leaves / sizeof leaves[0];
  return leaves;
}

const char* tile_complaint() {
  const quantal_emulate::tile_file& tiles = quantal_emulate::tiles();
  if (tiles.faults() != 0) return tiles.first_fault();
  return tiles.configured() ? "tiles stay configured after a task" : "";
}

}  // namespace quantal_test
