// 8-bit and 4-bit floats, and the shared exponent of the MX formats.
//
//   format      largest  smallest  infinity  NaN            used for
//   f8e4m3fn    448      2^-9      no        S.1111.111     weights, activations
//   f8e4m3fnuz  240      2^-10     no        0x80           (no -0)
//   f8e5m2      57344    2^-16     yes       S.11111.xx     gradients
//   f8e5m2fnuz  57344    2^-17     no        0x80           (no -0)
//   f4e2m1      6        0.5       no        none           MX, NVFP4: {0, .5, 1, 1.5, 2, 3, 4, 6}
//   f8e8m0      2^127    2^-127    no        0xff           scales: 2^(code - 127), no sign, no zero
//
// Rounding to nearest even; `saturate` as ONNX's Cast (default true): overflow and infinity become the largest value,
// except that an infinity becomes NaN in the FNUZ types. saturate = false: infinity, or NaN where the format has none.
// Freestanding.
#pragma once
#include "quantal/num/minifloat.hpp"

namespace quantal {

inline constexpr minifloat f8e4m3fn_format{4, 3, 7, specials::fn};
inline constexpr minifloat f8e4m3fnuz_format{4, 3, 8, specials::fnuz};
inline constexpr minifloat f8e5m2_format{5, 2, 15, specials::ieee};
inline constexpr minifloat f8e5m2fnuz_format{5, 2, 16, specials::fnuz};
inline constexpr minifloat f4e2m1_format{2, 1, 1, specials::none};

constexpr uint8_t f32_to_f8e4m3fn(float x, bool saturate = true) noexcept {
  return static_cast<uint8_t>(encode_minifloat(f8e4m3fn_format, unpack(x), saturate));
}
constexpr uint8_t f32_to_f8e4m3fnuz(float x, bool saturate = true) noexcept {
  return static_cast<uint8_t>(encode_minifloat(f8e4m3fnuz_format, unpack(x), saturate));
}
constexpr uint8_t f32_to_f8e5m2(float x, bool saturate = true) noexcept {
  return static_cast<uint8_t>(encode_minifloat(f8e5m2_format, unpack(x), saturate));
}
constexpr uint8_t f32_to_f8e5m2fnuz(float x, bool saturate = true) noexcept {
  return static_cast<uint8_t>(encode_minifloat(f8e5m2fnuz_format, unpack(x), saturate));
}
// One code in the low four bits. Always saturates; NaN becomes 6.
constexpr uint8_t f32_to_f4e2m1(float x) noexcept {
  return static_cast<uint8_t>(encode_minifloat(f4e2m1_format, unpack(x), true));
}

constexpr float f8e4m3fn_to_f32(uint8_t c) noexcept {
  return decode_minifloat(f8e4m3fn_format, c);
}
constexpr float f8e4m3fnuz_to_f32(uint8_t c) noexcept {
  return decode_minifloat(f8e4m3fnuz_format, c);
}
constexpr float f8e5m2_to_f32(uint8_t c) noexcept {
  return decode_minifloat(f8e5m2_format, c);
}
constexpr float f8e5m2fnuz_to_f32(uint8_t c) noexcept {
  return decode_minifloat(f8e5m2fnuz_format, c);
}
constexpr float f4e2m1_to_f32(uint8_t c) noexcept {
  return decode_minifloat(f4e2m1_format, c & 15u);
}

// How a positive number becomes a power of two.
enum class scale_rounding : uint8_t { down, up, nearest };  // nearest: ties (exactly 1.5 * 2^e) up

// NaN, infinities and negative numbers have no code but NaN's; 0 becomes the smallest scale. Finite overflow (rounding
// up from 2^127) saturates or is NaN.
constexpr uint8_t f32_to_f8e8m0(float x, scale_rounding mode = scale_rounding::nearest, bool saturate = true) noexcept {
  const unpacked_float u = unpack(x);
  if (u.nan || u.infinite || (u.negative && u.mantissa != 0)) return 0xff;
  if (u.mantissa == 0) return 0;  // the smallest scale
  const uint64_t rest = u.mantissa << 1;
  const bool bump = mode == scale_rounding::up ? rest != 0 : mode == scale_rounding::nearest && (rest >> 63) != 0;
  const int32_t e = u.exponent + (bump ? 1 : 0) + 127;
  if (e < 0) return 0;
  if (e > 0xfe) return saturate ? 0xfe : 0xff;
  return static_cast<uint8_t>(e);
}
constexpr float f8e8m0_to_f32(uint8_t c) noexcept {
  if (c == 0xff) return f32_of_bits(0x7fc00000u);
  return c == 0 ? f32_of_bits(0x00400000u) : f32_of_bits(static_cast<uint32_t>(c) << 23);
}

}  // namespace quantal
