// default_fp_env: while it lives, this thread rounds to nearest even and keeps denormals, whatever the host program
// set.
//
// Programs change the rounding mode (fesetround) or flush denormals (FTZ/DAZ, also by merely loading a library built
// with -Ofast); results must not depend on it. Costs some ten cycles, so it stands around loops, not around values. The
// trap: a compiler may move arithmetic across the mode change, so the loop belongs into a function that is not inlined
// here. Where the control register is not known it does nothing. Freestanding.
#pragma once
#include <stdint.h>

namespace quantal {

class default_fp_env {
 public:
#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE2_MATH__))
  default_fp_env() noexcept {
    const uint32_t standard = 0x1f80;
    __asm__ volatile("stmxcsr %0" : "=m"(saved_));
    __asm__ volatile("ldmxcsr %0" : : "m"(standard));
  }
  ~default_fp_env() {
    __asm__ volatile("ldmxcsr %0" : : "m"(saved_));
  }

 private:
  uint32_t saved_;
#elif defined(__aarch64__)
  default_fp_env() noexcept {
    const uint64_t standard = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved_));
    __asm__ volatile("msr fpcr, %0" : : "r"(standard));
  }
  ~default_fp_env() {
    __asm__ volatile("msr fpcr, %0" : : "r"(saved_));
  }

 private:
  uint64_t saved_;
#else
  default_fp_env() noexcept {}
  ~default_fp_env() {}

 private:
#endif
  default_fp_env(const default_fp_env&) = delete;
  default_fp_env& operator=(const default_fp_env&) = delete;
};

}  // namespace quantal
