// Resize and Upsample: one axis after the other, since every mode is separable.
//
//   position of output i in the input (half_pixel)    (i + 0.5) / scale - 0.5
//   nearest: one tap;  linear: two;  cubic: four;  antialias: wider by 1 / scale where the axis shrinks
//
// Taps outside the input read the edge, or take no part with exclude_outside. tf_crop_and_resize puts
// extrapolation_value where a position falls outside. An axis of scale 1 and no crop is skipped.
// Source: ONNX spec, Resize, and its reference implementation (positions use scale * length, not the rounded length).
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

struct settings {
  std::string mode = "nearest", position = "half_pixel", nearest = "round_prefer_floor", policy = "stretch";
  double cubic_a = -0.75;
  bool exclude_outside = false, antialias = false, simple_nearest = false;  // simple: floor up, ceil down (opset 10)
  float extrapolation = 0;
};

// Taps of one axis: output i reads taps [i * count, (i + 1) * count).
struct axis_taps {
  std::int64_t count = 0;
  std::vector<std::int64_t> at;
  std::vector<float> weight;
  std::vector<char> outside;  // of the cropped region: extrapolated
};

struct axis_plan {
  std::int32_t axis = 0;
  double scale = 1;
  std::int64_t in = 0, out = 0;
  double roi_begin = 0, roi_end = 1;
};

double position_of(const settings& s, const axis_plan& a, std::int64_t i) {
  const double x = static_cast<double>(i), in = static_cast<double>(a.in), length = a.scale * in;
  if (s.position == "align_corners") return length == 1 ? 0 : x * (in - 1) / (length - 1);
  if (s.position == "asymmetric") return x / a.scale;
  if (s.position == "tf_crop_and_resize") {
    const double span = a.roi_end - a.roi_begin;
    return a.roi_begin * (in - 1) + (length == 1 ? span * (in - 1) / 2 : x * span * (in - 1) / (length - 1));
  }
  if (s.position == "pytorch_half_pixel" && length == 1) return -0.5;
  const double half = (x + 0.5) / a.scale - 0.5;
  if (s.position == "half_pixel_symmetric") return in / 2 * (1 - static_cast<double>(a.out) / length) + half;
  return half;
}

double cubic(double x, double a) {
  x = std::abs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

std::int64_t nearest(const settings& s, double x, double scale) {
  const double low = std::floor(x), part = x - low;
  if (s.simple_nearest) return static_cast<std::int64_t>(scale < 1 ? std::ceil(x) : low);
  bool up = part > 0.5;  // round_prefer_floor
  if (s.nearest == "round_prefer_ceil") up = part >= 0.5;
  if (s.nearest == "floor") up = false;
  if (s.nearest == "ceil") up = part > 0;
  return static_cast<std::int64_t>(low) + (up ? 1 : 0);
}

axis_taps taps_of(const settings& s, const axis_plan& a) {
  const bool is_nearest = s.mode == "nearest", is_cubic = s.mode == "cubic";
  const double shrink = s.antialias ? std::min(1.0, a.scale) : 1.0;
  const double reach = is_cubic ? 2 : 1;  // of the filter, at scale 1
  const auto first = static_cast<std::int64_t>(std::floor(-reach / shrink)) + 1;
  axis_taps t;
  t.count = is_nearest ? 1 : 2 - 2 * first;
  for (std::int64_t i = 0; i < a.out; ++i) {
    const double x = position_of(s, a, i);
    t.outside.push_back(s.position == "tf_crop_and_resize" && (x < 0 || x > static_cast<double>(a.in - 1)) ? 1 : 0);
    if (is_nearest) {
      t.at.push_back(std::clamp<std::int64_t>(nearest(s, x, a.scale), 0, a.in - 1));
      t.weight.push_back(1);
      continue;
    }
    const double low = std::floor(x);
    std::vector<double> weights(index(t.count));
    double sum = 0;
    for (std::int64_t k = 0; k < t.count; ++k) {
      const double at = low + static_cast<double>(first + k), distance = (at - x) * shrink;
      double w = is_cubic ? cubic(distance, s.cubic_a) : std::max(0.0, 1 - std::abs(distance));
      if (s.exclude_outside && (at < 0 || at >= static_cast<double>(a.in))) w = 0;
      weights[index(k)] = w;
      sum += w;
      t.at.push_back(static_cast<std::int64_t>(std::clamp(at, 0.0, static_cast<double>(a.in - 1))));
    }
    for (double w : weights)
      t.weight.push_back(static_cast<float>((s.exclude_outside || s.antialias) && sum != 0 ? w / sum : w));
  }
  return t;
}

// y[outer, out, inner] from x[outer, in, inner].
void blend_axis(const parallel_for& parallel, const float* x, std::int64_t outer, std::int64_t in, std::int64_t inner,
                const axis_taps& t, std::int64_t out, float* y) {
  parallel_ranges(parallel, outer * out, std::max<std::int64_t>(1, 8192 / (inner * t.count)),
                  [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t r = first; r < last; ++r) {
                      const std::int64_t i = r % out;
                      const float* from = x + r / out * in * inner;
                      float* to = y + r * inner;
                      std::fill_n(to, inner, 0.0f);
                      for (std::int64_t k = i * t.count; k < (i + 1) * t.count; ++k) {
                        const float w = t.weight[index(k)];
                        const float* source = from + t.at[index(k)] * inner;
                        if (w == 0) continue;
                        for (std::int64_t j = 0; j < inner; ++j) to[j] += w * source[j];
                      }
                    }
                  });
}

