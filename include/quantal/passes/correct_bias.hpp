// correct_bias: what rounding the weights adds to every output on average goes back into the bias.
//
//   y = W x + b       E[W_q x] - E[W x] = (W_q - W) E[x]       b' = b - (W_q - W) E[x]
//
// E[x] is the mean of each input channel over the calibration data (zeros that padding adds are left out: an
// approximation at borders). Exact in expectation for the rounding of this layer's weights; it costs nothing at run
// time. Worth most where one scale serves channels of very different size (per-tensor weights of depthwise layers).
// Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2
// (empirical form).
#pragma once
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "quantal/ir/graph.hpp"

namespace quantal::passes {

// Mean of every channel of a tensor, by name.
using mean_map = std::unordered_map<std::string, std::vector<double>>;

// Which axis of a weighted node's activation input its means run along; -1: the node has no bias to correct.
std::int32_t mean_axis_of(const ir::node& n, std::int32_t input_rank) noexcept;

// (W_q - W) E[x] per output channel, for Conv (weight [O, C/group, ...]) and Gemm (weight [C, O] or [O, C] by transB).
// `codes` are the s8 codes of W, `scales` one or one per output channel. Empty if `means` does not fit the weight.
std::vector<double> mean_error(const ir::node& n, const tensor_buffer& weight, const tensor_buffer& codes,
                               std::span<const float> scales, std::span<const double> means);

}  // namespace quantal::passes
