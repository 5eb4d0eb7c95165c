// The CPU's sticky mark that a conversion or sum had no answer: a test for NaN and overflow that costs a loop nothing.
//
//   works(): is the mark kept at all?  ...  any number of conversions f32 -> s32  ...  raised(): was one impossible?
//
// x86 sets bit 0 of MXCSR when a conversion meets NaN or a number that does not fit, and leaves it set (Intel SDM,
// volume 1, 11.5.2.1). Emulators may not keep it (Valgrind), so `works()` converts a NaN and looks. The caller's mode
// must be default_fp_env's, which masks the exceptions and gives the caller's marks back at its end. Freestanding.
#pragma once
#include <stdint.h>

#include "quantal/kernels/copy.hpp"

namespace quantal::kernels {
inline namespace QUANTAL_KERNEL_COPY {

struct invalid_flag {
#if (defined(__x86_64__) || (defined(__i386__) && defined(__SSE2_MATH__))) && !defined(QUANTAL_EMULATE)
  static constexpr bool known = true;
  static bool raised() noexcept {
    uint32_t state;
    __asm__ volatile("stmxcsr %0" : "=m"(state) : : "memory");
    return (state & 1) != 0;
  }
  static void forget() noexcept {
    const uint32_t standard = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(standard) : "memory");
  }
  static bool works() noexcept {
    const float nan = __builtin_nanf("");
    int32_t code;
#if defined(__AVX__)
    __asm__ volatile("vcvtss2si %1, %0" : "=r"(code) : "x"(nan) : "memory");
#else
    __asm__ volatile("cvtss2si %1, %0" : "=r"(code) : "x"(nan) : "memory");
#endif
    const bool seen = raised();
    forget();
    return seen;
  }
#else
  static constexpr bool known = false;
  static bool raised() noexcept {
    return false;
  }
  static void forget() noexcept {}
  static bool works() noexcept {
    return false;
  }
#endif
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels
