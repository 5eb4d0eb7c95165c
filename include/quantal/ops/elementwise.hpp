// Drivers of element-wise operators. An operator supplies loops over rows; the driver broadcasts, collapses
// dimensions and spreads rows over the caller's threads.
//
//   out[i] = f(a[i * sa], b[i * sb])   for i in [0, n), strides 0 (one value repeated) or 1
//
// (both 0 only for n = 1) so that each operator and type is compiled once, however its shapes broadcast.
#pragma once
#include <cstddef>

#include "quantal/ops/op.hpp"

namespace quantal::ops {

using binary_loop = void (*)(const void* a, std::ptrdiff_t sa, const void* b, std::ptrdiff_t sb, void* out,
                             std::size_t n);
// Runs it for c's output 0 of type out_type. a and b have the types that the loop reads.
result<void> run_binary(eval_context& c, const tensor_buffer& a, const tensor_buffer& b, dtype out_type,
                        binary_loop loop);
// The same into a tensor that the caller made of the broadcast shape.
void broadcast_into(const parallel_for& parallel, const tensor_buffer& a, const tensor_buffer& b, tensor_buffer& out,
                    binary_loop loop);

// A loop from a functor: F{}(x, y) on T gives R.
template <class T, class R, class F>
void loop_of(const void* a, std::ptrdiff_t sa, const void* b, std::ptrdiff_t sb, void* out, std::size_t n) {
  const T* x = static_cast<const T*>(a);
  const T* y = static_cast<const T*>(b);
  R* z = static_cast<R*>(out);
  constexpr F f{};
  if (sa != 0 && sb != 0) {
    for (std::size_t i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
  } else if (sa != 0) {
    const T one = *y;
    for (std::size_t i = 0; i < n; ++i) z[i] = f(x[i], one);
  } else {
    const T one = *x;
    for (std::size_t i = 0; i < n; ++i) z[i] = f(one, y[i]);
  }
}

// y[i] = f(x[i]); `parameters` are the operator's constants.
using unary_loop = void (*)(const void* x, void* y, std::size_t n, const double* parameters);
result<void> run_unary(eval_context& c, const tensor_buffer& x, dtype out_type, unary_loop loop,
                       const double* parameters = nullptr);

}  // namespace quantal::ops