template <class T>
void pick_axis(const parallel_for& parallel, const T* x, std::int64_t outer, std::int64_t in, std::int64_t inner,
               const axis_taps& t, std::int64_t out, T* y) {
  parallel_ranges(parallel, outer, std::max<std::int64_t>(1, 8192 / std::max<std::int64_t>(1, inner * out)),
                  [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t o = first; o < last; ++o) {
                      const T* from = x + o * in * inner;
                      T* to = y + o * out * inner;
                      if (inner == 1) {
                        for (std::int64_t i = 0; i < out; ++i) to[i] = from[t.at[index(i)]];
                        continue;
                      }
                      for (std::int64_t i = 0; i < out; ++i)
                        std::copy_n(from + t.at[index(i)] * inner, inner, to + i * inner);
                    }
                  });
}

void pick_axis(const parallel_for& parallel, std::size_t bytes, const void* x, std::int64_t outer, std::int64_t in,
               std::int64_t inner, const axis_taps& t, std::int64_t out, void* y) {
  const auto as = [&](auto zero) {
    using T = decltype(zero);
    pick_axis(parallel, static_cast<const T*>(x), outer, in, inner, t, out, static_cast<T*>(y));
  };
  if (bytes == 1) as(std::uint8_t{});
  if (bytes == 2) as(std::uint16_t{});
  if (bytes == 4) as(std::uint32_t{});
  if (bytes == 8) as(std::uint64_t{});
}

// Puts the extrapolation value wherever any axis lies outside its crop.
void extrapolate(const shape& dims, const std::vector<axis_plan>& axes, const std::vector<axis_taps>& taps, float value,
                 float* y) {
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const std::int64_t inner = dims.elements(axes[a].axis + 1, dims.rank), outer = dims.elements(0, axes[a].axis);
    for (std::int64_t i = 0; i < axes[a].out; ++i) {
      if (taps[a].outside[index(i)] == 0) continue;
      for (std::int64_t o = 0; o < outer; ++o) std::fill_n(y + (o * axes[a].out + i) * inner, inner, value);
    }
  }
}

// ---- arguments ----------------------------------------------------------------------------------------------------

