// AArch64 dot product leaf of integer products (Armv8.2 dotprod): 4 rows x 16 columns.
//
//   sdot: each s32 lane += four s8 products; one load of 16 depths of a row serves four groups of weights by lane
//
// 16 sums + 4 weight vectors + 4 lhs = 24 of 32 registers. lhs is s8: u8 codes are flipped (xor 0x80), their zero point
// is then 128 less (packing folds it into the bias). sdot adds modulo 2^32. Run under QEMU only; speed not measured.
#pragma once
#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include "quantal/kernels/neon/store.hpp"

namespace quantal::kernels::dotprod {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 4;
inline constexpr int32_t gemm_columns = neon::gemm_columns;
inline constexpr int32_t gemm_depth = 16;

// Loads do not move across it: GCC 12 would load the weights of all groups first and spill sums to make room.
inline void keep_order() noexcept {
  __asm__ volatile("" ::: "memory");
}

// Group `Lane` (four depths) of a step: 16 columns x 4 weights against one lane of each row.
template <int32_t Lane, int32_t Rows>
inline void add_group(int32x4_t (&sum)[Rows][4], const int8x16_t (&x)[Rows], const int8_t* panel) noexcept {
  int8x16_t w[4];
#pragma GCC unroll 4
  for (int32_t j = 0; j < 4; ++j) w[j] = vld1q_s8(panel + (Lane * 4 + j) * 16);
#pragma GCC unroll 4
  for (int32_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int32_t j = 0; j < 4; ++j) sum[i][j] = vdotq_laneq_s32(sum[i][j], w[j], x[i], Lane);
  }
  keep_order();
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
  const int64_t steps = a.steps;
  for (int32_t t = 0; t < a.tap_count && steps > 0; ++t) {
    const int8_t* row[Rows];
#pragma GCC unroll 4
    for (int32_t i = 0; i < Rows; ++i) row[i] = static_cast<const int8_t*>(a.rows[i]) + a.taps[t];
    int64_t step = 0;
    do {
      int8x16_t x[Rows];
#pragma GCC unroll 4
      for (int32_t i = 0; i < Rows; ++i) x[i] = vld1q_s8(row[i] + step * gemm_depth);
      add_group<0>(sum, x, panel);
      add_group<1>(sum, x, panel);
      add_group<2>(sum, x, panel);
      add_group<3>(sum, x, panel);
      panel += gemm_depth * gemm_columns;
    } while (++step < steps);
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

inline void prepare_lhs(const void* codes, bool is_unsigned, int32_t, int64_t k, int64_t padded, void* out) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  uint8_t* to = static_cast<uint8_t*>(out);
  const uint8_t flip = is_unsigned ? 0x80 : 0;
  int64_t d = 0;
  for (; d + 16 <= k; d += 16) vst1q_u8(to + d, veorq_u8(vld1q_u8(from + d), vdupq_n_u8(flip)));
  for (; d < k; ++d) to[d] = from[d] ^ flip;
  for (; d < padded; ++d) to[d] = 0;
}

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf;
  leaf.isa = "dotprod";
  leaf.layout = {/*id*/ 7, gemm_columns, gemm_columns, /*group*/ 4, gemm_depth};
  leaf.rows = gemm_rows;
  leaf.form = lhs_form::s8;
  leaf.prepare = prepare_lhs;
  leaf.block = block;
  leaf.store = neon::store_block;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::dotprod
#endif
