// The shape rules of products, shared by the float, the integer and the quantized forms: they differ in which inputs
// are the operands and in the type of the result.
#pragma once
#include "quantal/ops/all.hpp"

namespace quantal::ops {

// Y[N, M, spatial...] of X[N, C, ...] and W[M, C / group, ...].
result<void> infer_conv(infer_context& c, std::size_t x_input, std::size_t w_input, dtype type);

// Y[..., M, N] of A[..., M, K] and B[..., K, N]: leading dimensions broadcast, vectors as numpy.matmul.
result<void> infer_matmul(infer_context& c, std::size_t a_input, std::size_t b_input, dtype type);

}  // namespace quantal::ops
