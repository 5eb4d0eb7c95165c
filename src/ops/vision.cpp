// Sampling and pooling by coordinates: GridSample, AffineGrid, RoiAlign, MaxRoiPool, Col2Im, MaxUnpool.
// Pixel centres lie at whole numbers; normalized coordinates -1..1 span the centres of the corner pixels
// (align_corners) or their outer edges. Sources: ONNX spec; torch's GridSampler for reflection and the cubic kernel (a
// = -0.75).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

// ---- GridSample ----

enum class outside { zeros, border, reflection };

double reflect(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const bool below = x < low;
  const double d = below ? low - x : x > high ? x - high : 0;
  if (d == 0) return x;
  const double turns = std::floor(d / range);
  const double rest = d - turns * range;
  const bool even = std::fmod(turns, 2) == 0;
  return below == even ? low + rest : high - rest;
}

// Where to read along one axis and with what weights.
struct taps {
  std::int64_t at[4];
  double weight[4];
  int count = 0;
  void add(std::int64_t position, double w) {
    at[count] = position;
    weight[count++] = w;
  }
};

taps taps_at(double x, std::int64_t n, outside mode, const std::string& kind, bool align) {
  const double low = align ? 0 : -0.5;
  const double high = static_cast<double>(n) - (align ? 1 : 0.5);
  if (!(std::abs(x) < 1e15)) x = std::isnan(x) ? low - 2 : std::copysign(1e15, x);  // far outside is far outside
  if (kind == "nearest") x = std::nearbyint(x);
  if (x < low || x > high) {
    if (mode == outside::border) x = std::clamp(x, 0.0, static_cast<double>(n - 1));
    if (mode == outside::reflection) x = reflect(x, low, high);
  }
  taps raw;
  const double floor = std::floor(x);
  const auto base = static_cast<std::int64_t>(floor);
  const double f = x - floor;
  if (kind == "nearest") {
    raw.add(static_cast<std::int64_t>(x), 1);
  } else if (kind == "linear" || kind == "bilinear") {
    raw.add(base, 1 - f);
    raw.add(base + 1, f);
  } else {
    constexpr double a = -0.75;
    const auto far = [](double t) { return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a; };
    const auto near = [](double t) { return ((a + 2) * t - (a + 3)) * t * t + 1; };
    raw.add(base - 1, far(f + 1));
    raw.add(base, near(f));
    raw.add(base + 1, near(1 - f));
    raw.add(base + 2, far(2 - f));
  }
  taps t;
  for (int i = 0; i < raw.count; ++i) {
    std::int64_t p = raw.at[i];
    if (p < 0 || p >= n) {
      if (mode == outside::zeros) continue;
      if (mode == outside::border)
        p = std::clamp<std::int64_t>(p, 0, n - 1);
      else
        p = std::clamp<std::int64_t>(static_cast<std::int64_t>(reflect(static_cast<double>(p), low, high)), 0, n - 1);
    }
    t.add(p, raw.weight[i]);
  }
  return t;
}

template <class T>
double sample(const T* x, const std::vector<taps>& axes, const stride_list& strides, std::size_t axis) {
  if (axis == axes.size()) return static_cast<double>(*x);
  double sum = 0;
  for (int i = 0; i < axes[axis].count; ++i) {
    sum += axes[axis].weight[i] * sample(x + axes[axis].at[i] * strides[axis + 2], axes, strides, axis + 1);
  }
  return sum;
}

template <class T>
void grid_sample(eval_context& c, const tensor_buffer& x, const tensor_buffer& grid, tensor_buffer& out, outside mode,
                 const std::string& kind, bool align) {
  const shape& s = x.dims();
  const std::int32_t r = s.rank - 2;
  const stride_list strides = dense_strides(s);
  const std::int64_t points = grid.elements() / std::max<std::int64_t>(s[0] * r, 1);
  parallel_ranges(c.parallel(), s[0] * points, 256, [&](std::int64_t begin, std::int64_t end) {
    std::vector<taps> axes(static_cast<std::size_t>(r));
    for (std::int64_t p = begin; p < end; ++p) {
      const T* g = grid.as<T>() + p * r;
      for (std::int32_t k = 0; k < r; ++k) {
        const std::int64_t n = s[2 + k];
        const double v = static_cast<double>(g[r - 1 - k]) + 1;  // the grid lists x before y
        axes[static_cast<std::size_t>(k)] = taps_at(
            align ? v / 2 * static_cast<double>(n - 1) : (v * static_cast<double>(n) - 1) / 2, n, mode, kind, align);
      }
      for (std::int64_t ch = 0; ch < s[1]; ++ch) {
        const T* plane = x.as<T>() + p / points * strides[0] + ch * strides[1];
        out.mutable_as<T>()[(p / points * s[1] + ch) * points + p % points] =
            static_cast<T>(sample(plane, axes, strides, 0));
      }
    }
  });
}

