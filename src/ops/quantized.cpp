// The quantized forms of products: ConvInteger, MatMulInteger (s32 results) and QLinearConv, QLinearMatMul
// (requantized results).
//
//   acc = sum (a - a_zero)(b - b_zero)                         exact in s32
//   y   = saturate(rne(acc * (a_scale * b_scale / y_scale)) + y_zero)
//
// Operands become s16 without their zero points (a difference of bytes fits), then one exact product. Zero points and
// scales: one, or one per row of A, column of B, output channel. Source: ONNX spec.
#include <algorithm>
#include <cmath>

#include "im2col.hpp"
#include "product_rules.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

using s16 = std::int16_t;
using s32 = std::int32_t;

std::size_t index(std::int64_t i) noexcept {
  return static_cast<std::size_t>(i);
}

bool is_byte(dtype t) noexcept {
  return t == dtype::s8 || t == dtype::u8;
}

// Input i as s32 values; {0} if it is absent.
result<std::vector<s32>> zeros_of(const eval_context& c, std::size_t i) {
  if (!c.has_input(i)) return std::vector<s32>{0};
  const tensor_buffer& t = c.input(i);
  std::vector<s32> values(index(t.elements()));
  if (!convert_elements(t.type(), t.data(), dtype::s32, values.data(), values.size()))
    return unsupported_type(c, t.type());
  return values;
}
result<std::vector<float>> scales_of(const eval_context& c, std::size_t i) {
  const tensor_buffer& t = c.input(i);
  std::vector<float> values(index(t.elements()));
  if (!convert_elements(t.type(), t.data(), dtype::f32, values.data(), values.size()))
    return unsupported_type(c, t.type());
  return values;
}

// One value, or `count` of them.
template <class T>
result<void> expect_count(const eval_context& c, const std::vector<T>& values, std::int64_t count, const char* what) {
  if (values.size() == 1 || values.size() == index(count)) return {};
  return c.fail(status::data_shape, std::string(what) + ": " + std::to_string(values.size()) +
                                        " values, expected 1 or " + std::to_string(count));
}
template <class T>
T pick(const std::vector<T>& values, std::int64_t i) {
  return values.size() == 1 ? values[0] : values[index(i)];
}

// out[i] = x[i] - zero, row by row of `inner` elements; row r has zeros[r % rows] (or the only one).
void center(const tensor_buffer& x, std::int64_t inner, const std::vector<s32>& zeros, s16* out) {
  const std::int64_t count = x.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    const s32 zero = zeros.size() == 1 ? zeros[0] : zeros[index(i / inner) % zeros.size()];
    const s32 q = x.type() == dtype::s8 ? x.as<std::int8_t>()[i] : x.as<std::uint8_t>()[i];
    out[i] = static_cast<s16>(q - zero);
  }
}

// acc[m, n] = a[m, k] b[k, n]
void multiply(const s16* a, const s16* b, std::int64_t m, std::int64_t n, std::int64_t k, s32* acc) {
  for (std::int64_t i = 0; i < m; ++i) {
    s32* row = acc + i * n;
    std::fill_n(row, n, 0);
    for (std::int64_t d = 0; d < k; ++d) {
      const s16 left = a[i * k + d];
      if (left == 0) continue;
      const s16* right = b + d * n;
      for (std::int64_t j = 0; j < n; ++j) row[j] += static_cast<s32>(left) * right[j];
    }
  }
}

void requantize(s32 acc, float scale, s32 zero, dtype type, void* y, std::int64_t i) {
  const float low = type == dtype::s8 ? -128.0f : 0.0f, high = type == dtype::s8 ? 127.0f : 255.0f;
  const float v = std::clamp(std::nearbyint(static_cast<float>(acc) * scale) + static_cast<float>(zero), low, high);
  if (type == dtype::s8) {
    static_cast<std::int8_t*>(y)[i] = static_cast<std::int8_t>(v);
  } else {
    static_cast<std::uint8_t*>(y)[i] = static_cast<std::uint8_t>(v);
  }
}

