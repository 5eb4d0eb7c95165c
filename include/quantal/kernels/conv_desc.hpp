// What a convolution is, before anything is chosen: the description that callers fill, and the one check of it, shared
// by kernels/conv.hpp and kernels/depthwise.hpp.
//
//   in [N, H, W, C], weights [out_c, kernel_h, kernel_w, in_c / groups], out [N, OH, OW, out_c]; channels are dense in
//   images, everything else may have strides. in_c = 0 and an empty out are allowed: the sum of nothing is the bias.
//
// Freestanding.
#pragma once
#include "quantal/base/checked.hpp"
#include "quantal/kernels/gemm_run.hpp"
#include "quantal/kernels/ref/conv.hpp"

namespace quantal {

// Elements between images, rows, pixels; all 0: dense.
struct image_strides {
  int64_t image = 0, row = 0, pixel = 0;
};

struct conv_desc {
  conv_shape shape;
  dtype in = dtype::u8, weights = dtype::s8, out = dtype::s32;  // in, weights: u8 or s8; out: s32, s8, u8, f32
  // Elements; all 0: dense. Channels are contiguous, none is negative or smaller than what it steps over; that of a
  // dimension of size 1 is not looked at. Weights take any that are not negative.
  image_strides in_strides, out_strides, residual_strides;
  int64_t weight_strides[4] = {0, 0, 0, 0};  // elements, of [out_c, ky, kx, in_c / groups]; all 0: dense
  int32_t in_zero_point = 0, weight_zero_point = 0;
  epilogue finish;  // its pointers are read by plan and pack
};

// What the check leaves: strides filled in, sizes formed. (In plans a column of pixels has become a row.)
struct conv_layout {
  conv_shape shape;
  dtype in = dtype::none, weights = dtype::none, out = dtype::none;
  image_strides in_strides, out_strides, residual_strides;
  int64_t weight_strides[4] = {};
  int32_t in_zero_point = 0, weight_zero_point = 0;
  int64_t out_h = 0, out_w = 0;
  uint64_t in_elements = 0, out_elements = 0, weight_elements = 0, residual_elements = 0;  // last element + 1
  // The epilogue, without its arrays (they are packed with the weights).
  contract rule = contract::fp32_rne;
  int32_t out_zero_point = 0;
  code_limits codes;
  residual_input residual;
  bool has_table = false;
  uint64_t finish_sum = 0;
};

namespace detail {

// Input pixels that `outputs` neighbouring outputs see in one direction.
constexpr int64_t band_pixels(int64_t outputs, int64_t step, int64_t window) noexcept {
  return (outputs - 1) * step + window;
}

// Position of the last element + 1; false on overflow. `dims` and `strides` are not negative.
constexpr bool extent_of(const int64_t (&dims)[4], const int64_t (&strides)[4], uint64_t& out) noexcept {
  uint64_t last = 0;
  for (int32_t i = 0; i < 4; ++i) {
    if (dims[i] == 0) {
      out = 0;
      return true;
    }
    uint64_t term = 0;
    if (!checked_mul(static_cast<uint64_t>(dims[i] - 1), static_cast<uint64_t>(strides[i]), term) ||
        !checked_add(last, term, last))
      return false;
  }
  if (last >= static_cast<uint64_t>(INT64_MAX) / 8) return false;
  out = last + 1;
  return true;
}

// Dense strides where none are given. Errors: stride (smaller than what it steps over), overflow.
constexpr status resolve_strides(int64_t images, int64_t h, int64_t w, int64_t c, image_strides& s,
                                 uint64_t& elements) noexcept {
  uint64_t row = 0, image = 0;
  if (!checked_mul(static_cast<uint64_t>(w), static_cast<uint64_t>(c), row) || row > INT64_MAX ||
      !checked_mul(row, static_cast<uint64_t>(h), image) || image > INT64_MAX)
    return status::overflow;
  if (s.image == 0 && s.row == 0 && s.pixel == 0) s = {static_cast<int64_t>(image), static_cast<int64_t>(row), c};
  if (s.pixel < 0 || s.row < 0 || s.image < 0) return status::stride;
  if (!extent_of({images, h, w, c}, {s.image, s.row, s.pixel, 1}, elements)) return status::overflow;
  uint64_t needed = 0;
  if (elements != 0) {
    if (w > 1 && s.pixel < c) return status::stride;
    extent_of({1, 1, w, c}, {0, 0, s.pixel, 1}, needed);
    if (h > 1 && static_cast<uint64_t>(s.row) < needed) return status::stride;
    extent_of({1, h, w, c}, {0, s.row, s.pixel, 1}, needed);
    if (images > 1 && static_cast<uint64_t>(s.image) < needed) return status::stride;
  }
  return status::ok;
}

// Errors: shape (a size of the wrong sign, groups that do not divide, a kernel larger than the padded image), overflow.
constexpr status check_shape(const conv_shape& s, conv_layout& out) noexcept {
  constexpr int64_t most = INT32_MAX;
  const int64_t sizes[] = {s.batch, s.in_h, s.in_w, s.in_c, s.out_c, s.pad_top, s.pad_left, s.pad_bottom, s.pad_right};
  const int64_t steps[] = {s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.dilation_h, s.dilation_w, s.groups};
  for (const int64_t x : sizes)
    if (x < 0) return status::shape;
  for (const int64_t x : steps)
    if (x < 1) return status::shape;
  if (s.in_c % s.groups != 0 || s.out_c % s.groups != 0) return status::shape;
  for (const int64_t x : sizes)
    if (x > most) return status::overflow;
  for (const int64_t x : steps)
    if (x > most) return status::overflow;
  if (s.kernel_h > most / s.dilation_h || s.kernel_w > most / s.dilation_w) return status::overflow;
  if (s.in_h + s.pad_top + s.pad_bottom < s.window_h() || s.in_w + s.pad_left + s.pad_right < s.window_w())
    return status::shape;
  out.shape = s;
  out.out_h = s.out_h();
  out.out_w = s.out_w();
  return status::ok;
}

}  // namespace detail

// Checks everything but the depth (which is the kernel's matter). `out` is written on success only. Errors: dtype,
// shape, stride, overflow, zero_point, unsupported, and those of check_epilogue.
inline status check_conv(const conv_desc& d, conv_layout& out, size_t* bad_channel = nullptr) noexcept {
  if (!detail::is_code(d.in) || !detail::is_code(d.weights)) return status::dtype;
  conv_layout l;
  if (const status s = detail::check_shape(d.shape, l); s != status::ok) return s;
  const conv_shape& s = d.shape;
  l.in = d.in;
  l.weights = d.weights;
  l.out = d.out;
  l.in_strides = d.in_strides;
  l.out_strides = d.out_strides;
  l.residual_strides = d.residual_strides;
  if (const status bad = detail::resolve_strides(s.batch, s.in_h, s.in_w, s.in_c, l.in_strides, l.in_elements);
      bad != status::ok)
    return bad;
  if (const status bad = detail::resolve_strides(s.batch, l.out_h, l.out_w, s.out_c, l.out_strides, l.out_elements);
      bad != status::ok)
    return bad;
  if (const status bad =
          detail::resolve_strides(s.batch, l.out_h, l.out_w, s.out_c, l.residual_strides, l.residual_elements);
      bad != status::ok)
    return bad;
  uint64_t taps = 0, row = 0, dense = 0;
  if (!checked_mul(static_cast<uint64_t>(s.kernel_w), static_cast<uint64_t>(s.group_in()), row) ||
      !checked_mul(row, static_cast<uint64_t>(s.kernel_h), taps) ||
      !checked_mul(taps, static_cast<uint64_t>(s.out_c), dense) || dense > INT64_MAX / 8 || taps > INT64_MAX / 8)
    return status::overflow;
  bool given = false;
  for (int32_t i = 0; i < 4; ++i) {
    if (d.weight_strides[i] < 0) return status::stride;
    given = given || d.weight_strides[i] != 0;
    l.weight_strides[i] = d.weight_strides[i];
  }
  if (!given) {
    l.weight_strides[0] = static_cast<int64_t>(taps);
    l.weight_strides[1] = static_cast<int64_t>(row);
    l.weight_strides[2] = s.group_in();
    l.weight_strides[3] = 1;
  }
  if (!detail::extent_of({s.out_c, s.kernel_h, s.kernel_w, s.group_in()},
                         {l.weight_strides[0], l.weight_strides[1], l.weight_strides[2], l.weight_strides[3]},
                         l.weight_elements))
    return status::overflow;
  if (detail::check_zero_point(d.in, d.in_zero_point) != status::ok ||
      detail::check_zero_point(d.weights, d.weight_zero_point) != status::ok)
    return status::zero_point;
  l.in_zero_point = d.in_zero_point;
  l.weight_zero_point = d.weight_zero_point;
  if (d.finish.row_scales) return status::unsupported;
  if (const status bad = check_epilogue(d.finish, d.out, static_cast<size_t>(s.out_c), bad_channel); bad != status::ok)
    return bad;
  l.rule = d.finish.requant.rule;
  l.finish_sum = s.out_c == 0 ? 0 : finish_sum(d.finish, d.out);
  if (detail::is_code(d.out)) {
    if (s.out_c > 0) requant_limits(d.finish.requant, d.out, l.codes);
    l.out_zero_point = d.finish.requant.zero_point;
    l.residual = d.finish.residual;
    l.has_table = d.finish.table != nullptr;
  }
  if (l.residual.type == dtype::none) l.residual_elements = 0;
  out = l;
  return status::ok;
}

// The matrix product that a checked convolution amounts to: what best_gemm_leaf(shape) wants to know.
constexpr gemm_shape product_of(const conv_layout& l) noexcept {
  const conv_shape& s = l.shape;
  const int64_t rows = l.out_elements == 0 ? 0 : s.batch * l.out_h * l.out_w;
  return {rows, s.group_out(), s.kernel_h * s.kernel_w * s.group_in()};
}

namespace detail {

// A column of pixels, met by windows of one column, becomes a row: the nests take rows at once, and a row's kernel
// elements lie side by side. Nothing moves, strides change their names.
constexpr void lay_down(conv_layout& l) noexcept {
  const conv_shape old = l.shape;
  if (l.in_elements == 0 || l.out_elements == 0) return;  // their strides may be anything
  if (old.in_w != 1 || old.in_h < 2 || old.kernel_w != 1 || old.pad_left != 0 || old.pad_right != 0) return;
  conv_shape& s = l.shape;
  s.in_w = old.in_h;
  s.kernel_w = old.kernel_h;
  s.stride_w = old.stride_h;
  s.dilation_w = old.dilation_h;
  s.pad_left = old.pad_top;
  s.pad_right = old.pad_bottom;
  s.in_h = s.kernel_h = s.stride_h = s.dilation_h = 1;
  s.pad_top = s.pad_bottom = 0;
  l.out_w = l.out_h;
  l.out_h = 1;
  l.weight_strides[2] = l.weight_strides[1];
  l.in_strides = {l.in_strides.image, s.in_w * l.in_strides.row, l.in_strides.row};
  l.out_strides = {l.out_strides.image, l.out_w * l.out_strides.row, l.out_strides.row};
  l.residual_strides = {l.residual_strides.image, l.out_w * l.residual_strides.row, l.residual_strides.row};
}

}  // namespace detail

// Sizes of the parts of a task; 0: chosen by the plan. Results do not depend on them.
struct conv_tiling {
  int64_t rows = 0, columns = 0;  // of the output
  int64_t panels = 0;             // not depthwise
};

// What a run of a convolution gets: the caller's buffers with their sizes.
struct conv_buffers {
  const void* in = nullptr;
  uint64_t in_bytes = 0;
  const void* packed = nullptr;
  uint64_t packed_bytes = 0;
  const void* residual = nullptr;  // only with a residual in the epilogue
  uint64_t residual_bytes = 0;
  void* out = nullptr;
  uint64_t out_bytes = 0;
  void* workspace = nullptr;  // 64-byte aligned
  uint64_t workspace_bytes = 0;
};

namespace detail {

// Errors: null_pointer, buffer, scratch, overlap (out or workspace with anything that is read).
inline status check_buffers(const conv_layout& l, const conv_buffers& b, uint64_t packed_bytes,
                            uint64_t workspace_bytes) noexcept {
  if (b.out == nullptr || b.packed == nullptr || (b.in == nullptr && l.in_elements > 0) ||
      (b.residual == nullptr && l.residual_elements > 0))
    return status::null_pointer;
  const uint64_t out_bytes = l.out_elements * (is_code(l.out) ? 1 : 4);
  if (b.in_bytes < l.in_elements || b.out_bytes < out_bytes || b.residual_bytes < l.residual_elements ||
      b.packed_bytes < packed_bytes)
    return status::buffer;
  if (b.workspace == nullptr || b.workspace_bytes < workspace_bytes ||
      reinterpret_cast<uintptr_t>(b.workspace) % gemm_alignment != 0 ||
      reinterpret_cast<uintptr_t>(b.packed) % gemm_alignment != 0)
    return status::scratch;
  // The residual may be the output itself: each element is read before it is written.
  const bool in_place = b.residual == b.out && l.residual_strides.image == l.out_strides.image &&
                        l.residual_strides.row == l.out_strides.row && l.residual_strides.pixel == l.out_strides.pixel;
  if (overlap(b.out, out_bytes, b.in, l.in_elements) || overlap(b.out, out_bytes, b.packed, packed_bytes) ||
      (!in_place && overlap(b.out, out_bytes, b.residual, l.residual_elements)) ||
      overlap(b.out, out_bytes, b.workspace, workspace_bytes) ||
      overlap(b.in, l.in_elements, b.workspace, workspace_bytes) ||
      overlap(b.packed, packed_bytes, b.workspace, workspace_bytes) ||
      overlap(b.residual, l.residual_elements, b.workspace, workspace_bytes))
    return status::overlap;
  return status::ok;
}

// Everything that packing either kind of convolution looks at before it writes `needed` bytes.
inline status check_pack(const conv_layout& l, const void* weights, const int32_t* bias, const epilogue& e,
                         const void* packed, uint64_t packed_bytes, uint64_t needed) noexcept {
  if (packed == nullptr || (weights == nullptr && l.weight_elements > 0)) return status::null_pointer;
  if (packed_bytes < needed) return status::buffer;
  if (reinterpret_cast<uintptr_t>(packed) % gemm_alignment != 0) return status::scratch;
  if (!same_finish(e, l.out, l.rule, l.has_table)) return status::plan;
  if (const status s = check_epilogue(e, l.out, static_cast<size_t>(l.shape.out_c)); s != status::ok) return s;
  const pack_sources read{weights, l.weight_elements, bias, nullptr, static_cast<uint64_t>(l.shape.out_c)};
  if (const status s = read.check(e, l.out, packed, needed); s != status::ok) return s;
  return l.shape.out_c > 0 && finish_sum(e, l.out) != l.finish_sum ? status::plan : status::ok;
}

}  // namespace detail

}  // namespace quantal
