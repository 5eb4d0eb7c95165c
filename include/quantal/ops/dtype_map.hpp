// ONNX's numbers for element types (TensorProto.DataType), as attributes carry them: Cast's `to`, EyeLike's `dtype`.
#pragma once
#include <cstdint>

#include "quantal/tensor/dtype.hpp"

namespace quantal::ops {

// dtype::none for an unknown number.
constexpr dtype dtype_of_onnx(std::int64_t data_type) noexcept {
  constexpr dtype types[] = {
      dtype::none, dtype::f32,    dtype::u8,      dtype::s8,       dtype::u16,        dtype::s16,    dtype::s32,
      dtype::s64,  dtype::string, dtype::boolean, dtype::f16,      dtype::f64,        dtype::u32,    dtype::u64,
      dtype::c64,  dtype::c128,   dtype::bf16,    dtype::f8e4m3fn, dtype::f8e4m3fnuz, dtype::f8e5m2, dtype::f8e5m2fnuz,
      dtype::u4,   dtype::s4,     dtype::f4e2m1,  dtype::f8e8m0,   dtype::u2,         dtype::s2};
  return data_type >= 0 && data_type < static_cast<std::int64_t>(sizeof(types) / sizeof(types[0])) ? types[data_type]
                                                                                                   : dtype::none;
}

}  // namespace quantal::ops
