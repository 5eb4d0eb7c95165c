// QuantizeLinear, DequantizeLinear (per tensor, per axis, per block; 2 to 32-bit integers, float8, float4) and
// DynamicQuantizeLinear.
//
//   y = saturate(rne(x / scale) + zero_point)        x = (y - zero_point) * scale
//
// The array is seen as [outer, axis, inner]; a pair of parameters belongs to all of it, to an index of the axis or to
// a block of indices. Codes below a byte are computed as bytes and packed. NaN becomes the zero point.
// Source: ONNX spec, QuantizeLinear; com.microsoft has the same two operators for older opsets.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "quantal/ir/dtype_map.hpp"
#include "quantal/kernels/float_table.hpp"
#include "quantal/num/int4.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/quant/params.hpp"

namespace quantal::ops {

namespace {

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

bool is_minifloat(dtype t) noexcept {
  return is_float(t) && bits_of(t) <= 8;
}

// Parameters and how they lie over the array [outer, length, inner].
struct layout {
  std::int64_t outer = 1, length = 1, inner = 1;
  std::int64_t block = 0;   // indices of the axis that share parameters; 0: one pair for everything
  std::int64_t blocks = 1;  // per axis
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points;  // as many, or empty

  // Position of the parameters of (o, a) and of their first inner index; per block they vary along inner too.
  bool blocked = false;
  std::int64_t at(std::int64_t o, std::int64_t a) const noexcept {
    if (block == 0) return 0;
    return blocked ? (o * blocks + a / block) * inner : a;
  }
  std::int32_t zero_point(std::int64_t i) const noexcept { return zero_points.empty() ? 0 : zero_points[index(i)]; }
};

result<layout> read_layout(const eval_context& c, const shape& x) {
  const tensor_buffer& scale = c.input(1);
  const shape& s = scale.dims();
  layout l;
  l.scales.resize(index(scale.elements()));
  if (!convert_elements(scale.type(), scale.data(), dtype::f32, l.scales.data(), l.scales.size()))
    return unsupported_type(c, scale.type());
  if (c.has_input(2)) {
    const tensor_buffer& zero = c.input(2);
    if (!(zero.dims() == s) && !(zero.elements() == 1 && scale.elements() == 1))
      return c.fail(status::data_shape, "scale and zero point differ in shape");
    l.zero_points.resize(l.scales.size());
    if (!convert_elements(zero.type(), zero.data(), dtype::s32, l.zero_points.data(), l.zero_points.size()))
      return unsupported_type(c, zero.type());
  }
  const std::int64_t block = c.node.get_int("block_size", 0);
  if (s.rank == 0 || (scale.elements() == 1 && block == 0)) {
    if (scale.elements() != 1) return c.fail(status::data_shape, "scale is empty");
    l.inner = x.elements();
    return l;
  }
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 1), x.rank));
  l.outer = x.elements(0, axis), l.length = x[axis], l.inner = x.elements(axis + 1, x.rank);
  l.block = 1;
  if (s.rank == 1 && block == 0) {
    if (s[0] != l.length)
      return c.fail(status::data_shape,
                    "axis has " + std::to_string(l.length) + " indices and " + std::to_string(s[0]) + " scales");
    l.blocks = l.length;
    return l;
  }
  l.blocked = true;
  l.block = block;
  if (s.rank != x.rank || axis >= s.rank)
    return c.fail(status::data_shape, "scale must have the rank of the input for blocks");
  l.blocks = s[axis];
  if (l.block <= 0 && l.blocks > 0) l.block = (l.length + l.blocks - 1) / l.blocks;
  bool fits = l.block > 0 && l.block <= (std::int64_t{1} << 31) && (l.length + l.block - 1) / l.block == l.blocks;
  for (std::int32_t i = 0; i < x.rank; ++i) fits = fits && (i == axis || s[i] == x[i]);
  if (!fits)
    return c.fail(status::data_shape, "blocks of " + std::to_string(block) + " do not fit the shape of the scale");
  return l;
}

