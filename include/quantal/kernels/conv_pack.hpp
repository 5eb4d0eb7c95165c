// Packing the weights of a convolution into panels, as kernels/gemm_pack.hpp does for a matrix.
//
//   [header 64][table 256][panel 0][panel 1]...[panel of ones, if the weights have a zero point]
//   panel: [tap][steps of its depths], output channels of one group (or of the groups that share it)
//
// The bytes are relocatable and carry the layout's id and what was packed (packed_kind). Freestanding.
#pragma once
#include "quantal/kernels/conv_plan.hpp"

namespace quantal {
namespace detail {

struct conv_header {  // at the start of the packed weights
  uint32_t magic, version, layout, kind;
  int32_t out_c, in_c, kernel_h, kernel_w, groups, merged_groups, merged_taps, ones;  // the last two: 0 or 1
  uint64_t panel_stride, bytes;
};
static_assert(sizeof(conv_header) <= gemm_alignment);
inline constexpr uint32_t conv_packed_magic = 0x43575151;  // "QQWC"
inline constexpr uint32_t conv_packed_version = 2;

constexpr conv_header conv_header_of(const conv_plan& p) noexcept {
  const conv_layout& l = p.layout;
  const conv_shape& s = l.shape;
  const auto size = [](int64_t x) noexcept { return static_cast<int32_t>(x); };  // check_shape: it fits
  return {conv_packed_magic,     conv_packed_version,
          p.leaf->layout.id,     packed_kind(l.weights, l.out, l.rule, l.has_table, p.prepared_zero_point),
          size(s.out_c),         size(s.in_c),
          size(s.kernel_h),      size(s.kernel_w),
          size(s.groups),        size(p.merged_groups),
          p.merged_taps ? 1 : 0, p.weight_zero_point != 0 ? 1 : 0,
          p.panel_stride,        p.packed_bytes};
}

struct conv_packer {
  const conv_plan& p;
  const uint8_t* weights;

  uint8_t flip() const noexcept { return p.layout.weights == dtype::u8 ? 0x80 : 0; }
  int64_t tap_bytes() const noexcept { return p.tap_steps * p.leaf->layout.depth * p.leaf->layout.columns; }

  // One weight as stored: depth d of a tap, output channel o; false where another group's channel lies.
  bool stored(int64_t tap, int64_t d, int64_t o, uint8_t& code) const noexcept {
    const conv_shape& s = p.layout.shape;
    const int64_t(&strides)[4] = p.layout.weight_strides;
    const int64_t slice = p.merged_groups * s.group_in();
    const int64_t channel = d % slice;
    if (channel / s.group_in() != o / s.group_out() % p.merged_groups) return false;
    const int64_t ky = p.merged_taps ? tap : tap / s.kernel_w;
    const int64_t kx = p.merged_taps ? d / slice : tap % s.kernel_w;
    code = static_cast<uint8_t>(
        weights[o * strides[0] + ky * strides[1] + kx * strides[2] + channel % s.group_in() * strides[3]] ^ flip());
    return true;
  }

  // Byte by byte: for groups that share a panel and for weights of unusual strides. `ones`: 1 for every weight.
  void tap_bytewise(int64_t tap, int64_t first, int32_t live, bool ones, const panel_parts& parts) const noexcept {
    uint8_t* out = parts.weights + tap * tap_bytes();
    for (int64_t d = 0; d < p.tap_depth; ++d) {
      for (int32_t c = 0; c < live; ++c) {
        uint8_t code = 0;
        if (!stored(tap, d, first + c, code)) continue;
        if (ones) code = 1;
        out[panel_offset(p.leaf->layout, d, c)] = code;
        parts.column_sum[c] += static_cast<int8_t>(code);
      }
    }
  }

  // As a matrix: depths at one stride.
  void tap_as_matrix(int64_t tap, int64_t first, int32_t live, const panel_parts& parts) const noexcept {
    const conv_shape& s = p.layout.shape;
    const int64_t(&strides)[4] = p.layout.weight_strides;
    const int64_t ky = p.merged_taps ? tap : tap / s.kernel_w, kx = p.merged_taps ? 0 : tap % s.kernel_w;
    pack_args a;
    a.codes = weights + first * strides[0] + ky * strides[1] + kx * strides[2];
    a.row_stride = strides[3];
    a.column_stride = strides[0];
    a.k = p.tap_depth;
    a.live_columns = live;
    a.flip = flip();
    a.out = parts.weights + tap * tap_bytes();
    a.column_sums = parts.column_sum;
    pack_panel(*p.leaf, a);
  }

  void panel(uint8_t* at, int64_t first, int32_t live, bool ones) const noexcept {
    const conv_shape& s = p.layout.shape;
    const int64_t(&strides)[4] = p.layout.weight_strides;
    __builtin_memset(at, 0, static_cast<size_t>(p.panel_stride));
    const panel_parts parts = parts_of(at, p.leaf->layout);
    const bool matrix =
        !ones && p.merged_groups == 1 && (!p.merged_taps || s.kernel_w == 1 || strides[2] == s.group_in() * strides[3]);
    for (int64_t tap = 0; tap < p.taps; ++tap) {
      if (matrix)
        tap_as_matrix(tap, first, live, parts);
      else
        tap_bytewise(tap, first, live, ones, parts);
    }
  }
};

}  // namespace detail

// Packs weights, bias (s32 [out_c], in units of input scale * weight scale; null: 0) and the epilogue of the plan's
// description into `packed` (plan.packed_bytes, 64-byte aligned). Nothing is written before all checks have passed.
// Errors: as pack_gemm.
inline status pack_conv(const conv_plan& p, const void* weights, const int32_t* bias, const epilogue& e, void* packed,
                        uint64_t packed_bytes) noexcept {
  if (p.magic != conv_plan_magic || p.leaf == nullptr) return status::plan;
  const conv_layout& l = p.layout;
  if (const status s = detail::check_pack(l, weights, bias, e, packed, packed_bytes, p.packed_bytes); s != status::ok)
    return s;
  uint8_t* base = static_cast<uint8_t*>(packed);
  const detail::conv_header header = detail::conv_header_of(p);
  __builtin_memset(base, 0, detail::conv_prefix);
  __builtin_memcpy(base, &header, sizeof header);
  if (l.has_table) __builtin_memcpy(base + gemm_alignment, e.table, 256);
  const detail::conv_packer packer{p, static_cast<const uint8_t*>(weights)};
  const int64_t columns = p.leaf->layout.columns, group_columns = p.merged_groups * l.shape.group_out();
  uint8_t* at = base + detail::conv_prefix;
  for (int64_t i = 0; i < p.panels; ++i, at += p.panel_stride) {
    const int64_t within = i % p.panels_per_group * columns;
    const int64_t first = i / p.panels_per_group * group_columns + within;
    const int32_t live = static_cast<int32_t>(group_columns - within < columns ? group_columns - within : columns);
    packer.panel(at, first, live, false);
    fill_panel_header(parts_of(at, p.leaf->layout), e, l.out, bias, nullptr, p.prepared_zero_point, first, live);
  }
  if (p.weight_zero_point != 0 && p.panels > 0)
    packer.panel(at, 0, static_cast<int32_t>(group_columns < columns ? group_columns : columns), true);
  return status::ok;
}

}  // namespace quantal