settings read_settings(const ir::node& n, std::int64_t opset) {
  settings s;
  s.mode = n.get_string("mode", "nearest");
  if (n.op_type == "Upsample" || opset < 11) {
    s.position = "asymmetric";
    s.simple_nearest = true;
    return s;
  }
  s.position = n.get_string("coordinate_transformation_mode", "half_pixel");
  s.nearest = n.get_string("nearest_mode", "round_prefer_floor");
  s.policy = n.get_string("keep_aspect_ratio_policy", "stretch");
  s.cubic_a = static_cast<double>(n.get_float("cubic_coeff_a", -0.75f));
  s.exclude_outside = n.get_int("exclude_outside", 0) != 0;
  s.antialias = n.get_int("antialias", 0) != 0;
  s.extrapolation = n.get_float("extrapolation_value", 0.0f);
  return s;
}

bool known(const settings& s) {
  constexpr std::string_view positions[] = {"half_pixel",    "half_pixel_symmetric", "pytorch_half_pixel",
                                            "align_corners", "asymmetric",           "tf_crop_and_resize"};
  return (s.mode == "nearest" || s.mode == "linear" || s.mode == "cubic" || s.mode == "bilinear") &&
         std::find(std::begin(positions), std::end(positions), s.position) != std::end(positions);
}

// Fills scale and out of each axis from sizes.
void apply_sizes(const settings& s, const int_list& sizes, std::vector<axis_plan>& axes) {
  double common = 0;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    axes[i].out = sizes[i];
    axes[i].scale = static_cast<double>(sizes[i]) / static_cast<double>(axes[i].in);
    const bool larger = s.policy == "not_smaller";
    common = i == 0 ? axes[i].scale : larger ? std::max(common, axes[i].scale) : std::min(common, axes[i].scale);
  }
  if (s.policy != "not_larger" && s.policy != "not_smaller") return;
  for (axis_plan& a : axes) {
    a.scale = common;
    a.out = static_cast<std::int64_t>(std::floor(common * static_cast<double>(a.in) + 0.5));
  }
}

result<void> apply_scales(const ir::node& n, const std::vector<double>& scales, std::vector<axis_plan>& axes) {
  for (std::size_t i = 0; i < axes.size(); ++i) {
    if (!(scales[i] > 0) || scales[i] > 1e6)
      return node_error(n, status::model_type, "scale is " + std::to_string(scales[i]));
    axes[i].scale = scales[i];
    axes[i].out = static_cast<std::int64_t>(std::floor(scales[i] * static_cast<double>(axes[i].in)));
  }
  return {};
}

// Number of the inputs: Resize 10 and Upsample 9 have (X, scales), Resize 11 (X, roi, scales, sizes).
struct ports {
  std::size_t scales, sizes, roi;
};
ports ports_of(const ir::node& n, std::int64_t opset) {
  return n.op_type == "Upsample" || opset < 11 ? ports{1, 99, 99} : ports{2, 3, 1};
}

result<std::vector<axis_plan>> axes_of(const ir::node& n, const int_list& extents) {
  int_list axes = n.get_ints("axes");
  const auto rank = static_cast<std::int32_t>(extents.size());
  if (axes.empty()) {
    for (std::int32_t i = 0; i < rank; ++i) axes.push_back(i);
  }
  std::vector<axis_plan> plans;
  for (std::int64_t axis : axes) {
    QUANTAL_TRY(at, normalize_axis(n, axis, rank));
    axis_plan plan;
    plan.axis = at;
    plan.in = extents[index(at)];
    plans.push_back(plan);
  }
  return plans;
}

