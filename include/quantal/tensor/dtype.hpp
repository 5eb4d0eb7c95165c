// dtype: the element types, their names and sizes. The fixed words s4 s8 u8 s32 f16 bf16 f32 are the same
// in every interface; the numbers are Quantal's own and part of the C ABI (ONNX's live in ir/dtype_map).
// Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "quantal/base/checked.hpp"

namespace quantal {

enum class dtype : int32_t {
  none = 0,
  f32 = 1, f64 = 2, f16 = 3, bf16 = 4,
  f8e4m3fn = 5, f8e4m3fnuz = 6, f8e5m2 = 7, f8e5m2fnuz = 8, f8e8m0 = 9, f4e2m1 = 10,
  s8 = 16, u8 = 17, s16 = 18, u16 = 19, s32 = 20, u32 = 21, s64 = 22, u64 = 23,
  s4 = 24, u4 = 25, s2 = 26, u2 = 27,
  boolean = 32,              // one byte, 0 or 1
  string = 33,               // host only: elements are std::string, not bytes
  c64 = 34, c128 = 35,       // complex: pairs of f32, f64
};

// Bits of one element as packed in memory (s4 and below: first element in the low bits). 0: none, string.
constexpr uint32_t bits_of(dtype t) noexcept {
  switch (t) {
    case dtype::s2: case dtype::u2: return 2;
    case dtype::s4: case dtype::u4: case dtype::f4e2m1: return 4;
    case dtype::f8e4m3fn: case dtype::f8e4m3fnuz: case dtype::f8e5m2: case dtype::f8e5m2fnuz:
    case dtype::f8e8m0: case dtype::s8: case dtype::u8: case dtype::boolean: return 8;
    case dtype::f16: case dtype::bf16: case dtype::s16: case dtype::u16: return 16;
    case dtype::f32: case dtype::s32: case dtype::u32: return 32;
    case dtype::f64: case dtype::s64: case dtype::u64: case dtype::c64: return 64;
    case dtype::c128: return 128;
    case dtype::none: case dtype::string: return 0;
  }
  return 0;
}

// Bytes of `count` elements, sub-byte types rounded up to whole bytes. False on overflow.
constexpr bool bytes_of(dtype t, uint64_t count, uint64_t& bytes) noexcept {
  uint64_t bits = 0;
  if (!checked_mul(count, bits_of(t), bits) || !checked_add(bits, 7, bits)) return false;
  bytes = bits / 8;
  return true;
}

constexpr bool is_float(dtype t) noexcept {
  return (t >= dtype::f32 && t <= dtype::f4e2m1);
}
constexpr bool is_integer(dtype t) noexcept {
  return t >= dtype::s8 && t <= dtype::u2;
}
constexpr bool is_signed(dtype t) noexcept {
  return t == dtype::s8 || t == dtype::s16 || t == dtype::s32 || t == dtype::s64 || t == dtype::s4 || t == dtype::s2;
}

constexpr const char* name_of(dtype t) noexcept {
  switch (t) {
    case dtype::none: return "none";
    case dtype::f32: return "f32";
    case dtype::f64: return "f64";
    case dtype::f16: return "f16";
    case dtype::bf16: return "bf16";
    case dtype::f8e4m3fn: return "f8e4m3fn";
    case dtype::f8e4m3fnuz: return "f8e4m3fnuz";
    case dtype::f8e5m2: return "f8e5m2";
    case dtype::f8e5m2fnuz: return "f8e5m2fnuz";
    case dtype::f8e8m0: return "f8e8m0";
    case dtype::f4e2m1: return "f4e2m1";
    case dtype::s8: return "s8";
    case dtype::u8: return "u8";
    case dtype::s16: return "s16";
    case dtype::u16: return "u16";
    case dtype::s32: return "s32";
    case dtype::u32: return "u32";
    case dtype::s64: return "s64";
    case dtype::u64: return "u64";
    case dtype::s4: return "s4";
    case dtype::u4: return "u4";
    case dtype::s2: return "s2";
    case dtype::u2: return "u2";
    case dtype::boolean: return "bool";
    case dtype::string: return "string";
    case dtype::c64: return "c64";
    case dtype::c128: return "c128";
  }
  return "?";
}

// The dtype of a C++ element type, for typed access to buffers.
template <class T> struct dtype_of;
template <> struct dtype_of<float> { static constexpr dtype value = dtype::f32; };
template <> struct dtype_of<double> { static constexpr dtype value = dtype::f64; };
template <> struct dtype_of<int8_t> { static constexpr dtype value = dtype::s8; };
template <> struct dtype_of<uint8_t> { static constexpr dtype value = dtype::u8; };
template <> struct dtype_of<int16_t> { static constexpr dtype value = dtype::s16; };
template <> struct dtype_of<uint16_t> { static constexpr dtype value = dtype::u16; };
template <> struct dtype_of<int32_t> { static constexpr dtype value = dtype::s32; };
template <> struct dtype_of<uint32_t> { static constexpr dtype value = dtype::u32; };
template <> struct dtype_of<int64_t> { static constexpr dtype value = dtype::s64; };
template <> struct dtype_of<uint64_t> { static constexpr dtype value = dtype::u64; };
template <> struct dtype_of<bool> { static constexpr dtype value = dtype::boolean; };

}  // namespace quantal
