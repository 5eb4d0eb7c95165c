// The elementwise tables that a test program compares with ref/: those that this CPU runs (native_tables.cpp), or those
// that few CPUs run, over emulated instructions (emulate/tables.cpp). The tests are the same.
#pragma once
#include <vector>

#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/integer.hpp"

namespace quantal_test {

std::vector<const quantal::elementwise_table*> elementwise_tables();
std::vector<const quantal::integer_table*> integer_tables();

}  // namespace quantal_test