// Q1 to Q3 of the list of bad inputs. A DequantizeLinear of scale 0 means a channel of zeros, which other tools write.
result<void> check_scales(const eval_context& c, const layout& l, bool zero_allowed) {
  for (std::size_t i = 0; i < l.scales.size(); ++i) {
    const float s = l.scales[i];
    if (std::isfinite(s) && (s > 0 || (zero_allowed && s == 0))) continue;
    return c.fail(status::model_graph, "scale " + std::to_string(i) + " is no positive finite number");
  }
  return {};
}

// Calls body(first, count, scale, zero_point) for each run of elements that share parameters, in parallel.
template <class Body>
void each_run(const parallel_for& parallel, const layout& l, Body&& body) {
  if (l.block == 0) {
    parallel_ranges(parallel, l.inner, 32768,
                    [&](std::int64_t b, std::int64_t e) { body(b, e - b, l.scales[0], l.zero_point(0)); });
    return;
  }
  const std::int64_t rows = l.outer * l.length;
  parallel_ranges(parallel, rows, std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, l.inner)),
                  [&](std::int64_t b, std::int64_t e) {
                    for (std::int64_t r = b; r < e; ++r) {
                      const std::int64_t at = l.at(r / l.length, r % l.length);
                      if (!l.blocked) {
                        body(r * l.inner, l.inner, l.scales[index(at)], l.zero_point(at));
                        continue;
                      }
                      for (std::int64_t i = 0; i < l.inner; ++i)
                        body(r * l.inner + i, std::int64_t{1}, l.scales[index(at + i)], l.zero_point(at + i));
                    }
                  });
}

struct code_range {
  std::int32_t low, high;
};

bool range_of(dtype t, code_range& r) noexcept {
  switch (t) {
    case dtype::s8: r = {-128, 127}; return true;
    case dtype::u8: r = {0, 255}; return true;
    case dtype::s16: r = {-32768, 32767}; return true;
    case dtype::u16: r = {0, 65535}; return true;
    case dtype::s4: r = {-8, 7}; return true;
    case dtype::u4: r = {0, 15}; return true;
    case dtype::s2: r = {-2, 1}; return true;
    case dtype::u2: r = {0, 3}; return true;
    default: return false;
  }
}

// ---- QuantizeLinear -----------------------------------------------------------------------------------------------

dtype quantized_type(const ir::node& n, dtype zero_point) noexcept {
  if (zero_point != dtype::none) return zero_point;
  const dtype asked = ir::dtype_of_onnx(n.get_int("output_dtype", 0));
  return asked == dtype::none ? dtype::u8 : asked;
}

void quantize_integers(const parallel_for& parallel, const layout& l, const float* x, const code_range& r, bool wide,
                       void* codes) {
  const auto& f = kernels::floats();
  each_run(parallel, l, [&](std::int64_t first, std::int64_t count, float scale, std::int32_t zero_point) {
    if (wide) {
      f.quantize16(x + first, index(count), scale, zero_point, r.low, r.high,
                   static_cast<std::uint16_t*>(codes) + first);
    } else {
      f.quantize8(x + first, index(count), scale, zero_point, r.low, r.high, static_cast<std::uint8_t*>(codes) + first);
    }
  });
}

