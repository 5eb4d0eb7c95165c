// AVX2 leaf of integer products: exact for every combination of signs and zero points.
//
// Both operands are widened to s16 with the lhs zero point subtracted ([-255, 255]); vpmaddwd multiplies pairs and adds
// them in s32: |sum of a pair| <= 2 * 255 * 255, nothing saturates. (vpmaddubsw, twice as wide, saturates in s16 and
// gives wrong sums for full-range weights: it is not used.)
//
//   block 6 x 16: 12 accumulators + 2 weight vectors + 1 broadcast = 15 registers
//   acc[i][0..7], acc[i][8..15] += madd(broadcast(lhs[i][2g, 2g+1]), panel[g][0..7 | 8..15][2])
//
// Two multiplies and four additions a cycle: the adds fill what the multiplies leave, there is no slot for widening. So
// a panel that several row blocks share is widened once into L1; with few rows (GEMV) the packed bytes are widened on
// the fly, because then the weights are read once and bandwidth decides.
#pragma once
#if defined(__AVX2__)
#include "quantal/kernels/intrinsics.hpp"

#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/gemm_leaf.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t gemm_rows = 6;
inline constexpr int32_t gemm_columns = 16;

inline __m256i load_ymm(const void* p) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
inline void store_ymm(void* p, __m256i x) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(p), x);
}
inline __m256i load_pair(const void* p) noexcept {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

// Half `half` (8 columns) of a group of two depths, in s16.
template <bool Wide>
inline __m256i load_weights(const int8_t* p, int32_t half) noexcept {
  if constexpr (Wide)
    return load_ymm(p + 32 * half);
  else
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * half)));
}

template <int32_t Rows, bool Wide>
inline void block_of(const block_args& a) noexcept {
  __m256i sum[Rows][2];
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
    sum[i][0] = a.accumulate ? load_ymm(a.acc + 16 * i) : _mm256_setzero_si256();
    sum[i][1] = a.accumulate ? load_ymm(a.acc + 16 * i + 8) : _mm256_setzero_si256();
  }
  const int8_t* panel = static_cast<const int8_t*>(a.panel);
  const int64_t bytes = a.steps * 4;
  for (int32_t t = 0; t < a.tap_count && bytes > 0; ++t) {
    const int8_t* row[Rows];
#pragma GCC unroll 6
    for (int32_t i = 0; i < Rows; ++i) row[i] = static_cast<const int8_t*>(a.rows[i]) + a.taps[t];
    int64_t d = 0;
    do {
      const __m256i w0 = load_weights<Wide>(panel, 0);
      const __m256i w1 = load_weights<Wide>(panel, 1);
      panel += Wide ? 64 : 32;
#pragma GCC unroll 6
      for (int32_t i = 0; i < Rows; ++i) {
        const __m256i x = load_pair(row[i] + d);
        sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(x, w0));
        sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(x, w1));
      }
      d += 4;
    } while (d < bytes);
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
    store_ymm(a.acc + 16 * i, sum[i][0]);
    store_ymm(a.acc + 16 * i + 8, sum[i][1]);
  }
}

template <bool Wide>
inline void block_any(const block_args& a) noexcept {
  switch (a.live_rows) {
    case 1: block_of<1, Wide>(a); break;
    case 2: block_of<2, Wide>(a); break;
    case 3: block_of<3, Wide>(a); break;
    case 4: block_of<4, Wide>(a); break;
    case 5: block_of<5, Wide>(a); break;
    default: block_of<6, Wide>(a);
  }
}

inline void prepare_lhs(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded,
                        void* out) noexcept {
  const int8_t* from = static_cast<const int8_t*>(codes);
  int16_t* to = static_cast<int16_t*>(out);
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
  int64_t d = 0;
  for (; d + 16 <= k; d += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + d));
    const __m256i wide = is_unsigned ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
    store_ymm(to + d, _mm256_sub_epi16(wide, zero));
  }
  for (; d < k; ++d) {
    const int32_t code = is_unsigned ? int32_t{static_cast<uint8_t>(from[d])} : int32_t{from[d]};
    to[d] = static_cast<int16_t>(code - zero_point);
  }
  for (; d < padded; ++d) to[d] = 0;
}

inline void widen_panel(const void* panel, int64_t steps, void* out) noexcept {
  const int8_t* from = static_cast<const int8_t*>(panel);
  int8_t* to = static_cast<int8_t*>(out);
  for (int64_t g = 0; g < steps; ++g, from += 32, to += 64) {
    store_ymm(to, load_weights<false>(from, 0));
    store_ymm(to + 32, load_weights<false>(from, 1));
  }
}

// 8 accumulators -> 8 codes in s32 lanes: bias, f32 ratio, clamp in f32, ties to even, zero point.
inline __m256i requantize8(const store_args& a, const int32_t* acc, int32_t at) noexcept {
  const __m256i sum = _mm256_add_epi32(load_ymm(acc + at), load_ymm(a.bias + at));
  __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(a.ratio + at));
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(a.low)), _mm256_set1_ps(a.high));
  return _mm256_add_epi32(_mm256_cvtps_epi32(x), _mm256_set1_epi32(a.zero_point));
}

template <bool Unsigned>
inline void store_codes(const store_args& a) noexcept {
  uint8_t* to = static_cast<uint8_t*>(a.out);
  const int32_t* acc = a.acc;
  for (int32_t i = 0; i < a.rows; ++i, acc += gemm_columns, to += a.out_stride) {
    // s32 x16 -> s16 (lanes 0 2 1 3 after packing) -> 8 bit; the permutation restores the order.
    __m256i wide = _mm256_packs_epi32(requantize8(a, acc, 0), requantize8(a, acc, 8));
    wide = _mm256_permute4x64_epi64(wide, 0xd8);
    const __m128i low = _mm256_castsi256_si128(wide), high = _mm256_extracti128_si256(wide, 1);
    const __m128i codes = Unsigned ? _mm_packus_epi16(low, high) : _mm_packs_epi16(low, high);
    if (a.live_columns == gemm_columns) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
    } else {
      alignas(16) uint8_t bounce[16];
      _mm_store_si128(reinterpret_cast<__m128i*>(bounce), codes);
      for (int32_t c = 0; c < a.live_columns; ++c) to[c] = bounce[c];
    }
  }
}

inline bool store_block(const store_args& a) noexcept {
  if (a.rule != contract::fp32_rne || a.residual_type != dtype::none) return false;
  if (a.type == dtype::u8)
    store_codes<true>(a);
  else if (a.type == dtype::s8)
    store_codes<false>(a);
  else
    return false;
  return true;
}

constexpr gemm_leaf make_gemm() noexcept {
  gemm_leaf leaf;
  leaf.isa = "avx2";
  leaf.layout = {/*id*/ 2, gemm_columns, gemm_columns, /*group*/ 2, /*depth*/ 2};
  leaf.rows = gemm_rows;
  leaf.form = lhs_form::s16_centred;
  leaf.prepare = prepare_lhs;
  leaf.block = block_any<false>;
  leaf.widen = widen_panel;
  leaf.block_wide = block_any<true>;
  leaf.wide_bytes = 64;
  leaf.store = store_block;
  return leaf;
}
inline constexpr gemm_leaf gemm = make_gemm();

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2

#endif  // __AVX2__
