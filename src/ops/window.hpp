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
#include <algorithm>
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

// One padded plane of x, its rows and columns sorted by their position modulo the stride: under every tap the inputs
// of consecutive outputs are consecutive, and so are, a pitch apart, those of consecutive output rows.
//
//   memory   [row phase][column phase][rows][pitch] and, for narrow planes, room for the whole output at that pitch
class plane {
 public:
  explicit plane(const window& w) noexcept;
  std::size_t floats() const noexcept { return static_cast<std::size_t>(size_ + wide_); }
  // Writes the padding; once for all planes that are loaded into the same memory.
  void prepare(float fill, float* memory) const noexcept { std::fill_n(memory, size_, fill); }
  // Copies a plane [in[1], in[2]] between the paddings.
  void load(const float* x, float* memory) const noexcept;
  // out[out[1], out[2]] by calls of rows_fn(rows, count, out, n): rows[t][i] is the input of output i under tap t.
  template <class RowsFn>
  void sweep(float* memory, const float** rows, float* out, RowsFn&& rows_fn) const {
    const std::size_t taps = static_cast<std::size_t>(w_.kernel[1] * w_.kernel[2]);
    const auto point = [&](std::int64_t y) {
      for (std::size_t t = 0; t < taps; ++t) {
        rows[t] =
            at(memory, y, static_cast<std::int64_t>(t) / w_.kernel[2], static_cast<std::int64_t>(t) % w_.kernel[2]);
      }
    };
    if (wide_ == 0) {
      for (std::int64_t y = 0; y < w_.out[1]; ++y) {
        point(y);
        rows_fn(rows, taps, out + y * w_.out[2], static_cast<std::size_t>(w_.out[2]));
      }
      return;
    }
    point(0);  // all rows at once, with the pitch's extra columns
    float* wide = memory + size_;
    rows_fn(rows, taps, wide, static_cast<std::size_t>(wide_));
    for (std::int64_t y = 0; y < w_.out[1]; ++y) std::copy_n(wide + y * pitch_, w_.out[2], out + y * w_.out[2]);
  }

 private:
  const float* at(const float* memory, std::int64_t y, std::int64_t ky, std::int64_t kx) const noexcept {
    const std::int64_t row = ky * w_.dilation[1], column = kx * w_.dilation[2];
    const std::int64_t phase = row % w_.stride[1] * w_.stride[2] + column % w_.stride[2];
    return memory + phase * rows_ * pitch_ + (y + row / w_.stride[1]) * pitch_ + column / w_.stride[2];
  }
  const window& w_;
  std::int64_t rows_, pitch_, size_, wide_;
};

}  // namespace quantal::ops
