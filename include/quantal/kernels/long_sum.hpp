// Sums of more products than s32 holds (more than max_gemm_depth of them), of matrix products and convolutions alike:
//
//   chunk of at most long_chunk_depth depths ──leaf.block──> s32, exact ──add_long──> s64 ──long_result──> s32
//
// |lhs| <= 255 and |w| <= 128 in every leaf's form, so a chunk of 32768 depths stays below 2^30. What packing folds into
// the bias or the nest subtracts wraps in s32; here zero points and bias are put in exactly, and the result saturates
// as ref/epilogue.hpp says. Freestanding.
#pragma once
#include "quantal/kernels/gemm_epilogue.hpp"

namespace quantal {

inline constexpr int64_t max_long_depth = int64_t{1} << 23;  // row and column sums still fit s32

namespace detail {

inline constexpr int64_t long_chunk_depth = 32768;

inline void add_long(const int32_t* acc, int64_t count, bool fresh, int64_t* sum) noexcept {
  for (int64_t i = 0; i < count; ++i) sum[i] = (fresh ? 0 : sum[i]) + acc[i];
}

// Column c of a panel: `zero` is the lhs zero point in the leaf's form, `taken` what the weights' zero point takes off.
inline int32_t long_result(const const_panel_parts& parts, int32_t c, int64_t sum, int64_t zero,
                           int64_t taken) noexcept {
  return saturate_s32(sum - zero * parts.column_sum[c] + parts.raw_bias[c] - taken);
}

// The bias that is left to add.
inline constexpr int32_t no_bias[max_panel_columns] = {};

}  // namespace detail
}  // namespace quantal