result<void> eval_quantize(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  tensor_buffer x = c.input(0);
  if (x.type() != dtype::f32) {
    QUANTAL_TRY(converted, convert_tensor(x, dtype::f32));
    x = std::move(converted);
  }
  QUANTAL_TRY(l, read_layout(c, x.dims()));
  QUANTAL_CHECK(check_scales(c, l, false));
  const dtype type = quantized_type(c.node, c.has_input(2) ? c.input(2).type() : dtype::none);
  QUANTAL_TRY(y, c.output(0, type, x.dims()));
  const auto count = index(x.elements());
  if (is_minifloat(type)) {
    QUANTAL_TRY(raw, c.scratch(count * sizeof(float)));
    auto* scaled = static_cast<float*>(raw);
    each_run(c.parallel(), l, [&](std::int64_t first, std::int64_t n, float scale, std::int32_t) {
      for (std::int64_t i = first; i < first + n; ++i) scaled[i] = x.as<float>()[i] / scale;
    });
    cast_rules rules;
    rules.saturate = c.node.get_int("saturate", 1) != 0;
    return convert_elements(dtype::f32, scaled, type, y->mutable_data(), count, rules) ? result<void>{}
                                                                                       : unsupported_type(c, type);
  }
  code_range range{};
  if (!range_of(type, range)) return unsupported_type(c, type);
  const std::uint32_t bits = bits_of(type);
  if (bits >= 8) {
    quantize_integers(c.parallel(), l, x.as<float>(), range, bits == 16, y->mutable_data());
    return {};
  }
  QUANTAL_TRY(bytes, c.scratch(count));
  quantize_integers(c.parallel(), l, x.as<float>(), range, false, bytes);
  pack_bits(static_cast<const std::uint8_t*>(bytes), count, bits, y->mutable_as<std::uint8_t>());
  return {};
}

result<void> infer_quantize(infer_context& c) {
  const dtype type = quantized_type(c.node, elem_of(c, 2));
  const dim_list* x = dims_of(c, 0);
  if (x == nullptr) return set_typed(c, 0, type), result<void>{};
  set_typed(c, 0, type, *x);
  return {};
}

// ---- DequantizeLinear ---------------------------------------------------------------------------------------------

template <class T>
void dequantize_run(const void* codes, std::int64_t first, std::int64_t count, float scale, std::int32_t zero_point,
                    float* y) {
  const T* q = static_cast<const T*>(codes) + first;
  for (std::int64_t i = 0; i < count; ++i) {
    if constexpr (sizeof(T) == 4) {
      y[first + i] = static_cast<float>(static_cast<std::int64_t>(q[i]) - zero_point) * scale;
    } else {
      y[first + i] = static_cast<float>(static_cast<std::int32_t>(q[i]) - zero_point) * scale;
    }
  }
}

void dequantize_codes(const parallel_for& parallel, const layout& l, dtype type, const void* codes, float* y) {
  const auto& f = kernels::floats();
  each_run(parallel, l, [&](std::int64_t first, std::int64_t count, float scale, std::int32_t zero_point) {
    switch (type) {
      case dtype::u8:
        f.dequantize_u8(static_cast<const std::uint8_t*>(codes) + first, index(count), scale, zero_point, y + first);
        break;
      case dtype::s8:
        f.dequantize_s8(static_cast<const std::int8_t*>(codes) + first, index(count), scale, zero_point, y + first);
        break;
      case dtype::u16: dequantize_run<std::uint16_t>(codes, first, count, scale, zero_point, y); break;
      case dtype::s16: dequantize_run<std::int16_t>(codes, first, count, scale, zero_point, y); break;
      case dtype::s32: dequantize_run<std::int32_t>(codes, first, count, scale, zero_point, y); break;
      default: break;
    }
  });
}

dtype dequantized_type(const ir::node& n, dtype scale) noexcept {
  const dtype asked = ir::dtype_of_onnx(n.get_int("output_dtype", 0));
  if (asked != dtype::none) return asked;
  return scale == dtype::f8e8m0 ? dtype::f32 : scale;
}

