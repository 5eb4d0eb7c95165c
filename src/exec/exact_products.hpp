// Products of dequantized operands, summed on the codes: what an integer kernel would sum, before it is scaled.
//
//   before   Conv(DQ(x, s_x, z_x), DQ(w, s_w, z_w), DQ(b, s_x s_w))
//   after    Mul(Conv(DQ(x, 1, z_x), w - z_w, b), s_x s_w)             the same for Gemm and MatMul
//
// Codes minus zero points are small integers and f32 sums of them are exact below 2^24, so neither the order of the sum
// (ISA, threads, blocking) nor its rounding can push a value over the edge of the next QuantizeLinear; with scaled
// operands each sum is off by about 1e-7, now and then a code flips, and a deep network turns that into 20 dB. The
// single multiplication is the one that integer kernels do (quant/requant.hpp, fp32_rne). Sums beyond 2^24 round as f32
// does.
#pragma once
#include "quantal/ir/graph.hpp"

namespace quantal::exec {

// Rewrites the main graph of `m`, whose nodes are sorted. Every value keeps its name and its meaning. Returns how many
// products changed.
std::size_t exact_products(ir::model& m);

}  // namespace quantal::exec
