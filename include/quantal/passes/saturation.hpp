// saturation: would another runtime's 16-bit sums overflow on these weights?
//
//   pmaddubsw:  s16 = sat(a[k] * w[k] + a[k+1] * w[k+1])      a: u8 (s8 activations are shifted there), w: s8
//   may saturate  <=>  a pair with |w[k] + w[k+1]| * 255 > 32767, k and k+1 neighbours along the depth
//
// x86 without VNNI has no other fast way to multiply u8 by s8, and ONNX Runtime takes it; Quantal's own kernels are
// exact. The trap: neighbours along the depth are neighbours in memory only for transposed weights. A convolution's
// depth is (kernel position, channel), channels innermost, as ONNX Runtime's NHWC kernels walk it.
// Sources: ONNX Runtime, "Quantize ONNX models", section on U8S8; Intel SDM, PMADDUBSW.
#pragma once
#include <cstddef>
#include <string>

#include "quantal/ir/graph.hpp"

namespace quantal::passes {

// `codes`: s8 weights of a Conv, Gemm or MatMul `n`.
bool may_saturate(const ir::node& n, const tensor_buffer& codes);

// What the user is told; `advice`: the options that avoid it.
std::string saturation_warning(std::size_t operators, dtype activations, const std::string& advice);

}  // namespace quantal::passes
