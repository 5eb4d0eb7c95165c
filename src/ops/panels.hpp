// Operands packed into panels for float_table::multiply_panels.
#pragma once
#include <cstdint>

#include "quantal/kernels/float_table.hpp"

namespace quantal::ops {

// Height of A's panels for m rows: the tallest the table has, evened out (8 rows are 4 + 4, not 6 + 2).
std::int64_t panel_rows(std::int64_t m) noexcept;
// Floats of A[m, k] in panels, of B[k, n] in panels.
std::int64_t left_floats(std::int64_t m, std::int64_t k) noexcept;
std::int64_t right_floats(std::int64_t n, std::int64_t k) noexcept;
// A[m, k], row-major with `stride`, into panels.
void pack_left(const float* a, std::int64_t m, std::int64_t k, std::int64_t stride, float* out) noexcept;

}  // namespace quantal::ops
