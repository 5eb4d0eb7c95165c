// dtype_map: TensorProto.DataType numbers (onnx.proto), as files and attributes (Cast's `to`) carry them, and Quantal's
// dtype, both ways.
//
// Every type of ONNX 1.23 has a dtype except UNDEFINED (0, dtype::none) and the 6-bit floats (27, 28), which no
// operator computes with: the reader says so. Adding a type: one row here, one in tensor/dtype.hpp.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "quantal/tensor/dtype.hpp"

namespace quantal::ir {

struct dtype_row {
  std::int32_t number;
  dtype type;
  std::string_view name;  // as in onnx.proto
};

inline constexpr dtype_row dtype_rows[] = {
    {0, dtype::none, "UNDEFINED"},
    {1, dtype::f32, "FLOAT"},
    {2, dtype::u8, "UINT8"},
    {3, dtype::s8, "INT8"},
    {4, dtype::u16, "UINT16"},
    {5, dtype::s16, "INT16"},
    {6, dtype::s32, "INT32"},
    {7, dtype::s64, "INT64"},
    {8, dtype::string, "STRING"},
    {9, dtype::boolean, "BOOL"},
    {10, dtype::f16, "FLOAT16"},
    {11, dtype::f64, "DOUBLE"},
    {12, dtype::u32, "UINT32"},
    {13, dtype::u64, "UINT64"},
    {14, dtype::c64, "COMPLEX64"},
    {15, dtype::c128, "COMPLEX128"},
    {16, dtype::bf16, "BFLOAT16"},
    {17, dtype::f8e4m3fn, "FLOAT8E4M3FN"},
    {18, dtype::f8e4m3fnuz, "FLOAT8E4M3FNUZ"},
    {19, dtype::f8e5m2, "FLOAT8E5M2"},
    {20, dtype::f8e5m2fnuz, "FLOAT8E5M2FNUZ"},
    {21, dtype::u4, "UINT4"},
    {22, dtype::s4, "INT4"},
    {23, dtype::f4e2m1, "FLOAT4E2M1"},
    {24, dtype::f8e8m0, "FLOAT8E8M0"},
    {25, dtype::u2, "UINT2"},
    {26, dtype::s2, "INT2"},
};

// nullopt: a number that Quantal has no dtype for.
constexpr std::optional<dtype> dtype_from_onnx(std::int64_t number) noexcept {
  for (const dtype_row& row : dtype_rows)
    if (row.number == number) return row.type;
  return std::nullopt;
}

// The same for attributes: dtype::none for an unknown number or name.
constexpr dtype dtype_of_onnx(std::int64_t number) noexcept {
  return dtype_from_onnx(number).value_or(dtype::none);
}
constexpr dtype dtype_of_onnx(std::string_view name) noexcept {
  for (const dtype_row& row : dtype_rows)
    if (row.name == name) return row.type;
  return dtype::none;
}

constexpr std::int32_t dtype_to_onnx(dtype type) noexcept {
  for (const dtype_row& row : dtype_rows)
    if (row.type == type) return row.number;
  return 0;
}

}  // namespace quantal::ir
