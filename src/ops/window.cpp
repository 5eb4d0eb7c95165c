#include "window.hpp"

#include <algorithm>

namespace quantal::ops {

namespace {

constexpr std::int64_t largest = (std::int64_t{1} << 31) - 1;  // of any attribute: products stay inside int64

result<void> read_list(const ir::node& n, const char* name, std::size_t length, std::int64_t lowest, int_list& out) {
  int_list given = n.get_ints(name);
  if (given.empty()) return {};
  if (given.size() != length) {
    return node_error(
        n, status::model_type,
        std::string(name) + " has " + std::to_string(given.size()) + " entries, expected " + std::to_string(length));
  }
  for (std::int64_t v : given) {
    if (v < lowest || v > largest)
      return node_error(n, status::model_type, std::string(name) + " holds " + std::to_string(v));
  }
  out = std::move(given);
  return {};
}

}  // namespace

result<window_attributes> read_window(const ir::node& n, std::int32_t spatial, const int_list& kernel) {
  const auto count = static_cast<std::size_t>(spatial);
  window_attributes w;
  w.strides.assign(count, 1);
  w.dilations.assign(count, 1);
  QUANTAL_CHECK(read_list(n, "kernel_shape", count, 1, w.kernel));
  if (!kernel.empty() && !w.kernel.empty() && w.kernel != kernel) {
    return node_error(n, status::model_type, "kernel_shape differs from the weight's dimensions");
  }
  if (w.kernel.empty()) w.kernel = kernel;
  if (w.kernel.size() != count) return node_error(n, status::model_type, "kernel_shape is missing");
  QUANTAL_CHECK(read_list(n, "strides", count, 1, w.strides));
  QUANTAL_CHECK(read_list(n, "dilations", count, 1, w.dilations));
  int_list pads(2 * count, 0);
  QUANTAL_CHECK(read_list(n, "pads", 2 * count, 0, pads));
  const std::string mode = n.get_string("auto_pad", "NOTSET");
  using padding = window_attributes::padding;
  if (mode == "SAME_UPPER") {
    w.auto_pad = padding::same_upper;
  } else if (mode == "SAME_LOWER") {
    w.auto_pad = padding::same_lower;
  } else if (mode == "VALID") {
    w.auto_pad = padding::valid;
  } else if (mode != "NOTSET" && !mode.empty()) {
    return node_error(n, status::model_type, "auto_pad is '" + mode + "'");
  }
  if (w.auto_pad != padding::explicit_pads) pads.assign(2 * count, 0);
  w.pads_begin.assign(pads.begin(), pads.begin() + spatial);
  w.pads_end.assign(pads.begin() + spatial, pads.end());
  w.ceil = n.get_int("ceil_mode", 0) != 0;
  return w;
}

result<std::int64_t> window_extent(const ir::node& n, const window_attributes& w, std::size_t axis, std::int64_t in,
                                   std::int64_t& pad_begin, std::int64_t& pad_end) {
  const std::int64_t stride = w.strides[axis];
  const std::int64_t reach = (w.kernel[axis] - 1) * w.dilations[axis] + 1;
  pad_begin = w.pads_begin[axis];
  pad_end = w.pads_end[axis];
  using padding = window_attributes::padding;
  if (w.auto_pad == padding::same_upper || w.auto_pad == padding::same_lower) {
    const std::int64_t out = in / stride + (in % stride != 0 ? 1 : 0);
    const std::int64_t total = std::max<std::int64_t>(0, (out - 1) * stride + reach - in);
    pad_begin = w.auto_pad == padding::same_upper ? total / 2 : total - total / 2;
    pad_end = total - pad_begin;
    return out;
  }
  const std::int64_t span = in + pad_begin + pad_end - reach;
  if (span < 0) {
    return node_error(
        n, status::model_type,
        "window of " + std::to_string(reach) + " does not fit " + std::to_string(in) + " elements and their padding");
  }
  std::int64_t out = span / stride + 1;
  if (w.ceil && span % stride != 0 && out * stride < in + pad_begin) ++out;
  return out;
}

result<dim_list> window_dims(const infer_context& c, const window_attributes& w, const dim_list& x) {
  dim_list out;
  for (std::size_t i = 0; i < w.kernel.size(); ++i) {
    if (!x[i + 2].known()) {
      out.emplace_back();
      continue;
    }
    std::int64_t begin = 0, end = 0;
    QUANTAL_TRY(extent, window_extent(c.node, w, i, x[i + 2].value, begin, end));
    out.emplace_back(extent);
  }
  return out;
}

result<window> place_window(const eval_context& c, const window_attributes& w, const shape& x) {
  const std::size_t spatial = w.kernel.size();
  if (spatial > static_cast<std::size_t>(max_spatial)) {
    return c.fail(status::unsupported, "more than 3 spatial dimensions");
  }
  window out;
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::size_t at = static_cast<std::size_t>(max_spatial) - spatial + i;
    out.in[at] = x[static_cast<std::int32_t>(i + 2)];
    out.kernel[at] = w.kernel[i];
    out.dilation[at] = w.dilations[i];
    QUANTAL_TRY(extent, window_extent(c.node, w, i, out.in[at], out.pad[at], out.pad_end[at]));
    out.out[at] = extent;
    out.stride[at] = extent == 1 ? 1 : w.strides[i];  // a stride that is never taken must not size a buffer
  }
  return out;
}

plane::plane(const window& w) noexcept : w_(w) {
  constexpr std::int64_t narrow = 64;  // output columns below which a call per row would not pay
  const auto phases = [](std::int64_t extent, std::int64_t stride) { return (extent + stride - 1) / stride; };
  rows_ = phases((w.out[1] - 1) * w.stride[1] + (w.kernel[1] - 1) * w.dilation[1] + 1, w.stride[1]);
  pitch_ = phases((w.out[2] - 1) * w.stride[2] + (w.kernel[2] - 1) * w.dilation[2] + 1, w.stride[2]);
  size_ = w.stride[1] * w.stride[2] * rows_ * pitch_;
  wide_ = w.out[2] < narrow && w.out[1] > 1 ? (w.out[1] - 1) * pitch_ + w.out[2] : 0;
}

void plane::load(const float* x, float* memory) const noexcept {
  const std::int64_t stride = w_.stride[2];
  for (std::int64_t y = 0; y < w_.in[1]; ++y) {
    const std::int64_t row = y + w_.pad[1];
    if (row / w_.stride[1] >= rows_) break;
    float* to = memory + (row % w_.stride[1] * stride * rows_ + row / w_.stride[1]) * pitch_;
    const float* from = x + y * w_.in[2];
    for (std::int64_t p = 0; p < stride; ++p, to += rows_ * pitch_) {
      // Column p + i * stride of the padded row is column p - pad + i * stride of x.
      std::int64_t begin = 0, end = 0;
      inside(w_.in[2], pitch_, stride, p - w_.pad[2], begin, end);
      const float* source = from + p - w_.pad[2];
      if (stride == 1) {
        std::copy(source + begin, source + end, to + begin);
      } else {
        for (std::int64_t i = begin; i < end; ++i) to[i] = source[i * stride];
      }
    }
  }
}

}  // namespace quantal::ops
