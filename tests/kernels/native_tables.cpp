// Those of this CPU and build, without the reference.
#include "kernels/tables.hpp"
#include "quantal/kernels/isa_list.hpp"

namespace quantal_test {

std::vector<const quantal::elementwise_table*> elementwise_tables() {
  std::vector<const quantal::elementwise_table*> list;
  for (const quantal::isa_row& row : quantal::isa_list) {
    const quantal::elementwise_table* t = quantal::elementwise_of(row.name);
    if (t != nullptr && row.id != quantal::isa::ref) list.push_back(t);
  }
  return list;
}

std::vector<const quantal::integer_table*> integer_tables() {
  std::vector<const quantal::integer_table*> list;
  for (const quantal::isa_row& row : quantal::isa_list) {
    const quantal::integer_table* t = quantal::integer_kernels_of(row.name);
    if (t != nullptr && row.id != quantal::isa::ref) list.push_back(t);
  }
  return list;
}

}  // namespace quantal_test
