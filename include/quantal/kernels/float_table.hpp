// Float kernels behind one table, chosen once for this CPU. Host only.
//
// The bodies are in src/kernels/float_body.hpp, compiled once per instruction set in a translation unit of its own
// (Eigen's namespace renamed there, so that no inline function built for AVX-512 replaces a baseline one).
// Float sums differ in the last bits between instruction sets; on one machine results depend on nothing but the
// shapes: callers cut work by shape, never by the number of threads.
#pragma once
#include <cstddef>
#include <cstdint>

namespace quantal::kernels {

// C[m, n] += A[m, k] * B[k, n], row-major; strides in elements. A transposed operand is stored [k, m] or [n, k].
struct gemm_f32 {
  std::int64_t m = 0, n = 0, k = 0;
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  bool a_transposed = false;
  const float* b = nullptr;
  std::int64_t b_stride = 0;
  bool b_transposed = false;
  float* c = nullptr;
  std::int64_t c_stride = 0;
};

// C[m, n] += A[m, k] * B[k, n] with both operands packed into panels, zero-padded to whole ones:
//
//   a   [panel][k][rows]       rows <= max_panel_rows of the table, of the caller's choice
//   b   [panel][k][columns]    columns = panel_columns of the table
//
// Every element of C is summed over k in order, whatever m, n and the tiling: results depend on nothing else.
struct panel_product {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t rows = 0;
  const float* a = nullptr;
  const float* b = nullptr;
  float* c = nullptr;
  std::int64_t c_stride = 0;
};

struct float_table {
  const char* isa;
  std::int64_t max_panel_rows, panel_columns;
  void (*multiply_panels)(const panel_product& p) noexcept;
  // Row `k` of B's panels from `count` consecutive floats: out[panel * panel_stride + i], zeros behind the last.
  void (*spread_row)(const float* row, std::int64_t count, std::int64_t panel_stride, float* out) noexcept;
  // False: no memory for the packed operands.
  bool (*gemm)(const gemm_f32& g) noexcept;
  // out[i] = bias + sum over t of weights[t] * rows[t][i], i in [0, n): one output row of a depthwise convolution.
  void (*weighted_rows)(const float* const* rows, const float* weights, std::size_t count, float bias, float* out,
                        std::size_t n) noexcept;
  // out[i] = max over t of rows[t][i]; a NaN in any row gives NaN.
  void (*max_rows)(const float* const* rows, std::size_t count, float* out, std::size_t n) noexcept;
  // out[i] = low bits of clamp(rne(x[i] / scale) + zero_point, low, high); NaN gives zero_point. |low|, |high| <= 2^16.
  void (*quantize8)(const float* x, std::size_t n, float scale, std::int32_t zero_point, std::int32_t low,
                    std::int32_t high, std::uint8_t* out) noexcept;
  void (*quantize16)(const float* x, std::size_t n, float scale, std::int32_t zero_point, std::int32_t low,
                     std::int32_t high, std::uint16_t* out) noexcept;
  // out[i] = (q[i] - zero_point) * scale
  void (*dequantize_u8)(const std::uint8_t* q, std::size_t n, float scale, std::int32_t zero_point,
                        float* out) noexcept;
  void (*dequantize_s8)(const std::int8_t* q, std::size_t n, float scale, std::int32_t zero_point, float* out) noexcept;
};

// The best table of this CPU; QUANTAL_ISA=<kernel folder> caps it.
const float_table& floats() noexcept;

}  // namespace quantal::kernels
