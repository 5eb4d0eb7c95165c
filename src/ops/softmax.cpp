// Softmax and LogSoftmax. Before opset 13 the input is seen as a matrix [dims before axis, dims from axis] and `axis`
// is 1 by default; since 13 only `axis` (-1 by default) is normalised. Source: ONNX spec, Softmax.
#include <algorithm>
#include <cmath>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

template <class T, bool Log>
void softmax(const T* x, T* y, std::int64_t n, std::int64_t stride) {
  T largest = x[0];
  for (std::int64_t i = 1; i < n; ++i) largest = std::max(largest, x[i * stride]);
  T sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const T shifted = x[i * stride] - largest;
    const T e = std::exp(shifted);
    sum += e;
    y[i * stride] = Log ? shifted : e;
  }
  const T divisor = Log ? std::log(sum) : sum;
  for (std::int64_t i = 0; i < n; ++i) {
    T& v = y[i * stride];
    v = Log ? v - divisor : v / divisor;
  }
}

template <bool Log>
result<void> eval_softmax(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const shape& d = x.dims();
  const bool matrix = c.opset < 13;
  std::int32_t axis = 0;
  if (d.rank > 0) {
    QUANTAL_TRY(found, axis_of(c, c.node.get_int("axis", matrix ? 1 : -1), matrix ? std::max(d.rank, 2) : d.rank));
    axis = std::min(found, d.rank);
  }
  const std::int64_t outer = d.elements(0, axis), n = matrix ? d.elements(axis, d.rank) : d.rank == 0 ? 1 : d[axis];
  const std::int64_t inner = matrix || d.rank == 0 ? 1 : d.elements(axis + 1, d.rank);
  QUANTAL_TRY(y, c.output(0, x.type(), d));
  if (x.elements() == 0) return {};
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    parallel_ranges(c.parallel(), outer * inner, std::max<std::int64_t>(1, 4096 / n),
                    [&](std::int64_t first, std::int64_t last) {
                      for (std::int64_t i = first; i < last; ++i) {
                        const std::int64_t at = i / inner * n * inner + i % inner;
                        softmax<T, Log>(x.as<T>() + at, y->mutable_as<T>() + at, n, inner);
                      }
                    });
  };
  if (x.type() == dtype::f32) {
    run(float{});
  } else if (x.type() == dtype::f64) {
    run(double{});
  } else {
    return unsupported_type(c, x.type());
  }
  return {};
}

const op_def table[] = {
    {"Softmax", 1, infer_same, in_wide<eval_softmax<false>>, {}},
    {"LogSoftmax", 1, infer_same, in_wide<eval_softmax<true>>, {}},
};

}  // namespace

op_list softmax_ops() {
  return table;
}

}  // namespace quantal::ops
