#include "panels.hpp"

#include <algorithm>

namespace quantal::ops {

std::int64_t panel_rows(std::int64_t m) noexcept {
  const std::int64_t most = kernels::floats().max_panel_rows;
  if (m <= 0) return 1;
  const std::int64_t panels = (m + most - 1) / most;
  return (m + panels - 1) / panels;
}

std::int64_t left_floats(std::int64_t m, std::int64_t k) noexcept {
  const std::int64_t rows = panel_rows(m);
  return (m + rows - 1) / rows * rows * k;
}

std::int64_t right_floats(std::int64_t n, std::int64_t k) noexcept {
  const std::int64_t columns = kernels::floats().panel_columns;
  return (n + columns - 1) / columns * columns * k;
}

void pack_left(const float* a, std::int64_t m, std::int64_t k, std::int64_t stride, float* out) noexcept {
  const std::int64_t rows = panel_rows(m);
  for (std::int64_t i = 0; i < m; i += rows) {
    const std::int64_t tall = std::min(rows, m - i);
    for (std::int64_t d = 0; d < k; ++d) {
      for (std::int64_t r = 0; r < rows; ++r) *out++ = r < tall ? a[(i + r) * stride + d] : 0.0f;
    }
  }
}

}  // namespace quantal::ops
