// Runs on an emulated microcontroller without libc or heap: the known answers of the fixed-point contracts, a layer's
// requantization through the checked entry point, its errors, and the self-test's checksums. Returns the number of the
// first check that fails; 0: all passed.
#include "quantal/kernels/ref/elementwise.hpp"
#include "quantal/kernels/selftest.hpp"

extern "C" int32_t device_requantize(const int32_t* acc, const int32_t* bias, size_t rows, size_t channels,
                                     const quantal::requantizer* how, int8_t* codes);
extern "C" void print(const char* text);

using namespace quantal;

namespace {

int known_answers() {
  const struct {
    double real;
    int32_t multiplier, shift;
  } rows[] = {{1.0 / 3, 1431655765, -1},
              {0.1, 1717986918, -3},
              {0.001, 1099511628, -9},
              {1.0, 1073741824, 1},
              {2.5, 1342177280, 2}};
  for (const auto& row : rows) {
    fixed_multiplier m;
    if (fixed_multiplier_of(row.real, m) != status::ok || m.multiplier != row.multiplier || m.shift != row.shift)
      return 1;
  }
  return 0;
}

// x * 0.1 for six accumulators, one row, by each contract.
int contracts() {
  const int32_t acc[6] = {5, 15, 25, -5, -15, 1234};
  const int8_t expected[3][6] = {{0, 2, 2, 0, -2, 123}, {1, 2, 3, -1, -2, 123}, {0, 1, 2, 0, -1, 123}};
  const float ratio = 0.1f;
  fixed_multiplier m;
  if (fixed_multiplier_of(0.1, m) != status::ok) return 2;
  for (int32_t rule = 0; rule < 3; ++rule) {
    requantizer how;
    how.rule = static_cast<contract>(rule);
    how.ratios = &ratio;
    how.multipliers = &m;
    how.count = 1;
    int8_t codes[6];
    if (device_requantize(acc, nullptr, 6, 1, &how, codes) != 0) return 3;
    for (int32_t i = 0; i < 6; ++i) {
      if (codes[i] != expected[rule][i]) return 4 + rule;
    }
  }
  return 0;
}

int errors() {
  const int32_t acc[1] = {1};
  int8_t code[1] = {0x55};
  const uint32_t bad_ratios[] = {0u, 0x80000000u, 0xbf800000u, 0x7f800000u, 0x7fc00000u, 1u};
  for (const uint32_t bits : bad_ratios) {
    const float ratio = f32_of_bits(bits);
    requantizer how;
    how.ratios = &ratio;
    how.count = 1;
    if (device_requantize(acc, nullptr, 1, 1, &how, code) != static_cast<int32_t>(status::scale)) return 8;
  }
  return code[0] == 0x55 ? 0 : 9;
}

int checksums() {
  const selftest_sums sums = selftest(kernels::ref::elementwise);
  if (sums.integer != selftest_expected.integer) return 10;
  if (sums.numbers != selftest_expected.numbers) return 11;
  if (sums.params != selftest_expected.params) return 12;
  return sums.elementwise == selftest_expected.elementwise ? 0 : 13;
}

}  // namespace

extern "C" int firmware_main() {
  int (*const steps[])() = {known_answers, contracts, errors, checksums};
  for (const auto step : steps) {
    if (const int failed = step(); failed != 0) return failed;
  }
  print("quantal: firmware self-test passed\n");
  return 0;
}
