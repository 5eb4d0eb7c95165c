// One to three rows times some panels with AVX2: as fast as the weights arrive, and exact.
//
// For so few rows, widening the weights would cost as much as the products. Instead a row is split into nibbles,
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
  // Each group of 4 codes twice, the first of them shifted down by a nibble.
  const __m256i twice = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 4, 5, 6, 7,  //
                                         8, 9, 10, 11, 8, 9, 10, 11, 12, 13, 14, 15, 12, 13, 14, 15);
  const __m256i down = _mm256_setr_epi32(4, 0, 4, 0, 4, 0, 4, 0), nibble = _mm256_set1_epi8(15);
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(mask));
  int64_t d = 0;
  for (; d + 16 <= k; d += 16) {
    const __m256i x = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + d)));
    const __m256i groups = _mm256_shuffle_epi8(_mm256_xor_si256(x, flip), twice);
    store_ymm(to + 2 * d, _mm256_and_si256(_mm256_srlv_epi32(groups, down), nibble));
  }
  for (; d < padded; ++d) {
    const uint8_t code = d < k ? static_cast<uint8_t>(from[d] ^ mask) : uint8_t{0};
    uint8_t* group = to + d / 4 * 8 + d % 4;
    group[0] = static_cast<uint8_t>(code >> 4);
    group[4] = code & 15;
  }
}

// Four bytes, eight times. GCC 12 merges two such neighbouring loads into one of 64 bits and takes that apart with
// shifts and moves between register files: six instructions for two.
inline __m256i broadcast4(const uint8_t* p) noexcept {
#if defined(QUANTAL_EMULATE)
  int32_t four;
  __builtin_memcpy(&four, p, sizeof four);
  return _mm256_set1_epi32(four);
#else
  __m256i x;
  __asm__("vpbroadcastd {%1, %0|%0, %1}" : "=x"(x) : "m"(*reinterpret_cast<const uint8_t(*)[4]>(p)));
  return x;
#endif
}

// s16 sums of `Rows` rows and 16 * `Panels` columns: 12 vectors at most. The s32 sums stay in L1.
template <int32_t Rows, int32_t Panels>
struct nibble_sums {
  __m256i high[Rows][2 * Panels], low[Rows][2 * Panels];
};

template <bool First>
inline void add_nibbles(__m256i& sum, __m256i nibbles, __m256i weights) noexcept {
  const __m256i product = _mm256_maddubs_epi16(nibbles, weights);
  sum = fenced(First ? product : _mm256_add_epi16(sum, product));
}

// One step; the first sets the sums.
template <bool First, int32_t Rows, int32_t Panels>
[[gnu::always_inline]] inline void add_step(nibble_sums<Rows, Panels>& s, const uint8_t* const (&row)[Rows], int64_t at,
                                            const uint8_t* panel, int64_t panel_step) noexcept {
  __m256i w[2 * Panels];  // loaded once, not as an operand of each product
#pragma GCC unroll 4
  for (int32_t c = 0; c < 2 * Panels; ++c) w[c] = fenced(load_ymm(panel + c / 2 * panel_step + c % 2 * 32));
#pragma GCC unroll 3
  for (int32_t i = 0; i < Rows; ++i) {
    const __m256i high = broadcast4(row[i] + at);
#pragma GCC unroll 4
    for (int32_t c = 0; c < 2 * Panels; ++c) add_nibbles<First>(s.high[i][c], high, w[c]);
    const __m256i low = broadcast4(row[i] + at + 4);
#pragma GCC unroll 4
    for (int32_t c = 0; c < 2 * Panels; ++c) add_nibbles<First>(s.low[i][c], low, w[c]);
  }
}

