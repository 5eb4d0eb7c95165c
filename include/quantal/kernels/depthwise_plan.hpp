// Planning a depthwise convolution.
//
// Every input channel c has its own `multiplier` = out_c / in_c filters; output channel o reads channel o / multiplier.
// The work is split into channel blocks (the leaf's vectors); weights of a block fit in registers or L1. For each band
// of output rows the nest keeps a ring of units, rows of interleaved words (kernels/depthwise_leaf.hpp):
//
//   image rows ──interleave──> units in L1, padded on the spot ──leaf.codes──> output row
//
//   unit           0   1   2        (unit_rows 2, unit_step 2; kernel 3, stride 1)
//   padded rows   0 1 2 3 4 5
//   output row 0  x x x             units 0, 1: weights {w0, w1} {w2, 0}
//   output row 1    x x x           units 0, 1: weights {0, w0} {w1, w2}
//
// So the weights are packed once for every position of the window in a unit (a `phase`). Two cases are others in
// disguise, so that no product in a word is wasted:
//
//   dilated rows   rows of one remainder modulo the dilation are an image of their own, with an undilated window
//   sideways       a window of one row: words hold pixels x, x + dilation, ... of that row instead of several rows
//
// Bands, threads and column tiles change nothing but the order. Meaning: ref/conv.hpp with groups = in_c. Freestanding.
#pragma once
#include "quantal/kernels/conv_desc.hpp"
#include "quantal/kernels/depthwise_leaf.hpp"

