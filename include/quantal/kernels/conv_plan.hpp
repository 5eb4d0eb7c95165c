// Planning a convolution: the description is checked once, and everything that a run needs is sized.
//
// A convolution is a matrix product whose rows are output pixels and whose depths are kernel elements, and it is run as
// one, on the product's leaves (kernels/gemm_leaf.hpp), without ever writing that matrix down:
//
//   band: the padded input rows that a task needs, in the leaf's form      rows[i] = the window of output pixel i
//     z z z z z z z z                                                      taps[t] = distance of kernel element t
//     z a b c d e f z    pixel 0 at a - 1, pixel 1 (stride 2) at b ...
//     z g h i j k l z                                    acc[i][c] += rows[i][taps[t] + d] * w[t][d][c]
//
//   merged taps    kernel elements of one kernel row lie side by side in the band (dilation 1, all channels used):
//                  they are one tap of kernel_w * in_c depths. A stem of 3 channels is 7 taps of 21, not 49 of 3.
//   merged groups  groups narrower than a panel share it, with zero weights off the diagonal blocks.
//   padding        is the zero point, so it is exact and free: form s16_centred holds 0 there, others fold it into the
//                  bias with everything else.
//   in place       1 x 1 kernels and unpadded images need no band where the leaf reads codes as they are.
//
// A task is a rectangle of output pixels by a range of panels. The band of a task and its output stay in L2. A panel
// stays in L1 and meets all pixels; or, where few channels make all panels small, a block of pixels meets them all.
// With R output pixels a task reads K * columns bytes of weights per panel once more, and saves reading its band
// (pixels * in_c elements) from beyond L2 for every panel: the rectangle has at least as many pixels as make the first
// the smaller. Freestanding.
#pragma once
#include "quantal/kernels/conv_desc.hpp"

