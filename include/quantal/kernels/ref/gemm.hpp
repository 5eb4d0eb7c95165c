// The meaning of an integer matrix product: slow, obvious, 64-bit. Every kernel on every CPU equals it bit for bit.
//
//   acc[i, j] = sum over d of (lhs[i, d] - lhs_zero_point[i]) * (rhs[d, j] - rhs_zero_point)         exact
//   out[i, j] = finish(acc + bias[j])                                        kernels/ref/epilogue.hpp
//
// lhs [m, k] and out [m, n] are row-major with a row stride; rhs [k, n] has two strides, so a transposed weight needs
// no copy. depth is k; k = 0 leaves the bias. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/ref/epilogue.hpp"

namespace quantal {

struct gemm_shape {
  int64_t m = 0, n = 0, k = 0;
  friend constexpr bool operator==(const gemm_shape&, const gemm_shape&) noexcept = default;
};

// A matrix of 8-bit codes: element [r, c] is at data[r * row_stride + c * column_stride], strides in elements.
struct code_matrix {
  const void* data = nullptr;
  dtype type = dtype::u8;
  int64_t row_stride = 0;
  int64_t column_stride = 1;
  int32_t zero_point = 0;

  constexpr int32_t centred(int64_t r, int64_t c) const noexcept {
    const int64_t at = r * row_stride + c * column_stride;
    const int32_t code = type == dtype::u8 ? int32_t{static_cast<const uint8_t*>(data)[at]}
                                           : int32_t{static_cast<const int8_t*>(data)[at]};
    return code - zero_point;
  }
};

namespace ref {

// One output: where everything about it is given. Null: none.
struct gemm_extras {
  const int32_t* bias = nullptr;             // [n]
  const float* real_bias = nullptr;          // [n], f32 out
  const int32_t* row_zero_points = nullptr;  // [m], instead of lhs.zero_point
  const float* row_scales = nullptr;         // [m], f32 out
  const void* residual = nullptr;            // [m, n] of the epilogue's residual type
  int64_t residual_stride = 0;
};

inline int64_t dot(const code_matrix& lhs, const code_matrix& rhs, int64_t row, int64_t column, int64_t k) noexcept {
  int64_t sum = 0;
  for (int64_t d = 0; d < k; ++d) sum += int64_t{lhs.centred(row, d)} * rhs.centred(d, column);
  return sum;
}

// The arguments are valid (kernels/gemm_plan.hpp checks them).
[[gnu::noinline]] inline void gemm_rows(const gemm_shape& s, code_matrix lhs, const code_matrix& rhs,
                                        const gemm_extras& x, const epilogue& e, dtype out_type, void* out,
                                        int64_t out_stride) noexcept {
  code_limits codes{};
  const requantizer& q = e.requant;
  if (out_type == dtype::u8 || out_type == dtype::s8) requant_limits(q, out_type, codes);
  for (int64_t i = 0; i < s.m; ++i) {
    if (x.row_zero_points != nullptr) lhs.zero_point = x.row_zero_points[i];
    for (int64_t j = 0; j < s.n; ++j) {
      const int64_t acc = dot(lhs, rhs, i, j, s.k);
      const int32_t bias = x.bias == nullptr ? 0 : x.bias[j];
      const int32_t sum = add_bias(acc, bias, s.k);
      const int64_t at = i * out_stride + j;
      const size_t channel = static_cast<size_t>(j);
      if (out_type == dtype::s32) {
        static_cast<int32_t*>(out)[at] = sum;
      } else if (out_type == dtype::f32) {
        static_cast<float*>(out)[at] = finish_real(
            sum, 0, q.ratios[q.count == 1 ? 0 : channel], x.row_scales == nullptr ? nullptr : x.row_scales + i,
            x.real_bias == nullptr ? nullptr : x.real_bias + j, real_limits_of(q));
      } else {
        const int32_t residual =
            e.residual.type == dtype::none
                ? 0
                : load_code(e.residual.type, x.residual, static_cast<size_t>(i * x.residual_stride + j));
        store_code(out_type, out, static_cast<size_t>(at), finish_code(sum, 0, channel, residual, e, codes));
      }
    }
  }
}

inline void gemm(const gemm_shape& s, const code_matrix& lhs, const code_matrix& rhs, const gemm_extras& x,
                 const epilogue& e, dtype out_type, void* out, int64_t out_stride) noexcept {
  const default_fp_env standard;
  gemm_rows(s, lhs, rhs, x, e, out_type, out, out_stride);
}

}  // namespace ref
}  // namespace quantal
