// One row times a panel with AVX2: as fast as the weights arrive, and exact.
//
// For one row, widening the weights would cost as much as the products. Instead the row is split into nibbles,
// code = 16 * high + low, both in [0, 15]: vpmaddubsw(nibbles, weights) is then at most 2 * 15 * 128 = 3840 in
// magnitude, eight of them fit s16, and only then are the sums widened:
//
//   h, l (s16) += maddubs(high | low nibbles of 4 depths, weights[8 columns][4])      8 times
//   sum (s32)  += madd(h, 16) + madd(l, 1)
//
// A prepared row holds each group of 4 codes as 4 high and 4 low nibbles.
#pragma once
#include "quantal/kernels/copy.hpp"
#if defined(__AVX2__) || defined(QUANTAL_EMULATE)
#include "quantal/kernels/avx2/store.hpp"

namespace quantal::kernels::avx2 {
inline namespace QUANTAL_KERNEL_COPY {

inline void prepare_nibbles(const void* codes, bool is_unsigned, int32_t, int64_t k, int64_t padded,
                            void* out) noexcept {
  const uint8_t* from = static_cast<const uint8_t*>(codes);
  uint8_t* to = static_cast<uint8_t*>(out);
  const uint8_t mask = is_unsigned ? 0 : 0x80;
  const __m128i flip = _mm_set1_epi8(static_cast<char>(mask)), nibble = _mm_set1_epi8(15);
  int64_t d = 0;
  for (; d + 16 <= k; d += 16) {
    const __m128i x = _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + d)), flip);
    const __m128i high = _mm_and_si128(_mm_srli_epi16(x, 4), nibble), low = _mm_and_si128(x, nibble);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * d), _mm_unpacklo_epi32(high, low));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + 2 * d + 16), _mm_unpackhi_epi32(high, low));
  }
  for (; d < padded; ++d) {
    const uint8_t code = d < k ? static_cast<uint8_t>(from[d] ^ mask) : uint8_t{0};
    uint8_t* group = to + d / 4 * 8 + d % 4;
    group[0] = static_cast<uint8_t>(code >> 4);
    group[4] = code & 15;
  }
}

// Sums of 8 and of 8 columns, s16 pairs.
struct nibble_sums {
  __m256i high[2], low[2];
};

inline void add_step(nibble_sums& s, const uint8_t* row, const uint8_t* panel) noexcept {
  int32_t four[2];
  __builtin_memcpy(four, row, sizeof four);
  const __m256i high = _mm256_set1_epi32(four[0]), low = _mm256_set1_epi32(four[1]);
  const __m256i w0 = load_ymm(panel), w1 = load_ymm(panel + 32);
  s.high[0] = fenced(_mm256_add_epi16(s.high[0], _mm256_maddubs_epi16(high, w0)));
  s.high[1] = fenced(_mm256_add_epi16(s.high[1], _mm256_maddubs_epi16(high, w1)));
  s.low[0] = fenced(_mm256_add_epi16(s.low[0], _mm256_maddubs_epi16(low, w0)));
  s.low[1] = fenced(_mm256_add_epi16(s.low[1], _mm256_maddubs_epi16(low, w1)));
}

inline __m256i flush(__m256i sum, __m256i high, __m256i low) noexcept {
  const __m256i h = _mm256_madd_epi16(high, _mm256_set1_epi16(16));
  return _mm256_add_epi32(sum, _mm256_add_epi32(h, _mm256_madd_epi16(low, _mm256_set1_epi16(1))));
}

inline void block_nibbles(const block_args& a) noexcept {
  const __m256i zero = _mm256_setzero_si256();
  __m256i sum0 = a.accumulate ? load_ymm(a.acc) : zero, sum1 = a.accumulate ? load_ymm(a.acc + 8) : zero;
  const uint8_t* panel = static_cast<const uint8_t*>(a.panel);
  const bool far = a.steps >= 512;  // deep panels come from L3 or memory; nearer ones are slowed by prefetching
  for (int32_t t = 0; t < a.tap_count; ++t) {
    const uint8_t* row = static_cast<const uint8_t*>(a.rows[0]) + a.taps[t];
    int64_t left = a.steps;
    for (; left >= 8; left -= 8, row += 64, panel += 512) {
      nibble_sums s = {{zero, zero}, {zero, zero}};
      if (far)
        for (int32_t i = 0; i < 512; i += 64)
          _mm_prefetch(reinterpret_cast<const char*>(panel + 4096 + i), _MM_HINT_T0);
#pragma GCC unroll 8
      for (int32_t i = 0; i < 8; ++i) add_step(s, row + 8 * i, panel + 64 * i);
      sum0 = flush(sum0, s.high[0], s.low[0]);
      sum1 = flush(sum1, s.high[1], s.low[1]);
    }
    nibble_sums s = {{zero, zero}, {zero, zero}};
    for (; left > 0; --left, row += 8, panel += 64) add_step(s, row, panel);
    sum0 = flush(sum0, s.high[0], s.low[0]);
    sum1 = flush(sum1, s.high[1], s.low[1]);
  }
  store_ymm(a.acc, sum0);
  store_ymm(a.acc + 8, sum1);
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
#endif