namespace quantal {

struct conv_plan {
  uint32_t magic = 0;
  const gemm_leaf* leaf = nullptr;
  conv_layout layout;
  store_args store;       // what does not change from block to block
  bool in_place = false;  // windows are read where they are
  bool merged_taps = false;
  bool wide = false;                // panels are widened into L1
  bool overlaps = false;            // a block is stored during the next one
  bool inputs_stay = false;         // all panels fit in L1: a block of pixels meets them one after another
  bool linear_out = false;          // a task's output rows follow each other at the pixel stride
  bool long_sum = false;            // chunks are added in s64 (long_sum.hpp)
  int32_t prepared_zero_point = 0;  // of the input in the leaf's form
  int32_t weight_zero_point = 0;    // of the packed s8 form; not 0: window sums are subtracted
  int64_t merged_groups = 1;        // groups that share a panel
  int64_t panels_per_group = 0, panels = 0;
  int64_t taps = 0, tap_depth = 0, tap_steps = 0;
  int64_t chunk_taps = 0, chunk_steps = 0;  // whole taps, or a part of the steps of one
  int64_t pixel_bytes = 0, row_bytes = 0;   // of the band, or of the input if in place
  int64_t step_h = 0, step_w = 0;           // band rows and pixels between output pixels
  int64_t skip_h = 0, skip_w = 0;           // input rows and pixels between band rows and pixels
  int64_t tile_h = 0, tile_w = 0, panels_per_task = 0;
  int64_t row_tiles = 0, column_tiles = 0, panel_tiles = 0;
  uint64_t panel_stride = 0, packed_bytes = 0;
  // Parts of a task's workspace: band | windows | steps between them | taps | wide chunk | acc | window sums | s64 sums.
  uint64_t rows_at = 0, row_steps_at = 0, taps_at = 0, chunk_at = 0, acc_at = 0, sums_at = 0, long_at = 0;
  uint64_t task_workspace = 0;
  uint64_t tasks = 0;
};

inline constexpr uint32_t conv_plan_magic = 0x56435151;  // "QQCV"

constexpr const char* kernel_name(const conv_plan& p) noexcept {
  return p.leaf == nullptr ? "" : p.leaf->isa;
}

namespace detail {

inline constexpr uint64_t conv_prefix = gemm_alignment + 256;  // header, table

constexpr int64_t window_h(const conv_plan& p) noexcept {
  return p.layout.shape.window_h();
}
constexpr int64_t window_w(const conv_plan& p) noexcept {
  return p.layout.shape.window_w();
}

constexpr bool has_padding(const conv_layout& l) noexcept {
  const conv_shape& s = l.shape;
  return s.pad_top > 0 || s.pad_left > 0 || band_pixels(l.out_h, s.stride_h, s.window_h()) > s.in_h ||
         band_pixels(l.out_w, s.stride_w, s.window_w()) > s.in_w;
}

// How many groups share a panel: a divisor, so that all panels look alike. Half a panel, where it costs half: of n
// groups that share one, n - 1 of n products are with zeros.
constexpr int64_t groups_in_panel(const conv_shape& s, const gemm_leaf& leaf) noexcept {
  if (s.groups == 1 || s.group_out() == 0) return s.groups;
  const int32_t columns = s.group_out() <= leaf.half_columns ? leaf.half_columns : leaf.layout.columns;
  int64_t together = columns / s.group_out() < s.groups ? columns / s.group_out() : s.groups;
  while (together > 1 && s.groups % together != 0) --together;
  return together < 1 ? 1 : together;
}

// The taps, and where windows lie: in the input itself or in a band.
constexpr void choose_taps(conv_plan& p) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  const conv_shape& s = p.layout.shape;
  p.merged_groups = groups_in_panel(s, leaf);
  const int64_t slice = p.merged_groups * s.group_in();
  const bool whole_pixels = slice == s.in_c && s.dilation_w == 1;
  const auto set_taps = [&](bool merged) {
    p.merged_taps = merged || s.kernel_w == 1;
    p.taps = s.kernel_h * (p.merged_taps ? 1 : s.kernel_w);
    p.tap_depth = slice * (p.merged_taps ? s.kernel_w : 1);
    p.tap_steps = divide_up(p.tap_depth, leaf.layout.depth);
  };
  const image_strides& in = p.layout.in_strides;
  set_taps(whole_pixels && in.pixel == s.in_c);
  const int64_t apart = in.pixel * s.stride_w;
  p.in_place = reads_in_place(leaf, p.layout.in) && !has_padding(p.layout) && p.tap_depth % leaf.layout.depth == 0 &&
               !(apart % 4096 == 0 && register_rows(leaf) >= 8);
  if (p.in_place) {
    p.pixel_bytes = in.pixel;
    p.row_bytes = in.row;
    p.step_h = s.stride_h;
    p.step_w = s.stride_w;
    return;
  }
  // Windows a multiple of 1024 bytes apart would share sets of L1.
  p.pixel_bytes = s.in_c * lhs_bytes(leaf);
  if (p.pixel_bytes % 1024 == 0 && p.pixel_bytes > 0) p.pixel_bytes += static_cast<int64_t>(gemm_alignment);
  set_taps(whole_pixels && p.pixel_bytes == s.in_c * lhs_bytes(leaf));
  p.skip_h = s.kernel_h == 1 ? s.stride_h : 1;
  p.skip_w = s.kernel_w == 1 ? s.stride_w : 1;
  p.step_h = s.kernel_h == 1 ? 1 : s.stride_h;
  p.step_w = s.kernel_w == 1 ? 1 : s.stride_w;
}

// The rectangle of output pixels of a task; see the top of the file. `budget` is half of a 512 KiB L2.
constexpr void choose_tiles(conv_plan& p, size_t width, const conv_tiling& forced) noexcept {
  const conv_layout& l = p.layout;
  constexpr int64_t budget = 256 * 1024;
  const int64_t element = lhs_bytes(*p.leaf), columns = p.leaf->layout.columns;
  const int64_t channels = l.shape.in_c > 0 ? l.shape.in_c : 1;
  const int64_t least = divide_up(p.taps * p.tap_depth * columns, channels * element) + 2 * register_rows(*p.leaf);
  const int64_t pixel = p.pixel_bytes > 0 ? p.pixel_bytes : 1;
  const int64_t pixels = budget / pixel;  // that fit
  p.tile_w = l.out_w;
  const int64_t fit_w = (pixels / window_h(p) - window_w(p)) / p.step_w + 1;
  if (fit_w < p.tile_w) p.tile_w = fit_w < least ? (least < l.out_w ? least : l.out_w) : fit_w;
  if (p.tile_w > 0) p.tile_w = divide_up(l.out_w, divide_up(l.out_w, p.tile_w));
  // Band rows and the output that they make, which each panel writes a part of.
  const int64_t band_row = (p.tile_w > 0 ? band_pixels(p.tile_w, p.step_w, window_w(p)) : 1) * pixel;
  const int64_t out_row = p.tile_w * l.shape.out_c * (is_code(l.out) ? 1 : 4);
  int64_t rows = (budget - (window_h(p) - p.step_h) * band_row) / (p.step_h * band_row + out_row);
  const int64_t least_rows = p.tile_w > 0 ? divide_up(least, p.tile_w) : 1;
  if (rows < least_rows) rows = least_rows;
  const int64_t wanted =
      width <= 1 ? 1 : divide_up(static_cast<int64_t>(4 * planned_lanes(width)), l.shape.batch > 0 ? l.shape.batch : 1);
  int64_t bands = l.out_h > 0 ? divide_up(l.out_h, rows) : 1;
  const int64_t most_bands = l.out_h > least_rows ? l.out_h / least_rows : 1;
  if (bands < wanted) bands = wanted < most_bands ? wanted : (bands > most_bands ? bands : most_bands);
  p.tile_h = l.out_h > 0 ? divide_up(l.out_h, bands) : 1;
  if (forced.rows > 0) p.tile_h = forced.rows < l.out_h ? forced.rows : l.out_h;
  if (forced.columns > 0) p.tile_w = forced.columns < l.out_w ? forced.columns : l.out_w;
  p.row_tiles = l.out_elements == 0 ? 0 : divide_up(l.out_h, p.tile_h);
  p.column_tiles = l.out_elements == 0 ? 0 : divide_up(l.out_w, p.tile_w);
  const int64_t tiles = p.row_tiles * p.column_tiles;
  int64_t panel_tiles = tiles == 0 ? 1 : divide_up(wanted, tiles);
  if (panel_tiles > p.panels) panel_tiles = p.panels > 0 ? p.panels : 1;
  p.panels_per_task = p.panels > 0 ? divide_up(p.panels, panel_tiles) : 1;
  if (forced.panels > 0) p.panels_per_task = forced.panels;
  p.panel_tiles = divide_up(p.panels, p.panels_per_task);
  p.tasks = static_cast<uint64_t>(l.shape.batch) * static_cast<uint64_t>(tiles) * static_cast<uint64_t>(p.panel_tiles);
}

// A wide chunk and the windows that meet it share a 32 KiB L1; AMX, which reads weights faster
// than L2 gives them, says what it needs there. Both are shorter
// than a chunk whose sum s32 holds.
constexpr void choose_conv_chunks(conv_plan& p) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  p.wide = leaf.block_wide != nullptr && p.tile_h * p.tile_w >= leaf.wide_from;
  p.chunk_taps = p.taps;
  p.chunk_steps = p.tap_steps;
  int64_t limit = 0;
  if (p.wide)
    limit = 18 * 1024 / leaf.wide_bytes;
  else if (leaf.whole_blocks && p.tile_h * p.tile_w > leaf.rows)
    limit = leaf.chunk_steps;
  if (limit == 0 && p.long_sum) limit = long_chunk_depth / leaf.layout.depth;
  if (limit == 0 || p.tap_steps == 0) return;
  if (p.tap_steps > limit) {
    p.chunk_taps = 1;
    p.chunk_steps = divide_up(p.tap_steps, divide_up(p.tap_steps, limit));
  } else {
    p.chunk_taps = divide_up(p.taps, divide_up(p.taps, limit / p.tap_steps));
  }
}

