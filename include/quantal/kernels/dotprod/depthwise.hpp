// AArch64 dot product leaf of depthwise convolution: 16 channels a block, four pixels at a time (16 sums of 32
// registers). Words and weights are s8. See kernels/depthwise_quad.hpp. Run under QEMU only; speed not measured.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "quantal/kernels/depthwise_quad.hpp"
#include "quantal/kernels/intrinsics.hpp"
#include "quantal/kernels/neon/depthwise.hpp"

namespace quantal::kernels::dotprod {
inline namespace QUANTAL_KERNEL_COPY {

struct quad_q {
  using words = int8x16_t;
  using sums = int32x4_t;
  static constexpr int32_t lanes = 1, pixels = 4;
  static constexpr lhs_form form = lhs_form::s8;

  static words load(const void* p) noexcept { return vld1q_s8(static_cast<const int8_t*>(p)); }
  static void store(void* p, words x) noexcept { vst1q_s8(static_cast<int8_t*>(p), x); }
  static sums load_sums(const int32_t* p) noexcept { return vld1q_s32(p); }
  static void store_sums(void* p, sums x) noexcept { vst1q_s32(static_cast<int32_t*>(p), x); }
  static sums zero() noexcept { return vdupq_n_s32(0); }
  static words flip(words x) noexcept { return veorq_s8(x, vdupq_n_s8(-128)); }
  static sums dot(sums sum, words x, words w) noexcept { return vdotq_s32(sum, x, w); }

  static void interleave(const words (&row)[4], words (&out)[4]) noexcept {
    const int16x8_t a = vreinterpretq_s16_s8(vzip1q_s8(row[0], row[1]));
    const int16x8_t b = vreinterpretq_s16_s8(vzip2q_s8(row[0], row[1]));
    const int16x8_t c = vreinterpretq_s16_s8(vzip1q_s8(row[2], row[3]));
    const int16x8_t d = vreinterpretq_s16_s8(vzip2q_s8(row[2], row[3]));
    out[0] = vreinterpretq_s8_s16(vzip1q_s16(a, c));
    out[1] = vreinterpretq_s8_s16(vzip2q_s16(a, c));
    out[2] = vreinterpretq_s8_s16(vzip1q_s16(b, d));
    out[3] = vreinterpretq_s8_s16(vzip2q_s16(b, d));
  }

  template <bool Unsigned, bool Wide>
  static words codes(const sums (&sum)[4], const depthwise_row& a) noexcept {
    return neon::depthwise_detail::codes_of<Unsigned>(sum, a);
  }
};

inline constexpr depthwise_leaf depthwise = depthwise_quads<quad_q>::leaf("dotprod", /*layout*/ 5);

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::dotprod
#endif
