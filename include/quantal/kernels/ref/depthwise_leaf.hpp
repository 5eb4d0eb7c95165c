// The portable leaf of depthwise convolution: plain C++ for CPUs that have none of their own. Same interface, same
// bits. Words are pairs of s16 as on AVX2, 16 channels a block in their natural order; requantization is integer
// arithmetic. Freestanding.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/depthwise_leaf.hpp"

namespace quantal::kernels::ref {
inline namespace QUANTAL_KERNEL_COPY {

inline constexpr int32_t depthwise_channels = 16;

inline void depthwise_interleave(const interleave_args& a) noexcept {
  int16_t* to = static_cast<int16_t*>(a.out);
  for (int64_t x = 0; x < a.pixels; ++x) {
    for (int32_t c = 0; c < depthwise_channels; ++c) {
      for (int32_t r = 0; r < 2; ++r) {
        const uint8_t code = a.rows[r][x * a.steps[r] + c];
        *to++ =
            static_cast<int16_t>((a.is_unsigned ? int32_t{code} : int32_t{static_cast<int8_t>(code)}) - a.zero_point);
      }
    }
  }
}

// The sums of output pixel x.
inline void depthwise_pixel(const depthwise_row& a, int64_t x, int32_t* sums) noexcept {
  for (int32_t c = 0; c < depthwise_channels; ++c) sums[c] = 0;
  const int16_t* weights = reinterpret_cast<const int16_t*>(a.weights);
  for (int32_t u = 0; u < a.unit_count; ++u) {
    for (int64_t k = 0; k < a.kernel_w; ++k, weights += 2 * depthwise_channels) {
      const int16_t* words = reinterpret_cast<const int16_t*>(a.units[u] + x * a.pixel_step + k * a.tap_step);
      for (int32_t c = 0; c < depthwise_channels; ++c) {
        const int32_t pair = words[2 * c] * weights[2 * c] + words[2 * c + 1] * weights[2 * c + 1];
        sums[c] = static_cast<int32_t>(static_cast<uint32_t>(sums[c]) + static_cast<uint32_t>(pair));
      }
    }
  }
}

inline void depthwise_sums(const depthwise_row& a) noexcept {
  int32_t* sums = static_cast<int32_t*>(a.out);
  for (int64_t x = 0; x < a.pixels; ++x) depthwise_pixel(a, x, sums + x * depthwise_channels);
}

inline void depthwise_codes(const depthwise_row& a) noexcept {
  requantizer q;
  q.ratios = a.ratio;
  q.count = static_cast<size_t>(depthwise_channels);
  q.zero_point = a.zero_point;
  uint8_t* out = static_cast<uint8_t*>(a.out);
  for (int64_t x = 0; x < a.pixels; ++x, out += a.out_stride) {
    int32_t sums[depthwise_channels];
    depthwise_pixel(a, x, sums);
    for (int32_t c = 0; c < depthwise_channels; ++c)
      out[c] = static_cast<uint8_t>(requantize_value(sums[c], a.bias[c], q, static_cast<size_t>(c), a.codes));
  }
}

inline constexpr depthwise_leaf depthwise = {"ref",
                                             /*layout*/ 2,
                                             /*vectors*/ 4,
                                             /*lanes*/ 1,
                                             /*unit_rows*/ 2,
                                             /*unit_step*/ 2, lhs_form::s16_centred, depthwise_interleave,
                                             depthwise_codes, depthwise_sums};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::ref