// Leaves with `whole_blocks`: fewer rows than this cost as much as so many (AMX: a product takes max(10, rows) cycles).
inline constexpr int32_t least_part = 10;

constexpr bool one_chunk(const conv_plan& p) noexcept {
  return p.chunk_taps >= p.taps && p.chunk_steps >= p.tap_steps;
}

// Bytes of a panel as blocks read it.
constexpr int64_t read_panel_bytes(const conv_plan& p) noexcept {
  const panel_layout& l = p.leaf->layout;
  return p.taps * p.tap_steps * (p.wide ? p.leaf->wide_bytes : l.depth * l.columns);
}
// Panels of one group that a task takes.
constexpr int64_t panels_together(const conv_plan& p) noexcept {
  return p.panels_per_group < p.panels_per_task ? p.panels_per_group : p.panels_per_task;
}

// Sizes of a task's workspace; false: they do not fit.
constexpr bool choose_conv_workspace(conv_plan& p) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  const uint64_t pixels = static_cast<uint64_t>(p.tile_h * p.tile_w),
                 columns = static_cast<uint64_t>(leaf.layout.columns);
  uint64_t band = 0;
  if (!p.in_place && p.tasks > 0) {
    const int64_t band_w = band_pixels(p.tile_w, p.step_w, window_w(p));
    if (band_w > INT64_MAX / 8 / (p.pixel_bytes + 1)) return false;
    p.row_bytes = band_w * p.pixel_bytes;
    if (!checked_mul(static_cast<uint64_t>(p.row_bytes),
                     static_cast<uint64_t>(band_pixels(p.tile_h, p.step_h, window_h(p))), band))
      return false;
    // The last window is read in whole steps, and a prepared row writes up to 64 bytes more.
    const uint64_t over = static_cast<uint64_t>(p.tap_steps * leaf.layout.depth - p.tap_depth) + 64;
    band += over * static_cast<uint64_t>(lhs_bytes(leaf));
  }
  if (band > UINT64_MAX / 64 || pixels > UINT64_MAX / 64 / (columns + 1) / sizeof(int32_t)) return false;
  uint64_t chunk = static_cast<uint64_t>(p.chunk_taps * p.chunk_steps) * static_cast<uint64_t>(leaf.wide_bytes);
  if (p.inputs_stay) chunk = static_cast<uint64_t>(panels_together(p) * read_panel_bytes(p));
  const uint64_t acc_rows = one_chunk(p) ? static_cast<uint64_t>(leaf.rows) * (p.overlaps ? 2 : 1) : pixels;
  const int64_t least_block = leaf.whole_blocks && leaf.rows > least_part ? least_part : leaf.rows;
  const uint64_t blocks = pixels / static_cast<uint64_t>(least_block) + 1;
  p.rows_at = round_up(band, gemm_alignment);
  p.row_steps_at = p.rows_at + round_up(pixels * sizeof(const void*), gemm_alignment);
  p.taps_at = p.row_steps_at + round_up(blocks * sizeof(int64_t), gemm_alignment);
  p.chunk_at = p.taps_at + round_up(static_cast<uint64_t>(p.taps) * sizeof(int64_t), gemm_alignment);
  p.acc_at = p.chunk_at + (p.wide ? round_up(chunk, gemm_alignment) : 0);
  p.sums_at = p.acc_at + round_up(acc_rows * columns * sizeof(int32_t), gemm_alignment);
  p.long_at = p.sums_at + (p.weight_zero_point == 0 ? 0 : round_up(pixels * columns * sizeof(int32_t), gemm_alignment));
  p.task_workspace = p.long_at + (p.long_sum ? round_up(pixels * columns * sizeof(int64_t), gemm_alignment) : 0);
  size_t fits = 0;
  return checked_size(p.task_workspace, fits);
}

}  // namespace detail