// How results leave: s32 as they are, or requantized.
struct epilogue {
  bool requantized = false;
  std::vector<float> a_scale{1}, b_scale{1};
  float y_scale = 1;
  s32 y_zero = 0;
  dtype type = dtype::s32;
  void* y = nullptr;

  void write(const s32* acc, std::int64_t count, float a, float b, std::int64_t at) const {
    if (!requantized) {
      std::copy_n(acc, count, static_cast<s32*>(y) + at);
      return;
    }
    const float scale = a * b / y_scale;
    for (std::int64_t j = 0; j < count; ++j) requantize(acc[j], scale, y_zero, type, y, at + j);
  }
};

// ---- convolution --------------------------------------------------------------------------------------------------

struct conv_inputs {
  std::size_t x, x_zero, w, w_zero, bias;
};

result<void> convolve(eval_context& c, const conv_inputs& at, epilogue e) {
  const tensor_buffer& x = c.input(at.x);
  const tensor_buffer& w = c.input(at.w);
  if (!is_byte(x.type()) || !is_byte(w.type())) return unsupported_type(c, x.type());
  const shape& xd = x.dims();
  const shape& wd = w.dims();
  const std::int64_t groups = c.node.get_int("group", 1);
  if (xd.rank < 3 || wd.rank != xd.rank) return c.fail(status::data_shape, "x and w need the same rank, at least 3");
  if (groups < 1 || xd[1] % groups != 0 || wd[0] % groups != 0 || wd[1] != xd[1] / groups) {
    return c.fail(status::data_shape, "channels, group and weight do not fit");
  }
  QUANTAL_TRY(attributes, read_window(c.node, xd.rank - 2, int_list(wd.begin() + 2, wd.end())));
  QUANTAL_TRY(placed, place_window(c, attributes, xd));
  const window& win = placed;
  const std::int64_t maps = wd[0], per_group = maps / groups, depth = wd[1] * win.taps(), positions = win.out_size();
  QUANTAL_TRY(x_zero, zeros_of(c, at.x_zero));
  QUANTAL_TRY(w_zero, zeros_of(c, at.w_zero));
  QUANTAL_CHECK(expect_count(c, x_zero, 1, "zero point of x"));
  QUANTAL_CHECK(expect_count(c, w_zero, maps, "zero point of w"));
  QUANTAL_CHECK(expect_count(c, e.b_scale, maps, "scale of w"));
  const s32* bias = nullptr;
  if (at.bias != 0 && c.has_input(at.bias)) {
    if (c.input(at.bias).type() != dtype::s32 || c.input(at.bias).elements() != maps)
      return c.fail(status::data_shape, "bias does not fit the weight");
    bias = c.input(at.bias).as<s32>();
  }
  shape yd = xd;
  yd[1] = maps;
  for (std::int32_t i = 2; i < xd.rank; ++i) yd[i] = win.out[index(max_spatial - xd.rank + i)];
  QUANTAL_TRY(y, c.output(0, e.type, yd));
  e.y = y->mutable_data();
  if (y->elements() == 0) return {};
  QUANTAL_TRY(raw_x, c.scratch(index(x.elements()) * sizeof(s16)));
  QUANTAL_TRY(raw_w, c.scratch(index(w.elements()) * sizeof(s16)));
  QUANTAL_TRY(raw_columns, c.scratch(index(depth * positions) * sizeof(s16)));
  QUANTAL_TRY(raw_acc, c.scratch(index(per_group * positions) * sizeof(s32)));
  auto* x16 = static_cast<s16*>(raw_x);
  auto* w16 = static_cast<s16*>(raw_w);
  auto* columns = static_cast<s16*>(raw_columns);
  auto* acc = static_cast<s32*>(raw_acc);
  center(x, x.elements(), x_zero, x16);
  center(w, depth, w_zero, w16);
  for (std::int64_t image = 0; image < xd[0] * groups; ++image) {
    const std::int64_t n = image / groups, g = image % groups;
    const s16* from = x16 + (n * xd[1] + g * wd[1]) * win.in_size();
    parallel_ranges(c.parallel(), depth, std::max<std::int64_t>(1, 16384 / positions),
                    [&](std::int64_t b, std::int64_t end) {
                      for (std::int64_t k = b; k < end; ++k)
                        gather_row(win, from, k, 0, positions, columns + k * positions);
                    });
    parallel_ranges(
        c.parallel(), per_group, std::max<std::int64_t>(1, 32768 / (positions * std::max<std::int64_t>(1, depth))),
        [&](std::int64_t b, std::int64_t end) {
          multiply(w16 + (g * per_group + b) * depth, columns, end - b, positions, depth, acc + b * positions);
          for (std::int64_t m = b; m < end; ++m) {
            const std::int64_t map = g * per_group + m;
            if (bias != nullptr) {
              for (std::int64_t j = 0; j < positions; ++j) acc[m * positions + j] += bias[map];
            }
            e.write(acc + m * positions, positions, e.a_scale[0], pick(e.b_scale, map), (n * maps + map) * positions);
          }
        });
  }
  return {};
}

