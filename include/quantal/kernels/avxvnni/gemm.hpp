// AVX-VNNI leaf of integer products: vpdpbusd on 256 bits, acc(s32) += 4 products u8 * s8, exact (no saturation).
//
//   block 6 x 16: 12 accumulators + 2 weight vectors + 1 broadcast;  panel [k / 4][16][4], as AVX2's
//
// s8 lhs codes are flipped to u8 while they are copied; their zero point is then 128 more, which the bias carries. The
// accumulation has a latency of 4-5 cycles at two a cycle: with few rows, `Sets` independent sums over every Sets-th
// group hide it. Runs on hybrid client CPUs and on Zen 5; CPUs without it can test it emulated (intrinsics.hpp).
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVXVNNI__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/gemm.hpp"

namespace quantal::kernels::avxvnni {
inline namespace QUANTAL_KERNEL_COPY {

using namespace avx2::QUANTAL_KERNEL_COPY;

template <int32_t Rows, int32_t Sets>
inline void add_groups(__m256i (&sum)[Sets][Rows][2], const uint8_t* const (&row)[Rows], int64_t d,
                       const uint8_t* panel) noexcept {
#pragma GCC unroll 4
  for (int32_t s = 0; s < Sets; ++s) {
    __m256i w0 = load_ymm(panel + 64 * s), w1 = load_ymm(panel + 64 * s + 32);
    if constexpr (Rows == 2 || Rows == 3) {  // loaded once, not as an operand of each product
      w0 = fenced(w0);
      w1 = fenced(w1);
    }
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i) {
      const __m256i x = load_pair(row[i] + d + 4 * s);
      sum[s][i][0] = _mm256_dpbusd_avx_epi32(sum[s][i][0], x, w0);
      sum[s][i][1] = _mm256_dpbusd_avx_epi32(sum[s][i][1], x, w1);
    }
  }
}

template <int32_t Rows, int32_t Sets>
inline void block_of(const block_args& a, int32_t first) noexcept {
  int32_t* acc = a.acc + 16 * first;
  __m256i sum[Sets][Rows][2];
#pragma GCC unroll 4
  for (int32_t s = 0; s < Sets; ++s) {
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i) {
      const bool load = a.accumulate && s == 0;
      sum[s][i][0] = load ? load_ymm(acc + 16 * i) : _mm256_setzero_si256();
      sum[s][i][1] = load ? load_ymm(acc + 16 * i + 8) : _mm256_setzero_si256();
    }
  }
  const uint8_t* panel = static_cast<const uint8_t*>(a.panel);
  const int64_t bytes = a.steps * 4, whole = Sets == 1 ? bytes : bytes / (4 * Sets) * (4 * Sets);
  const bool far = Rows <= 3 && a.steps >= 512;  // panels so deep come from L3 or memory
  for (int32_t t = 0; t < a.tap_count; ++t) {
    const uint8_t* row[Rows];
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i) row[i] = static_cast<const uint8_t*>(a.rows[first + i]) + a.taps[t];
    int64_t d = 0;
    if (whole > 0) {
      do {
        if (far)
          for (int32_t s = 0; s < Sets; ++s)
            _mm_prefetch(reinterpret_cast<const char*>(panel + 4096 + 64 * s), _MM_HINT_T0);
        add_groups<Rows, Sets>(sum, row, d, panel);
        panel += 64 * Sets;
        d += 4 * Sets;
      } while (d < whole);
    }
    if constexpr (Sets > 1) {
      for (; d < bytes; d += 4, panel += 64) {
        const __m256i w0 = load_ymm(panel), w1 = load_ymm(panel + 32);
#pragma GCC unroll 6
        for (int32_t i = 0; i < Rows; ++i) {
          const __m256i x = load_pair(row[i] + d);
          sum[0][i][0] = _mm256_dpbusd_avx_epi32(sum[0][i][0], x, w0);
          sum[0][i][1] = _mm256_dpbusd_avx_epi32(sum[0][i][1], x, w1);
        }
      }
    }
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
#pragma GCC unroll 4
    for (int32_t s = 1; s < Sets; ++s) {
      sum[0][i][0] = _mm256_add_epi32(sum[0][i][0], sum[s][i][0]);
      sum[0][i][1] = _mm256_add_epi32(sum[0][i][1], sum[s][i][1]);
    }
    store_ymm(acc + 16 * i, sum[0][i][0]);
    store_ymm(acc + 16 * i + 8, sum[0][i][1]);
  }
}

#if defined(__clang__)
inline constexpr int32_t sets_of_two = 2, sets_of_three = 1;  // clang 14 spills twelve sums in sets
#else
inline constexpr int32_t sets_of_two = 3, sets_of_three = 2;
#endif

// Rows [first, first + live).
inline void block_group(const block_args& a, int32_t first, int32_t live) noexcept {
  switch (live) {
    case 1: block_of<1, 4>(a, first); break;
    case 2: block_of<2, sets_of_two>(a, first); break;
    case 3: block_of<3, sets_of_three>(a, first); break;
    case 4: block_of<4, 1>(a, first); break;
    case 5: block_of<5, 1>(a, first); break;
    default: block_of<6, 1>(a, first);
  }
}

// As AVX2's: groups of rows, as even as possible.
inline void block_any(const block_args& a) noexcept {
  const int32_t groups = (a.live_rows + gemm_rows - 1) / gemm_rows;
  const int32_t fewest = a.live_rows / groups, larger = a.live_rows - fewest * groups;
  for (int32_t i = 0, first = 0; i < groups; ++i) {
    const int32_t live = fewest + (i < larger ? 1 : 0);
    block_group(a, first, live);
    first += live;
  }
}

// One group of rows meets several panels in one call.
inline void block_panels(const block_args& a) noexcept {
  block_args one = a;
  for (int32_t i = 0; i < a.panels; ++i) {
    block_group(one, 0, a.live_rows);
    one.panel = static_cast<const uint8_t*>(one.panel) + a.panel_step;
    one.acc += a.live_rows * 16;
  }
}

inline void prepare_u8(const void* codes, bool is_unsigned, int32_t, int64_t k, int64_t padded, void* out) noexcept {
  flip_copy(codes, !is_unsigned, k, padded, out);
}

constexpr gemm_leaf make_leaf() noexcept {
  gemm_leaf leaf;
  leaf.isa = "avxvnni";
  leaf.layout = layout16;
  leaf.form = lhs_form::u8;
  leaf.prepare = prepare_u8;
  leaf.sum = sum_codes;
  leaf.pack = pack_panel<layout16>;
  leaf.store = store_panels;
  return leaf;
}
constexpr gemm_leaf make_gemv() noexcept {
  gemm_leaf leaf = make_leaf();
  leaf.rows = gemm_rows;
  leaf.panels = 8;
  leaf.block = block_panels;
  return leaf;
}
inline constexpr gemm_leaf gemv = make_gemv();

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf = make_leaf();
  leaf.rows = block_rows;
  leaf.register_rows = gemm_rows;
  leaf.block = block_any;
  leaf.chunk_steps = 384;  // 24 KiB of weights
  leaf.few_rows = &gemv;
  leaf.few_rows_limit = gemm_rows;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avxvnni
#endif
