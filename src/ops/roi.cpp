// RoiAlign, MaxRoiPool: pooling inside boxes given by coordinates. Pixel centres lie at whole numbers. Source: ONNX
// spec.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

result<void> pooled_size(const ir::node& n, std::int64_t h, std::int64_t w) {
  if (h < 1 || w < 1 || h > 65536 || w > 65536)
    return node_error(n, status::model_type,
                      "pooled size " + std::to_string(h) + " x " + std::to_string(w) + " is out of range");
  return {};
}

// Bilinear weights of the four pixels around (y, x); false: outside, nothing is read.
bool corners(double y, double x, std::int64_t h, std::int64_t w, std::int64_t* at, double* weight) {
  if (!(y >= -1 && y <= static_cast<double>(h) && x >= -1 && x <= static_cast<double>(w))) return false;
  y = std::max(y, 0.0);
  x = std::max(x, 0.0);
  auto y0 = static_cast<std::int64_t>(y);
  auto x0 = static_cast<std::int64_t>(x);
  std::int64_t y1 = y0 + 1;
  std::int64_t x1 = x0 + 1;
  if (y0 >= h - 1) y = static_cast<double>(y0 = y1 = h - 1);
  if (x0 >= w - 1) x = static_cast<double>(x0 = x1 = w - 1);
  const double fy = y - static_cast<double>(y0);
  const double fx = x - static_cast<double>(x0);
  const std::int64_t positions[] = {y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1};
  const double weights[] = {(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx};
  std::copy(positions, positions + 4, at);
  std::copy(weights, weights + 4, weight);
  return true;
}

result<void> eval_roi_align(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  const tensor_buffer& x = c.input(0);
  const tensor_buffer& rois = c.input(1);
  const shape& s = x.dims();
  QUANTAL_TRY(batch, ints_of(c, 2));
  if (x.type() != dtype::f32 || rois.type() != dtype::f32) return unsupported_type(c, x.type());
  const std::int64_t ph = c.node.get_int("output_height", 1);
  const std::int64_t pw = c.node.get_int("output_width", 1);
  QUANTAL_CHECK(pooled_size(c.node, ph, pw));
  const auto n = static_cast<std::int64_t>(batch.size());
  if (s.rank != 4 || rois.dims().rank != 2 || rois.dims()[0] != n || rois.dims()[1] != 4 || s[2] < 1 || s[3] < 1) {
    return c.fail(status::data_shape, "input must be [N, C, H, W], rois [R, 4], batch indices [R]");
  }
  for (std::int64_t b : batch) {
    if (b < 0 || b >= s[0]) return c.fail(status::data_format, "batch index " + std::to_string(b) + " is out of range");
  }
  const bool half = c.opset >= 16 && c.node.get_string("coordinate_transformation_mode", "half_pixel") == "half_pixel";
  const bool average = c.node.get_string("mode", "avg") != "max";
  const double scale = static_cast<double>(c.node.get_float("spatial_scale", 1));
  const std::int64_t ratio = c.node.get_int("sampling_ratio", 0);
  if (ratio < 0 || ratio > 1024) return c.fail(status::model_type, "sampling_ratio is out of range");
  QUANTAL_TRY(out, c.output(0, x.type(), shape(n, s[1], ph, pw)));
  for (std::int64_t r = 0; r < n; ++r) {
    const float* p = rois.as<float>() + r * 4;
    double edge[4];
    for (int i = 0; i < 4; ++i) {
      if (!std::isfinite(p[i])) return c.fail(status::data_format, "a region is not finite");
      edge[i] = static_cast<double>(p[i]) * scale - (half ? 0.5 : 0);
    }
    const double w = half ? edge[2] - edge[0] : std::max(edge[2] - edge[0], 1.0);
    const double h = half ? edge[3] - edge[1] : std::max(edge[3] - edge[1], 1.0);
    const double bin_h = h / static_cast<double>(ph);
    const double bin_w = w / static_cast<double>(pw);
    const double wanted_h = ratio > 0 ? static_cast<double>(ratio) : std::ceil(bin_h);
    const double wanted_w = ratio > 0 ? static_cast<double>(ratio) : std::ceil(bin_w);
    if (wanted_h > 65536 || wanted_w > 65536) return c.fail(status::limit, "a region is too large to sample");
    const auto gh = static_cast<std::int64_t>(std::max(wanted_h, 0.0));
    const auto gw = static_cast<std::int64_t>(std::max(wanted_w, 0.0));
    c.parallel()(static_cast<std::size_t>(s[1]), [&](std::size_t channel) {
      const auto ch = static_cast<std::int64_t>(channel);
      const float* plane = x.as<float>() + (batch[static_cast<std::size_t>(r)] * s[1] + ch) * s[2] * s[3];
      for (std::int64_t o = 0; o < ph * pw; ++o) {
        double total = 0;
        bool first = true;
        for (std::int64_t i = 0; i < gh * gw; ++i) {
          const double y = edge[1] + static_cast<double>(o / pw) * bin_h +
                           (static_cast<double>(i / gw) + 0.5) * bin_h / static_cast<double>(gh);
          const double xx = edge[0] + static_cast<double>(o % pw) * bin_w +
                            (static_cast<double>(i % gw) + 0.5) * bin_w / static_cast<double>(gw);
          std::int64_t at[4] = {};
          double weight[4] = {};
          corners(y, xx, s[2], s[3], at, weight);
          double parts[4];
          for (int k = 0; k < 4; ++k) parts[k] = weight[k] * static_cast<double>(plane[at[k]]);
          if (average) {
            total += parts[0] + parts[1] + parts[2] + parts[3];
          } else {  // the spec's max is over the weighted corners
            const double most = *std::max_element(parts, parts + 4);
            total = first ? most : std::max(total, most);
          }
          first = false;
        }
        if (average) total /= static_cast<double>(std::max<std::int64_t>(gh * gw, 1));
        out->mutable_as<float>()[(r * s[1] + ch) * ph * pw + o] = static_cast<float>(total);
      }
    });
  }
  return {};
}

result<void> infer_roi_align(infer_context& c) {
  const std::int64_t h = c.node.get_int("output_height", 1);
  const std::int64_t w = c.node.get_int("output_width", 1);
  QUANTAL_CHECK(pooled_size(c.node, h, w));
  const dim_list* x = dims_of(c, 0);
  const dim_list* rois = dims_of(c, 1);
  if (x != nullptr && x->size() != 4) return rule_error(c, "input must be [N, C, H, W]");
  set_typed(c, 0, elem_of(c, 0),
            {rois != nullptr && !rois->empty() ? (*rois)[0] : ir::dim(), x != nullptr ? (*x)[1] : ir::dim(), ir::dim(h),
             ir::dim(w)});
  return {};
}

result<void> eval_max_roi_pool(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const tensor_buffer& rois = c.input(1);
  const shape& s = x.dims();
  const int_list pooled = c.node.get_ints("pooled_shape");
  if (x.type() != dtype::f32 || rois.type() != dtype::f32) return unsupported_type(c, x.type());
  if (pooled.size() != 2) return c.fail(status::model_type, "attribute 'pooled_shape' must have two sizes");
  QUANTAL_CHECK(pooled_size(c.node, pooled[0], pooled[1]));
  if (s.rank != 4 || rois.dims().rank != 2 || rois.dims()[1] != 5)
    return c.fail(status::data_shape, "input must be [N, C, H, W], rois [R, 5]");
  const double scale = static_cast<double>(c.node.get_float("spatial_scale", 1));
  const std::int64_t n = rois.dims()[0];
  QUANTAL_TRY(out, c.output(0, x.type(), shape(n, s[1], pooled[0], pooled[1])));
  for (std::int64_t r = 0; r < n; ++r) {
    const float* p = rois.as<float>() + r * 5;
    std::int64_t v[5];
    for (int i = 0; i < 5; ++i) {
      const double edge = i == 0 ? static_cast<double>(p[0]) : std::round(static_cast<double>(p[i]) * scale);
      if (!(std::abs(edge) < 1e9)) return c.fail(status::data_format, "a region is out of range");
      v[i] = static_cast<std::int64_t>(edge);
    }
    if (v[0] < 0 || v[0] >= s[0])
      return c.fail(status::data_format, "batch index " + std::to_string(v[0]) + " is out of range");
    const double bin_h =
        static_cast<double>(std::max<std::int64_t>(v[4] - v[2] + 1, 1)) / static_cast<double>(pooled[0]);
    const double bin_w =
        static_cast<double>(std::max<std::int64_t>(v[3] - v[1] + 1, 1)) / static_cast<double>(pooled[1]);
    const auto clip = [](double at, std::int64_t start, std::int64_t n_axis) {
      return std::clamp<std::int64_t>(static_cast<std::int64_t>(at) + start, 0, n_axis);
    };
    for (std::int64_t ch = 0; ch < s[1]; ++ch) {
      const float* plane = x.as<float>() + (v[0] * s[1] + ch) * s[2] * s[3];
      for (std::int64_t o = 0; o < pooled[0] * pooled[1]; ++o) {
        const double i = static_cast<double>(o / pooled[1]);
        const double j = static_cast<double>(o % pooled[1]);
        const std::int64_t y0 = clip(std::floor(i * bin_h), v[2], s[2]);
        const std::int64_t y1 = clip(std::ceil((i + 1) * bin_h), v[2], s[2]);
        const std::int64_t x0 = clip(std::floor(j * bin_w), v[1], s[3]);
        const std::int64_t x1 = clip(std::ceil((j + 1) * bin_w), v[1], s[3]);
        float most = y1 <= y0 || x1 <= x0 ? 0.0f : -INFINITY;
        for (std::int64_t y = y0; y < y1; ++y) {
          for (std::int64_t xx = x0; xx < x1; ++xx) most = std::max(most, plane[y * s[3] + xx]);
        }
        out->mutable_as<float>()[(r * s[1] + ch) * pooled[0] * pooled[1] + o] = most;
      }
    }
  }
  return {};
}

result<void> infer_max_roi_pool(infer_context& c) {
  const int_list pooled = c.node.get_ints("pooled_shape");
  if (pooled.size() != 2) return rule_error(c, "attribute 'pooled_shape' must have two sizes");
  QUANTAL_CHECK(pooled_size(c.node, pooled[0], pooled[1]));
  const dim_list* x = dims_of(c, 0);
  const dim_list* rois = dims_of(c, 1);
  if (x != nullptr && x->size() != 4) return rule_error(c, "input must be [N, C, H, W]");
  set_typed(c, 0, elem_of(c, 0),
            {rois != nullptr && !rois->empty() ? (*rois)[0] : ir::dim(), x != nullptr ? (*x)[1] : ir::dim(),
             ir::dim(pooled[0]), ir::dim(pooled[1])});
  return {};
}

constexpr op_def table[] = {
    {"RoiAlign", 10, infer_roi_align, in_wide<eval_roi_align>},
    {"MaxRoiPool", 1, infer_max_roi_pool, in_wide<eval_max_roi_pool>},
};

}  // namespace

op_list roi_ops() {
  return table;
}

}  // namespace quantal::ops
