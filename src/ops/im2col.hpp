// im2col: the inputs under a convolution's windows, written as a matrix so that the convolution is a product.
//
//   columns[k, j] = input under tap k % taps of channel k / taps, for output position first + j
//
// Taps in the padding read 0. One row of that matrix at a time: `count` columns from position `first`.
#pragma once
#include <algorithm>

#include "window.hpp"

namespace quantal::ops {

template <class T>
void gather_row(const window& w, const T* x, std::int64_t k, std::int64_t first, std::int64_t count, T* to) noexcept {
  const std::int64_t taps = w.taps();
  const T* from = x + k / taps * w.in_size();
  const std::int64_t tap = k % taps;
  const std::int64_t kz = tap / (w.kernel[1] * w.kernel[2]), ky = tap / w.kernel[2] % w.kernel[1],
                     kx = tap % w.kernel[2];
  const std::int64_t offset = kx * w.dilation[2] - w.pad[2];
  std::int64_t begin = 0, end = 0;
  inside(w.in[2], w.out[2], w.stride[2], offset, begin, end);
  std::int64_t row = first / w.out[2], column = first % w.out[2];
  for (std::int64_t left = count; left > 0; column = 0, ++row) {
    const std::int64_t stop = std::min(w.out[2], column + left);
    const std::int64_t z = row / w.out[1] * w.stride[0] - w.pad[0] + kz * w.dilation[0];
    const std::int64_t y = row % w.out[1] * w.stride[1] - w.pad[1] + ky * w.dilation[1];
    left -= stop - column;
    if (z < 0 || z >= w.in[0] || y < 0 || y >= w.in[1]) {
      to = std::fill_n(to, stop - column, T{0});
      continue;
    }
    const std::int64_t b = std::clamp(begin, column, stop), e = std::clamp(end, b, stop);
    const T* source = from + (z * w.in[1] + y) * w.in[2] + offset;
    to = std::fill_n(to, b - column, T{0});
    if (w.stride[2] == 1) {
      to = std::copy(source + b, source + e, to);
    } else {
      for (std::int64_t i = b; i < e; ++i) *to++ = source[i * w.stride[2]];
    }
    to = std::fill_n(to, stop - e, T{0});
  }
}

}  // namespace quantal::ops
