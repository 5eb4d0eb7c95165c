// Sampling by coordinates: GridSample, AffineGrid.
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

constexpr op_def table[] = {
    {"GridSample", 16, infer_grid_sample, in_wide<eval_grid_sample>},
    {"AffineGrid", 20, infer_affine_grid, eval_affine_grid},
};

}  // namespace

op_list vision_ops() {
  return table;
}

}  // namespace quantal::ops
