// AArch64 Advanced SIMD leaf of depthwise convolution: 16 channels a block, two pixels at a time. Words are pairs of
// s16 of two image rows, laid out as the portable leaf's (same packed weights). Exact for all codes and zero points.
//
//   words of 4 channels  {a0 b0}{a1 b1} | {a2 b2}{a3 b3}      smlal, smlal2: 4 products each into sums of their own
//   at the end           addp: pairs of sums become 4 channels; there is nothing to permute
//
// Run under QEMU only; speed not measured.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__aarch64__)
#include "quantal/kernels/depthwise_leaf.hpp"
#include "quantal/kernels/intrinsics.hpp"

namespace quantal::kernels::neon {
inline namespace QUANTAL_KERNEL_COPY {
namespace depthwise_detail {

// Sums with bias -> steps in s16. The conversion saturates and rounds to nearest even by itself, the narrowing
// saturates to s16.
inline int16x4_t steps(int32x4_t sum, const float* ratio) noexcept {
  return vqmovn_s32(vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(sum), vld1q_f32(ratio))));
}

// 16 sums with bias, channels in order -> 16 codes.
template <bool Unsigned>
inline int8x16_t codes_of(const int32x4_t (&sum)[4], const depthwise_row& a) noexcept {
  const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(a.zero_point));
  const int16x8_t first = vcombine_s16(steps(sum[0], a.ratio), steps(sum[1], a.ratio + 4));
  const int16x8_t second = vcombine_s16(steps(sum[2], a.ratio + 8), steps(sum[3], a.ratio + 12));
  const int16x8_t x = vqaddq_s16(first, zero), y = vqaddq_s16(second, zero);
  if constexpr (Unsigned) {
    const uint8x16_t low = vdupq_n_u8(static_cast<uint8_t>(a.codes.min));
    const uint8x16_t high = vdupq_n_u8(static_cast<uint8_t>(a.codes.max));
    const uint8x16_t codes = vcombine_u8(vqmovun_s16(x), vqmovun_s16(y));
    return vreinterpretq_s8_u8(vminq_u8(vmaxq_u8(codes, low), high));
  } else {
    const int8x16_t low = vdupq_n_s8(static_cast<int8_t>(a.codes.min));
    const int8x16_t high = vdupq_n_s8(static_cast<int8_t>(a.codes.max));
    return vminq_s8(vmaxq_s8(vcombine_s8(vqmovn_s16(x), vqmovn_s16(y)), low), high);
  }
}

inline int16x8_t centred(uint8x8_t codes, bool is_unsigned, int16x8_t zero) noexcept {
  const int16x8_t wide = is_unsigned ? vreinterpretq_s16_u16(vmovl_u8(codes)) : vmovl_s8(vreinterpret_s8_u8(codes));
  return vsubq_s16(wide, zero);
}

template <bool Unsigned>
struct to_codes {
  const depthwise_row& a;

  void put(int32x4_t (&sum)[4], int64_t pixel) const noexcept {
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) sum[j] = vaddq_s32(sum[j], vld1q_s32(a.bias + 4 * j));
    vst1q_s8(static_cast<int8_t*>(a.out) + pixel * a.out_stride, codes_of<Unsigned>(sum, a));
  }
};

struct to_sums {
  const depthwise_row& a;

  void put(const int32x4_t (&sum)[4], int64_t pixel) const noexcept {
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) vst1q_s32(static_cast<int32_t*>(a.out) + 16 * pixel + 4 * j, sum[j]);
  }
};

// Pixels [first, first + Pixels). low[p][j], high[p][j]: sums of the first and last two channels of vector j.
template <int32_t Pixels, class Sink>
inline void some_pixels(const depthwise_row& a, const Sink& sink, int64_t first) noexcept {
  int32x4_t low[Pixels][4], high[Pixels][4];
#pragma GCC unroll 2
  for (int32_t p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) low[p][j] = high[p][j] = vdupq_n_s32(0);
  }
  const int16_t* weights = reinterpret_cast<const int16_t*>(a.weights);
  for (int32_t u = 0; u < a.unit_count; ++u) {
    const uint8_t* from = a.units[u] + first * a.pixel_step;
    for (int64_t k = 0; k < a.kernel_w; ++k, from += a.tap_step, weights += 32) {
#pragma GCC unroll 4
      for (int32_t j = 0; j < 4; ++j) {
        const int16x8_t w = vld1q_s16(weights + 8 * j);
#pragma GCC unroll 2
        for (int32_t p = 0; p < Pixels; ++p) {
          const int16x8_t x = vld1q_s16(reinterpret_cast<const int16_t*>(from + p * a.pixel_step) + 8 * j);
          low[p][j] = vmlal_s16(low[p][j], vget_low_s16(x), vget_low_s16(w));
          high[p][j] = vmlal_high_s16(high[p][j], x, w);
        }
      }
    }
  }
#pragma GCC unroll 2
  for (int32_t p = 0; p < Pixels; ++p) {
    int32x4_t sum[4];
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) sum[j] = vpaddq_s32(low[p][j], high[p][j]);
    sink.put(sum, first + p);
  }
}

template <class Sink>
inline void row(const depthwise_row& a) noexcept {
  const Sink sink{a};
  int64_t x = 0;
  for (; x + 2 <= a.pixels; x += 2) some_pixels<2>(a, sink, x);
  if (x < a.pixels) some_pixels<1>(a, sink, x);
}

}  // namespace depthwise_detail

inline void depthwise_interleave(const interleave_args& a) noexcept {
  const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(a.zero_point));
  int16_t* to = static_cast<int16_t*>(a.out);
  for (int64_t x = 0; x < a.pixels; ++x) {
#pragma GCC unroll 2
    for (int32_t half = 0; half < 2; ++half, to += 16) {
      const uint8x8_t first = vld1_u8(a.rows[0] + x * a.steps[0] + 8 * half);
      const uint8x8_t second = vld1_u8(a.rows[1] + x * a.steps[1] + 8 * half);
      vst2q_s16(to, {{depthwise_detail::centred(first, a.is_unsigned, zero),
                      depthwise_detail::centred(second, a.is_unsigned, zero)}});
    }
  }
}

inline void depthwise_codes(const depthwise_row& a) noexcept {
  using namespace depthwise_detail;
  a.out_unsigned ? row<to_codes<true>>(a) : row<to_codes<false>>(a);
}

inline void depthwise_sums(const depthwise_row& a) noexcept {
  depthwise_detail::row<depthwise_detail::to_sums>(a);
}

inline constexpr depthwise_leaf depthwise = {"neon",
                                             /*layout*/ 2,
                                             /*vectors*/ 4,
                                             /*lanes*/ 1,
                                             /*unit_rows*/ 2,
                                             /*unit_step*/ 2, lhs_form::s16_centred, depthwise_interleave,
                                             depthwise_codes, depthwise_sums};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::neon
#endif
