// Elementwise kernels: one table of functions per ISA, all equal to ref/ on every input, bit for bit.
//
// They serve a run of elements that share one (scale, zero_point); quant/affine.hpp states what they compute.
// Parameters were checked by the caller (check_affine): kernels cannot fail. They round half to even; other roundings
// are quantize() of quant/affine.hpp. `elementwise()` is the table that this CPU should use (library); a header-only
// user includes kernels/<isa>/elementwise.hpp and compiles with that ISA switched on. Freestanding, apart from
// elementwise().
#pragma once
#include "quantal/quant/affine.hpp"

namespace quantal {

// What quantize and fake_quantize do, ready for use. fake_quantize takes codes of at most 16 bits.
struct quantize_run {
  quant_params params;
  code_limits codes;           // allowed codes, within the type
  bool nan_is_lowest = false;  // otherwise the zero point
  bool reciprocal = false;     // x * (1 / scale)
};

// Smallest and largest of the numbers (NaN left out; -0 counts as +0). Nothing seen: min = +inf, max = -inf.
struct min_max {
  float min = __builtin_inff();
  float max = -__builtin_inff();
  size_t nan_count = 0;
};
using min_max_function = min_max (*)(const float* x, size_t n) noexcept;

// Rows that are quantized by their own ranges (dynamic_rows.hpp), strides in elements; per row parameters and, unless
// `sums` is null, the sum of the codes.
template <class Code>
struct row_batch {
  const float* x = nullptr;
  size_t rows = 0, n = 0, x_stride = 0, codes_stride = 0;
  Code* codes = nullptr;
  quant_params* params = nullptr;
  int32_t* sums = nullptr;
};
using row_params_function = quant_params (*)(min_max, dtype) noexcept;

struct elementwise_table {
  const char* isa;
  void (*quantize_s8)(const float* x, size_t n, const quantize_run& run, int8_t* q) noexcept;
  void (*quantize_u8)(const float* x, size_t n, const quantize_run& run, uint8_t* q) noexcept;
  void (*dequantize_s8)(const int8_t* q, size_t n, quant_params p, float* x) noexcept;
  void (*dequantize_u8)(const uint8_t* q, size_t n, quant_params p, float* x) noexcept;
  // y may be x.
  void (*fake_quantize)(const float* x, size_t n, const quantize_run& run, float* y) noexcept;
  min_max_function min_max_of;
  // The range of a row, widened to contain 0, becomes parameters by params_of; codes are all of u8, or -127 to 127.
  void (*quantize_rows_s8)(const row_batch<int8_t>& batch, row_params_function params_of) noexcept;
  void (*quantize_rows_u8)(const row_batch<uint8_t>& batch, row_params_function params_of) noexcept;
};

// The table of the best ISA in use, and that of any ISA that this CPU and build have (nullptr otherwise). Host only.
const elementwise_table& elementwise() noexcept;
const elementwise_table* elementwise_of(const char* isa_name) noexcept;

}  // namespace quantal
