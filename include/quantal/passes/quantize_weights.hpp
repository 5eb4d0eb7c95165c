// quantize_weights: a constant f32 tensor as integers, symmetric, per tensor or per output channel.
//
//   s_c = max|w_c| / q_max      q = clamp(rne(w / s_c), -q_max, q_max)      q_max = 127 (64 with reduce_range)
//
// Zero point 0 always: a zero point on the weights would cost a sum over the activations for every output. The code
// -128 is never used, so that two products of a pair sum stay inside 16 bits more often and |q| is symmetric. An
// all-zero channel gets scale 1. Scales are computed in f64 and stored as f32; q is computed with the stored scale.
//
// quantize_bias: bias as s32 with the scale of the accumulator it is added to.
//
//   s_b = s_x * s_w[c]     q_b = rne(b / s_b)       must fit: |q_b| <= 2^30 (the products need the rest of the 32 bits)
//
// The guard: a large bias over tiny weights does not fit; `bias_guard` then gives the smallest s_w that makes it fit,
// and the weights of that channel are quantized again, coarser. (ONNX Runtime does the same: PRs 22020, 25278.)
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/calib/method.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::passes {

// By its method (calib/method.hpp), applied to the channel's own values; none or minmax: max|w|. mse is searched on the
// values themselves, not on a histogram of them: a channel may have nine.
struct weight_range {
  const calib::method* method = nullptr;
  calib::method_options options;
};

struct weight_options {
  std::int32_t axis = -1;              // output channels; -1: one scale for the whole tensor
  bool reduce_range = false;           // q_max 64: no 16-bit saturation in u8 x s8 kernels without VNNI
  weight_range range = {};             // how a channel's range is found
  std::span<const float> floors = {};  // lower bounds of the scales (bias_guard), one per channel; may be empty
};

struct quantized_weight {
  tensor_buffer values;       // s8, shape of the weight
  std::vector<float> scales;  // one, or one per channel
};

// Errors: nan_value (the weight holds NaN or an infinity), argument (an option of the method).
result<quantized_weight> quantize_weights(const tensor_buffer& weight, const weight_options& options);

inline constexpr double largest_bias_code = 1073741824.0;  // 2^30

// Lower bounds for s_w per channel (or one for all) so that |b| / (s_x s_w) <= 2^30; empty if no channel needs it.
std::vector<float> bias_guard(std::span<const float> bias, float input_scale, std::span<const float> weight_scales);
// s32, saturated. `weight_scales` has one entry or one per element.
tensor_buffer quantize_bias(std::span<const float> bias, float input_scale, std::span<const float> weight_scales);

}  // namespace quantal::passes
