// AVX2 leaf of the matrix product: exact for every combination of signs and zero points.
//
// Both operands are widened to s16 with their zero point subtracted ([-255, 255]); vpmaddwd multiplies pairs and adds
// them in s32: |sum of a pair| <= 2 * 255 * 255, nothing saturates. (vpmaddubsw, twice as wide, saturates in s16 and
// gives wrong sums for full-range weights: it is not used.)
//
//   block 6 x 16: 12 accumulators + 2 weight vectors + 1 broadcast = 15 registers
//   acc[i][0..7], acc[i][8..15] += madd(broadcast(lhs[i][2g, 2g+1]), panel[g][0..7 | 8..15][2])
//
// A panel of a long product is widened once into L1 and used by all row blocks; with few rows (GEMV) the packed bytes
// are widened on the fly, because then the weights are read once and bandwidth decides. Compile with -mavx2
// -fno-tree-coalesce-vars (GCC 12 otherwise copies and spills accumulators in do-while loops).
#pragma once
#if defined(__AVX2__)
#include <immintrin.h>

#include "quantal/kernels/gemm_leaf.hpp"

namespace quantal::avx2 {
inline namespace gemm_v1 {

inline constexpr int32_t block_rows = 6;
inline constexpr int32_t block_columns = 16;

inline __m256i load_pair(const void* p) noexcept {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof pair);
  return _mm256_set1_epi32(pair);
}

template <bool Packed>
inline __m256i load_weights(const int8_t* p, int32_t half) noexcept {
  if constexpr (Packed)
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * half)));
  else
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * half));
}

template <int32_t Rows, bool Packed>
inline void block_of(const int8_t* lhs, int64_t stride, const int8_t* panel, int64_t groups, bool accumulate,
                     int32_t* acc) noexcept {
  __m256i sum[Rows][2];
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
    sum[i][0] =
        accumulate ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + 16 * i)) : _mm256_setzero_si256();
    sum[i][1] =
        accumulate ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + 16 * i + 8)) : _mm256_setzero_si256();
  }
  if (groups > 0) {
    do {
      const __m256i w0 = load_weights<Packed>(panel, 0);
      const __m256i w1 = load_weights<Packed>(panel, 1);
      panel += Packed ? 32 : 64;
#pragma GCC unroll 6
      for (int32_t i = 0; i < Rows; ++i) {
        const __m256i x = load_pair(lhs + i * stride);
        sum[i][0] = _mm256_add_epi32(sum[i][0], _mm256_madd_epi16(x, w0));
        sum[i][1] = _mm256_add_epi32(sum[i][1], _mm256_madd_epi16(x, w1));
      }
      lhs += 4;
    } while (--groups > 0);
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < Rows; ++i) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(acc + 16 * i), sum[i][0]);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(acc + 16 * i + 8), sum[i][1]);
  }
}

template <bool Packed>
inline void block_any(const void* lhs, int64_t stride, const void* panel, int64_t groups, int32_t rows, bool accumulate,
                      int32_t* acc) noexcept {
  const int8_t* l = static_cast<const int8_t*>(lhs);
  const int8_t* p = static_cast<const int8_t*>(panel);
  switch (rows) {
    case 1: block_of<1, Packed>(l, stride, p, groups, accumulate, acc); break;
    case 2: block_of<2, Packed>(l, stride, p, groups, accumulate, acc); break;
    case 3: block_of<3, Packed>(l, stride, p, groups, accumulate, acc); break;
    case 4: block_of<4, Packed>(l, stride, p, groups, accumulate, acc); break;
    case 5: block_of<5, Packed>(l, stride, p, groups, accumulate, acc); break;
    default: block_of<6, Packed>(l, stride, p, groups, accumulate, acc);
  }
}
inline void block_packed(const void* lhs, int64_t stride, const int8_t* panel, int64_t groups, int32_t rows,
                         bool accumulate, int32_t* acc) noexcept {
  block_any<true>(lhs, stride, panel, groups, rows, accumulate, acc);
}

inline void widen_lhs(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded,
                      void* out) noexcept {
  const int8_t* from = static_cast<const int8_t*>(codes);
  int16_t* to = static_cast<int16_t*>(out);
  const __m256i zero = _mm256_set1_epi16(static_cast<int16_t>(zero_point));
  int64_t d = 0;
  for (; d + 16 <= k; d += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + d));
    const __m256i wide = is_unsigned ? _mm256_cvtepu8_epi16(bytes) : _mm256_cvtepi8_epi16(bytes);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + d), _mm256_sub_epi16(wide, zero));
  }
  for (; d < k; ++d) {
    const int32_t code = is_unsigned ? int32_t{static_cast<uint8_t>(from[d])} : int32_t{from[d]};
    to[d] = static_cast<int16_t>(code - zero_point);
  }
  for (; d < padded; ++d) to[d] = 0;
}

inline void widen_panel(const int8_t* panel, int64_t groups, void* out) noexcept {
  int16_t* to = static_cast<int16_t*>(out);
  for (int64_t g = 0; g < groups; ++g, panel += 32, to += 32) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), load_weights<true>(panel, 0));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 16), load_weights<true>(panel, 1));
  }
}

// 8 accumulators -> 8 codes in s32 lanes: bias, f32 ratio, clamp in f32, ties to even, zero point.
inline __m256i requantize8(const int32_t* acc, const panel_epilogue& e, int32_t at) noexcept {
  const __m256i sum = _mm256_add_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(acc + at)),
                                       _mm256_loadu_si256(reinterpret_cast<const __m256i*>(e.bias + at)));
  __m256 x = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(e.ratio + at));
  x = _mm256_min_ps(_mm256_max_ps(x, _mm256_set1_ps(e.low)), _mm256_set1_ps(e.high));
  x = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  return _mm256_add_epi32(_mm256_cvttps_epi32(x), _mm256_set1_epi32(e.zero_point));
}

template <bool Unsigned>
inline void store_codes(const int32_t* acc, const panel_epilogue& e, int32_t rows, int32_t columns, void* out,
                        int64_t stride) noexcept {
  uint8_t* to = static_cast<uint8_t*>(out);
  for (int32_t i = 0; i < rows; ++i, acc += block_columns, to += stride) {
    // s32 x16 -> s16 (lanes 0 2 1 3 after packing) -> 8 bit; the permutation restores the order.
    __m256i wide = _mm256_packs_epi32(requantize8(acc, e, 0), requantize8(acc, e, 8));
    wide = _mm256_permute4x64_epi64(wide, 0xd8);
    const __m128i low = _mm256_castsi256_si128(wide), high = _mm256_extracti128_si256(wide, 1);
    const __m128i codes = Unsigned ? _mm_packus_epi16(low, high) : _mm_packs_epi16(low, high);
    if (columns == block_columns) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to), codes);
    } else {
      alignas(16) uint8_t bounce[16];
      _mm_store_si128(reinterpret_cast<__m128i*>(bounce), codes);
      for (int32_t c = 0; c < columns; ++c) to[c] = bounce[c];
    }
  }
}

inline constexpr gemm_leaf leaf = {
    "avx2",      /*layout*/ 2,       block_rows,       block_columns, /*group*/ 2,       /*lhs_bytes*/ 2,   widen_lhs,
    widen_panel, /*panel_bytes*/ 64, block_any<false>, block_packed,  store_codes<true>, store_codes<false>};

}  // namespace gemm_v1
}  // namespace quantal::avx2

#endif  // __AVX2__
