// Float arithmetic that depends on nothing but its operands: bit access, classification, rounding.
//
// Everything here works on the bits of a float, so the result is the same under any rounding mode, with
// flush-to-zero on or off, with -ffast-math and on every CPU. The trap it exists for: a product that meets an
// addition may be contracted to one FMA (GCC's default, `-ffp-contract=fast`), which changes bits. The core
// therefore never adds to a product; where a product or quotient leaves a function it passes `fence`, so
// that a caller's addition cannot reach into it either.
// Freestanding; no libm.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace quantal {

constexpr uint32_t bits_of_f32(float x) noexcept {
  return __builtin_bit_cast(uint32_t, x);
}
constexpr uint64_t bits_of_f64(double x) noexcept {
  return __builtin_bit_cast(uint64_t, x);
}
constexpr float f32_of_bits(uint32_t b) noexcept {
  return __builtin_bit_cast(float, b);
}
constexpr double f64_of_bits(uint64_t b) noexcept {
  return __builtin_bit_cast(double, b);
}

// The bits of a float in memory, through no floating-point register (an FPU may be off).
constexpr uint32_t load_bits(const float* p) noexcept {
  if (__builtin_is_constant_evaluated()) return bits_of_f32(*p);
  uint32_t b = 0;
  __builtin_memcpy(&b, p, sizeof(b));
  return b;
}

constexpr bool is_nan(float x) noexcept {
  return (bits_of_f32(x) & 0x7fffffffu) > 0x7f800000u;
}
constexpr bool is_nan(double x) noexcept {
  return (bits_of_f64(x) & ~(uint64_t{1} << 63)) > (uint64_t{0x7ff} << 52);
}
constexpr bool is_finite(float x) noexcept {
  return (bits_of_f32(x) & 0x7f800000u) != 0x7f800000u;
}
constexpr bool is_finite(double x) noexcept {
  return (bits_of_f64(x) & (uint64_t{0x7ff} << 52)) != (uint64_t{0x7ff} << 52);
}
// Finite, not zero, not denormal, positive: what a scale must be.
constexpr bool is_positive_normal_f32(uint32_t b) noexcept { return b >= 0x00800000u && b < 0x7f800000u; }
constexpr bool is_positive_normal(float x) noexcept { return is_positive_normal_f32(bits_of_f32(x)); }
constexpr bool is_positive_normal(double x) noexcept {
  const uint64_t b = bits_of_f64(x);
  return b >= (uint64_t{1} << 52) && b < (uint64_t{0x7ff} << 52);
}
constexpr float absolute(float x) noexcept {
  return f32_of_bits(bits_of_f32(x) & 0x7fffffffu);
}
constexpr double absolute(double x) noexcept {
  return f64_of_bits(bits_of_f64(x) & ~(uint64_t{1} << 63));
}

// An empty instruction that the value must pass: no expression is contracted or reassociated across it.
constexpr float fence(float x) noexcept {
  if (__builtin_is_constant_evaluated()) return x;
#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE2_MATH__))
  __asm__("" : "+x"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#elif defined(__s390x__) || (defined(__riscv) && defined(__riscv_flen))
  __asm__("" : "+f"(x));
#else
  __asm__("" : "+m"(x));
#endif
  return x;
}
constexpr double fence(double x) noexcept {
  if (__builtin_is_constant_evaluated()) return x;
#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE2_MATH__))
  __asm__("" : "+x"(x));
#elif defined(__aarch64__)
  __asm__("" : "+w"(x));
#elif defined(__s390x__)
  __asm__("" : "+f"(x));
#else
  __asm__("" : "+m"(x));
#endif
  return x;
}

// How a real number becomes an integer.
enum class rounding : uint8_t {
  half_even = 0,  // ties to the even neighbour (IEEE 754, ONNX, torch)
  half_away = 1,  // ties away from zero (C's round, TFLite)
  half_up = 2,    // ties towards +infinity: floor(x + 0.5) evaluated exactly (ai8x)
};

// magnitude / 2^shift rounded to an integer; `negative` is the sign it will get. shift in [0, 64].
constexpr uint64_t round_shift(uint64_t magnitude, int32_t shift, bool negative, rounding mode) noexcept {
  if (shift == 0) return magnitude;
  if (shift > 64) return 0;
  const uint64_t whole = shift == 64 ? 0 : magnitude >> shift;
  const uint64_t rest = shift == 64 ? magnitude : magnitude & ((uint64_t{1} << shift) - 1);
  const uint64_t half = uint64_t{1} << (shift - 1);
  if (rest != half) return whole + (rest > half ? 1 : 0);
  switch (mode) {
    case rounding::half_even: return whole + (whole & 1);
    case rounding::half_away: return whole + 1;
    case rounding::half_up: return whole + (negative ? 0 : 1);
  }
  return whole;
}

// x rounded to an integer and saturated to [-2^31, 2^31 - 1]; NaN gives 0.
constexpr int32_t round_to_int(float x, rounding mode = rounding::half_even) noexcept {
  const uint32_t b = bits_of_f32(x);
  const bool negative = (b >> 31) != 0;
  const int32_t exponent = static_cast<int32_t>((b >> 23) & 0xff) - 127;
  if (is_nan(x) || exponent < -1) return 0;
  if (exponent >= 31) return negative ? INT32_MIN : INT32_MAX;
  const uint64_t mantissa = (b & 0x7fffffu) | 0x800000u;
  const uint64_t magnitude =
      exponent >= 23 ? mantissa << (exponent - 23) : round_shift(mantissa, 23 - exponent, negative, mode);
  return static_cast<int32_t>(negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude));
}

// The same for double, saturated to [-2^62, 2^62].
constexpr int64_t round_to_int(double x, rounding mode = rounding::half_even) noexcept {
  const uint64_t b = bits_of_f64(x);
  const bool negative = (b >> 63) != 0;
  const int32_t exponent = static_cast<int32_t>((b >> 52) & 0x7ff) - 1023;
  if (is_nan(x) || exponent < -1) return 0;
  const int64_t limit = int64_t{1} << 62;
  if (exponent >= 62) return negative ? -limit : limit;
  const uint64_t mantissa = (b & ((uint64_t{1} << 52) - 1)) | (uint64_t{1} << 52);
  const uint64_t magnitude =
      exponent >= 52 ? mantissa << (exponent - 52) : round_shift(mantissa, 52 - exponent, negative, mode);
  return negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
}

}  // namespace quantal