result<void> eval_conv_integer(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  return convolve(c, {0, 2, 1, 3, 0}, {});
}

// The scales and the output's zero point of the QLinear operators.
result<epilogue> read_epilogue(const eval_context& c, std::size_t a, std::size_t b, std::size_t y, std::size_t y_zero) {
  epilogue e;
  e.requantized = true;
  QUANTAL_TRY(a_scale, scales_of(c, a));
  QUANTAL_TRY(b_scale, scales_of(c, b));
  QUANTAL_TRY(y_scale, scales_of(c, y));
  QUANTAL_TRY(zero, zeros_of(c, y_zero));
  if (a_scale.empty() || b_scale.empty() || y_scale.size() != 1 || zero.size() != 1) {
    return c.fail(status::data_shape, "scales and zero point of y must be scalars");
  }
  e.a_scale = a_scale, e.b_scale = b_scale, e.y_scale = y_scale[0], e.y_zero = zero[0];
  e.type = c.input(y_zero).type();
  if (!is_byte(e.type)) return unsupported_type(c, e.type);
  return e;
}

result<void> eval_qlinear_conv(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 8));
  QUANTAL_TRY(e, read_epilogue(c, 1, 4, 6, 7));
  QUANTAL_CHECK(expect_count(c, e.a_scale, 1, "scale of x"));
  return convolve(c, {0, 2, 3, 5, 8}, std::move(e));
}

// ---- matrix product -----------------------------------------------------------------------------------------------

struct matmul_inputs {
  std::size_t a, a_zero, b, b_zero;
};

