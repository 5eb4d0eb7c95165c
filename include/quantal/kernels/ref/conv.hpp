// The meaning of an integer convolution, grouped and depthwise included: slow, obvious, 64-bit. Every kernel on every
// CPU equals it bit for bit.
//
//   acc[n, y, x, o] = sum over ky, kx, d of (in[n, iy, ix, first(o) + d] - in_zero_point)
//                                         * (w[o, ky, kx, d] - weight_zero_point)          exact
//   iy = y * stride_h - pad_top + ky * dilation_h        first(o) = o / (out_c / groups) * (in_c / groups)
//
// A position outside the image contributes nothing: padding is the real number 0, i.e. the input's zero point. The
// epilogue is the matrix product's (ref/epilogue.hpp). Images are [N, H, W, C]; a 1-D convolution has in_h = kernel_h =
// 1; depthwise is groups = in_c, with multiplier out_c / in_c. Freestanding.
#pragma once
#include "quantal/kernels/ref/epilogue.hpp"

namespace quantal {

struct conv_shape {
  int64_t batch = 1, in_h = 1, in_w = 1, in_c = 1, out_c = 1;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  int64_t groups = 1;

  // Rows of input that one output row sees.
  constexpr int64_t window_h() const noexcept { return (kernel_h - 1) * dilation_h + 1; }
  constexpr int64_t window_w() const noexcept { return (kernel_w - 1) * dilation_w + 1; }
  constexpr int64_t out_h() const noexcept { return (in_h + pad_top + pad_bottom - window_h()) / stride_h + 1; }
  constexpr int64_t out_w() const noexcept { return (in_w + pad_left + pad_right - window_w()) / stride_w + 1; }
  constexpr int64_t group_in() const noexcept { return in_c / groups; }
  constexpr int64_t group_out() const noexcept { return out_c / groups; }
  friend constexpr bool operator==(const conv_shape&, const conv_shape&) noexcept = default;
};

// Codes in four dimensions, strides in elements: an image [n, y, x, c] or weights [out_c, ky, kx, in_c / groups].
struct code_tensor {
  const void* data = nullptr;
  dtype type = dtype::u8;
  int64_t strides[4] = {};
  int32_t zero_point = 0;

  constexpr int32_t centred(int64_t a, int64_t b, int64_t c, int64_t d) const noexcept {
    const int64_t at = a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3];
    const int32_t code = type == dtype::u8 ? int32_t{static_cast<const uint8_t*>(data)[at]}
                                           : int32_t{static_cast<const int8_t*>(data)[at]};
    return code - zero_point;
  }
};

namespace ref {

inline int64_t window_sum(const conv_shape& s, const code_tensor& in, const code_tensor& weights, int64_t n, int64_t y,
                          int64_t x, int64_t o) noexcept {
  const int64_t first = o / s.group_out() * s.group_in();
  int64_t sum = 0;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky) {
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      const int64_t iy = y * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t ix = x * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (iy < 0 || iy >= s.in_h || ix < 0 || ix >= s.in_w) continue;
      for (int64_t d = 0; d < s.group_in(); ++d)
        sum += int64_t{in.centred(n, iy, ix, first + d)} * weights.centred(o, ky, kx, d);
    }
  }
  return sum;
}

// The whole convolution; `bias` (s32 [out_c]) may be null, `out` and `residual` are [n, y, x, out_c] with strides in
// elements. The arguments are valid (kernels/conv_desc.hpp checks them).
inline void conv(const conv_shape& s, const code_tensor& in, const code_tensor& weights, const int32_t* bias,
                 const epilogue& e, const code_tensor& residual, dtype type, void* out,
                 const int64_t (&strides)[4]) noexcept {
  code_limits codes{};
  if (type == dtype::u8 || type == dtype::s8) requant_limits(e.requant, type, codes);
  for (int64_t n = 0; n < s.batch; ++n) {
    for (int64_t y = 0; y < s.out_h(); ++y) {
      for (int64_t x = 0; x < s.out_w(); ++x) {
        for (int64_t o = 0; o < s.out_c; ++o) {
          const size_t channel = static_cast<size_t>(o);
          const int32_t sum = add_bias(window_sum(s, in, weights, n, y, x, o), bias == nullptr ? 0 : bias[o],
                                       s.kernel_h * s.kernel_w * s.group_in());
          const int64_t at = n * strides[0] + y * strides[1] + x * strides[2] + o * strides[3];
          if (type == dtype::s32) {
            static_cast<int32_t*>(out)[at] = sum;
          } else if (type == dtype::f32) {
            const float ratio = e.requant.ratios[e.requant.count == 1 ? 0 : channel];
            static_cast<float*>(out)[at] = finish_real(sum, 0, ratio, nullptr, nullptr, real_limits_of(e.requant));
          } else {
            const int32_t other =
                e.residual.type == dtype::none ? 0 : residual.centred(n, y, x, o) + residual.zero_point;
            store_code(type, out, static_cast<size_t>(at), finish_code(sum, 0, channel, other, e, codes));
          }
        }
      }
    }
  }
}

}  // namespace ref
}  // namespace quantal
