// MaxPool, AveragePool, LpPool and the global pools: one to three spatial dimensions, dilations, ceil_mode, padding.
//
// A tap outside X takes no part (count_include_pad: it counts as a zero, unless it lies beyond the stated padding).
// Two-dimensional float MaxPool and AveragePool run on padded planes, row by row (window.hpp); everything else walks
// the windows. Source: ONNX spec, MaxPool, AveragePool, LpPool.
#include <algorithm>
#include <cmath>
#include <limits>

#include "quantal/kernels/float_table.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "window.hpp"

namespace quantal::ops {

namespace {

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

// The taps of one window that lie inside: [begin, end) per axis.
struct taps {
  window::triple begin, end, start;
};

taps taps_at(const window& w, std::int64_t z, std::int64_t y, std::int64_t x) noexcept {
  const window::triple at{z, y, x};
  taps t{};
  for (std::size_t i = 0; i < 3; ++i) {
    t.start[i] = at[i] * w.stride[i] - w.pad[i];
    t.begin[i] = t.start[i] >= 0 ? 0 : (-t.start[i] + w.dilation[i] - 1) / w.dilation[i];
    const std::int64_t room = w.in[i] - t.start[i];
    t.end[i] = room <= 0 ? 0 : std::min(w.kernel[i], (room + w.dilation[i] - 1) / w.dilation[i]);
    t.end[i] = std::max(t.end[i], t.begin[i]);
  }
  return t;
}

// Calls body(offset into the plane) for each inside tap.
template <class Body>
void each_tap(const window& w, const taps& t, Body&& body) {
  for (std::int64_t kz = t.begin[0]; kz < t.end[0]; ++kz) {
    for (std::int64_t ky = t.begin[1]; ky < t.end[1]; ++ky) {
      const std::int64_t row =
          ((t.start[0] + kz * w.dilation[0]) * w.in[1] + t.start[1] + ky * w.dilation[1]) * w.in[2] + t.start[2];
      for (std::int64_t kx = t.begin[2]; kx < t.end[2]; ++kx) body(row + kx * w.dilation[2]);
    }
  }
}

// Taps that the average divides by: inside ones, or with padding those within the stated padding.
std::int64_t divisor(const window& w, const taps& t, bool include_pad) noexcept {
  std::int64_t n = 1;
  for (std::size_t i = 0; i < 3; ++i) {
    const std::int64_t room = w.in[i] + w.pad_end[i] - t.start[i];
    const std::int64_t padded = std::min(w.kernel[i], (room + w.dilation[i] - 1) / w.dilation[i]);
    n *= include_pad ? padded : t.end[i] - t.begin[i];
  }
  return n;
}

// Calls body(plane, output position, taps) for every output of every plane.
template <class Body>
void each_window(const parallel_for& parallel, const window& w, std::int64_t planes, Body&& body) {
  const std::int64_t grain = std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, w.out_size() * w.taps()));
  parallel_ranges(parallel, planes, grain, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t p = first; p < last; ++p) {
      std::int64_t o = 0;
      for (std::int64_t z = 0; z < w.out[0]; ++z) {
        for (std::int64_t y = 0; y < w.out[1]; ++y) {
          for (std::int64_t x = 0; x < w.out[2]; ++x, ++o) body(p, o, taps_at(w, z, y, x));
        }
      }
    }
  });
}

struct pooling {
  window w;
  shape dims;
  std::int64_t planes = 0;
};

result<pooling> read_pooling(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const shape& x = c.input(0).dims();
  if (x.rank < 3)
    return c.fail(status::data_shape, "input has rank " + std::to_string(x.rank) + ", at least 3 is needed");
  QUANTAL_TRY(attributes, read_window(c.node, x.rank - 2, {}));
  QUANTAL_TRY(placed, place_window(c, attributes, x));
  pooling p{placed, x, x[0] * x[1]};
  for (std::int32_t i = 2; i < x.rank; ++i) p.dims[i] = placed.out[index(max_spatial - x.rank + i)];
  return p;
}

// Runs the rows of two-dimensional planes: pool(rows, count, out, columns).
template <class Pool>
result<void> pool_rows(eval_context& c, const pooling& p, const float* x, float* y, float fill, Pool&& pool) {
  const window& w = p.w;
  const plane layout(w);
  const std::int64_t chunks = std::min<std::int64_t>(p.planes, static_cast<std::int64_t>(c.parallel().width) * 4);
  const std::size_t per_chunk = (layout.floats() + 15) / 16 * 16;
  QUANTAL_TRY(raw, c.scratch(per_chunk * index(chunks) * sizeof(float)));
  auto* memory = static_cast<float*>(raw);
  c.parallel()(index(chunks), [&](std::size_t chunk) {
    float* local = memory + chunk * per_chunk;
    const float* rows[256];
    layout.prepare(fill, local);
    const auto i = static_cast<std::int64_t>(chunk);
    for (std::int64_t at = p.planes * i / chunks; at < p.planes * (i + 1) / chunks; ++at) {
      layout.load(x + at * w.in_size(), local);
      layout.sweep(local, rows, y + at * w.out_size(), pool);
    }
  });
  return {};
}