result<void> eval_dequantize(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const dtype out = dequantized_type(c.node, c.input(1).type());
  QUANTAL_TRY(l, read_layout(c, x.dims()));
  QUANTAL_CHECK(check_scales(c, l, true));
  QUANTAL_TRY(y, c.output(0, out, x.dims()));
  const auto count = index(x.elements());
  float* real = y->mutable_as<float>();
  if (out != dtype::f32) {
    QUANTAL_TRY(raw, c.scratch(count * sizeof(float)));
    real = static_cast<float*>(raw);
  }
  if (is_minifloat(x.type())) {
    if (!convert_elements(x.type(), x.data(), dtype::f32, real, count)) return unsupported_type(c, x.type());
    each_run(c.parallel(), l, [&](std::int64_t first, std::int64_t n, float scale, std::int32_t) {
      for (std::int64_t i = first; i < first + n; ++i) real[i] *= scale;
    });
  } else if (bits_of(x.type()) < 8) {
    QUANTAL_TRY(bytes, c.scratch(count));
    if (is_signed(x.type())) {
      unpack_signed(x.as<std::uint8_t>(), count, bits_of(x.type()), static_cast<std::int8_t*>(bytes));
    } else {
      unpack_unsigned(x.as<std::uint8_t>(), count, bits_of(x.type()), static_cast<std::uint8_t*>(bytes));
    }
    dequantize_codes(c.parallel(), l, is_signed(x.type()) ? dtype::s8 : dtype::u8, bytes, real);
  } else {
    code_range ignored{};
    if (!range_of(x.type(), ignored) && x.type() != dtype::s32) return unsupported_type(c, x.type());
    dequantize_codes(c.parallel(), l, x.type(), x.data(), real);
  }
  if (out != dtype::f32 && !convert_elements(dtype::f32, real, out, y->mutable_data(), count))
    return unsupported_type(c, out);
  return {};
}

result<void> infer_dequantize(infer_context& c) {
  const dtype type = dequantized_type(c.node, elem_of(c, 1));
  const dim_list* x = dims_of(c, 0);
  if (x == nullptr) return set_typed(c, 0, type), result<void>{};
  set_typed(c, 0, type, *x);
  return {};
}

// ---- DynamicQuantizeLinear ----------------------------------------------------------------------------------------

result<void> eval_dynamic(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  float low = 0, high = 0;
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    low = std::min(low, x.as<float>()[i]);
    high = std::max(high, x.as<float>()[i]);
  }
  const float scale = high == low ? 1.0f : (high - low) / 255.0f;
  const float zero = std::nearbyint(std::clamp(0.0f - low / scale, 0.0f, 255.0f));
  QUANTAL_TRY(y, c.output(0, dtype::u8, x.dims()));
  QUANTAL_TRY(y_scale, c.output(1, dtype::f32, shape()));
  QUANTAL_TRY(y_zero, c.output(2, dtype::u8, shape()));
  *y_scale->mutable_as<float>() = scale;
  *y_zero->mutable_as<std::uint8_t>() = static_cast<std::uint8_t>(zero);
  parallel_ranges(c.parallel(), x.elements(), 32768, [&](std::int64_t b, std::int64_t e) {
    kernels::floats().quantize8(x.as<float>() + b, index(e - b), scale, static_cast<std::int32_t>(zero), 0, 255,
                                y->mutable_as<std::uint8_t>() + b);
  });
  return {};
}

result<void> infer_dynamic(infer_context& c) {
  const dim_list* x = dims_of(c, 0);
  if (x == nullptr) {
    set_typed(c, 0, dtype::u8);
  } else {
    set_typed(c, 0, dtype::u8, *x);
  }
  set_typed(c, 1, dtype::f32, dim_list{});
  set_typed(c, 2, dtype::u8, dim_list{});
  return {};
}

const op_def table[] = {
    {"QuantizeLinear", 10, infer_quantize, eval_quantize, {}},
    {"DequantizeLinear", 10, infer_dequantize, eval_dequantize, {}},
    {"DynamicQuantizeLinear", 11, infer_dynamic, eval_dynamic, {}},
    {"QuantizeLinear", 1, infer_quantize, eval_quantize, {}, "com.microsoft"},
    {"DequantizeLinear", 1, infer_dequantize, eval_dequantize, {}, "com.microsoft"},
};

}  // namespace

op_list quantize_linear_ops() {
  return table;
}

}  // namespace quantal::ops
