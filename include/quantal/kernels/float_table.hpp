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

struct float_table {
  const char* isa;
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