result<void> eval_grid_sample(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const tensor_buffer& grid = c.input(1);
  const shape& s = x.dims();
  const shape& g = grid.dims();
  if (s.rank < 3 || g.rank != s.rank || g[0] != s[0] || g[g.rank - 1] != s.rank - 2)
    return c.fail(status::data_shape, "grid does not fit the input");
  if (x.type() != grid.type()) return c.fail(status::model_type, "input and grid of different types");
  for (std::int32_t i = 2; i < s.rank; ++i) {
    if (s[i] == 0) return c.fail(status::data_shape, "nothing to sample from");
  }
  const std::string kind = c.node.get_string("mode", c.opset < 20 ? "bilinear" : "linear");
  if (kind != "nearest" && kind != "linear" && kind != "bilinear" && kind != "cubic" && kind != "bicubic")
    return c.fail(status::unsupported, "unknown attribute 'mode'");
  const std::string padding = c.node.get_string("padding_mode", "zeros");
  if (padding != "zeros" && padding != "border" && padding != "reflection")
    return c.fail(status::unsupported, "unknown attribute 'padding_mode'");
  const outside mode = padding == "zeros"    ? outside::zeros
                       : padding == "border" ? outside::border
                                             : outside::reflection;
  shape dims(s[0], s[1]);
  for (std::int32_t i = 1; i < g.rank - 1; ++i) dims.push_back(g[i]);
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  const bool align = c.node.get_int("align_corners", 0) != 0;
  if (x.type() == dtype::f32)
    grid_sample<float>(c, x, grid, *out, mode, kind, align);
  else if (x.type() == dtype::f64)
    grid_sample<double>(c, x, grid, *out, mode, kind, align);
  else
    return unsupported_type(c, x.type());
  return {};
}

