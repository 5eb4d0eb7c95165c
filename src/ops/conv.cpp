// Conv and ConvTranspose: X[N, C, spatial...] and W to Y, one to three spatial dimensions, any stride, dilation, groups
// and padding, float32 (narrow types through float32).
//
//   Y[n, m, o] = B[m] + sum over c, tap of W[m, c, tap] * X[n, c, o * stride - pad + tap * dilation]
//
// Two ways: a depthwise convolution sums shifted rows; all others write the windows of a tile of positions as panels
// (im2col; a 1x1 convolution's windows are X itself) and multiply them by the packed weight. ConvTranspose multiplies
// first and scatters the products (col2im). Source: ONNX spec, Conv, ConvTranspose.
#include <algorithm>
#include <atomic>

#include "im2col.hpp"
#include "panels.hpp"
#include "product_rules.hpp"
#include "products.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "window.hpp"

namespace quantal::ops {

namespace {

using kernels::floats;
using kernels::gemm_f32;

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

error no_memory(const eval_context& c) {
  return c.fail(status::out_of_memory, "no memory for packed operands");
}

struct problem {
  window w;
  std::int64_t batch = 0, channels = 0, maps = 0, groups = 1;
  std::int64_t group_channels() const noexcept { return channels / groups; }
  std::int64_t group_maps() const noexcept { return maps / groups; }
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;
  float* y = nullptr;
};

// ---- depthwise ----------------------------------------------------------------------------------------------------

// One channel per group and so few maps that a product would leave its panels empty.
bool is_depthwise(const problem& p) noexcept {
  return p.group_channels() == 1 && p.group_maps() <= 3 && p.w.in[0] == 1 && p.w.kernel[0] == 1 &&
         !(p.w.pad[0] + p.w.pad_end[0]) && p.w.taps() <= 1024;
}

result<void> depthwise(eval_context& c, const problem& p) {
  const window& w = p.w;
  const plane layout(w);
  const std::int64_t planes = p.batch * p.maps;
  const std::int64_t chunks = std::min<std::int64_t>(planes, static_cast<std::int64_t>(c.parallel().width) * 4);
  const std::size_t per_chunk = (layout.floats() + 15) / 16 * 16;
  QUANTAL_TRY(raw, c.scratch(per_chunk * index(chunks) * sizeof(float)));
  auto* memory = static_cast<float*>(raw);
  c.parallel()(index(chunks), [&](std::size_t chunk) {
    float* local = memory + chunk * per_chunk;
    const float* rows[1024];
    layout.prepare(0.0f, local);
    const auto i = static_cast<std::int64_t>(chunk);
    for (std::int64_t at = planes * i / chunks; at < planes * (i + 1) / chunks; ++at) {
      const std::int64_t n = at / p.maps, m = at % p.maps;
      layout.load(p.x + (n * p.channels + m / p.group_maps()) * w.in_size(), local);
      const float* weights = p.weight + m * w.taps();
      const float bias = p.bias == nullptr ? 0.0f : p.bias[m];
      layout.sweep(local, rows, p.y + at * w.out_size(),
                   [&](const float** taps, std::size_t count, float* out, std::size_t columns) {
                     floats().weighted_rows(taps, weights, count, bias, out, columns);
                   });
    }
  });
  return {};
}

// ---- products -----------------------------------------------------------------------------------------------------

bool is_pointwise(const window& w) noexcept {
  return w.taps() == 1 && w.stride == window::triple{1, 1, 1} && !w.padded();
}

// The columns of one group's product run over all images: column j is position j % positions of image j / positions,
// so that small images share panels. Calls body(image, position, column, count) for each image's part of the range.
template <class Body>
void each_image(std::int64_t positions, std::int64_t first, std::int64_t count, Body&& body) {
  for (std::int64_t j = first; j < first + count;) {
    const std::int64_t at = j % positions, part = std::min(positions - at, first + count - j);
    body(j / positions, at, j - first, part);
    j += part;
  }
}

// Windows of columns [first, first + count) of group g as panels; `row` is memory for `count` floats.
void load_panels(const problem& p, bool direct, std::int64_t g, std::int64_t first, std::int64_t count, float* row,
                 float* panels) {
  const std::int64_t depth = p.group_channels() * p.w.taps(), positions = p.w.out_size();
  const std::int64_t width = floats().panel_columns;
  for (std::int64_t k = 0; k < depth; ++k) {
    const float* source = row;
    each_image(positions, first, count, [&](std::int64_t n, std::int64_t at, std::int64_t column, std::int64_t part) {
      const float* x = p.x + (n * p.channels + g * p.group_channels()) * p.w.in_size();
      if (!direct) {
        gather_row(p.w, x, k, at, part, row + column);
      } else if (part == count) {
        source = x + k * positions + at;
      } else {
        std::copy_n(x + k * positions + at, part, row + column);
      }
    });
    floats().spread_row(source, count, depth * width, panels + k * width);
  }
}

// Maps [map, map + maps) of group g for these columns: bias, product, and, where the columns cross images, a copy.
void multiply_tile(const problem& p, const float* weights, std::int64_t rows, std::int64_t g, std::int64_t map,
                   std::int64_t maps, std::int64_t first, std::int64_t count, const float* panels, float* sums) {
  const std::int64_t depth = p.group_channels() * p.w.taps(), positions = p.w.out_size();
  const std::int64_t begin = g * p.group_maps() + map;
  const bool one_image = first / positions == (first + count - 1) / positions;
  float* c = one_image ? p.y + (first / positions * p.maps + begin) * positions + first % positions : sums;
  const std::int64_t stride = one_image ? positions : count;
  fill_rows(c, stride, maps, count, p.bias == nullptr ? nullptr : p.bias + begin);
  floats().multiply_panels({maps, count, depth, rows, weights + map * depth, panels, c, stride});
  if (one_image) return;
  each_image(positions, first, count, [&](std::int64_t n, std::int64_t at, std::int64_t column, std::int64_t part) {
    for (std::int64_t m = 0; m < maps; ++m)
      std::copy_n(sums + m * count + column, part, p.y + (n * p.maps + begin + m) * positions + at);
  });
}

// Each group's weight in panels, one group after the other.
result<std::shared_ptr<const void>> packed_weights(eval_context& c, const problem& p) {
  const std::int64_t depth = p.group_channels() * p.w.taps(), per_group = left_floats(p.group_maps(), depth);
  const auto make = [&]() -> std::shared_ptr<const void> {
    auto memory = tensor_buffer::make(dtype::f32, shape(p.groups * per_group));
    if (!memory) return nullptr;
    for (std::int64_t g = 0; g < p.groups; ++g) {
      pack_left(p.weight + g * p.group_maps() * depth, p.group_maps(), depth, depth,
                memory->mutable_as<float>() + g * per_group);
    }
    return std::shared_ptr<const void>(memory->owner(), memory->data());
  };
  std::shared_ptr<const void> packed = c.is_constant(1) ? c.cached(make) : make();
  if (packed == nullptr) return no_memory(c);
  return packed;
}

result<void> by_products(eval_context& c, const problem& p) {
  const std::int64_t depth = p.group_channels() * p.w.taps(), columns = p.batch * p.w.out_size();
  const std::int64_t width = floats().panel_columns, rows = panel_rows(p.group_maps());
  const bool direct = is_pointwise(p.w);
  QUANTAL_TRY(packed, packed_weights(c, p));
  const auto* weights = static_cast<const float*>(packed.get());
  // A tile's windows take a part of the second level cache; the fewer tiles, the more the maps are cut.
  const auto threads = static_cast<std::int64_t>(c.parallel().width);
  std::int64_t tile =
      std::clamp<std::int64_t>((std::int64_t{1} << 16) / std::max<std::int64_t>(depth, 1), 2 * width, 1024);
  if (threads > 1) tile = std::min(tile, std::max(4 * width, columns * p.groups / (threads * 4)));
  tile = std::min((tile + width - 1) / width * width, (columns + width - 1) / width * width);
  // Tiles of an image; only small images share them.
  const std::int64_t positions = p.w.out_size(), span = positions < 8 * width ? columns : positions;
  tile = std::min(tile, (span + width - 1) / width * width);
  const std::int64_t per_span = (span + tile - 1) / tile, tiles = per_span * (columns / span);
  std::int64_t cuts = 1;
  const std::int64_t panels = (p.group_maps() + rows - 1) / rows;
  while (threads > 1 && p.groups * tiles * cuts < threads * 2 && panels >= cuts * 8) cuts *= 2;
  const std::int64_t cut = (panels + cuts - 1) / cuts * rows;
  const std::int64_t tasks = p.groups * tiles * cuts, chunks = std::min(tasks, threads * 4);
  const std::int64_t per_chunk = right_floats(tile, depth) + tile + (cut * tile + 15) / 16 * 16;
  QUANTAL_TRY(raw, c.scratch(index(per_chunk * chunks) * sizeof(float)));
  auto* memory = static_cast<float*>(raw);
  c.parallel()(index(chunks), [&](std::size_t chunk) {
    const auto i = static_cast<std::int64_t>(chunk);
    float* local = memory + i * per_chunk;
    float* row = local + right_floats(tile, depth);
    std::int64_t loaded = -1;
    for (std::int64_t task = tasks * i / chunks; task < tasks * (i + 1) / chunks; ++task) {
      const std::int64_t g = task / (tiles * cuts), t = task / cuts % tiles, map = task % cuts * cut;
      const std::int64_t first = t / per_span * span + t % per_span * tile;
      const std::int64_t count = std::min(tile, span - t % per_span * tile);
      const std::int64_t maps = std::min(cut, p.group_maps() - map);
      if (loaded != task / cuts) load_panels(p, direct, g, first, count, row, local);
      loaded = task / cuts;
      if (maps > 0)
        multiply_tile(p, weights + g * left_floats(p.group_maps(), depth), rows, g, map, maps, first, count, local,
                      row + tile);
    }
  });
  return {};
}

result<void> convolve(eval_context& c, const problem& p) {
  if (p.batch * p.maps * p.w.out_size() == 0) return {};
  if (is_depthwise(p)) return depthwise(c, p);
  const std::int64_t depth = p.group_channels() * p.w.taps(), positions = p.w.out_size();
  if (positions == 1 && p.groups == 1 && p.w.in_size() == 1 && is_pointwise(p.w)) {  // Y[N, M] = X[N, C] * W^T
    for (std::int64_t n = 0; n < p.batch; ++n) {
      for (std::int64_t m = 0; m < p.maps; ++m) p.y[n * p.maps + m] = p.bias == nullptr ? 0.0f : p.bias[m];
    }
    const gemm_f32 g{p.batch, p.maps, depth, p.x, depth, false, p.weight, depth, true, p.y, p.maps};
    return parallel_gemm(c.parallel(), g) ? result<void>{} : no_memory(c);
  }
  return by_products(c, p);
}

// ---- Conv ---------------------------------------------------------------------------------------------------------

result<void> eval_conv(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const tensor_buffer& weight = c.input(1);
  if (x.type() != dtype::f32 || weight.type() != dtype::f32) return unsupported_type(c, x.type());
  const shape& xd = x.dims();
  const shape& wd = weight.dims();
  if (xd.rank < 3 || wd.rank != xd.rank)
    return c.fail(status::data_shape, "Conv needs X and W of the same rank, at least 3");
  problem p;
  p.groups = c.node.get_int("group", 1);
  p.batch = xd[0], p.channels = xd[1], p.maps = wd[0];
  if (p.groups < 1 || p.channels % p.groups != 0 || p.maps % p.groups != 0 || wd[1] != p.channels / p.groups) {
    return c.fail(status::data_shape, std::to_string(p.channels) + " channels do not fit group " +
                                          std::to_string(p.groups) + " and a weight for " + std::to_string(wd[1]));
  }
  QUANTAL_TRY(attributes, read_window(c.node, xd.rank - 2, int_list(wd.begin() + 2, wd.end())));
  QUANTAL_TRY(placed, place_window(c, attributes, xd));
  p.w = placed;
  if (c.has_input(2)) {
    if (c.input(2).type() != dtype::f32 || c.input(2).elements() != p.maps)
      return c.fail(status::data_shape, "bias does not fit the weight");
    p.bias = c.input(2).as<float>();
  }
  shape yd = xd;
  yd[1] = p.maps;
  for (std::int32_t i = 2; i < xd.rank; ++i) yd[i] = p.w.out[index(max_spatial - xd.rank + i)];
  QUANTAL_TRY(y, c.output(0, dtype::f32, yd));
  p.x = x.as<float>(), p.weight = weight.as<float>(), p.y = y->mutable_as<float>();
  return convolve(c, p);
}

result<void> infer_float_conv(infer_context& c) {
  return infer_conv(c, 0, 1, elem_of(c, 0));
}

std::int32_t first_axis(const ir::node&, std::int32_t) {
  return 0;
}

// ---- ConvTranspose ------------------------------------------------------------------------------------------------

// Explicit output paddings and extents: out = (in - 1) * stride + output_padding + reach - pads. With output_shape or
// SAME the pads follow from the extents. The window's in and out change roles: `out` is X's extent.
struct transposed {
  int_list extents, pads_begin;
};

result<transposed> place_transposed(const ir::node& n, const window_attributes& a, const int_list& in) {
  using padding = window_attributes::padding;
  const std::size_t spatial = in.size();
  int_list extra = n.get_ints("output_padding"), wanted = n.get_ints("output_shape");
  if (extra.empty()) extra.assign(spatial, 0);
  if (wanted.size() > spatial) wanted.erase(wanted.begin(), wanted.end() - static_cast<std::ptrdiff_t>(spatial));
  if (extra.size() != spatial || (!wanted.empty() && wanted.size() != spatial)) {
    return node_error(n, status::model_type, "output_padding or output_shape has the wrong length");
  }
  transposed t;
  for (std::size_t i = 0; i < spatial; ++i) {
    const std::int64_t reach = (a.kernel[i] - 1) * a.dilations[i] + 1;
    const std::int64_t full = (in[i] - 1) * a.strides[i] + extra[i] + reach;
    std::int64_t begin = a.pads_begin[i], out = full - begin - a.pads_end[i];
    const bool same = a.auto_pad == padding::same_upper || a.auto_pad == padding::same_lower;
    if (!wanted.empty() || same) {
      out = wanted.empty() ? in[i] * a.strides[i] : wanted[i];
      const std::int64_t total = std::max<std::int64_t>(0, full - out);
      begin = a.auto_pad == padding::same_upper ? total / 2 : total - total / 2;
    }
    if (extra[i] < 0 || out < 0 || out > (std::int64_t{1} << 40))
      return node_error(n, status::model_type, "output extent is " + std::to_string(out));
    t.extents.push_back(out);
    t.pads_begin.push_back(begin);
  }
  return t;
}

// Adds columns[tap, positions of X] into one map of Y.
void scatter_windows(const window& w, const float* columns, float* y) noexcept {
  for (std::int64_t tap = 0; tap < w.taps(); ++tap) {
    const std::int64_t kz = tap / (w.kernel[1] * w.kernel[2]), ky = tap / w.kernel[2] % w.kernel[1],
                       kx = tap % w.kernel[2];
    const std::int64_t offset = kx * w.dilation[2] - w.pad[2];
    std::int64_t begin = 0, end = 0;
    inside(w.in[2], w.out[2], w.stride[2], offset, begin, end);
    const float* from = columns + tap * w.out_size();
    for (std::int64_t row = 0; row < w.out[0] * w.out[1]; ++row, from += w.out[2]) {
      const std::int64_t z = row / w.out[1] * w.stride[0] - w.pad[0] + kz * w.dilation[0];
      const std::int64_t r = row % w.out[1] * w.stride[1] - w.pad[1] + ky * w.dilation[1];
      if (z < 0 || z >= w.in[0] || r < 0 || r >= w.in[1]) continue;
      float* to = y + (z * w.in[1] + r) * w.in[2] + offset;
      for (std::int64_t i = begin; i < end; ++i) to[i * w.stride[2]] += from[i];
    }
  }
}

result<void> eval_conv_transpose(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const tensor_buffer& weight = c.input(1);
  if (x.type() != dtype::f32 || weight.type() != dtype::f32) return unsupported_type(c, x.type());
  const shape& xd = x.dims();
  const shape& wd = weight.dims();
  if (xd.rank < 3 || wd.rank != xd.rank)
    return c.fail(status::data_shape, "ConvTranspose needs X and W of the same rank, at least 3");
  if (xd.rank > 2 + max_spatial) return c.fail(status::unsupported, "more than 3 spatial dimensions");
  const std::int64_t groups = c.node.get_int("group", 1), batch = xd[0], channels = xd[1], group_maps = wd[1];
  if (groups < 1 || channels % groups != 0 || wd[0] != channels)
    return c.fail(status::data_shape, "channels, group and weight do not fit");
  const std::int64_t maps = group_maps * groups, depth = channels / groups;
  QUANTAL_TRY(attributes, read_window(c.node, xd.rank - 2, int_list(wd.begin() + 2, wd.end())));
  QUANTAL_TRY(placed, place_transposed(c.node, attributes, int_list(xd.begin() + 2, xd.end())));
  window w;  // the convolution of which this is the transpose: from Y (in) to X (out)
  shape yd = xd;
  yd[1] = maps;
  for (std::int32_t i = 2; i < xd.rank; ++i) {
    const std::size_t at = index(max_spatial - xd.rank + i), from = index(i - 2);
    w.in[at] = placed.extents[from], w.out[at] = xd[i], w.kernel[at] = wd[i];
    w.stride[at] = attributes.strides[from], w.dilation[at] = attributes.dilations[from],
    w.pad[at] = placed.pads_begin[from];
    yd[i] = placed.extents[from];
  }
  const float* bias = nullptr;
  if (c.has_input(2)) {
    if (c.input(2).type() != dtype::f32 || c.input(2).elements() != maps)
      return c.fail(status::data_shape, "bias does not fit the weight");
    bias = c.input(2).as<float>();
  }
  QUANTAL_TRY(made, c.output(0, dtype::f32, yd));
  float* y = made->mutable_as<float>();
  if (made->elements() == 0) return {};
  const std::int64_t positions = w.out_size(), rows = group_maps * w.taps();
  QUANTAL_TRY(raw, c.scratch(index(rows * positions) * sizeof(float)));
  auto* columns = static_cast<float*>(raw);
  for (std::int64_t image = 0; image < batch * groups; ++image) {
    const std::int64_t n = image / groups, g = image % groups;
    std::fill_n(columns, rows * positions, 0.0f);
    if (!parallel_gemm(c.parallel(), {rows, positions, depth, weight.as<float>() + g * depth * rows, rows, true,
                                      x.as<float>() + (n * channels + g * depth) * positions, positions, false, columns,
                                      positions})) {
      return no_memory(c);
    }
    float* target = y + (n * maps + g * group_maps) * w.in_size();
    c.parallel()(index(group_maps), [&](std::size_t m) {
      float* map = target + static_cast<std::int64_t>(m) * w.in_size();
      std::fill_n(map, w.in_size(), bias == nullptr ? 0.0f : bias[g * group_maps + static_cast<std::int64_t>(m)]);
      scatter_windows(w, columns + static_cast<std::int64_t>(m) * w.taps() * positions, map);
    });
  }
  return {};
}

result<void> infer_conv_transpose(infer_context& c) {
  const dtype type = elem_of(c, 0);
  const dim_list* x = dims_of(c, 0);
  const dim_list* w = dims_of(c, 1);
  if (x == nullptr) return set_typed(c, 0, type), result<void>{};
  if (x->size() < 3 || (w != nullptr && w->size() != x->size()))
    return rule_error(c, "X and W must have the same rank, at least 3");
  dim_list y = unknown_dims(rank_of(*x));
  y[0] = (*x)[0];
  const std::int64_t groups = c.node.get_int("group", 1);
  if (groups < 1) return rule_error(c, "group is " + std::to_string(groups));
  if (w != nullptr && (*w)[1].known() && (*w)[1].value < (std::int64_t{1} << 31) && groups < (std::int64_t{1} << 31))
    y[1] = (*w)[1].value * groups;
  int_list kernel = c.node.get_ints("kernel_shape");
  if (kernel.empty() && w != nullptr) {
    for (std::size_t i = 2; i < w->size() && (*w)[i].known(); ++i) kernel.push_back((*w)[i].value);
  }
  if (kernel.size() == x->size() - 2) {
    QUANTAL_TRY(attributes, read_window(c.node, rank_of(*x) - 2, kernel));
    int_list in;
    for (std::size_t i = 2; i < x->size(); ++i) in.push_back((*x)[i].known() ? (*x)[i].value : 1);
    QUANTAL_TRY(placed, place_transposed(c.node, attributes, in));
    for (std::size_t i = 2; i < x->size(); ++i) {
      if ((*x)[i].known()) y[i] = placed.extents[i - 2];
    }
  }
  set_typed(c, 0, type, std::move(y));
  return {};
}

// Output channels lie in groups along axis 1: with groups, scales per channel have no axis to lie on.
std::int32_t transposed_axis(const ir::node& n, std::int32_t) {
  return n.get_int("group", 1) == 1 ? 1 : -1;
}

constexpr quant_rule conv_rule{quant_kind::weighted, 0, 1, 2, first_axis};
constexpr quant_rule transpose_rule{quant_kind::weighted, 0, 1, 2, transposed_axis};
const op_def table[] = {
    {"Conv", 1, infer_float_conv, in_wide<eval_conv>, conv_rule},
    {"ConvTranspose", 1, infer_conv_transpose, in_wide<eval_conv_transpose>, transpose_rule},
};

}  // namespace

op_list conv_ops() {
  return table;
}

}  // namespace quantal::ops
