// Matrix products on a caller's threads. Work is cut by the shape alone, so results do not depend on the number of
// threads (a cut changes the order in which a product's sums are formed).
#pragma once
#include <cstdint>

#include "quantal/base/parallel.hpp"
#include "quantal/kernels/float_table.hpp"

namespace quantal::ops {

// C += A * B in tiles. False: no memory.
bool parallel_gemm(const parallel_for& parallel, const kernels::gemm_f32& g);

// c[i, j] = bias[i] for all j, or 0 without a bias.
void fill_rows(float* c, std::int64_t stride, std::int64_t rows, std::int64_t columns, const float* bias) noexcept;

}  // namespace quantal::ops