result<std::vector<axis_plan>> read_axes(const eval_context& c, const settings& s) {
  const shape& x = c.input(0).dims();
  const ports p = ports_of(c.node, c.opset);
  QUANTAL_TRY(axes, axes_of(c.node, int_list(x.begin(), x.end())));
  const bool has_sizes = c.has_input(p.sizes) && c.input(p.sizes).elements() > 0;
  if (has_sizes) {
    QUANTAL_TRY(sizes, ints_of(c, p.sizes));
    if (sizes.size() != axes.size())
      return c.fail(status::data_shape, "sizes has " + std::to_string(sizes.size()) + " entries");
    for (std::int64_t v : sizes) {
      if (v < 0 || v > (std::int64_t{1} << 31)) return c.fail(status::data_shape, "size is " + std::to_string(v));
    }
    apply_sizes(s, sizes, axes);
  } else {
    std::vector<double> scales;
    if (c.node.op_type == "Upsample" && c.opset < 9) {
      for (float f : c.node.get_floats("scales")) scales.push_back(static_cast<double>(f));
    } else if (c.has_input(p.scales)) {
      scales.resize(index(c.input(p.scales).elements()));
      if (!convert_elements(c.input(p.scales).type(), c.input(p.scales).data(), dtype::f64, scales.data(),
                            scales.size())) {
        return unsupported_type(c, c.input(p.scales).type());
      }
    }
    if (scales.size() != axes.size())
      return c.fail(status::data_shape, "scales has " + std::to_string(scales.size()) + " entries");
    QUANTAL_CHECK(apply_scales(c.node, scales, axes));
  }
  if (s.position == "tf_crop_and_resize") {
    if (!c.has_input(p.roi) || c.input(p.roi).elements() != static_cast<std::int64_t>(2 * axes.size()))
      return c.fail(status::data_shape, "roi is missing or has the wrong size");
    std::vector<double> roi(2 * axes.size());
    if (!convert_elements(c.input(p.roi).type(), c.input(p.roi).data(), dtype::f64, roi.data(), roi.size()))
      return unsupported_type(c, c.input(p.roi).type());
    for (std::size_t i = 0; i < axes.size(); ++i) axes[i].roi_begin = roi[i], axes[i].roi_end = roi[i + axes.size()];
  }
  return axes;
}

// ---- Resize -------------------------------------------------------------------------------------------------------

result<void> resize(eval_context& c, const settings& s, const tensor_buffer& x, const std::vector<axis_plan>& axes,
                    tensor_buffer& y) {
  const bool copies = s.mode == "nearest";
  const bool crops = s.position == "tf_crop_and_resize";
  std::vector<axis_taps> taps;
  std::vector<std::size_t> order;
  for (std::size_t a = 0; a < axes.size(); ++a) {
    const bool same = axes[a].out == axes[a].in && axes[a].scale == 1 && !crops;
    taps.push_back(same ? axis_taps{} : taps_of(s, axes[a]));
    if (!same) order.push_back(a);
  }
  // Shrinking axes first: the values in between are fewer.
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return axes[a].scale < axes[b].scale; });
  shape dims = x.dims();
  tensor_buffer current = x;
  const std::size_t bytes = bits_of(x.type()) / 8;
  if (order.empty()) std::memcpy(y.mutable_data(), x.data(), x.bytes());
  for (std::size_t step = 0; step < order.size(); ++step) {
    const axis_plan& a = axes[order[step]];
    const std::int64_t outer = dims.elements(0, a.axis), inner = dims.elements(a.axis + 1, dims.rank);
    dims[a.axis] = a.out;
    tensor_buffer next = y;
    if (step + 1 < order.size()) {
      std::uint64_t between = 0;
      if (!bytes_of(x.type(), static_cast<std::uint64_t>(dims.elements()), between))
        return c.fail(status::overflow, "size overflows");
      QUANTAL_TRY(raw, c.scratch(static_cast<std::size_t>(between)));
      next = tensor_buffer::wrap(x.type(), dims, raw, nullptr);
    }
    if (copies) {
      pick_axis(c.parallel(), bytes, current.data(), outer, a.in, inner, taps[order[step]], a.out, next.mutable_data());
    } else {
      blend_axis(c.parallel(), current.as<float>(), outer, a.in, inner, taps[order[step]], a.out,
                 next.mutable_as<float>());
    }
    current = std::move(next);
  }
  if (crops && x.type() == dtype::f32) extrapolate(dims, axes, taps, s.extrapolation, y.mutable_as<float>());
  return {};
}

