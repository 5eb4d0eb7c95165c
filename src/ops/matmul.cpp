// MatMul and Gemm. Float32 through the float kernels (narrow types through float32); float64 and integers by a plain
// loop, exact for integers (they wrap).
//
//   MatMul  Y[..., M, N] = A[..., M, K] B[..., K, N], leading dimensions broadcast, vectors as numpy.matmul
//   Gemm    Y[M, N] = alpha A' B' + beta C, C broadcast to [M, N]
#include <algorithm>
#include <type_traits>

#include "product_rules.hpp"
#include "products.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

// C += A B for every type that is not float32. T is unsigned for integers: sums wrap.
template <class T>
void plain_product(std::int64_t m, std::int64_t n, std::int64_t k, const T* a, bool a_transposed, const T* b,
                   bool b_transposed, T* c) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t d = 0; d < k; ++d) {
      const T left = a_transposed ? a[d * m + i] : a[i * k + d];
      for (std::int64_t j = 0; j < n; ++j) c[i * n + j] += left * (b_transposed ? b[j * k + d] : b[d * n + j]);
    }
  }
}

struct sizes {
  std::int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false, b_transposed = false;
};

// Y += A B on dense operands. False: no memory, or a type without a product.
bool product(const parallel_for& parallel, dtype type, const sizes& s, const void* a, const void* b, void* y) {
  const auto plain = [&](auto zero) {
    using T = decltype(zero);
    plain_product(s.m, s.n, s.k, static_cast<const T*>(a), s.a_transposed, static_cast<const T*>(b), s.b_transposed,
                  static_cast<T*>(y));
    return true;
  };
  switch (type) {
    case dtype::f32:
      return parallel_gemm(parallel, {s.m, s.n, s.k, static_cast<const float*>(a), s.a_transposed ? s.m : s.k,
                                      s.a_transposed, static_cast<const float*>(b), s.b_transposed ? s.k : s.n,
                                      s.b_transposed, static_cast<float*>(y), s.n});
    case dtype::f64: return plain(double{});
    case dtype::s32:
    case dtype::u32: return plain(std::uint32_t{});
    case dtype::s64:
    case dtype::u64: return plain(std::uint64_t{});
    default: return false;
  }
}

bool has_product(dtype t) noexcept {
  return t == dtype::f32 || t == dtype::f64 || t == dtype::s32 || t == dtype::u32 || t == dtype::s64 || t == dtype::u64;
}

// ---- MatMul -------------------------------------------------------------------------------------------------------

// A vector on the left is a row, on the right a column; the dimension added is dropped from the result.
struct operand {
  shape batch;
  std::int64_t rows = 1, columns = 1;
};

operand split(const shape& s, bool left) {
  operand o;
  if (s.rank == 1) {
    (left ? o.columns : o.rows) = s[0];
    return o;
  }
  for (std::int32_t i = 0; i + 2 < s.rank; ++i) o.batch.push_back(s[i]);
  o.rows = s[s.rank - 2];
  o.columns = s[s.rank - 1];
  return o;
}

// Number of the matrix of `part` that belongs to matrix `index` of the broadcast `whole`.
std::int64_t matrix_of(const shape& part, const shape& whole, std::int64_t index) {
  std::int64_t result = 0, stride = 1;
  for (std::int32_t i = 1; i <= whole.rank; ++i) {
    const std::int64_t extent = whole[whole.rank - i], at = index % extent;
    index /= extent;
    if (i > part.rank) continue;
    if (part[part.rank - i] != 1) result += at * stride;
    stride *= part[part.rank - i];
  }
  return result;
}

result<void> eval_matmul(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& a = c.input(0);
  const tensor_buffer& b = c.input(1);
  if (a.type() != b.type() || !has_product(a.type())) return unsupported_type(c, a.type());
  if (a.dims().rank < 1 || b.dims().rank < 1) return c.fail(status::data_shape, "MatMul of a scalar");
  const operand l = split(a.dims(), true), r = split(b.dims(), false);
  if (l.columns != r.rows) {
    return c.fail(status::data_shape,
                  "inner dimensions differ: " + std::to_string(l.columns) + " and " + std::to_string(r.rows));
  }
  QUANTAL_TRY(batch, broadcast_shape(c, l.batch, r.batch));
  shape dims = batch;
  if ((a.dims().rank > 1 && !dims.push_back(l.rows)) || (b.dims().rank > 1 && !dims.push_back(r.columns))) {
    return c.fail(status::limit, "result has too many dimensions");
  }
  QUANTAL_TRY(y, c.output(0, a.type(), dims));
  if (y->elements() == 0) return {};
  std::fill_n(static_cast<char*>(y->mutable_data()), y->bytes(), char{0});
  const std::size_t bytes = bits_of(a.type()) / 8;
  const auto at = [bytes](const void* base, std::int64_t elements) {
    return static_cast<const char*>(base) + static_cast<std::size_t>(elements) * bytes;
  };
  bool done = true;
  if (r.batch.elements() == 1) {  // one right operand: all left matrices are one tall one
    done = product(c.parallel(), a.type(), {batch.elements() * l.rows, r.columns, l.columns, false, false}, a.data(),
                   b.data(), y->mutable_data());
  } else {
    const std::int64_t count = batch.elements();
    const auto one = [&](std::int64_t i, const parallel_for& parallel) {
      return product(parallel, a.type(), {l.rows, r.columns, l.columns, false, false},
                     at(a.data(), matrix_of(l.batch, batch, i) * l.rows * l.columns),
                     at(b.data(), matrix_of(r.batch, batch, i) * r.rows * r.columns),
                     static_cast<char*>(y->mutable_data()) + static_cast<std::size_t>(i * l.rows * r.columns) * bytes);
    };
    if (count >= 4) {
      std::vector<char> failed(static_cast<std::size_t>(count), 0);
      c.parallel()(static_cast<std::size_t>(count),
                   [&](std::size_t i) { failed[i] = one(static_cast<std::int64_t>(i), {}) ? 0 : 1; });
      done = std::find(failed.begin(), failed.end(), 1) == failed.end();
    } else {
      for (std::int64_t i = 0; i < count; ++i) done = one(i, c.parallel()) && done;
    }
  }
  return done ? result<void>{} : c.fail(status::out_of_memory, "no memory for packed operands");
}