// Checks the description and chooses sizes for `leaf`; `width` is how many tasks can run at once. `out` is untouched on
// error. Errors: those of check_conv; shape (a window of more than max_long_depth products).
inline status plan_conv(const conv_desc& d, const gemm_leaf& leaf, size_t width, conv_plan& out,
                        size_t* bad_channel = nullptr, const conv_tiling& forced = {}) noexcept {
  conv_plan p;
  p.leaf = &leaf;
  if (const status s = check_conv(d, p.layout, bad_channel); s != status::ok) return s;
  detail::lay_down(p.layout);
  if (forced.rows < 0 || forced.columns < 0 || forced.panels < 0) return status::argument;
  const conv_shape& s = p.layout.shape;
  p.weight_zero_point = d.weights == dtype::u8 ? d.weight_zero_point - 128 : d.weight_zero_point;
  const int64_t depth = s.kernel_w * s.group_in();  // check_conv: the product fits
  if (depth > max_long_depth / s.kernel_h) return status::shape;
  p.long_sum = depth * s.kernel_h > max_gemm_depth;
  p.prepared_zero_point = prepared_zero_point(leaf, d.in, d.in_zero_point);
  p.store = start_store(d.finish, d.out, p.layout.codes, p.layout.out_strides.pixel);
  p.store.residual_stride = p.layout.residual_strides.pixel;
  detail::choose_taps(p);
  const int64_t group_columns = p.merged_groups * s.group_out();
  p.panels_per_group = detail::divide_up(group_columns, leaf.layout.columns);
  p.panels = p.panels_per_group * (s.groups / p.merged_groups);
  p.panel_stride = panel_bytes(leaf.layout, p.taps * p.tap_steps * leaf.layout.depth);
  const uint64_t stored = static_cast<uint64_t>(p.panels) + (p.weight_zero_point == 0 ? 0 : 1);
  if (!checked_mul(p.panel_stride, stored, p.packed_bytes) ||
      !checked_add(p.packed_bytes, detail::conv_prefix, p.packed_bytes))
    return status::overflow;
  if (size_t fits = 0; !checked_size(p.packed_bytes, fits)) return status::overflow;
  detail::choose_tiles(p, width, forced);
  detail::choose_conv_chunks(p);
  constexpr int64_t l1_share = 20 * 1024;
  p.inputs_stay = detail::one_chunk(p) && detail::panels_together(p) > 1 &&
                  detail::read_panel_bytes(p) <= l1_share / detail::panels_together(p);
  p.overlaps = leaf.overlaps && !p.layout.has_table && leaf.store(p.store);
  const image_strides &o = p.layout.out_strides, &r = p.layout.residual_strides;
  p.linear_out = p.tile_w == p.layout.out_w && o.row == p.layout.out_w * o.pixel &&
                 (p.layout.residual.type == dtype::none || r.row == p.layout.out_w * r.pixel);
  if (!detail::choose_conv_workspace(p)) return status::overflow;
  p.magic = conv_plan_magic;
  out = p;
  return status::ok;
}

// Workspace for `width` tasks at once, 64-byte aligned.
constexpr uint64_t conv_workspace_bytes(const conv_plan& p, size_t width) noexcept {
  const uint64_t at_once = p.tasks < width ? p.tasks : width;
  return p.task_workspace * (at_once == 0 ? 1 : at_once);
}

}  // namespace quantal