bool is_flat(const window& w) noexcept {
  return w.in[0] == 1 && w.kernel[0] == 1 && w.out[0] == 1 && w.taps() <= 256 && w.out_size() > 0;
}

// ---- MaxPool ------------------------------------------------------------------------------------------------------

std::int64_t index_of(const window& w, std::int64_t offset, bool column_major) noexcept {
  if (!column_major) return offset;
  const std::int64_t x = offset % w.in[2], y = offset / w.in[2] % w.in[1], z = offset / (w.in[1] * w.in[2]);
  return z + w.in[0] * (y + w.in[1] * x);
}

template <class T>
void max_pool(eval_context& c, const pooling& p, const T* x, T* y, std::int64_t* indices, bool column_major) {
  each_window(c.parallel(), p.w, p.planes, [&](std::int64_t plane, std::int64_t o, const taps& t) {
    const T* from = x + plane * p.w.in_size();
    T best = std::numeric_limits<T>::lowest();
    if constexpr (std::is_floating_point_v<T>) best = -std::numeric_limits<T>::infinity();
    std::int64_t where = -1;
    each_tap(p.w, t, [&](std::int64_t at) {
      if (where < 0 || from[at] > best || from[at] != from[at]) best = from[at], where = at;
    });
    y[plane * p.w.out_size() + o] = best;
    if (indices != nullptr) {
      indices[plane * p.w.out_size() + o] =
          plane * p.w.in_size() + (where < 0 ? 0 : index_of(p.w, where, column_major));
    }
  });
}

result<void> eval_max_pool(eval_context& c) {
  QUANTAL_TRY(p, read_pooling(c));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(y, c.output(0, x.type(), p.dims));
  std::int64_t* indices = nullptr;
  if (c.node.has_output(1)) {
    QUANTAL_TRY(made, c.output(1, dtype::s64, p.dims));
    indices = made->mutable_as<std::int64_t>();
  }
  const bool column_major = c.node.get_int("storage_order", 0) != 0;
  if (x.type() == dtype::f32 && indices == nullptr && is_flat(p.w)) {
    return pool_rows(c, p, x.as<float>(), y->mutable_as<float>(), -std::numeric_limits<float>::infinity(),
                     kernels::floats().max_rows);
  }
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    max_pool(c, p, x.as<T>(), y->mutable_as<T>(), indices, column_major);
  };
  switch (x.type()) {
    case dtype::f32: run(float{}); break;
    case dtype::f64: run(double{}); break;
    case dtype::s8: run(std::int8_t{}); break;
    case dtype::u8: run(std::uint8_t{}); break;
    default: return unsupported_type(c, x.type());
  }
  return {};
}

// ---- averages -----------------------------------------------------------------------------------------------------

result<void> eval_average_pool(eval_context& c) {
  QUANTAL_TRY(p, read_pooling(c));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  QUANTAL_TRY(y, c.output(0, dtype::f32, p.dims));
  const bool include_pad = c.node.get_int("count_include_pad", 0) != 0;
  float* out = y->mutable_as<float>();
  if (is_flat(p.w)) {
    float ones[256];
    std::fill_n(ones, 256, 1.0f);
    QUANTAL_CHECK(pool_rows(c, p, x.as<float>(), out, 0.0f,
                            [&](const float* const* rows, std::size_t count, float* to, std::size_t n) {
                              kernels::floats().weighted_rows(rows, ones, count, 0.0f, to, n);
                            }));
    each_window(c.parallel(), p.w, p.planes, [&](std::int64_t plane, std::int64_t o, const taps& t) {
      const std::int64_t n = divisor(p.w, t, include_pad);
      out[plane * p.w.out_size() + o] /= static_cast<float>(n == 0 ? 1 : n);
    });
    return {};
  }
  each_window(c.parallel(), p.w, p.planes, [&](std::int64_t plane, std::int64_t o, const taps& t) {
    const float* from = x.as<float>() + plane * p.w.in_size();
    float sum = 0;
    each_tap(p.w, t, [&](std::int64_t at) { sum += from[at]; });
    const std::int64_t n = divisor(p.w, t, include_pad);
    out[plane * p.w.out_size() + o] = sum / static_cast<float>(n == 0 ? 1 : n);
  });
  return {};
}

