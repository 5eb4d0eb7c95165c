// Vectors of AArch64 Advanced SIMD: four f32 or s32.
// Empty where the compiler may not use these instructions.
#pragma once
#if defined(__aarch64__)
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "quantal/kernels/copy.hpp"

namespace quantal::kernels::neon {
inline namespace QUANTAL_KERNEL_COPY {

struct vec {
  using f32 = float32x4_t;
  using s32 = int32x4_t;
  using bytes = uint8x16_t;
  using mask = uint32x4_t;
  static constexpr size_t width = 4;
  static constexpr size_t byte_width = 16;
  static constexpr bool has_fma = true;
  static constexpr bool impossible_is_lowest = false;  // to_s32 of NaN and of what does not fit

  static f32 set(float x) noexcept { return vdupq_n_f32(x); }
  static s32 set(int32_t x) noexcept { return vdupq_n_s32(x); }
  static f32 load(const float* p) noexcept { return vld1q_f32(p); }
  static void store(float* p, f32 x) noexcept { vst1q_f32(p, x); }
  static s32 load(const int32_t* p) noexcept { return vld1q_s32(p); }
  static void store(int32_t* p, s32 x) noexcept { vst1q_s32(p, x); }
  static f32 mul(f32 a, f32 b) noexcept { return vmulq_f32(a, b); }
  static f32 add(f32 a, f32 b) noexcept { return vaddq_f32(a, b); }
  // No expression is contracted across it.
  static f32 fence(f32 x) noexcept {
    __asm__("" : "+w"(x));
    return x;
  }
  static s32 fence(s32 x) noexcept {
    __asm__("" : "+w"(x));
    return x;
  }
  static f32 div(f32 a, f32 b) noexcept { return vdivq_f32(a, b); }
  static f32 fma(f32 a, f32 b, f32 c) noexcept { return vfmaq_f32(c, a, b); }
  static f32 fma_of(const float* x, f32 b, f32 c) noexcept { return fma(load(x), b, c); }
  static f32 fnma(f32 a, f32 b, f32 c) noexcept { return vfmsq_f32(c, a, b); }
  static f32 min(f32 a, f32 b) noexcept { return vminq_f32(a, b); }
  static f32 max(f32 a, f32 b) noexcept { return vmaxq_f32(a, b); }
  static s32 min(s32 a, s32 b) noexcept { return vminq_s32(a, b); }
  static s32 max(s32 a, s32 b) noexcept { return vmaxq_s32(a, b); }
  static s32 max_unsigned(s32 a, s32 b) noexcept {
    return vreinterpretq_s32_u32(vmaxq_u32(vreinterpretq_u32_s32(a), vreinterpretq_u32_s32(b)));
  }
  static s32 load_bits(const float* p) noexcept { return vreinterpretq_s32_f32(vld1q_f32(p)); }
  static s32 add(s32 a, s32 b) noexcept { return vaddq_s32(a, b); }
  static s32 bit_and(s32 a, s32 b) noexcept { return vandq_s32(a, b); }
  static s32 sub(s32 a, s32 b) noexcept { return vsubq_s32(a, b); }
  static s32 to_s32(f32 x) noexcept { return vcvtnq_s32_f32(x); }  // round to nearest even, whatever FPCR says
  static f32 to_f32(s32 x) noexcept { return vcvtq_f32_s32(x); }
  static f32 replace_nan(f32 x, f32 value) noexcept { return vbslq_f32(vceqq_f32(x, x), x, value); }

  // The number of x and acc that is smaller (larger); a NaN in x leaves acc: every comparison with it is false.
  static f32 min_number(f32 x, f32 acc) noexcept { return vbslq_f32(vcltq_f32(x, acc), x, acc); }
  static f32 max_number(f32 x, f32 acc) noexcept { return vbslq_f32(vcgtq_f32(x, acc), x, acc); }
  static mask no_mask() noexcept { return vdupq_n_u32(0); }
  static mask unordered(f32 a, f32 b) noexcept { return vmvnq_u32(vandq_u32(vceqq_f32(a, a), vceqq_f32(b, b))); }
  static mask either(mask a, mask b) noexcept { return vorrq_u32(a, b); }
  static bool any(mask m) noexcept { return vmaxvq_u32(m) != 0; }

  static s32 load_codes(const int8_t* p) noexcept {
    const int8_t four[8] = {p[0], p[1], p[2], p[3], 0, 0, 0, 0};
    return vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(four))));
  }
  static s32 load_codes(const uint8_t* p) noexcept {
    const uint8_t four[8] = {p[0], p[1], p[2], p[3], 0, 0, 0, 0};
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(four)))));
  }

  static bytes load_bytes(const void* p) noexcept { return vld1q_u8(static_cast<const uint8_t*>(p)); }
  static bytes set_bytes(uint8_t x) noexcept { return vdupq_n_u8(x); }
  static void store_bytes(void* p, bytes x) noexcept { vst1q_u8(static_cast<uint8_t*>(p), x); }
  template <class Code>
  static bytes max_bytes(bytes a, bytes b) noexcept {
    if constexpr (Code(-1) < Code(0))
      return vreinterpretq_u8_s8(vmaxq_s8(vreinterpretq_s8_u8(a), vreinterpretq_s8_u8(b)));
    else
      return vmaxq_u8(a, b);
  }
  // tbl looks up 64 entries and gives 0 outside: of four lookups one is not 0.
  struct table_lookup {
    uint8x16x4_t part[4];
    explicit table_lookup(const uint8_t* table) noexcept {
      for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < 4; ++k) part[i].val[k] = vld1q_u8(table + 64 * i + 16 * k);
      }
    }
    template <int N>
    void apply(const uint8_t* from, uint8_t* to) const noexcept {
      for (int i = 0; i < 16 * N; i += 16) vst1q_u8(to + i, one(vld1q_u8(from + i)));
    }
    bytes one(bytes x) const noexcept {
      const uint8x16_t low = vorrq_u8(vqtbl4q_u8(part[0], x), vqtbl4q_u8(part[1], vsubq_u8(x, vdupq_n_u8(64))));
      const uint8x16_t high = vorrq_u8(vqtbl4q_u8(part[2], vsubq_u8(x, vdupq_n_u8(128))),
                                       vqtbl4q_u8(part[3], vsubq_u8(x, vdupq_n_u8(192))));
      return vorrq_u8(low, high);
    }
  };

  // Adds codes, each of them code_offset too large, to sums.
  template <class Code>
  static constexpr int32_t code_offset = 0;
  template <class Code>
  static s32 add_codes(s32 sums, bytes codes) noexcept {
    if constexpr (Code(-1) < Code(0)) return vpadalq_s16(sums, vpaddlq_s8(vreinterpretq_s8_u8(codes)));
    return vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sums), vpaddlq_u8(codes)));
  }

  // Sums of 16 bits: adds two vectors of codes, place by place.
  using s16 = int16x8_t;
  static s16 no_sums() noexcept { return vdupq_n_s16(0); }
  template <class Code>
  static void add_two(s16 (&sums)[2], bytes a, bytes b) noexcept {
    if constexpr (Code(-1) < Code(0)) {
      const int8x16_t x = vreinterpretq_s8_u8(a), y = vreinterpretq_s8_u8(b);
      sums[0] = vaddq_s16(sums[0], vaddl_s8(vget_low_s8(x), vget_low_s8(y)));
      sums[1] = vaddq_s16(sums[1], vaddl_s8(vget_high_s8(x), vget_high_s8(y)));
    } else {
      sums[0] = vaddq_s16(sums[0], vreinterpretq_s16_u16(vaddl_u8(vget_low_u8(a), vget_low_u8(b))));
      sums[1] = vaddq_s16(sums[1], vreinterpretq_s16_u16(vaddl_u8(vget_high_u8(a), vget_high_u8(b))));
    }
  }
  // Vector I of the four of s32.
  template <int I>
  static s32 widened(const s16 (&s)[2]) noexcept {
    return vmovl_s16(I % 2 == 0 ? vget_low_s16(s[I / 2]) : vget_high_s16(s[I / 2]));
  }

  // Four vectors of code - zero point.
  template <class Code>
  struct centred {
    int16x8_t zero;
    explicit centred(int32_t zero_point) noexcept : zero(vdupq_n_s16(static_cast<int16_t>(zero_point))) {}
    void operator()(const Code* p, f32 (&x)[4]) const noexcept {
      int16x8_t low, high;
      if constexpr (Code(-1) < Code(0)) {
        const int8x16_t codes = vld1q_s8(p);
        low = vsubq_s16(vmovl_s8(vget_low_s8(codes)), zero);
        high = vsubq_s16(vmovl_s8(vget_high_s8(codes)), zero);
      } else {
        const uint8x16_t codes = vld1q_u8(p);
        low = vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))), zero);
        high = vsubq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes))), zero);
      }
      x[0] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(low)));
      x[1] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(low)));
      x[2] = vcvtq_f32_s32(vmovl_s16(vget_low_s16(high)));
      x[3] = vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)));
    }
  };

  // Four vectors of steps -> 16 codes: narrow to s16, add the zero point, narrow to 8 bits, clamp; all saturating.
  template <class Code, bool Clamped = true>
  struct narrowing {
    int16x8_t zero;
    int32_t low, high;

    narrowing(int32_t zero_point, int32_t min, int32_t max) noexcept
        : zero(vdupq_n_s16(static_cast<int16_t>(zero_point))), low(min), high(max) {}

    void store(Code* q, s32 a, s32 b, s32 c, s32 d) const noexcept {
      const int16x8_t ab = vqaddq_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)), zero);
      const int16x8_t cd = vqaddq_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)), zero);
      if constexpr (Code(-1) < Code(0)) {
        const int8x16_t codes = vcombine_s8(vqmovn_s16(ab), vqmovn_s16(cd));
        vst1q_s8(
            q, vminq_s8(vmaxq_s8(codes, vdupq_n_s8(static_cast<int8_t>(low))), vdupq_n_s8(static_cast<int8_t>(high))));
      } else {
        const uint8x16_t codes = vcombine_u8(vqmovun_s16(ab), vqmovun_s16(cd));
        vst1q_u8(q, vminq_u8(vmaxq_u8(codes, vdupq_n_u8(static_cast<uint8_t>(low))),
                             vdupq_n_u8(static_cast<uint8_t>(high))));
      }
    }
    // The same of vectors in the order of `centred`.
    void store_unpacked(Code* q, s32 a, s32 b, s32 c, s32 d) const noexcept { store(q, a, b, c, d); }
  };
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::neon
#endif
