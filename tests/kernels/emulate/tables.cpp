// The emulated ones.
#include "kernels/tables.hpp"

#include "kernels/emulate/leaves.hpp"

namespace quantal_test {

std::vector<const quantal::elementwise_table*> elementwise_tables() {
  std::size_t count = 0;
  const quantal::elementwise_table* const* list = emulated_elementwise(count);
  return {list, list + count};
}

std::vector<const quantal::integer_table*> integer_tables() {
  std::size_t count = 0;
  const quantal::integer_table* const* list = emulated_integer(count);
  return {list, list + count};
}

}  // namespace quantal_test