result<void> multiply_matrices(eval_context& c, const matmul_inputs& at, epilogue e) {
  const tensor_buffer& a = c.input(at.a);
  const tensor_buffer& b = c.input(at.b);
  if (!is_byte(a.type()) || !is_byte(b.type())) return unsupported_type(c, a.type());
  const shape& ad = a.dims();
  const shape& bd = b.dims();
  if (ad.rank < 1 || bd.rank < 1) return c.fail(status::data_shape, "product of a scalar");
  const std::int64_t k = ad[ad.rank - 1], m = ad.rank < 2 ? 1 : ad[ad.rank - 2], n = bd.rank < 2 ? 1 : bd[bd.rank - 1];
  if ((bd.rank < 2 ? bd[0] : bd[bd.rank - 2]) != k) return c.fail(status::data_shape, "inner dimensions differ");
  shape a_batch, b_batch;
  for (std::int32_t i = 0; i + 2 < ad.rank; ++i) a_batch.push_back(ad[i]);
  for (std::int32_t i = 0; i + 2 < bd.rank; ++i) b_batch.push_back(bd[i]);
  QUANTAL_TRY(batch, broadcast_shape(c, a_batch, b_batch));
  const std::int64_t count = batch.elements();
  if (a_batch.elements() != count || (b_batch.elements() != count && b_batch.elements() != 1)) {
    return c.fail(status::unsupported, "broadcast of the left operand of a quantized product");
  }
  shape dims = batch;
  if ((ad.rank > 1 && !dims.push_back(m)) || (bd.rank > 1 && !dims.push_back(n)))
    return c.fail(status::limit, "result has too many dimensions");
  QUANTAL_TRY(a_zero, zeros_of(c, at.a_zero));
  QUANTAL_TRY(b_zero, zeros_of(c, at.b_zero));
  // Per row of A: [m] or one per row of all matrices; per column of B: [n] or one per column of all matrices.
  const auto rows_fit = [&](std::size_t s) { return s == 1 || s == index(m) || s == index(count * m); };
  const auto columns_fit = [&](std::size_t s) { return s == 1 || s == index(n) || s == index(b_batch.elements() * n); };
  if (!rows_fit(a_zero.size()) || !rows_fit(e.a_scale.size()) || !columns_fit(b_zero.size()) ||
      !columns_fit(e.b_scale.size())) {
    return c.fail(status::data_shape, "scales or zero points do not fit the operands");
  }
  QUANTAL_TRY(y, c.output(0, e.type, dims));
  e.y = y->mutable_data();
  if (y->elements() == 0) return {};
  QUANTAL_TRY(raw_a, c.scratch(index(a.elements()) * sizeof(s16)));
  QUANTAL_TRY(raw_b, c.scratch(index(b.elements()) * sizeof(s16)));
  QUANTAL_TRY(raw_acc, c.scratch(index(count * m * n) * sizeof(s32)));
  auto* a16 = static_cast<s16*>(raw_a);
  auto* b16 = static_cast<s16*>(raw_b);
  auto* acc = static_cast<s32*>(raw_acc);
  center(a, k, a_zero, a16);
  for (std::int64_t i = 0; i < b.elements(); ++i) {
    const std::size_t column = b_zero.size() == 1 ? 0 : (index(i / (k * n)) * index(n) + index(i % n)) % b_zero.size();
    const s32 q = b.type() == dtype::s8 ? b.as<std::int8_t>()[i] : b.as<std::uint8_t>()[i];
    b16[i] = static_cast<s16>(q - b_zero[column]);
  }
  parallel_ranges(c.parallel(), count * m, std::max<std::int64_t>(1, 32768 / std::max<std::int64_t>(1, n * k)),
                  [&](std::int64_t first, std::int64_t last) {
                    for (std::int64_t r = first; r < last; ++r) {
                      const std::int64_t matrix = b_batch.elements() == 1 ? 0 : r / m;
                      multiply(a16 + r * k, b16 + matrix * k * n, 1, n, k, acc + r * n);
                      const float a_scale = e.a_scale[index(r) % e.a_scale.size()];
                      if (e.b_scale.size() == 1) {
                        e.write(acc + r * n, n, a_scale, e.b_scale[0], r * n);
                      } else {
                        for (std::int64_t j = 0; j < n; ++j)
                          e.write(acc + r * n + j, 1, a_scale, e.b_scale[index(matrix * n + j) % e.b_scale.size()],
                                  r * n + j);
                      }
                    }
                  });
  return {};
}

result<void> eval_matmul_integer(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  return multiply_matrices(c, {0, 2, 1, 3}, {});
}

result<void> eval_qlinear_matmul(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 8));
  QUANTAL_TRY(e, read_epilogue(c, 1, 4, 6, 7));
  return multiply_matrices(c, {0, 2, 3, 5}, std::move(e));
}

// ---- shape rules --------------------------------------------------------------------------------------------------

// s32 sums of the operands 0 and Second, or codes of the type of the output's zero point (input 7).
template <std::size_t Second, auto Rule>
result<void> infer_product(infer_context& c) {
  return Rule(c, 0, Second, Second == 1 ? dtype::s32 : elem_of(c, 7));
}

const op_def table[] = {
    {"ConvInteger", 10, infer_product<1, infer_conv>, eval_conv_integer, {}},
    {"QLinearConv", 10, infer_product<3, infer_conv>, eval_qlinear_conv, {}},
    {"MatMulInteger", 10, infer_product<1, infer_matmul>, eval_matmul_integer, {}},
    {"QLinearMatMul", 10, infer_product<3, infer_matmul>, eval_qlinear_matmul, {}},
};

}  // namespace

op_list quantized_ops() {
  return table;
}

}  // namespace quantal::ops