result<void> eval_resize(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  settings s = read_settings(c.node, c.opset);
  if (!known(s)) return c.fail(status::model_type, "mode '" + s.mode + "' with coordinates '" + s.position + "'");
  if (s.mode == "bilinear") s.mode = "linear";
  QUANTAL_TRY(axes, read_axes(c, s));
  shape dims = x.dims();
  for (const axis_plan& a : axes) dims[a.axis] = a.out;
  if (dims.elements() > 0 && x.elements() == 0) return c.fail(status::data_shape, "resize of an empty tensor");
  QUANTAL_TRY(y, c.output(0, x.type(), dims));
  if (y->elements() == 0) return {};
  const bool real = x.type() == dtype::f32;
  if (real || (s.mode == "nearest" && bits_of(x.type()) >= 8 && s.position != "tf_crop_and_resize"))
    return resize(c, s, x, axes, *y);
  // Other types blend in float32; integers are truncated, as ONNX Runtime does.
  QUANTAL_TRY(wide, convert_tensor(x, dtype::f32));
  QUANTAL_TRY(result_f32, tensor_buffer::make(dtype::f32, dims));
  QUANTAL_CHECK(resize(c, s, wide, axes, result_f32));
  const auto count = index(y->elements());
  return convert_elements(dtype::f32, result_f32.data(), x.type(), y->mutable_data(), count)
             ? result<void>{}
             : unsupported_type(c, x.type());
}

result<void> infer_resize(infer_context& c) {
  const dtype type = elem_of(c, 0);
  const dim_list* x = dims_of(c, 0);
  if (x == nullptr) return set_typed(c, 0, type), result<void>{};
  const settings s = read_settings(c.node, c.opset);
  const ports p = ports_of(c.node, c.opset);
  int_list extents;
  for (const ir::dim& d : *x) extents.push_back(d.known() ? d.value : 1);
  QUANTAL_TRY(axes, axes_of(c.node, extents));
  dim_list y = *x;
  for (const axis_plan& a : axes) y[index(a.axis)] = ir::dim();
  const auto all_known = [&] {
    return std::all_of(axes.begin(), axes.end(), [&](const axis_plan& a) { return (*x)[index(a.axis)].known(); });
  };
  const std::vector<ir::dim>* sizes = p.sizes == 99 ? nullptr : c.shape_value(p.sizes);
  std::vector<double> scales;
  if (c.node.op_type == "Upsample" && c.opset < 9) {
    for (float f : c.node.get_floats("scales")) scales.push_back(static_cast<double>(f));
  } else if (const tensor_buffer* t = c.constant(p.scales); t != nullptr && t->elements() > 0) {
    scales.resize(index(t->elements()));
    if (!convert_elements(t->type(), t->data(), dtype::f64, scales.data(), scales.size())) scales.clear();
  }
  if (sizes != nullptr && sizes->size() == axes.size()) {
    const bool exact = std::all_of(sizes->begin(), sizes->end(), [](const ir::dim& d) { return d.known(); });
    if (s.policy == "stretch") {
      for (std::size_t i = 0; i < axes.size(); ++i) y[index(axes[i].axis)] = (*sizes)[i];
    } else if (exact && all_known()) {
      int_list values;
      for (const ir::dim& d : *sizes) values.push_back(d.value);
      apply_sizes(s, values, axes);
      for (const axis_plan& a : axes) y[index(a.axis)] = a.out;
    }
  } else if (scales.size() == axes.size()) {
    QUANTAL_CHECK(apply_scales(c.node, scales, axes));
    for (const axis_plan& a : axes) {
      const ir::dim& d = (*x)[index(a.axis)];
      if (a.scale == 1) {
        y[index(a.axis)] = d;
      } else if (d.known()) {
        y[index(a.axis)] = a.out;
      }
    }
  }
  set_typed(c, 0, type, std::move(y));
  return {};
}

constexpr quant_rule moves{quant_kind::passthrough};
const op_def table[] = {
    {"Resize", 10, infer_resize, eval_resize, moves},
    {"Upsample", 7, infer_resize, eval_resize, moves},
};

}  // namespace

op_list resize_ops() {
  return table;
}

}  // namespace quantal::ops