result<void> infer_grid_sample(infer_context& c) {
  const dim_list* x = dims_of(c, 0);
  const dim_list* g = dims_of(c, 1);
  if (x == nullptr || g == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  if (x->size() < 3 || g->size() != x->size()) return rule_error(c, "grid does not fit the input");
  dim_list out = {(*x)[0], (*x)[1]};
  out.insert(out.end(), g->begin() + 1, g->end() - 1);
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- AffineGrid: theta [N, r, r + 1] applied to every centre of an r-dimensional image ----

result<void> eval_affine_grid(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  QUANTAL_TRY(theta, convert_tensor(c.input(0), dtype::f64));
  QUANTAL_TRY(size, ints_of(c, 1));
  const auto r = static_cast<std::int32_t>(size.size()) - 2;
  const shape& s = theta.dims();
  if (r < 1 || s.rank != 3 || s[0] != size[0] || s[1] != r || s[2] != r + 1)
    return c.fail(status::data_shape, "theta must be [N, r, r + 1] and size [N, C, ...]");
  shape dims(size[0]);
  for (std::int32_t i = 0; i < r; ++i) {
    if (size[static_cast<std::size_t>(i + 2)] < 0) return c.fail(status::data_shape, "size is negative");
    dims.push_back(size[static_cast<std::size_t>(i + 2)]);
  }
  dims.push_back(r);
  QUANTAL_TRY(wide, tensor_buffer::make(dtype::f64, dims));
  const bool align = c.node.get_int("align_corners", 0) != 0;
  const std::int64_t points = dims.elements(1, dims.rank - 1);
  for (std::int64_t p = 0; p < dims[0] * points; ++p) {
    double at[limits::max_rank] = {};  // x first
    std::int64_t rest = p % points;
    for (std::int32_t i = r; i >= 1; --i) {
      const double n = static_cast<double>(dims[i]);
      const double k = static_cast<double>(rest % dims[i]);
      rest /= dims[i];
      at[r - i] = align ? (dims[i] == 1 ? -1 : 2 * k / (n - 1) - 1) : (2 * k + 1) / n - 1;
    }
    for (std::int32_t j = 0; j < r; ++j) {
      const double* row = theta.as<double>() + (p / points * r + j) * (r + 1);
      double v = row[r];
      for (std::int32_t i = 0; i < r; ++i) v += row[i] * at[i];
      wide.mutable_as<double>()[p * r + j] = v;
    }
  }
  QUANTAL_TRY(out, convert_tensor(wide, c.input(0).type()));
  return c.forward(0, out);
}

result<void> infer_affine_grid(infer_context& c) {
  const auto size = known_ints(c, 1);
  if (!size || size->size() < 3) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  dim_list out = {ir::dim((*size)[0])};
  for (std::size_t i = 2; i < size->size(); ++i) out.push_back((*size)[i] >= 0 ? ir::dim((*size)[i]) : ir::dim());
  out.push_back(ir::dim(static_cast<std::int64_t>(size->size()) - 2));
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- RoiAlign, MaxRoiPool ----

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

// ---- Col2Im: adds overlapping blocks [N, C * prod(block), L] into an image ----

struct blocks {
  int_list image, block, dilations, strides, pads, counts;
};

result<blocks> blocks_of(const ir::node& n, const int_list& image, const int_list& block) {
  blocks b{image, block, n.get_ints("dilations"), n.get_ints("strides"), n.get_ints("pads"), {}};
  const std::size_t r = image.size();
  if (b.dilations.empty()) b.dilations.assign(r, 1);
  if (b.strides.empty()) b.strides.assign(r, 1);
  if (b.pads.empty()) b.pads.assign(2 * r, 0);
  if (r < 1 || r + 2 > static_cast<std::size_t>(limits::max_rank) || block.size() != r || b.dilations.size() != r ||
      b.strides.size() != r || b.pads.size() != 2 * r) {
    return node_error(n, status::model_type, "image and block shape, strides, dilations and pads differ in length");
  }
  for (std::size_t i = 0; i < r; ++i) {
    for (std::int64_t v : {image[i], block[i], b.dilations[i], b.strides[i]}) {
      if (v < 1 || v > INT32_MAX)
        return node_error(n, status::model_type, "size, stride or dilation " + std::to_string(v) + " is out of range");
    }
    for (std::int64_t v : {b.pads[i], b.pads[i + r]}) {
      if (v < 0 || v > INT32_MAX)
        return node_error(n, status::model_type, "pad " + std::to_string(v) + " is out of range");
    }
    const std::int64_t room = image[i] + b.pads[i] + b.pads[i + r] - b.dilations[i] * (block[i] - 1) - 1;
    b.counts.push_back(room < 0 ? 0 : room / b.strides[i] + 1);
  }
  return b;
}

result<void> eval_col2im(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  QUANTAL_TRY(image, ints_of(c, 1));
  QUANTAL_TRY(block, ints_of(c, 2));
  QUANTAL_TRY(b, blocks_of(c.node, image, block));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  const std::size_t r = b.image.size();
  std::uint64_t taps_count = 1;
  std::uint64_t positions = 1;
  for (std::size_t i = 0; i < r; ++i) {
    if (!checked_mul(taps_count, static_cast<std::uint64_t>(b.block[i]), taps_count) ||
        !checked_mul(positions, static_cast<std::uint64_t>(b.counts[i]), positions))
      return c.fail(status::data_shape, "block sizes overflow");
  }
  const auto k = static_cast<std::int64_t>(taps_count);
  if (x.dims().rank != 3 || k < 1 || x.dims()[1] % k != 0 || static_cast<std::uint64_t>(x.dims()[2]) != positions)
    return c.fail(status::data_shape, "input does not fit the blocks");
  shape dims(x.dims()[0], x.dims()[1] / k);
  std::int64_t plane = 1;
  for (std::int64_t d : b.image) {
    dims.push_back(d);
    plane *= d;
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  std::memset(out->mutable_data(), 0, out->bytes());
  const std::int64_t l = x.dims()[2];
  for (std::int64_t row = 0; row < x.dims()[0] * x.dims()[1]; ++row) {
    float* to = out->mutable_as<float>() + row / k * plane;
    for (std::int64_t p = 0; p < l; ++p) {
      std::int64_t offset = 0;
      std::int64_t step = 1;
      bool inside = true;
      for (std::size_t i = r, tap = static_cast<std::size_t>(row % k), at = static_cast<std::size_t>(p); i-- > 0;) {
        const auto in_block = static_cast<std::int64_t>(tap % static_cast<std::size_t>(b.block[i]));
        const auto in_grid = static_cast<std::int64_t>(at % static_cast<std::size_t>(b.counts[i]));
        tap /= static_cast<std::size_t>(b.block[i]);
        at /= static_cast<std::size_t>(b.counts[i]);
        const std::int64_t v = in_grid * b.strides[i] - b.pads[i] + in_block * b.dilations[i];
        inside = inside && v >= 0 && v < b.image[i];
        offset += v * step;
        step *= b.image[i];
      }
      if (inside) to[offset] += x.as<float>()[row * l + p];
    }
  }
  return {};
}

result<void> infer_col2im(infer_context& c) {
  const auto image = known_ints(c, 1);
  const auto block = known_ints(c, 2);
  const dim_list* x = dims_of(c, 0);
  if (!image || !block) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  QUANTAL_TRY(b, blocks_of(c.node, *image, *block));
  dim_list out(2);
  if (x != nullptr && x->size() == 3) {
    out[0] = (*x)[0];
    std::int64_t k = 1;
    for (std::int64_t v : b.block) k = k > INT32_MAX ? k : k * v;
    if ((*x)[1].known()) out[1] = ir::dim((*x)[1].value / k);
  }
  for (std::int64_t d : b.image) out.push_back(ir::dim(d));
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- MaxUnpool: values back to the positions that MaxPool gave ----

// Shape of the tensor that was pooled, as kernel, strides and pads tell it: indices count in this one.
result<shape> pooled_from(const eval_context& c, const shape& s) {
  shape dims = s;
  const int_list kernel = c.node.get_ints("kernel_shape");
  int_list strides = c.node.get_ints("strides");
  int_list pads = c.node.get_ints("pads");
  const auto r = static_cast<std::size_t>(s.rank - 2);
  if (strides.empty()) strides.assign(r, 1);
  if (pads.empty()) pads.assign(2 * r, 0);
  if (kernel.size() != r || strides.size() != r || pads.size() != 2 * r) {
    return c.fail(status::model_type, "kernel, strides or pads do not fit the input");
  }
  const auto in_range = [](std::int64_t v, std::int64_t least) { return v >= least && v <= INT32_MAX; };
  for (std::size_t i = 0; i < r; ++i) {
    std::int64_t& d = dims[static_cast<std::int32_t>(i) + 2];
    if (!in_range(kernel[i], 1) || !in_range(strides[i], 1) || !in_range(pads[i], 0) || !in_range(pads[i + r], 0) ||
        !in_range(d, 0)) {
      return c.fail(status::model_type, "kernel, stride or pad is out of range");
    }
    d = (d - 1) * strides[i] + kernel[i] - pads[i] - pads[i + r];
  }
  return dims;
}

result<void> eval_max_unpool(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  QUANTAL_TRY(at, ints_of(c, 1));
  if (x.dims().rank < 3 || !(c.input(1).dims() == x.dims())) {
    return c.fail(status::data_shape, "values and indices must have one shape");
  }
  QUANTAL_TRY(from, pooled_from(c, x.dims()));
  shape dims = from;
  if (c.has_input(2)) {
    QUANTAL_TRY(given, ints_of(c, 2));
    if (static_cast<std::int32_t>(given.size()) != dims.rank)
      return c.fail(status::data_shape, "output_shape does not fit");
    std::copy(given.begin(), given.end(), dims.dims);
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  std::memset(out->mutable_data(), 0, out->bytes());
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::int64_t rest = at[i];
    std::int64_t to = 0;
    std::int64_t step = 1;
    bool inside = rest >= 0;
    for (std::int32_t k = dims.rank - 1; k >= 0; --k) {
      if (from[k] <= 0) return c.fail(status::data_shape, "pads leave nothing of the pooled tensor");
      inside = inside && rest % from[k] < dims[k];
      to += rest % from[k] * step;
      rest /= from[k];
      step *= dims[k];
    }
    if (!inside || rest != 0)
      return c.fail(status::data_format, "index " + std::to_string(at[i]) + " is outside the result");
    out->mutable_as<float>()[to] = x.as<float>()[i];
  }
  return {};
}

result<void> infer_max_unpool(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr)
    set_typed(c, 0, elem_of(c, 0));
  else
    set_typed(c, 0, elem_of(c, 0), unknown_dims(rank_of(*d)));
  return {};
}

constexpr op_def table[] = {
    {"GridSample", 16, infer_grid_sample, in_wide<eval_grid_sample>},
    {"AffineGrid", 20, infer_affine_grid, eval_affine_grid},
    {"RoiAlign", 10, infer_roi_align, in_wide<eval_roi_align>},
    {"MaxRoiPool", 1, infer_max_roi_pool, in_wide<eval_max_roi_pool>},
    {"Col2Im", 18, infer_col2im, in_wide<eval_col2im>},
    {"MaxUnpool", 9, infer_max_unpool, in_wide<eval_max_unpool>},
};

}  // namespace

op_list vision_ops() {
  return table;
}

}  // namespace quantal::ops
