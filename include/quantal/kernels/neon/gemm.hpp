// NEON leaf of integer products, for every AArch64 CPU: 4 rows x 16 columns, exact for every sign and zero point.
//
//   lhs s16 with the zero point subtracted, weights s8 widened on the way: smlal multiplies four pairs and adds in s32
//   acc[i][c] += x[i][d] * w[d][c]      by lane: one load of four depths of a row serves four vectors of weights
//
// 16 sums + 2 weight vectors + 4 lhs = 22 of 32 registers. (smull of bytes into s16 with sadalp has no higher rate here
// and overflows for -128 * -128 twice.) Run under QEMU only; speed not measured.
#pragma once
#if defined(__aarch64__)
#include "quantal/kernels/neon/store.hpp"

namespace quantal::kernels::neon {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 4;
inline constexpr int32_t gemm_depth = 4;

// Depth `Lane` of a step: 16 weights against one lane of each row.
template <int32_t Lane, int32_t Rows>
inline void add_depth(int32x4_t (&sum)[Rows][4], const int16x4_t (&x)[Rows], const int8_t* panel) noexcept {
  const int8x16_t w = vld1q_s8(panel + Lane * gemm_columns);
  const int16x8_t low = vmovl_s8(vget_low_s8(w)), high = vmovl_high_s8(w);
#pragma GCC unroll 4
  for (int32_t i = 0; i < Rows; ++i) {
    sum[i][0] = vmlal_lane_s16(sum[i][0], vget_low_s16(low), x[i], Lane);
    sum[i][1] = vmlal_high_lane_s16(sum[i][1], low, x[i], Lane);
    sum[i][2] = vmlal_lane_s16(sum[i][2], vget_low_s16(high), x[i], Lane);
    sum[i][3] = vmlal_high_lane_s16(sum[i][3], high, x[i], Lane);
  }
}

template <int32_t Rows>
inline void block_of(const block_args& a) noexcept {
  int32x4_t sum[Rows][4];
#pragma GCC unroll 4
  for (int32_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j)
      sum[i][j] = a.accumulate ? vld1q_s32(a.acc + i * gemm_columns + 4 * j) : vdupq_n_s32(0);
  }
  const int8_t* panel = static_cast<const int8_t*>(a.panel);
  for (int32_t t = 0; t < a.tap_count && a.steps > 0; ++t) {
    const int16_t* row[Rows];
#pragma GCC unroll 4
    for (int32_t i = 0; i < Rows; ++i)
      row[i] = reinterpret_cast<const int16_t*>(static_cast<const uint8_t*>(a.rows[i]) + a.taps[t]);
    int64_t step = 0;
    do {
      int16x4_t x[Rows];
#pragma GCC unroll 4
      for (int32_t i = 0; i < Rows; ++i) x[i] = vld1_s16(row[i] + step * gemm_depth);
      add_depth<0>(sum, x, panel);
      add_depth<1>(sum, x, panel);
      add_depth<2>(sum, x, panel);
      add_depth<3>(sum, x, panel);
      panel += gemm_depth * gemm_columns;
    } while (++step < a.steps);
  }
#pragma GCC unroll 4
  for (int32_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) vst1q_s32(a.acc + i * gemm_columns + 4 * j, sum[i][j]);
  }
}

inline void block(const block_args& a) noexcept {
  switch (a.live_rows) {
    case 1: block_of<1>(a); break;
    case 2: block_of<2>(a); break;
    case 3: block_of<3>(a); break;
    default: block_of<4>(a);
  }
}

inline void prepare_lhs(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded,
                        void* out) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  int16_t* to = static_cast<int16_t*>(out);
  const int16x8_t zero = vdupq_n_s16(static_cast<int16_t>(zero_point));
  int64_t d = 0;
  for (; d + 8 <= k; d += 8) {
    const uint8x8_t bytes = vld1_u8(from + d);
    const int16x8_t wide = is_unsigned ? vreinterpretq_s16_u16(vmovl_u8(bytes)) : vmovl_s8(vreinterpret_s8_u8(bytes));
    vst1q_s16(to + d, vsubq_s16(wide, zero));
  }
  for (; d < k; ++d)
    to[d] = static_cast<int16_t>((is_unsigned ? int32_t{from[d]} : int32_t{static_cast<int8_t>(from[d])}) - zero_point);
  for (; d < padded; ++d) to[d] = 0;
}

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf;
  leaf.isa = "neon";
  leaf.layout = {/*id*/ 6, gemm_columns, gemm_columns, /*group*/ 1, gemm_depth};
  leaf.rows = gemm_rows;
  leaf.form = lhs_form::s16_centred;
  leaf.prepare = prepare_lhs;
  leaf.block = block;
  leaf.store = store_block;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::neon
#endif