result<void> eval_lp_pool(eval_context& c) {
  QUANTAL_TRY(p, read_pooling(c));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  const float exponent = c.opset < 2 ? c.node.get_float("p", 2.0f) : static_cast<float>(c.node.get_int("p", 2));
  QUANTAL_TRY(y, c.output(0, dtype::f32, p.dims));
  float* out = y->mutable_as<float>();
  each_window(c.parallel(), p.w, p.planes, [&](std::int64_t plane, std::int64_t o, const taps& t) {
    const float* from = x.as<float>() + plane * p.w.in_size();
    double sum = 0;
    each_tap(p.w, t, [&](std::int64_t at) {
      sum += std::pow(std::abs(static_cast<double>(from[at])), static_cast<double>(exponent));
    });
    out[plane * p.w.out_size() + o] = static_cast<float>(std::pow(sum, 1.0 / static_cast<double>(exponent)));
  });
  return {};
}

// ---- global -------------------------------------------------------------------------------------------------------

enum class global { average, maximum, norm };

template <global Kind>
result<void> eval_global(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  if (x.dims().rank < 2) return c.fail(status::data_shape, "input needs rank 2 or more");
  shape dims = x.dims();
  const std::int64_t planes = dims[0] * dims[1], size = dims.elements(2, dims.rank);
  for (std::int32_t i = 2; i < dims.rank; ++i) dims[i] = 1;
  if (planes > 0 && size == 0) return c.fail(status::data_shape, "pool over no elements");
  const double exponent = static_cast<double>(c.node.get_int("p", 2));
  QUANTAL_TRY(y, c.output(0, dtype::f32, dims));
  float* out = y->mutable_as<float>();
  parallel_ranges(c.parallel(), planes, std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, size)),
                  [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t p = first; p < last; ++p) {
                      const float* from = x.as<float>() + p * size;
                      double sum = 0;
                      float best = from[0];
                      for (std::int64_t i = 0; i < size; ++i) {
                        if constexpr (Kind == global::average) sum += static_cast<double>(from[i]);
                        if constexpr (Kind == global::norm)
                          sum += std::pow(std::abs(static_cast<double>(from[i])), exponent);
                        if constexpr (Kind == global::maximum)
                          best = from[i] > best || from[i] != from[i] ? from[i] : best;
                      }
                      if constexpr (Kind == global::average) best = static_cast<float>(sum / static_cast<double>(size));
                      if constexpr (Kind == global::norm) best = static_cast<float>(std::pow(sum, 1.0 / exponent));
                      out[p] = best;
                    }
                  });
  return {};
}

// ---- shape rules --------------------------------------------------------------------------------------------------

result<void> infer_pool(infer_context& c) {
  const dtype type = elem_of(c, 0);
  const dim_list* x = dims_of(c, 0);
  const bool indices = c.node.has_output(1);
  if (x == nullptr) {
    set_typed(c, 0, type);
    if (indices) set_typed(c, 1, dtype::s64);
    return {};
  }
  if (x->size() < 3) return rule_error(c, "input has rank " + std::to_string(x->size()) + ", at least 3 is needed");
  QUANTAL_TRY(attributes, read_window(c.node, rank_of(*x) - 2, {}));
  QUANTAL_TRY(spatial, window_dims(c, attributes, *x));
  dim_list y(x->begin(), x->begin() + 2);
  y.insert(y.end(), spatial.begin(), spatial.end());
  if (indices) set_typed(c, 1, dtype::s64, y);
  set_typed(c, 0, type, std::move(y));
  return {};
}

result<void> infer_global(infer_context& c) {
  const dim_list* x = dims_of(c, 0);
  if (x == nullptr) return set_typed(c, 0, elem_of(c, 0)), result<void>{};
  if (x->size() < 2) return rule_error(c, "input needs rank 2 or more");
  dim_list y = *x;
  for (std::size_t i = 2; i < y.size(); ++i) y[i] = 1;
  set_typed(c, 0, elem_of(c, 0), std::move(y));
  return {};
}

constexpr quant_rule averages{quant_kind::pooling};
constexpr quant_rule maxima{quant_kind::passthrough};
const op_def table[] = {
    {"MaxPool", 1, infer_pool, in_wide<eval_max_pool>, maxima},
    {"AveragePool", 1, infer_pool, in_wide<eval_average_pool>, averages},
    {"LpPool", 1, infer_pool, in_wide<eval_lp_pool>, {}},
    {"GlobalAveragePool", 1, infer_global, in_wide<eval_global<global::average>>, averages},
    {"GlobalMaxPool", 1, infer_global, in_wide<eval_global<global::maximum>>, maxima},
    {"GlobalLpPool", 2, infer_global, in_wide<eval_global<global::norm>>, {}},
};

}  // namespace

op_list pool_ops() {
  return table;
}

}  // namespace quantal::ops
