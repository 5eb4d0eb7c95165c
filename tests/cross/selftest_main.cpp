// Prints the self-test's checksums as a header-only consumer computes them: with whatever flags it was compiled. Every
// elementwise table that these flags and this CPU allow takes part. Exit code 1 if one differs from the expected sums.
#include <stdio.h>

#include "quantal/kernels/avx2/elementwise.hpp"
#include "quantal/kernels/avx512vnni/elementwise.hpp"
#include "quantal/kernels/neon/elementwise.hpp"
#include "quantal/kernels/ref/elementwise.hpp"
#include "quantal/kernels/ref/integer.hpp"
#include "quantal/kernels/selftest.hpp"
#include "quantal/kernels/selftest_codes.hpp"
#include "quantal/kernels/sse41/elementwise.hpp"

namespace {

int failures = 0;

void report(const quantal::elementwise_table& table, const quantal::integer_table& integers) {
  const quantal::selftest_sums sums = quantal::selftest(table);
  const uint32_t codes = quantal::selftest_codes(integers);
  const bool right = sums == quantal::selftest_expected && codes == quantal::selftest_codes_expected;
  if (!right) ++failures;
  printf("%s %08x %08x %08x %08x %08x %s\n", table.isa, static_cast<unsigned>(sums.integer),
         static_cast<unsigned>(sums.numbers), static_cast<unsigned>(sums.params),
         static_cast<unsigned>(sums.elementwise), static_cast<unsigned>(codes), right ? "ok" : "DIFFERS");
}

}  // namespace

int main() {
  report(quantal::kernels::ref::elementwise, quantal::kernels::ref::integer);
#if defined(__SSE4_1__)
  report(quantal::kernels::sse41::elementwise, quantal::kernels::sse41::integer);
#endif
#if defined(__AVX2__) && defined(__FMA__)
  report(quantal::kernels::avx2::elementwise, quantal::kernels::avx2::integer);
#endif
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
  report(quantal::kernels::avx512vnni::elementwise, quantal::kernels::avx512vnni::integer);
#endif
#if defined(__aarch64__)
  report(quantal::kernels::neon::elementwise, quantal::kernels::neon::integer);
#endif
  return failures == 0 ? 0 : 1;
}