// `steps` (1 .. 8; 8 where they are `Whole`) steps in s16, then into the s32 sums [panel][row][16].
template <bool Whole, int32_t Rows, int32_t Panels>
[[gnu::always_inline]] inline void add_steps(int32_t* sums, const uint8_t* const (&row)[Rows], const uint8_t* panel,
                                             int64_t panel_step, int64_t steps) noexcept {
  nibble_sums<Rows, Panels> s;
  if constexpr (Whole) {
    add_step<true>(s, row, 0, panel, panel_step);
#pragma GCC unroll 8
    for (int32_t k = 1; k < 8; ++k) add_step<false>(s, row, 8 * k, panel + 64 * k, panel_step);
  } else {
#pragma GCC unroll 3
    for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 4
      for (int32_t c = 0; c < 2 * Panels; ++c) s.high[i][c] = s.low[i][c] = _mm256_setzero_si256();
    for (int64_t k = 0; k < steps; ++k) add_step<false>(s, row, 8 * k, panel + 64 * k, panel_step);
  }
  const __m256i sixteen = _mm256_set1_epi16(16), one = _mm256_set1_epi16(1);
#pragma GCC unroll 3
  for (int32_t i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int32_t c = 0; c < 2 * Panels; ++c) {
      int32_t* at_sum = sums + (c / 2 * Rows + i) * 16 + c % 2 * 8;
      const __m256i x = _mm256_add_epi32(_mm256_madd_epi16(s.high[i][c], sixteen), _mm256_madd_epi16(s.low[i][c], one));
      store_ymm(at_sum, _mm256_add_epi32(load_ymm(at_sum), x));
    }
}

// `Rows` rows times `Panels` panels, the first of which is `first`. A product has one tap.
template <int32_t Rows, int32_t Panels>
inline void nibble_panels(const block_args& a, int32_t first) noexcept {
  const uint8_t* panel = static_cast<const uint8_t*>(a.panel) + first * a.panel_step;
  int32_t* sums = a.acc + first * Rows * 16;
  if (!a.accumulate)
    for (int32_t i = 0; i < Rows * Panels * 16; i += 8) store_ymm(sums + i, fenced(_mm256_setzero_si256()));
  const uint8_t* row[Rows];
#pragma GCC unroll 3
  for (int32_t i = 0; i < Rows; ++i) row[i] = static_cast<const uint8_t*>(a.rows[i]);
  const bool far = a.steps >= 512;  // deep panels come from L3 or memory; nearer ones are slowed by prefetching
  int64_t left = a.steps;
  for (; left >= 8; left -= 8, panel += 512) {
    if (far)
      for (int32_t i = 0; i < Panels * 512; i += 64)
        _mm_prefetch(reinterpret_cast<const char*>(panel + i / 512 * a.panel_step + 4096 + i % 512), _MM_HINT_T0);
    add_steps<true, Rows, Panels>(sums, row, panel, a.panel_step, 8);
#pragma GCC unroll 3
    for (int32_t i = 0; i < Rows; ++i) row[i] += 64;
  }
  if (left > 0) add_steps<false, Rows, Panels>(sums, row, panel, a.panel_step, left);
}

[[gnu::noinline]] inline void block_many_nibbles(const block_args& a) noexcept {
  int32_t i = 0;
  if (a.live_rows == 3) {
    for (; i < a.panels; ++i) nibble_panels<3, 1>(a, i);
  } else if (a.live_rows == 2) {
    for (; i < a.panels; ++i) nibble_panels<2, 1>(a, i);
  } else {
    for (; i + 2 <= a.panels; i += 2) nibble_panels<1, 2>(a, i);
    if (i < a.panels) nibble_panels<1, 1>(a, i);
  }
}
inline void block_nibbles(const block_args& a) noexcept {
  return a.live_rows == 1 && a.panels == 1 ? nibble_panels<1, 1>(a, 0) : block_many_nibbles(a);
}

// Several panels' blocks. By itself, so that one panel's block does not set up its frame.
[[gnu::noinline]] inline bool store_each_panel(const store_args& a) noexcept {
  store_args one = a;
  one.live_columns = 16;
  for (int32_t i = 1; i < a.panels; ++i, next_panel(one, 16))
    if (!store_block(one)) return false;
  one.live_columns = a.live_columns;
  return store_block(one);
}

inline bool store_panels(const store_args& a) noexcept {
  return a.panels == 1 ? store_block(a) : store_each_panel(a);
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::avx2
#endif
