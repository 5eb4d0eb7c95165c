// fold_affine: per-channel multiplications and additions around a weighted operator move into its weights.
//
//   Conv(W, b) -> y = a_c * x + d_c   =>  Conv(a_c W_c, a_c b_c + d_c)        Mul, Div, Add, Sub, Neg by constants
//   Conv(W, b) -> BatchNormalization  =>  the same with a = scale / sqrt(var + eps), d = B - mean * a
//   x -> a_c * x + d_c -> Conv(W, b)  =>  Conv(W_oc a_c, b_o + sum_ck W_ock d_c)
//
// Forward it is always exact (Conv, ConvTranspose, Gemm; MatMul takes the multiplication only). Backward, into the Conv
// that follows (a BatchNormalization after a Relu), it is exact only where no padding is read: padding is 0 after the
// affine step, not before, so d must be 0 or pads must be. Arithmetic in f64, stored as f32.
// join_matmul_add: MatMul(x, W) + b of a matrix x and a constant row b is Gemm(x, W, b), whose bias can be s32. (ONNX
// Runtime joins them too, after the quantizer, and then finds no integer Gemm with a float bias.) fold_gemm_factors:
// Gemm's alpha, beta and a constant C of any broadcastable shape become W, and a bias [N].
#pragma once
#include "quantal/passes/pass.hpp"

namespace quantal::passes {

result<std::size_t> fold_batch_norm(ir::model& m);
result<std::size_t> fold_affine(ir::model& m);
result<std::size_t> join_matmul_add(ir::model& m);
result<std::size_t> fold_gemm_factors(ir::model& m);

}  // namespace quantal::passes
