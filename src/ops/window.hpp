// Sliding windows of convolution and pooling: attributes, padding rules and output sizes, shared by shape rules and
// meanings. One, two or three spatial dimensions; a window is always three, leading ones filled with 1.
//
//   taps at   out * stride - pad_begin + tap * dilation        reach = (kernel - 1) * dilation + 1
//   out     = floor((in + pad_begin + pad_end - reach) / stride) + 1      (ceil with ceil_mode; a window that would
//             start in the end padding is dropped)
//   auto_pad SAME_*: out = ceil(in / stride), the odd padding goes to the end (UPPER) or the beginning (LOWER)
//
// Source: ONNX spec, Conv, MaxPool, AveragePool.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "quantal/ops/op.hpp"
#include "quantal/ops/rules.hpp"

namespace quantal::ops {

inline constexpr std::int32_t max_spatial = 3;

// As the node says, lengths and ranges checked, defaults filled in. Vectors have one entry per spatial dimension.
struct window_attributes {
  enum class padding { explicit_pads, valid, same_upper, same_lower };
  int_list kernel, strides, dilations, pads_begin, pads_end;
  padding auto_pad = padding::explicit_pads;
  bool ceil = false;
};
// `kernel` is the default of kernel_shape (a weight's dimensions); an attribute that contradicts it is an error.
result<window_attributes> read_window(const ir::node& n, std::int32_t spatial, const int_list& kernel);

// Output extent along one axis; fills in the paddings of SAME. Errors: model_type when the window does not fit.
result<std::int64_t> window_extent(const ir::node& n, const window_attributes& w, std::size_t axis, std::int64_t in,
                                   std::int64_t& pad_begin, std::int64_t& pad_end);
// Spatial output dimensions as far as known, of x's dimensions [N, C, spatial...].
result<dim_list> window_dims(const infer_context& c, const window_attributes& w, const dim_list& x);

struct window {
  using triple = std::array<std::int64_t, max_spatial>;
  triple in{1, 1, 1}, out{1, 1, 1}, kernel{1, 1, 1}, stride{1, 1, 1}, dilation{1, 1, 1}, pad{}, pad_end{};
  std::int64_t taps() const noexcept { return kernel[0] * kernel[1] * kernel[2]; }
  std::int64_t in_size() const noexcept { return in[0] * in[1] * in[2]; }
  std::int64_t out_size() const noexcept { return out[0] * out[1] * out[2]; }
  bool padded() const noexcept { return pad != triple{} || pad_end != triple{}; }
};
// For concrete spatial dimensions x[2..]. Errors: unsupported above three spatial dimensions.
result<window> place_window(const eval_context& c, const window_attributes& w, const shape& x);

// Output positions [begin, end) along one axis whose tap at `offset` (tap * dilation - pad) lies inside [0, in).
inline void inside(std::int64_t in, std::int64_t out, std::int64_t stride, std::int64_t offset, std::int64_t& begin,
                   std::int64_t& end) noexcept {
  begin = offset >= 0 ? 0 : (-offset + stride - 1) / stride;
  end = in - offset <= 0 ? 0 : (in - offset + stride - 1) / stride;
  if (begin > out) begin = out;
  if (end > out) end = out;
  if (end < begin) end = begin;
}

// One padded plane of x, its columns sorted by their position modulo the stride, so that every tap of an output row
// reads consecutive floats: row(y, tap)[i] is the input under output column i.
class plane {
 public:
  plane(const window& w) noexcept;
  std::size_t floats() const noexcept { return static_cast<std::size_t>(rows_ * row_); }
  // Copies a plane [in[1], in[2]] into `memory` (floats() of them), padding with `fill`.
  void load(const float* x, float fill, float* memory) const noexcept;
  // First input under output row `y`, tap (ky, kx).
  const float* at(const float* memory, std::int64_t y, std::int64_t ky, std::int64_t kx) const noexcept {
    const std::int64_t column = kx * w_.dilation[2];
    return memory + (y * w_.stride[1] + ky * w_.dilation[1]) * row_ + column % w_.stride[2] * phase_ +
           column / w_.stride[2];
  }

 private:
  const window& w_;
  std::int64_t rows_, phase_, row_;
};

}  // namespace quantal::ops
