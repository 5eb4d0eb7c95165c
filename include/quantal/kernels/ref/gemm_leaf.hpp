// The portable leaf: plain C++ for CPUs that have no leaf of their own. Same interface, same bits.
// Block 4 x 8, panels of [k][8] s8, lhs as s16 with the zero point subtracted. Freestanding.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/gemm_leaf.hpp"

namespace quantal::kernels::ref {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 4;
inline constexpr int32_t gemm_columns = 8;

inline void gemm_prepare(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded,
                         void* out) noexcept {
  int16_t* to = static_cast<int16_t*>(out);
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  for (int64_t d = 0; d < k; ++d)
    to[d] = static_cast<int16_t>((is_unsigned ? int32_t{from[d]} : int32_t{static_cast<int8_t>(from[d])}) - zero_point);
  for (int64_t d = k; d < padded; ++d) to[d] = 0;
}

inline void gemm_row(const int16_t* lhs, const int8_t*& weights, int64_t steps, int32_t* acc) noexcept {
  for (int64_t d = 0; d < steps; ++d, weights += gemm_columns)
    for (int32_t c = 0; c < gemm_columns; ++c)
      acc[c] = static_cast<int32_t>(static_cast<uint32_t>(acc[c]) + static_cast<uint32_t>(lhs[d] * weights[c]));
}

inline void gemm_block(const block_args& a) noexcept {
  for (int32_t i = 0; i < a.live_rows; ++i) {
    int32_t* acc = a.acc + i * gemm_columns;
    for (int32_t c = 0; c < gemm_columns && !a.accumulate; ++c) acc[c] = 0;
    const int8_t* weights = static_cast<const int8_t*>(a.panel);
    for (int32_t t = 0; t < a.tap_count; ++t) {
      const uint8_t* row = static_cast<const uint8_t*>(a.rows[i]) + a.taps[t];
      gemm_row(reinterpret_cast<const int16_t*>(row), weights, a.steps, acc);
    }
  }
}

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf;
  leaf.isa = "ref";
  leaf.layout = {/*id*/ 1, gemm_columns, gemm_columns, /*group*/ 1, /*depth*/ 1};
  leaf.rows = gemm_rows;
  leaf.form = lhs_form::s16_centred;
  leaf.prepare = gemm_prepare;
  leaf.block = gemm_block;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::ref