namespace quantal {

inline constexpr int32_t max_phases = 4;

struct depthwise_plan {
  uint32_t magic = 0;
  const depthwise_leaf* leaf = nullptr;
  conv_layout layout;
  int64_t multiplier = 0;
  int32_t channels = 0;  // of a block
  int64_t blocks = 0;
  int64_t group = 0;        // blocks that pass over the image together
  int64_t row_classes = 1;  // rows of one remainder modulo this are an image; within it the window has
  int64_t dilation = 1;     // rows from kernel row to kernel row
  bool sideways = false;
  int64_t unit_step = 0, kernel_words = 0;  // from one unit to the next; kernel columns as words
  int64_t groups_per_task = 0;
  int64_t phase_units[max_phases] = {};  // units that a window in this phase needs
  uint64_t phase_weights[max_phases] = {};
  int64_t ring = 0;  // units kept
  int64_t max_units = 0;
  int64_t tile_h = 0, tile_w = 0, tile_in_w = 0;
  int64_t row_tiles = 0, column_tiles = 0, group_tiles = 0;
  store_args store;  // what does not change from row to row
  bool wide_ratio = false;
  bool fast = false;  // the leaf's codes; otherwise its sums and the portable epilogue
  int32_t prepared_zero_point = 0;
  uint64_t block_bytes = 0, packed_bytes = 0;
  int64_t pixel_bytes = 0;  // of a unit: [pixel][channels] words, or [pixel][group of blocks] codes
  int64_t block_step = 0;   // from a block's units to those of the next
  uint64_t unit_bytes = 0;
  uint64_t task_workspace = 0;
  uint64_t tasks = 0;
};

inline constexpr uint32_t depthwise_plan_magic = 0x57445151;  // "QQDW"

constexpr const char* kernel_name(const depthwise_plan& p) noexcept {
  return p.leaf == nullptr ? "" : p.leaf->isa;
}

namespace detail {

struct depthwise_header {
  uint32_t magic, version, layout, kind;
  int64_t channels, multiplier, kernel_h, kernel_w, dilation_h;
  uint64_t bytes;
};
static_assert(sizeof(depthwise_header) <= gemm_alignment);
inline constexpr uint32_t depthwise_packed_magic = 0x50445151;  // "QQDP"
inline constexpr uint32_t depthwise_packed_version = 3;
inline constexpr uint64_t depthwise_prefix = 64 + 256;  // header, table

// What packing subtracts from the codes of the weights.
constexpr int32_t subtracted_from_weights(const depthwise_plan& p) noexcept {
  if (holds_wide_weights(*p.leaf)) return p.layout.weight_zero_point;
  return p.layout.weights == dtype::u8 ? 128 : 0;
}

constexpr depthwise_header depthwise_header_of(const depthwise_plan& p) noexcept {
  const conv_layout& l = p.layout;
  return {depthwise_packed_magic,
          depthwise_packed_version,
          p.leaf->layout,
          packed_kind(l.weights, l.out, l.rule, l.has_table, p.prepared_zero_point, subtracted_from_weights(p)),
          l.shape.out_c,
          p.multiplier,
          l.shape.kernel_h,
          l.shape.kernel_w,
          p.dilation,
          p.packed_bytes};
}

// The units of a window whose first row is row `phase` of unit 0: visit(index, unit, kernel row, row within the unit).
template <class Visit>
constexpr void cover_window(const depthwise_leaf& leaf, int64_t phase, int64_t kernel_h, int64_t dilation,
                            Visit&& visit) noexcept {
  int64_t index = -1, unit = -1;
  for (int64_t ky = 0; ky < kernel_h; ++ky) {
    const int64_t row = phase + ky * dilation;
    if (unit < 0 || row >= unit * leaf.unit_step + leaf.unit_rows) {
      unit = row / leaf.unit_step;
      ++index;
    }
    visit(index, unit, ky, static_cast<int32_t>(row - unit * leaf.unit_step));
  }
}

struct depthwise_parts {  // of a packed block
  int32_t *word_bias, *bias;
  float *word_ratio, *ratio;
  fixed_multiplier* multiplier;
  uint8_t* weights;
};
constexpr uint64_t depthwise_block_header(int32_t channels) noexcept {
  return round_up(static_cast<uint64_t>(channels) * 24, gemm_alignment);
}
inline depthwise_parts depthwise_parts_of(uint8_t* block, int32_t channels) noexcept {
  int32_t* word_bias = reinterpret_cast<int32_t*>(block);
  float* word_ratio = reinterpret_cast<float*>(word_bias + channels);
  int32_t* bias = reinterpret_cast<int32_t*>(word_ratio + channels);
  float* ratio = reinterpret_cast<float*>(bias + channels);
  return {word_bias,
          bias,
          word_ratio,
          ratio,
          reinterpret_cast<fixed_multiplier*>(ratio + channels),
          block + depthwise_block_header(channels)};
}

// `parts` equal parts of `whole`, at least 1 each.
constexpr int64_t part_of(int64_t whole, int64_t parts) noexcept {
  return whole == 0 ? 1 : divide_up(whole, parts < 1 ? 1 : parts > whole ? whole : parts);
}

inline bool plan_depthwise_sizes(depthwise_plan& p, size_t width, const conv_tiling& tiling) noexcept {
  const depthwise_leaf& leaf = *p.leaf;
  const conv_shape& s = p.layout.shape;
  for (int32_t phase = 0; phase < p.unit_step; ++phase) {
    int64_t last_unit = 0, last_index = 0;
    cover_window(leaf, phase, s.kernel_h, p.dilation, [&](int64_t index, int64_t unit, int64_t, int32_t) {
      last_index = index;
      last_unit = unit;
    });
    p.phase_units[phase] = last_index + 1;
    if (last_index + 1 > p.max_units) p.max_units = last_index + 1;
    if (last_unit + 1 > p.ring) p.ring = last_unit + 1;
  }
  if (p.ring > int64_t{1} << 24) return false;
  const uint64_t word_bytes = static_cast<uint64_t>(p.channels) * 4;
  const int64_t pixel = p.channels * unit_element(leaf);
  uint64_t at = depthwise_block_header(p.channels);
  for (int32_t phase = 0; phase < p.unit_step; ++phase) {
    p.phase_weights[phase] = at;
    at += static_cast<uint64_t>(leaf.plain ? plain_words : p.phase_units[phase] * p.kernel_words) * word_bytes;
  }
  p.block_bytes = round_up(at, gemm_alignment);
  if (!checked_mul(p.block_bytes, static_cast<uint64_t>(p.blocks), p.packed_bytes) ||
      !checked_add(p.packed_bytes, depthwise_prefix, p.packed_bytes))
    return false;
  // A pass reads whole cache lines of the image: as many blocks as 64 channels need, more where their rings fit in L1.
  const int64_t wanted =
      width <= 1 ? 1 : divide_up(static_cast<int64_t>(4 * planned_lanes(width)), s.batch > 0 ? s.batch : 1);
  const int64_t line = 64 / p.channels < 1 ? 1 : 64 / p.channels;
  const int64_t image_width = band_pixels(p.layout.out_w, s.stride_w, s.window_w());
  // Copied rows are read best as they lie: rather all channels of 48 columns than few channels of whole rows.
  const int64_t width_at_once = leaf.plain && image_width > 48 ? 48 : image_width;
  p.group = 24 * 1024 / pixel / p.ring / width_at_once;
  if (p.group > p.blocks / wanted) p.group = p.blocks / wanted;
  if (leaf.plain && p.group > 0) {  // groups of about one size
    const int64_t even = divide_up(p.blocks, divide_up(p.blocks, p.group));
    p.group = even < p.blocks ? divide_up(even, line) * line : p.blocks;
  } else {
    p.group = p.group < line ? line : p.group / line * line;
  }
  if (p.group > p.blocks) p.group = p.blocks > 0 ? p.blocks : 1;
  const int64_t ring_pixels = 24 * 1024 / pixel / p.group / p.ring;
  const int64_t fitting = (ring_pixels - s.window_w()) / s.stride_w + 1;
  const int64_t wanted_w = fitting < 32 ? 32 : fitting;
  p.tile_w = tiling.columns > 0 ? (tiling.columns < p.layout.out_w ? tiling.columns : p.layout.out_w)
                                : part_of(p.layout.out_w, divide_up(p.layout.out_w, wanted_w));
  p.column_tiles = p.layout.out_w == 0 ? 0 : divide_up(p.layout.out_w, p.tile_w);
  p.tile_in_w = band_pixels(p.tile_w, s.stride_w, s.window_w());
  // One thread takes whole images; several share an image's channels first (no row is interleaved twice), then rows.
  const int64_t channel_groups = divide_up(p.blocks, p.group);
  p.groups_per_task = part_of(channel_groups, wanted);
  p.group_tiles = channel_groups == 0 ? 0 : divide_up(channel_groups, p.groups_per_task);
  const int64_t bands = p.group_tiles == 0 ? 1 : divide_up(wanted, p.group_tiles);
  p.tile_h = tiling.rows > 0 ? tiling.rows : part_of(p.layout.out_h, bands);
  p.row_tiles = divide_up(p.layout.out_h, p.tile_h);
  if (p.layout.out_elements == 0) p.row_tiles = 0;
  p.tasks = static_cast<uint64_t>(s.batch * p.row_tiles) * static_cast<uint64_t>(p.group_tiles);
  uint64_t pixels = 0, bytes = 0;
  p.pixel_bytes = leaf.plain ? p.group * pixel : pixel;
  if (!checked_mul(static_cast<uint64_t>(p.tile_in_w), static_cast<uint64_t>(p.pixel_bytes), p.unit_bytes) ||
      !checked_mul(p.unit_bytes, static_cast<uint64_t>(leaf.plain ? p.ring : p.ring * p.group), bytes) ||
      !checked_mul(static_cast<uint64_t>(p.tile_in_w), static_cast<uint64_t>(p.channels) * max_unit_rows, pixels) ||
      !checked_add(bytes, round_up(pixels, gemm_alignment), bytes))
    return false;
  p.block_step = leaf.plain ? pixel : static_cast<int64_t>(p.unit_bytes) * p.ring;
  bytes += gemm_alignment * static_cast<uint64_t>(divide_up(p.channels, 64));  // a row of padding
  bytes += round_up(static_cast<uint64_t>(p.max_units) * sizeof(const uint8_t*), gemm_alignment);
  if (!p.fast) bytes += 2 * round_up(static_cast<uint64_t>(p.tile_w) * word_bytes, gemm_alignment);
  p.task_workspace = bytes;
  size_t fits = 0;
  return checked_size(p.packed_bytes, fits) && checked_size(bytes, fits) && bytes < UINT64_MAX / 4096;
}

}  // namespace detail

// Checks the description and chooses sizes for `leaf`; `width` is how many tasks can run at once. Errors: those of
// check_conv; shape (groups is not in_c; or a window above max_gemm_depth, 182 x 182 taps: plan_conv sums those exactly); unsupported (weights that this leaf cannot
// hold: 8-bit forms need their zero point 0 as s8, 128 as u8).
inline status plan_depthwise(const conv_desc& d, const depthwise_leaf& leaf, size_t width, depthwise_plan& out,
                             size_t* bad_channel = nullptr, const conv_tiling& tiling = {}) noexcept {
  depthwise_plan p;
  if (const status s = check_conv(d, p.layout, bad_channel); s != status::ok) return s;
  detail::lay_down(p.layout);
  const conv_shape& s = p.layout.shape;
  if (s.in_c != s.groups || s.kernel_h > max_gemm_depth / s.kernel_w) return status::shape;
  if (tiling.rows < 0 || tiling.columns < 0) return status::argument;
  const int32_t centre = d.weights == dtype::u8 ? 128 : 0;
  if (!holds_wide_weights(leaf) && d.weight_zero_point != centre) return status::unsupported;
  p.multiplier = s.group_out();
  const bool plain = leaf.plain_3x3 != nullptr && p.multiplier == 1 &&
                     is_plain_window(s.kernel_h, s.kernel_w, s.dilation_w, s.stride_w);
  p.magic = depthwise_plan_magic;
  p.leaf = plain ? leaf.plain_3x3 : &leaf;
  p.sideways = s.kernel_h == 1 && s.kernel_w > 1;
  p.unit_step = p.sideways ? 1 : p.leaf->unit_step;
  p.kernel_words = p.sideways ? detail::divide_up(s.kernel_w, p.leaf->unit_rows) : s.kernel_w;
  if (s.stride_h == 1 && s.kernel_h > 1)
    p.row_classes = s.dilation_h;
  else if (s.kernel_h > 1)
    p.dilation = s.dilation_h;
  p.channels = channels_of(*p.leaf);
  p.blocks = detail::divide_up(s.out_c, p.channels);
  p.fast = detail::is_code(d.out) && d.finish.requant.rule == contract::fp32_rne &&
           d.finish.residual.type == dtype::none && d.finish.table == nullptr;
  if (p.fast && s.out_c > 0) {
    for (size_t i = 0; i < d.finish.requant.count; ++i)
      p.wide_ratio = p.wide_ratio || !(d.finish.requant.ratios[i] < 1.0f);
  }
  p.store = start_store(d.finish, d.out, p.layout.codes, p.layout.out_strides.pixel);
  p.store.residual_stride = p.layout.residual_strides.pixel;
  gemm_leaf form;
  form.form = p.leaf->form;
  p.prepared_zero_point = prepared_zero_point(form, d.in, d.in_zero_point);
  if (!detail::plan_depthwise_sizes(p, width, tiling)) return status::overflow;
  out = p;
  return status::ok;
}

constexpr uint64_t depthwise_workspace_bytes(const depthwise_plan& p, size_t width) noexcept {
  const uint64_t at_once = p.tasks < width ? p.tasks : width;
  return p.task_workspace * (at_once == 0 ? 1 : at_once);
}

}  // namespace quantal
