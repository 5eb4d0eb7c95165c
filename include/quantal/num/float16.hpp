// f16 (IEEE binary16) and bf16 (the upper half of f32) <-> f32 and f64.
//
// To 16 bits: round to nearest even, overflow to infinity, NaN stays NaN (its upper payload bits are kept, and it is
// made quiet). Back: exact. From f64 the rounding happens once: (double -> float -> f16) would round twice. Known
// answers: 65519.99 -> 65504, 65520 -> inf, 2^-25 -> 0 (tie to even), bf16 of 1.00390625 -> 1. Values are passed as
// their bits (uint16_t), which is how models store them. Freestanding.
#pragma once
#include "quantal/num/minifloat.hpp"

namespace quantal {

inline constexpr minifloat f16_format{5, 10, 15, specials::ieee};
inline constexpr minifloat bf16_format{8, 7, 127, specials::ieee};

constexpr uint16_t f32_to_f16(float x) noexcept {
  const uint32_t b = bits_of_f32(x);
  const uint32_t sign = (b >> 16) & 0x8000u;
  const uint32_t a = b & 0x7fffffffu;
  if (a > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u | ((a >> 13) & 0x1ffu));
  if (a >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // 65520 and above
  if (a >= 0x38800000u) {                                              // normal: rebias, round the 13 lower bits
    const uint32_t rounded = a - 0x38000000u + 0xfffu + ((a >> 13) & 1u);
    return static_cast<uint16_t>(sign | (rounded >> 13));
  }
  if (a < 0x33000000u) return static_cast<uint16_t>(sign);  // below 2^-25
  const int32_t exponent = static_cast<int32_t>(a >> 23);   // subnormal: units of 2^-24
  const uint64_t mantissa = (a & 0x7fffffu) | 0x800000u;
  return static_cast<uint16_t>(sign | round_shift(mantissa, 126 - exponent, false, rounding::half_even));
}

constexpr float f16_to_f32(uint16_t h) noexcept {
  const uint32_t sign = (h & 0x8000u) << 16;
  const uint32_t a = h & 0x7fffu;
  if (a >= 0x7c00u) {  // infinity, NaN (quiet)
    return f32_of_bits(sign | 0x7f800000u | ((a & 0x3ffu) << 13) | (a > 0x7c00u ? 0x400000u : 0u));
  }
  if (a >= 0x400u) return f32_of_bits(sign | ((a << 13) + 0x38000000u));
  if (a == 0) return f32_of_bits(sign);
  const int32_t lead = __builtin_clz(a) - 21;  // zeros above the fraction's top bit, 0..10
  return f32_of_bits(sign | (static_cast<uint32_t>(113 - lead) << 23) | ((a << (13 + lead)) & 0x7fffffu));
}

constexpr uint16_t f32_to_bf16(float x) noexcept {
  const uint32_t b = bits_of_f32(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((b >> 16) | 0x40u);
  return static_cast<uint16_t>((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}

constexpr float bf16_to_f32(uint16_t h) noexcept {
  return f32_of_bits(static_cast<uint32_t>(h) << 16);
}

constexpr uint16_t f64_to_f16(double x) noexcept {
  return static_cast<uint16_t>(encode_minifloat(f16_format, unpack(x), false));
}
constexpr uint16_t f64_to_bf16(double x) noexcept {
  return static_cast<uint16_t>(encode_minifloat(bf16_format, unpack(x), false));
}

}  // namespace quantal
