// Depthwise convolution for instructions that add four 8-bit products to an s32 lane (vpdpbusd, sdot): written once
// over a type V of vectors, instantiated in each ISA's folder.
//
//   unit j     image rows 2j .. 2j+3 of every pixel, interleaved: a word is one channel in four rows
//   3 x 3      one unit serves output rows 2j ({w0 w1 w2 0}) and 2j+1 ({0 w0 w1 w2}): 3 instructions a pixel and vector
//   5 x 5      units j and j+1 hold its 5 rows from either start
//
// A block is four vectors (V::lanes lanes of 128 bits each): interleaving bytes twice within lanes spreads 16 channels
// over the four, and packing them back (s32 -> s16 -> 8 bit) restores the order, so nothing is permuted. V::pixels
// output pixels at a time keep their sums in registers; units and weights come from L1.
// V: words, sums (vectors), lanes, pixels, form; load, store, flip, interleave, dot, zero, load_sums, and
// codes<Unsigned, Wide>(sums[4], row) -> words in channel order.
#pragma once
#include "quantal/kernels/depthwise_leaf.hpp"

namespace quantal::kernels {

template <class V>
struct depthwise_quads {
  static constexpr int32_t lane_bytes = 16;
  static constexpr int32_t bytes = lane_bytes * V::lanes;  // of a vector
  static constexpr int32_t channels = bytes;
  static constexpr int32_t block_words = 4 * bytes;  // bytes of a block's words of one pixel

  static void interleave(const interleave_args& a) noexcept {
    const bool flip = a.is_unsigned != (V::form == lhs_form::u8);
    uint8_t* to = static_cast<uint8_t*>(a.out);
    for (int64_t x = 0; x < a.pixels; ++x, to += block_words) {
      typename V::words row[4], words[4];
#pragma GCC unroll 4
      for (int32_t r = 0; r < 4; ++r) {
        row[r] = V::load(a.rows[r] + x * a.steps[r]);
        if (flip) row[r] = V::flip(row[r]);
      }
      V::interleave(row, words);
#pragma GCC unroll 4
      for (int32_t j = 0; j < 4; ++j) V::store(to + j * bytes, words[j]);
    }
  }

  template <bool Unsigned, bool Wide>
  struct to_codes {
    const depthwise_row& a;
    uint8_t* to = static_cast<uint8_t*>(a.out);

    typename V::sums start(int32_t j) const noexcept { return V::load_sums(a.bias + j * bytes / 4); }
    void put(const typename V::sums (&sum)[4]) noexcept {
      V::store(to, V::template codes<Unsigned, Wide>(sum, a));
      to += a.out_stride;
    }
  };

  struct to_sums {
    const depthwise_row& a;
    uint8_t* to = static_cast<uint8_t*>(a.out);

    typename V::sums start(int32_t) const noexcept { return V::zero(); }
    void put(const typename V::sums (&sum)[4]) noexcept {
#pragma GCC unroll 4
      for (int32_t j = 0; j < 4; ++j, to += bytes) V::store_sums(to, sum[j]);
    }
  };

  template <int32_t Pixels, class Sink>
  static void some_pixels(const depthwise_row& a, Sink& sink, int64_t at) noexcept {
    typename V::sums sum[Pixels][4];
#pragma GCC unroll 4
    for (int32_t p = 0; p < Pixels; ++p) {
#pragma GCC unroll 4
      for (int32_t j = 0; j < 4; ++j) sum[p][j] = sink.start(j);
    }
    const uint8_t* weights = a.weights;
    for (int32_t u = 0; u < a.unit_count; ++u) {
      const uint8_t* from = a.units[u] + at;
      for (int64_t k = 0; k < a.kernel_w; ++k, from += a.tap_step, weights += block_words) {
#pragma GCC unroll 4
        for (int32_t j = 0; j < 4; ++j) {
          const typename V::words w = V::load(weights + j * bytes);
#pragma GCC unroll 4
          for (int32_t p = 0; p < Pixels; ++p)
            sum[p][j] = V::dot(sum[p][j], V::load(from + p * a.pixel_step + j * bytes), w);
        }
      }
    }
#pragma GCC unroll 4
    for (int32_t p = 0; p < Pixels; ++p) sink.put(sum[p]);
  }

  template <class Sink>
  static void row(const depthwise_row& a) noexcept {
    Sink sink{a};
    int64_t x = 0;
    for (; x + V::pixels <= a.pixels; x += V::pixels) some_pixels<V::pixels>(a, sink, x * a.pixel_step);
    if constexpr (V::pixels > 2) {  // one at a time is bound by the latency of its four sums
      for (; x + 2 <= a.pixels; x += 2) some_pixels<2>(a, sink, x * a.pixel_step);
    }
    for (; x < a.pixels; ++x) some_pixels<1>(a, sink, x * a.pixel_step);
  }

  static void codes(const depthwise_row& a) noexcept {
    if (a.out_unsigned)
      a.wide_ratio ? row<to_codes<true, true>>(a) : row<to_codes<true, false>>(a);
    else
      a.wide_ratio ? row<to_codes<false, true>>(a) : row<to_codes<false, false>>(a);
  }
  static void sums(const depthwise_row& a) noexcept {
    row<to_sums>(a);
  }

  static constexpr depthwise_leaf leaf(const char* isa, uint32_t layout) noexcept {
    return {isa, layout, /*vectors*/ 4, V::lanes, /*unit_rows*/ 4, /*unit_step*/ 2, V::form, interleave, codes, sums};
  }
};

}  // namespace quantal::kernels
