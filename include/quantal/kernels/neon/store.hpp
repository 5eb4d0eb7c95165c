// Finished sums -> output with AArch64 vectors, 16 columns a row; see store_args for the order of operations. The
// dotprod leaf uses it too. Traps: clamping comes before the conversion, which saturates on this architecture and does
// not on x86; vcvtn rounds to nearest even whatever FPCR says. A residual and a real bias would need a multiply and an
// add that no compiler may fuse: those are left to the portable code.
#pragma once
#if defined(__aarch64__)
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::neon {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_columns = 16;

// Four sums -> four codes in s32 lanes.
inline int32x4_t requantize4(const store_args& a, const int32_t* acc, int32_t c) noexcept {
  const int32x4_t sum = vaddq_s32(vld1q_s32(acc + c), vld1q_s32(a.bias + c));
  float32x4_t x = vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(a.ratio + c));
  x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(a.low)), vdupq_n_f32(a.high));
  return vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(a.zero_point));
}

// 16 codes as bytes; they fit, so narrowing just drops bits.
inline uint8x16_t codes_of_row(const store_args& a, const int32_t* acc) noexcept {
  const int16x8_t low = vcombine_s16(vmovn_s32(requantize4(a, acc, 0)), vmovn_s32(requantize4(a, acc, 4)));
  const int16x8_t high = vcombine_s16(vmovn_s32(requantize4(a, acc, 8)), vmovn_s32(requantize4(a, acc, 12)));
  return vreinterpretq_u8_s8(vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
}

inline void store_codes(const store_args& a) noexcept {
  uint8_t* out = static_cast<uint8_t*>(a.out);
  for (int32_t i = 0; i < a.rows; ++i, out += a.out_stride) {
    const uint8x16_t codes = codes_of_row(a, a.acc + i * gemm_columns);
    if (a.live_columns == gemm_columns) {
      vst1q_u8(out, codes);
      continue;
    }
    uint8_t bounce[gemm_columns];
    vst1q_u8(bounce, codes);
    for (int32_t c = 0; c < a.live_columns; ++c) out[c] = bounce[c];
  }
}

inline void store_sums(const store_args& a) noexcept {
  int32_t* out = static_cast<int32_t*>(a.out);
  for (int32_t i = 0; i < a.rows; ++i, out += a.out_stride) {
    const int32_t* acc = a.acc + i * gemm_columns;
    int32_t c = 0;
    for (; c + 4 <= a.live_columns; c += 4) vst1q_s32(out + c, vaddq_s32(vld1q_s32(acc + c), vld1q_s32(a.bias + c)));
    for (; c < a.live_columns; ++c)
      out[c] = static_cast<int32_t>(static_cast<uint32_t>(acc[c]) + static_cast<uint32_t>(a.bias[c]));
  }
}

inline bool store_block(const store_args& a) noexcept {
  if (a.type == dtype::s32) {
    store_sums(a);
    return true;
  }
  if (a.type == dtype::f32 || a.rule != contract::fp32_rne || a.residual_type != dtype::none) return false;
  store_codes(a);
  return true;
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::neon
#endif
