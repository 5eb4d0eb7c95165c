// What lies under pooling windows, in vectors of channels: the largest codes, and sums.
//
//   stride 1   a b c        the column maxima b and c of one window are kept for the next: 3 loads an output, not 9;
//                b c d      at stride 2 one column is kept: 6 loads
//
// Sums: two codes of a channel are unpacked side by side and added to 16 bits by one instruction. Kept columns stay in
// registers: a buffer of them costs as many loads again, and stalls where its addresses and the image's agree in their
// low 12 bits. The last vector of channels overlaps the one before. Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/integer.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

template <int N>
struct number {
  static constexpr int value = N;
};

// Neighbouring windows of 3 columns and at most 3 rows, N vectors of channels: they share columns, whose largest codes
// stay in registers. An output costs 3 or 6 loads, not 9.
template <class V, int Stride, int N, class Code>
[[gnu::always_inline]] inline void max_of_three_columns(const window_taps<Code>& t, const Code* first,
                                                        Code* out) noexcept {
  using bytes = typename V::bytes;
  const Code* second = t.rows > 1 ? first + t.row_step : first;
  const Code* third = t.rows > 2 ? second + t.row_step : second;
  const int64_t step = t.column_step, channels = t.channels;
  const auto column = [&](int64_t at) noexcept {
    const bytes two = V::template max_bytes<Code>(V::load_bytes(first + at), V::load_bytes(second + at));
    return V::template max_bytes<Code>(two, V::load_bytes(third + at));
  };
  bytes left[N], middle[N];
  for (int i = 0; i < N; ++i) {
    left[i] = column(i * static_cast<int64_t>(V::byte_width));
    if (Stride == 1) middle[i] = column(step + i * static_cast<int64_t>(V::byte_width));
  }
  int64_t at = Stride == 1 ? 2 * step : step;
  for (int64_t p = 0; p < t.pixels; ++p, at += Stride * step, out += channels) {
    for (int i = 0; i < N; ++i) {
      const int64_t own = at + i * static_cast<int64_t>(V::byte_width);
      if (Stride == 2) middle[i] = column(own);
      const bytes right = column(Stride == 1 ? own : own + step);
      const bytes two = V::template max_bytes<Code>(middle[i], right);
      V::store_bytes(out + i * static_cast<int64_t>(V::byte_width), V::template max_bytes<Code>(left[i], two));
      left[i] = Stride == 1 ? middle[i] : right;
      middle[i] = right;
    }
  }
}

// Any window of one pixel, N vectors of channels.
template <class V, int N, class Code>
[[gnu::always_inline]] inline void max_of_window(const window_taps<Code>& t, const Code* first, Code* out) noexcept {
  typename V::bytes best[N];
  for (int i = 0; i < N; ++i) best[i] = V::load_bytes(first + i * static_cast<int64_t>(V::byte_width));
  for (int64_t y = 0; y < t.rows; ++y) {
    const Code* pixel = first + y * t.row_step;
    for (int64_t x = 0; x < t.columns; ++x, pixel += t.column_step) {
      for (int i = 0; i < N; ++i)
        best[i] = V::template max_bytes<Code>(best[i], V::load_bytes(pixel + i * static_cast<int64_t>(V::byte_width)));
    }
  }
  for (int i = 0; i < N; ++i) V::store_bytes(out + i * static_cast<int64_t>(V::byte_width), best[i]);
}

template <class V, class Code>
[[gnu::noinline]] void max_of(const window_taps<Code>& t, Code* out) noexcept {
  constexpr int64_t step = V::byte_width;
  if (t.channels < step) {
    for (int64_t p = 0; p < t.pixels; ++p) {
      for (int64_t c = 0; c < t.channels; ++c, ++out) {
        const Code* first = t.first + p * t.pixel_step + c;
        Code best = *first;
        for (int64_t y = 0; y < t.rows; ++y) {
          for (int64_t x = 0; x < t.columns; ++x) {
            const Code code = first[y * t.row_step + x * t.column_step];
            best = code > best ? code : best;
          }
        }
        *out = best;
      }
    }
    return;
  }
  // Calls body(channel, vectors) for all channels, two vectors or one at a time, the last one overlapping.
  const auto all_channels = [&](auto&& body) noexcept {
    int64_t c = 0;
    for (; c + 2 * step <= t.channels; c += 2 * step) body(c, number<2>{});
    for (; c < t.channels; c += step) body(c < t.channels - step ? c : t.channels - step, number<1>{});
  };
  const bool narrow = t.columns == 3 && t.rows <= 3 && t.pixels > 1;
  if (narrow && t.pixel_step == t.column_step) {
    all_channels([&](int64_t c, auto n) noexcept { max_of_three_columns<V, 1, n.value>(t, t.first + c, out + c); });
  } else if (narrow && t.pixel_step == 2 * t.column_step) {
    all_channels([&](int64_t c, auto n) noexcept { max_of_three_columns<V, 2, n.value>(t, t.first + c, out + c); });
  } else {
    for (int64_t p = 0; p < t.pixels; ++p, out += t.channels) {
      const Code* first = t.first + p * t.pixel_step;
      all_channels([&](int64_t c, auto n) noexcept { max_of_window<V, n.value>(t, first + c, out + c); });
    }
  }
}

// Sums of N * byte_width channels under a window: calls done(i, four vectors of s32) for vector i of bytes. 16 bits hold
// 64 sums of two codes.
template <class V, int N, class Code, class Done>
[[gnu::always_inline]] inline void sum_window(const Code* first, const window_taps<Code>& t, Done&& done) noexcept {
  typename V::s16 pairs[N][2];
  typename V::s32 sums[N][4];  // of the pairs before, if there were more than 64
  bool more = false;
  int room = 64;
  for (int i = 0; i < N; ++i) pairs[i][0] = pairs[i][1] = V::no_sums();
  const auto total = [&](int i, auto part) __attribute__((always_inline)) {
    const typename V::s32 own = V::template widened<part.value>(pairs[i]);
    return more ? V::add(own, sums[i][part.value]) : own;
  };
  const auto empty = [&]() noexcept {
    for (int i = 0; i < N; ++i) {
      sums[i][0] = total(i, number<0>{});
      sums[i][1] = total(i, number<1>{});
      sums[i][2] = total(i, number<2>{});
      sums[i][3] = total(i, number<3>{});
      pairs[i][0] = pairs[i][1] = V::no_sums();
    }
    more = true;
    room = 64;
  };
  const bool dense = t.row_step == t.columns * t.column_step;
  const int64_t rows = dense ? 1 : t.rows, columns = dense ? t.rows * t.columns : t.columns;
  for (int64_t y = 0; y < rows; ++y) {
    const Code* pixel = first + y * t.row_step;
    int64_t x = 0;
    for (; x + 1 < columns; x += 2, pixel += 2 * t.column_step) {
      for (int i = 0; i < N; ++i) {
        const Code* p = pixel + static_cast<size_t>(i) * V::byte_width;
        V::template add_two<Code>(pairs[i], V::load_bytes(p), V::load_bytes(p + t.column_step));
      }
      if (--room == 0) empty();
    }
    if (x == columns) continue;
    for (int i = 0; i < N; ++i)
      V::template add_two<Code>(pairs[i], V::load_bytes(pixel + static_cast<size_t>(i) * V::byte_width),
                                V::set_bytes(0));
    if (--room == 0) empty();
  }
  for (int i = 0; i < N; ++i)
    done(i, total(i, number<0>{}), total(i, number<1>{}), total(i, number<2>{}), total(i, number<3>{}));
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
