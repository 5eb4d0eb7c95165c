// Exact sums of x and x^2 of a short block of floats: the inner loop of calib/moments.hpp. Freestanding, apart from
// moments_kernel().
//
// A block is summed window by window, a window being 18 binades: magnitudes in [2^(e-18), 2^e). Its three sums are
// integers, so what a kernel returns does not depend on its instruction set, nor on the order of the values:
//
//   sum of x = sum * 2^sum_unit,   sum of x^2 = high * 2^high_unit + low * 2^low_unit
//
// kernels/moments_simd.hpp says why nothing rounds.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace quantal {

struct moment_window {
  int64_t sum, high, low;
  int32_t sum_unit, high_unit, low_unit;  // at least -149, -298, -298
};

inline constexpr size_t moment_block = 2048;   // most values of a call
inline constexpr int32_t moment_windows = 16;  // 277 binades, 18 at a time

struct block_moments {
  uint64_t finite = 0;  // values that are neither NaN nor infinite
  int32_t windows = 0;  // used; none where all values are zero
  moment_window window[moment_windows];
};
using moments_function = void (*)(const float* x, size_t n, block_moments& out) noexcept;

// The kernel of the best ISA in use, and that of any ISA that this CPU and build have (nullptr otherwise). Host only.
moments_function moments_kernel() noexcept;
moments_function moments_kernel_of(const char* isa_name) noexcept;

}  // namespace quantal
