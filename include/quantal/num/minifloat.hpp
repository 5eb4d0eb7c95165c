// Small binary floats: one encoder and one decoder for every format with a sign, an exponent and a mantissa.
//
//   value = (-1)^sign * 2^(e - bias) * 1.m   (e > 0)      or   2^(1 - bias) * 0.m   (e = 0)
//
// A format is a row of numbers (`minifloat`); float16.hpp and float8.hpp hold the rows. Encoding rounds to nearest
// even straight from the source's bits (f32 or f64: never through a middle format, which would round twice).
// Overflow after rounding saturates to the largest finite value or becomes infinity (NaN where the format has none).
// Sources: OCP 8-bit floating point specification, OCP Microscaling formats, ONNX "Float stored in 8 bits".
// Integer arithmetic only: independent of the rounding mode and of flush-to-zero. Freestanding.
#pragma once
#include "quantal/base/bits.hpp"

namespace quantal {

// Which codes are not numbers.
enum class specials : uint8_t {
  ieee,  // highest exponent: infinity and NaN (f16, bf16, E5M2)
  fn,    // only exponent and mantissa all ones is NaN, no infinity (E4M3FN)
  fnuz,  // only the code of -0 is NaN, no infinity, no -0
  none,  // every code is a number (E2M1)
};

struct minifloat {
  int32_t exponent_bits, mantissa_bits, bias;
  specials special;

  constexpr uint32_t sign_bit() const noexcept { return uint32_t{1} << (exponent_bits + mantissa_bits); }
  constexpr uint32_t max_exponent() const noexcept { return (uint32_t{1} << exponent_bits) - 1; }
  // The code of the largest finite value.
  constexpr uint32_t max_code() const noexcept {
    const uint32_t all = sign_bit() - 1;
    if (special == specials::ieee) return all - (uint32_t{1} << mantissa_bits);
    return special == specials::fn ? all - 1 : all;
  }
  // E2M1 has none: NaN becomes the largest value (ONNX, Cast to float4e2m1).
  constexpr uint32_t nan_code() const noexcept {
    if (special == specials::fnuz) return sign_bit();
    if (special == specials::none || special == specials::fn) return sign_bit() - 1;
    return (max_exponent() << mantissa_bits) | (uint32_t{1} << (mantissa_bits - 1));
  }
  constexpr uint32_t infinity_code() const noexcept { return max_exponent() << mantissa_bits; }
};

// A float taken apart: value = mantissa * 2^(exponent - 63), the mantissa's top bit set unless the value is zero.
struct unpacked_float {
  bool negative = false, nan = false, infinite = false;
  int32_t exponent = 0;
  uint64_t mantissa = 0;
};

constexpr unpacked_float unpack(uint64_t fraction, int32_t exponent, int32_t fraction_bits, int32_t bias, bool negative,
                                int32_t top) noexcept {
  unpacked_float u{negative, exponent == top && fraction != 0, exponent == top && fraction == 0, 0, 0};
  if (exponent == top) return u;
  if (exponent == 0 && fraction == 0) return u;
  u.mantissa = exponent == 0 ? fraction : fraction | (uint64_t{1} << fraction_bits);
  const int32_t lead = __builtin_clzll(u.mantissa);
  u.mantissa <<= lead;
  u.exponent = (exponent == 0 ? 1 : exponent) - bias - fraction_bits + 63 - lead;
  return u;
}
constexpr unpacked_float unpack(float x) noexcept {
  const uint32_t b = bits_of_f32(x);
  return unpack(b & 0x7fffffu, static_cast<int32_t>((b >> 23) & 0xff), 23, 127, (b >> 31) != 0, 0xff);
}
constexpr unpacked_float unpack(double x) noexcept {
  const uint64_t b = bits_of_f64(x);
  return unpack(b & ((uint64_t{1} << 52) - 1), static_cast<int32_t>((b >> 52) & 0x7ff), 52, 1023, (b >> 63) != 0,
                0x7ff);
}

// Rounds to nearest even. `saturate`: overflow and infinity become the largest finite value, as ONNX's Cast has it
// (there only an infinity cast to an FNUZ type is NaN even so).
constexpr uint32_t encode_minifloat(const minifloat& f, const unpacked_float& x, bool saturate) noexcept {
  const uint32_t sign = x.negative ? f.sign_bit() : 0;
  if (x.nan)
    return f.special == specials::none ? f.nan_code() : (f.special == specials::fnuz ? 0 : sign) | f.nan_code();
  uint32_t code = 0;
  bool over = x.infinite;
  if (!over && x.mantissa != 0) {
    const int32_t lowest = 1 - f.bias;  // exponent of the smallest normal number
    const int32_t below = x.exponent < lowest ? lowest - x.exponent : 0;
    const int32_t drop = 63 - f.mantissa_bits + (below > 64 ? 64 : below);
    const uint64_t kept = drop > 64 ? 0 : round_shift(x.mantissa, drop, false, rounding::half_even);
    // A carry out of the mantissa walks into the exponent by itself, also from subnormal to normal.
    const int64_t biased = below > 0 ? 0 : int64_t{x.exponent} - lowest;
    const int64_t wide = biased * (int64_t{1} << f.mantissa_bits) + static_cast<int64_t>(kept);
    over = wide > static_cast<int64_t>(f.max_code());
    if (!over) code = static_cast<uint32_t>(wide);
  }
  if (over) {
    const bool to_nan = f.special == specials::fnuz && x.infinite;
    if ((saturate && !to_nan) || f.special == specials::none)
      code = f.max_code();
    else if (f.special == specials::ieee)
      code = f.infinity_code();
    else if (f.special == specials::fnuz)
      return f.nan_code();
    else
      code = f.nan_code();
  }
  if (code == 0 && f.special == specials::fnuz) return 0;  // no -0
  return sign | code;
}

// The exact value of a code; every format here fits into f32. NaN keeps its sign.
constexpr float decode_minifloat(const minifloat& f, uint32_t code) noexcept {
  const uint32_t sign = (code & f.sign_bit()) != 0 ? 0x80000000u : 0;
  const uint32_t magnitude = code & (f.sign_bit() - 1);
  const uint32_t fraction = magnitude & ((uint32_t{1} << f.mantissa_bits) - 1);
  const int32_t exponent = static_cast<int32_t>(magnitude >> f.mantissa_bits);
  const uint32_t nan = 0x7fc00000u;
  if (f.special == specials::fnuz && code == f.sign_bit()) return f32_of_bits(nan);
  if (f.special == specials::fn && magnitude == f.sign_bit() - 1) return f32_of_bits(sign | nan);
  if (f.special == specials::ieee && exponent == static_cast<int32_t>(f.max_exponent())) {
    if (fraction == 0) return f32_of_bits(sign | 0x7f800000u);
    return f32_of_bits(sign | 0x7fc00000u | (fraction << (23 - f.mantissa_bits)));
  }
  if (magnitude == 0) return f32_of_bits(sign);
  if (exponent == 0 && f.bias == 127)
    return f32_of_bits(sign | (fraction << (23 - f.mantissa_bits)));  // bf16 subnormal
  const unpacked_float u = unpack(fraction, exponent, f.mantissa_bits, f.bias, false, 1 << 30);
  return f32_of_bits(sign | (static_cast<uint32_t>(u.exponent + 127) << 23) |
                     (static_cast<uint32_t>(u.mantissa >> 40) & 0x7fffffu));
}

}  // namespace quantal
