// Packing the weights of a depthwise convolution into words, as the leaf multiplies them.
//
//   [header 64][table 256][block 0: biases, ratios, multipliers | words of each phase of the unit][block 1]...
//
// The bytes are relocatable and carry the layout's id and what was packed (packed_kind). See depthwise_plan.hpp for the
// picture of units and words. Freestanding.
#pragma once
#include "quantal/kernels/depthwise_plan.hpp"

namespace quantal {
namespace detail {

// The words of one block's weights; returns the sum of each channel's weights in the leaf's form.
inline void pack_depthwise_block(const depthwise_plan& p, const uint8_t* weights, int64_t first, int32_t live,
                                 uint8_t* block, int32_t* sums) noexcept {
  const depthwise_leaf& leaf = *p.leaf;
  const conv_layout& l = p.layout;
  const conv_shape& s = l.shape;
  const bool wide = holds_wide_weights(leaf);
  const int32_t subtract = subtracted_from_weights(p);
  for (int32_t phase = 0; phase < p.unit_step; ++phase) {
    cover_window(leaf, phase, s.kernel_h, p.dilation, [&](int64_t index, int64_t, int64_t ky, int32_t row) {
      for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
        int64_t word_index = index * s.kernel_w + kx;
        int32_t within = row;
        if (p.sideways) {
          word_index = kx / leaf.unit_rows;
          within = static_cast<int32_t>(kx % leaf.unit_rows);
        } else if (leaf.plain) {  // two rows as pairs from above, the third as pairs of neighbours
          word_index = ky < 2 ? kx : 3 + kx / 2;
          within = static_cast<int32_t>(ky < 2 ? ky : kx % 2);
        }
        uint8_t* words =
            block + p.phase_weights[phase] + static_cast<uint64_t>(word_index * p.channels) * sizeof(uint32_t);
        for (int32_t c = 0; c < live; ++c) {
          const int64_t at = (first + c) * l.weight_strides[0] + ky * l.weight_strides[1] + kx * l.weight_strides[2];
          const int32_t code =
              l.weights == dtype::u8 ? int32_t{weights[at]} : int32_t{static_cast<int8_t>(weights[at])};
          const int32_t w = code - subtract;
          uint8_t* word = words + word_of(leaf, c) * 4;
          if (wide) {
            const int16_t half = static_cast<int16_t>(w);
            __builtin_memcpy(word + 2 * within, &half, sizeof half);
          } else {
            word[within] = static_cast<uint8_t>(w);
          }
          if (phase == 0) sums[c] += w;
        }
      }
    });
  }
}

}  // namespace detail

// Packs weights, bias (s32 [out_c] or null) and the epilogue `e` of the plan's description into `packed`
// (plan.packed_bytes, 64-byte aligned). Nothing is written before all checks have passed. Errors: as pack_gemm.
inline status pack_depthwise(const depthwise_plan& p, const void* weights, const int32_t* bias, const epilogue& e,
                             void* packed, uint64_t packed_bytes) noexcept {
  if (p.magic != depthwise_plan_magic || p.leaf == nullptr) return status::plan;
  const conv_layout& l = p.layout;
  if (const status s = detail::check_pack(l, weights, bias, e, packed, packed_bytes, p.packed_bytes); s != status::ok)
    return s;
  const detail::depthwise_header header = detail::depthwise_header_of(p);
  uint8_t* base = static_cast<uint8_t*>(packed);
  __builtin_memset(base, 0, static_cast<size_t>(p.packed_bytes));
  __builtin_memcpy(base, &header, sizeof header);
  if (l.has_table) __builtin_memcpy(base + gemm_alignment, e.table, 256);
  for (int64_t b = 0; b < p.blocks; ++b) {
    uint8_t* block = base + detail::depthwise_prefix + static_cast<uint64_t>(b) * p.block_bytes;
    const int64_t first = b * p.channels;
    const int32_t live = l.shape.out_c - first < p.channels ? static_cast<int32_t>(l.shape.out_c - first) : p.channels;
    const detail::depthwise_parts parts = detail::depthwise_parts_of(block, p.channels);
    // The natural-order bias first holds the sums of the weights.
    detail::pack_depthwise_block(p, static_cast<const uint8_t*>(weights), first, live, block, parts.bias);
    for (int32_t c = 0; c < live; ++c) {
      const size_t channel = e.requant.count == 1 ? 0 : static_cast<size_t>(first + c);
      const uint32_t raw = bias == nullptr ? 0 : static_cast<uint32_t>(bias[first + c]);
      const uint32_t zero = static_cast<uint32_t>(p.prepared_zero_point);
      parts.bias[c] = static_cast<int32_t>(raw - zero * static_cast<uint32_t>(parts.bias[c]));
      const int32_t word = word_of(*p.leaf, c);
      parts.word_bias[word] = parts.bias[c];
      if (l.out == dtype::s32) continue;
      if (detail::is_code(l.out) && l.rule != contract::fp32_rne)
        parts.multiplier[c] = e.requant.multipliers[channel];
      else
        parts.ratio[c] = parts.word_ratio[word] = e.requant.ratios[channel];
    }
  }
  return status::ok;
}

}  // namespace quantal