result<void> infer_float_matmul(infer_context& c) {
  return infer_matmul(c, 0, 1, elem_of(c, 0));
}

// ---- Gemm ---------------------------------------------------------------------------------------------------------

// y = scale * y + beta * c, c broadcast to [m, n].
template <class T>
void blend(T* y, std::int64_t m, std::int64_t n, float alpha, float beta, const T* c, std::int64_t row_stride,
           std::int64_t column_stride) {
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      T& v = y[i * n + j];
      if (alpha != 1.0f) v = static_cast<T>(static_cast<T>(alpha) * v);
      if (c == nullptr) continue;
      const T add = c[i * row_stride + j * column_stride];
      v = static_cast<T>(v + (beta == 1.0f ? add : static_cast<T>(static_cast<T>(beta) * add)));
    }
  }
}

result<void> eval_gemm(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& a = c.input(0);
  const tensor_buffer& b = c.input(1);
  if (a.type() != b.type() || !has_product(a.type())) return unsupported_type(c, a.type());
  const shape& ad = a.dims();
  const shape& bd = b.dims();
  if (ad.rank != 2 || bd.rank != 2) return c.fail(status::data_shape, "Gemm needs matrices");
  sizes s;
  s.a_transposed = c.node.get_int("transA", 0) != 0;
  s.b_transposed = c.node.get_int("transB", 0) != 0;
  s.m = ad[s.a_transposed ? 1 : 0], s.k = ad[s.a_transposed ? 0 : 1], s.n = bd[s.b_transposed ? 0 : 1];
  if (bd[s.b_transposed ? 1 : 0] != s.k) return c.fail(status::data_shape, "inner dimensions differ");
  std::int64_t row_stride = 0, column_stride = 0;
  const tensor_buffer* add = c.has_input(2) ? &c.input(2) : nullptr;
  if (add != nullptr) {
    const shape& cd = add->dims();
    const std::int64_t rows = cd.rank == 2 ? cd[0] : 1, columns = cd.rank == 0 ? 1 : cd[cd.rank - 1];
    if (add->type() != a.type() || cd.rank > 2 || (rows != 1 && rows != s.m) || (columns != 1 && columns != s.n)) {
      return c.fail(status::data_shape, "C does not broadcast to the result");
    }
    column_stride = columns == 1 ? 0 : 1;
    row_stride = rows == 1 ? 0 : columns;
  }
  QUANTAL_TRY(y, c.output(0, a.type(), shape(s.m, s.n)));
  std::fill_n(static_cast<char*>(y->mutable_data()), y->bytes(), char{0});
  if (!product(c.parallel(), a.type(), s, a.data(), b.data(), y->mutable_data()))
    return c.fail(status::out_of_memory, "no memory for packed operands");
  const float alpha = c.node.get_float("alpha", 1.0f), beta = c.node.get_float("beta", 1.0f);
  with_number(a.type(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (sizeof(T) >= 4) {
      blend(y->mutable_as<T>(), s.m, s.n, alpha, beta, add == nullptr ? nullptr : add->as<T>(), row_stride,
            column_stride);
    }
  });
  return {};
}

result<void> infer_gemm(infer_context& c) {
  const dtype type = elem_of(c, 0);
  const dim_list* a = dims_of(c, 0);
  const dim_list* b = dims_of(c, 1);
  const bool ta = c.node.get_int("transA", 0) != 0, tb = c.node.get_int("transB", 0) != 0;
  if ((a != nullptr && a->size() != 2) || (b != nullptr && b->size() != 2)) return rule_error(c, "Gemm needs matrices");
  if (a != nullptr && b != nullptr) QUANTAL_CHECK(merge_dim(c, (*a)[ta ? 0 : 1], (*b)[tb ? 1 : 0]));
  set_typed(c, 0, type, {a == nullptr ? ir::dim() : (*a)[ta ? 1 : 0], b == nullptr ? ir::dim() : (*b)[tb ? 0 : 1]});
  return {};
}

std::int32_t last_axis(const ir::node&, std::int32_t rank) {
  return rank >= 2 ? rank - 1 : -1;
}
std::int32_t gemm_axis(const ir::node& n, std::int32_t) {
  return n.get_int("transB", 0) != 0 ? 0 : 1;
}

constexpr quant_rule matmul_rule{quant_kind::weighted, 0, 1, -1, last_axis};
constexpr quant_rule gemm_rule{quant_kind::weighted, 0, 1, 2, gemm_axis};
const op_def table[] = {
    {"MatMul", 1, infer_float_matmul, in_wide<eval_matmul>, matmul_rule},
    {"Gemm", 7, infer_gemm, in_wide<eval_gemm>, gemm_rule},
};

}  // namespace

op_list matmul_ops() {
  return table;
}

}  // namespace quantal::ops
