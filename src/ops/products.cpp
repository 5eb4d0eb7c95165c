#include "products.hpp"

#include <algorithm>
#include <atomic>

namespace quantal::ops {

bool parallel_gemm(const parallel_for& parallel, const kernels::gemm_f32& g) {
  constexpr std::int64_t small = std::int64_t{1} << 18;  // multiply-adds not worth a task
  constexpr std::int64_t most = 16;
  if (g.m <= 0 || g.n <= 0 || g.k <= 0) return true;
  std::int64_t row_tiles = 1, column_tiles = 1;
  while (row_tiles * column_tiles < most) {
    const std::int64_t rows = (g.m + row_tiles - 1) / row_tiles, columns = (g.n + column_tiles - 1) / column_tiles;
    if (static_cast<double>(rows) * static_cast<double>(columns) * static_cast<double>(g.k) <
        2.0 * static_cast<double>(small))
      break;
    if (rows < 32 && columns < 32) break;
    (rows >= columns ? row_tiles : column_tiles) *= 2;
  }
  const auto part = [](std::int64_t total, std::int64_t tiles, std::int64_t unit) {
    return ((total + tiles - 1) / tiles + unit - 1) / unit * unit;
  };
  const std::int64_t rows = part(g.m, row_tiles, 8), columns = part(g.n, column_tiles, 16);
  row_tiles = (g.m + rows - 1) / rows;
  column_tiles = (g.n + columns - 1) / columns;
  std::atomic<bool> done{true};
  parallel(static_cast<std::size_t>(row_tiles * column_tiles), [&](std::size_t t) {
    const std::int64_t r = static_cast<std::int64_t>(t) / column_tiles * rows,
                       c = static_cast<std::int64_t>(t) % column_tiles * columns;
    kernels::gemm_f32 tile = g;
    tile.m = std::min(rows, g.m - r);
    tile.n = std::min(columns, g.n - c);
    tile.a += g.a_transposed ? r : r * g.a_stride;
    tile.b += g.b_transposed ? c * g.b_stride : c;
    tile.c += r * g.c_stride + c;
    if (!kernels::floats().gemm(tile)) done = false;
  });
  return done;
}

void fill_rows(float* c, std::int64_t stride, std::int64_t rows, std::int64_t columns, const float* bias) noexcept {
  for (std::int64_t i = 0; i < rows; ++i) std::fill_n(c + i * stride, columns, bias == nullptr ? 0.0f : bias[i]);
}

}  // namespace quantal::ops
