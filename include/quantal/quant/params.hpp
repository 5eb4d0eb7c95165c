// Quantization parameters: the pair (scale, zero_point) that ties integer codes to real numbers.
//
//   x = scale * (q - zero_point)        q = clamp(round(x / scale) + zero_point, lowest code, highest code)
//
// scale is positive, finite and normal; zero_point is a code of the type, so that 0.0 is exactly representable.
// One pair serves a tensor, one index of an axis ("per channel"), or a block of indices. Freestanding.
#pragma once
#include "quantal/base/bits.hpp"
#include "quantal/base/status.hpp"
#include "quantal/tensor/dtype.hpp"

namespace quantal {

struct quant_params {
  float scale = 1.0f;
  int32_t zero_point = 0;
};

struct code_limits {
  int32_t min = 0, max = 0;
};

// The codes of an integer type; false for types that cannot hold codes.
constexpr bool code_limits_of(dtype type, code_limits& out) noexcept {
  switch (type) {
    case dtype::s8: out = {-128, 127}; return true;
    case dtype::u8: out = {0, 255}; return true;
    case dtype::s16: out = {-32768, 32767}; return true;
    case dtype::u16: out = {0, 65535}; return true;
    case dtype::s32: out = {INT32_MIN, INT32_MAX}; return true;
    case dtype::s4: out = {-8, 7}; return true;
    case dtype::u4: out = {0, 15}; return true;
    case dtype::s2: out = {-2, 1}; return true;
    case dtype::u2: out = {0, 3}; return true;
    default: return false;
  }
}

// Are these parameters usable with this type? Errors: dtype, scale (zero, negative, NaN, infinite, denormal),
// zero_point.
constexpr status check_params(quant_params p, dtype type) noexcept {
  code_limits codes;
  if (!code_limits_of(type, codes)) return status::dtype;
  if (!is_positive_normal(p.scale)) return status::scale;
  if (p.zero_point < codes.min || p.zero_point > codes.max) return status::zero_point;
  return status::ok;
}

}  // namespace quantal
