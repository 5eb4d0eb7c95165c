// The matrix product compiled as header-only consumers would, with whatever flags: every leaf that these flags and this
// CPU allow equals the reference and gives the self-test's checksum. Small enough for QEMU. Exit code 1: one is wrong.
#include <cstdio>

#include "kernels/gemm_matrix.hpp"
#include "quantal/kernels/native.hpp"
#include "quantal/kernels/selftest_gemm.hpp"

namespace {

int failures = 0;

void report(const quantal::gemm_leaf& leaf) {
  const quantal_test::matrix_report r = quantal_test::leaf_matrix(leaf, quantal_test::effort::small).run();
  const unsigned sum = quantal::selftest_gemm(leaf);
  const bool right = r.wrong == 0 && r.products > 100 && sum == quantal::selftest_gemm_expected;
  if (!right) ++failures;
  std::printf("%s gemm %08x, %d products %s %s\n", leaf.isa, sum, r.products, right ? "ok" : "DIFFERS",
              r.first_wrong.c_str());
}

}  // namespace

int main() {
  for (const quantal::isa_row& row : quantal::isa_list) {
    const quantal::detail::native_row& native = quantal::detail::native_row_at(row.id);
    if (native.gemm && row.id != quantal::isa::amx) report(*native.own.gemm);  // AMX: not without asking
  }
  return failures == 0 ? 0 : 1;
}
