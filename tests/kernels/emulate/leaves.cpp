#include "kernels/emulate/leaves.hpp"

#define QUANTAL_KERNEL_COPY emulated
#define QUANTAL_EMULATE "kernels/emulate/x86.hpp"
#define QUANTAL_EMULATE_TILES "kernels/emulate/tiles.hpp"
#include "quantal/kernels/native.hpp"

namespace quantal_test {

namespace {

// The rows whose folder lets itself be emulated (QUANTAL_EMULATE in its kernels.hpp).
constexpr quantal::isa_kernels rows[] = {
#define QUANTAL_ISA(architecture, name, parent, needs, answers) quantal::kernels::name::emulated::own,
    QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
};

template <class Leaf>
struct leaf_list {
  const Leaf* leaves[quantal::isa_count] = {};
  std::size_t count = 0;

  explicit leaf_list(const Leaf* quantal::isa_kernels::*family) {
    for (const quantal::isa_kernels& own : rows)
      if (own.*family != nullptr) leaves[count++] = own.*family;
  }
};

}  // namespace

const quantal::gemm_leaf* const* emulated_leaves(std::size_t& count) {
  static const leaf_list<quantal::gemm_leaf> list(&quantal::isa_kernels::gemm);
  count = list.count;
  return list.leaves;
}

const quantal::depthwise_leaf* const* emulated_depthwise_leaves(std::size_t& count) {
  static const leaf_list<quantal::depthwise_leaf> list(&quantal::isa_kernels::depthwise);
  count = list.count;
  return list.leaves;
}

const quantal::elementwise_table* const* emulated_elementwise(std::size_t& count) {
  static const leaf_list<quantal::elementwise_table> list(&quantal::isa_kernels::elementwise);
  count = list.count;
  return list.leaves;
}

const quantal::integer_table* const* emulated_integer(std::size_t& count) {
  static const leaf_list<quantal::integer_table> list(&quantal::isa_kernels::integer);
  count = list.count;
  return list.leaves;
}

const char* tile_complaint() {
  const quantal_emulate::tile_file& tiles = quantal_emulate::tiles();
  if (tiles.faults() != 0) return tiles.first_fault();
  return tiles.configured() ? "tiles stay configured after a task" : "";
}

tile_work take_tile_work() {
  quantal_emulate::tile_file& tiles = quantal_emulate::tiles();
  const tile_work work{tiles.loads(), tiles.products(), tiles.most_live()};
  tiles.forget();
  return work;
}

}  // namespace quantal_test
