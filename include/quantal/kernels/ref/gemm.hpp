// The meaning of an integer matrix product: slow, obvious, 64-bit. Every kernel on every CPU equals it bit for bit.
//
//   acc[i, j] = sum over d of (lhs[i, d] - lhs_zero_point) * (rhs[d, j] - rhs_zero_point)     modulo 2^32, as s32
//   out[i, j] = acc + bias[j]                                    out is s32
//             = requantize(acc, bias[j], channel j)              out is s8 or u8: the contract is in quant/requant.hpp
//             = f32(acc + bias[j]) * ratio[j]                    out is f32: one conversion, one multiply
//
// lhs [m, k] and out [m, n] are row-major with a row stride; rhs [k, n] has two strides, so a transposed weight needs
// no copy. depth is k; k = 0 leaves the bias. Freestanding.
#pragma once
#include "quantal/quant/requant.hpp"

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

inline int32_t dot(const code_matrix& lhs, const code_matrix& rhs, int64_t row, int64_t column, int64_t k) noexcept {
  uint64_t sum = 0;
  for (int64_t d = 0; d < k; ++d) {
    sum += static_cast<uint64_t>(int64_t{lhs.centred(row, d)} * rhs.centred(d, column));
  }
  return static_cast<int32_t>(static_cast<uint32_t>(sum));
}

// `q` is read for 8-bit outputs (all of it) and for f32 (ratios). The arguments are valid (kernels/gemm.hpp checks
// them).
inline void gemm(const gemm_shape& s, const code_matrix& lhs, const code_matrix& rhs, const int32_t* bias,
                 const requantizer& q, dtype out_type, void* out, int64_t out_stride) noexcept {
  code_limits codes{};
  if (out_type == dtype::u8 || out_type == dtype::s8) requant_limits(q, out_type, codes);
  for (int64_t i = 0; i < s.m; ++i) {
    for (int64_t j = 0; j < s.n; ++j) {
      const int32_t acc = dot(lhs, rhs, i, j, s.k);
      const int32_t b = bias == nullptr ? 0 : bias[j];
      const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(acc) + static_cast<uint32_t>(b));
      const int64_t at = i * out_stride + j;
      const size_t channel = static_cast<size_t>(j);
      switch (out_type) {
        case dtype::s32: static_cast<int32_t*>(out)[at] = sum; break;
        case dtype::f32:
          static_cast<float*>(out)[at] = fence(static_cast<float>(sum) * q.ratios[q.count == 1 ? 0 : channel]);
          break;
        default: store_code(out_type, out, static_cast<size_t>(at), requantize_value(acc, b, q, channel, codes));
      }
    }
  }
}

}  // namespace ref
}  // namespace quantal
