// Running a planned convolution: the loop nest, free of ISA. See conv_plan.hpp for the picture and gemm_leaf.hpp for
// what is called. Re-entrant: a plan and its packed weights serve any number of runs at once, each with its own
// workspace. Freestanding.
#pragma once
#include "quantal/kernels/conv_pack.hpp"

namespace quantal {
namespace detail {

struct conv_call {
  const conv_plan& p;
  const conv_buffers& b;

  const uint8_t* table() const noexcept {
    return p.layout.has_table ? static_cast<const uint8_t*>(b.packed) + gemm_alignment : nullptr;
  }
  const uint8_t* panel(int64_t index) const noexcept {
    return static_cast<const uint8_t*>(b.packed) + conv_prefix + static_cast<uint64_t>(index) * p.panel_stride;
  }
  void task(uint64_t index, uint8_t* scratch) const noexcept;
};

// One task at work: output rows [y0, y0 + h), columns [x0, x0 + w) of one image.
struct conv_task {
  const conv_call& call;
  const conv_plan& p;
  const conv_layout& l;
  uint8_t* scratch;
  int64_t image, y0, x0, h, w;
  store_args current;
  store_args pending[2];
  int32_t turn = 0;
  bool waiting = false;
  int32_t block_rows = 0;  // pixels of a block
  int32_t begun = 0;       // what the leaf's begin is told

  const void** rows() const noexcept { return reinterpret_cast<const void**>(scratch + p.rows_at); }
  int64_t* row_steps() const noexcept { return reinterpret_cast<int64_t*>(scratch + p.row_steps_at); }
  int64_t* taps() const noexcept { return reinterpret_cast<int64_t*>(scratch + p.taps_at); }
  int32_t* acc() const noexcept { return reinterpret_cast<int32_t*>(scratch + p.acc_at); }
  int32_t* sums() const noexcept { return reinterpret_cast<int32_t*>(scratch + p.sums_at); }
  int64_t* long_sums() const noexcept { return reinterpret_cast<int64_t*>(scratch + p.long_at); }
  int64_t pixels() const noexcept { return h * w; }

  // `count` band pixels of padding.
  void pad(uint8_t* to, int64_t count) const noexcept {
    const bool centred = p.leaf->form == lhs_form::s16_centred;
    __builtin_memset(to, centred ? 0 : static_cast<uint8_t>(p.prepared_zero_point),
                     static_cast<size_t>(count * p.pixel_bytes));
  }

  // Image pixels [x, x + count * skip_w) of a row -> the band.
  void copy_pixels(const uint8_t* from, int64_t count, uint8_t* to) const noexcept {
    const bool is_unsigned = l.in == dtype::u8;
    const int64_t channels = l.shape.in_c;
    if (p.skip_w == 1 && l.in_strides.pixel == channels && p.pixel_bytes == channels * lhs_bytes(*p.leaf)) {
      p.leaf->prepare(from, is_unsigned, l.in_zero_point, count * channels, count * channels, to);
      return;
    }
    for (int64_t x = 0; x < count; ++x, from += p.skip_w * l.in_strides.pixel, to += p.pixel_bytes)
      p.leaf->prepare(from, is_unsigned, l.in_zero_point, channels, channels, to);
  }

  // The band, row by row upwards: each prepared run may write a little past its end, into what comes next.
  void fill_band() const noexcept {
    const conv_shape& s = l.shape;
    const int64_t rows = band_pixels(h, p.step_h, s.window_h()), width = band_pixels(w, p.step_w, s.window_w());
    const int64_t left = x0 * s.stride_w - s.pad_left;  // image column of the band's first pixel
    // Band pixels [first, last) lie in the image.
    int64_t first = left < 0 ? divide_up(-left, p.skip_w) : 0;
    if (first > width) first = width;
    int64_t last = s.in_w > left ? divide_up(s.in_w - left, p.skip_w) : 0;
    if (last > width) last = width;
    if (last < first) last = first;
    for (int64_t r = 0; r < rows; ++r) {
      uint8_t* to = scratch + r * p.row_bytes;
      const int64_t y = y0 * s.stride_h - s.pad_top + r * p.skip_h;
      if (y < 0 || y >= s.in_h) {
        pad(to, width);
        continue;
      }
      const uint8_t* from = static_cast<const uint8_t*>(call.b.in) + image * l.in_strides.image + y * l.in_strides.row +
                            (left + first * p.skip_w) * l.in_strides.pixel;
      pad(to, first);
      if (last > first) copy_pixels(from, last - first, to + first * p.pixel_bytes);
      pad(to + last * p.pixel_bytes, width - last);
    }
  }

  // Are all windows of the task equally far apart?
  bool linear() const noexcept { return p.step_h * p.row_bytes == w * p.step_w * p.pixel_bytes; }

  // Whole blocks where windows are equally far apart. Otherwise the pixels of a block that goes on in the next output row
  // would be gathered: even parts of a row, if they are wide enough.
  void choose_blocks() noexcept {
    block_rows = p.leaf->rows;
    const int64_t part = divide_up(w, divide_up(w, block_rows));
    if (p.leaf->whole_blocks && !linear() && part >= least_part && w % part == 0)
      block_rows = begun = static_cast<int32_t>(part);
  }

  // Where each output pixel's window begins, and the common distance within each block of them.
  void find_windows() const noexcept {
    const conv_shape& s = l.shape;
    const uint8_t* base = scratch;
    if (p.in_place)
      base = static_cast<const uint8_t*>(call.b.in) + image * l.in_strides.image + y0 * s.stride_h * p.row_bytes +
             x0 * s.stride_w * p.pixel_bytes;
    const int64_t step = p.step_w * p.pixel_bytes, columns = w, count = h * columns, size = block_rows;
    const void** row = rows();
    for (int64_t y = 0; y < h; ++y, base += p.step_h * p.row_bytes) {
      const uint8_t* at = base;
      for (int64_t x = 0; x < columns; ++x, at += step) *row++ = at;
    }
    const bool equal = linear();
    int64_t* row_step = row_steps();
    for (int64_t i = 0; i < count; i += size) {
      const int64_t end = i + size < count ? i + size : count;
      *row_step++ = equal || i / columns == (end - 1) / columns ? step : 0;
    }
  }

  void set_taps(int64_t group) const noexcept {
    const conv_shape& s = l.shape;
    const int64_t slice = group * p.merged_groups * s.group_in() * (p.in_place ? 1 : lhs_bytes(*p.leaf));
    const int64_t columns = p.merged_taps ? 1 : s.kernel_w;
    for (int64_t t = 0; t < p.taps; ++t)
      taps()[t] = t / columns * s.dilation_h * p.row_bytes + t % columns * s.dilation_w * p.pixel_bytes + slice;
  }

  void flush() noexcept {
    if (waiting) store_block(*p.leaf, pending[turn ^ 1], call.table());
    waiting = false;
  }

  int64_t depth() const noexcept { return l.shape.kernel_h * l.shape.kernel_w * l.shape.group_in(); }

  // Weights with a zero point: sum x (w - z) = sum x w - z sum x, with x centred.
  void correct(int64_t first, int32_t rows_live, int32_t* acc_block) const noexcept {
    const int32_t columns = p.leaf->layout.columns;
    const uint32_t zero = static_cast<uint32_t>(p.weight_zero_point);
    const uint32_t offset = static_cast<uint32_t>(p.prepared_zero_point) * static_cast<uint32_t>(depth());
    const int32_t* sum = sums() + first * columns;
    for (int32_t i = 0; i < rows_live * columns; ++i) {
      const uint32_t term = zero * (static_cast<uint32_t>(sum[i]) - offset);
      acc_block[i] = static_cast<int32_t>(static_cast<uint32_t>(acc_block[i]) - term);
    }
  }

  // The same for sums in s64: everything is put in, bias too, and saturated.
  void correct_long(const const_panel_parts& parts, int64_t first, int32_t rows_live,
                    int32_t* acc_block) const noexcept {
    const int32_t columns = p.leaf->layout.columns;
    const int64_t zero = p.prepared_zero_point, offset = zero * depth(), weight_zero = p.weight_zero_point;
    const int64_t* sum = long_sums() + first * columns;
    for (int32_t i = 0; i < rows_live * columns; ++i) {
      const int64_t taken = weight_zero == 0 ? 0 : weight_zero * (sums()[first * columns + i] - offset);
      acc_block[i] = long_result(parts, i % columns, sum[i], zero, taken);
    }
  }

  // What the stores of a panel have in common.
  void start_panel(const const_panel_parts& parts, int32_t live) noexcept {
    current.live_columns = live;
    current.bias = p.long_sum ? no_bias : parts.bias;
    current.ratio = parts.ratio;
    current.multiplier = parts.multiplier;
  }

  // Pixels [first, first + count) of the task, equally far apart in the output, channels from `column` on.
  void aim(int64_t first, int32_t count, int64_t column, const int32_t* acc_block) noexcept {
    int64_t y = y0, x = x0 + first;
    if (!p.linear_out) {
      y += first / w;
      x = x0 + first % w;
    }
    const int64_t at = image * l.out_strides.image + y * l.out_strides.row + x * l.out_strides.pixel + column;
    current.acc = acc_block;
    current.rows = count;
    current.out = static_cast<uint8_t*>(call.b.out) + (is_code(l.out) ? at : at * 4);
    if (current.residual_type == dtype::none) return;
    const image_strides& r = l.residual_strides;
    current.residual =
        static_cast<const uint8_t*>(call.b.residual) + image * r.image + y * r.row + x * r.pixel + column;
  }

  // A block's sums are complete: to the output, one run of pixels per output row.
  void finish(const const_panel_parts& parts, const block_args& a, int64_t first, int64_t column) noexcept {
    if (p.long_sum)
      correct_long(parts, first, a.live_rows, a.acc);
    else if (p.weight_zero_point != 0)
      correct(first, a.live_rows, a.acc);
    for (int32_t done = 0; done < a.live_rows;) {
      const int32_t left = a.live_rows - done;
      int32_t count = left;
      if (!p.linear_out) {
        const int64_t in_row = w - (first + done) % w;
        if (in_row < left) count = static_cast<int32_t>(in_row);
      }
      aim(first + done, count, column, a.acc + done * p.leaf->layout.columns);
      done += count;
      if (!p.overlaps || done < a.live_rows) {
        store_block(*p.leaf, current, call.table());
        continue;
      }
      pending[turn] = current;
      turn ^= 1;
      waiting = true;
    }
  }

  // All blocks of pixels against one chunk of a panel: taps [tap, tap + count), steps [step, step + steps) of each.
  void chunk(const const_panel_parts& parts, int64_t column, int32_t live, int64_t tap, int64_t count, int64_t step,
             int64_t steps, bool fresh, bool last) noexcept {
    const gemm_leaf& leaf = *p.leaf;
    const panel_layout& layout = leaf.layout;
    const int64_t step_bytes = int64_t{layout.depth} * layout.columns;
    block_args a;
    a.taps = taps() + tap;
    a.tap_count = static_cast<int32_t>(count);
    a.steps = steps;
    a.live_columns = live;
    a.lhs_unsigned = l.in == dtype::u8;
    a.accumulate = !fresh && !p.long_sum;
    a.begun = begun;
    a.panel = parts.weights + (tap * p.tap_steps + step) * step_bytes;
    // What the next chunk reads is fetched into L2 meanwhile (an address: it may lie past the end).
    const int64_t chunk_bytes = count * steps * step_bytes;
    const int64_t fetched = leaf.widen == nullptr ? chunk_bytes / divide_up(pixels(), block_rows) : 0;
    uintptr_t next = reinterpret_cast<uintptr_t>(a.panel) + static_cast<uintptr_t>(chunk_bytes);
    if (p.wide) {
      leaf.widen(a.panel, count * steps, scratch + p.chunk_at);
      a.panel = scratch + p.chunk_at;
    }
    const bool whole = one_chunk(p);
    const int64_t skipped = step * layout.depth * lhs_bytes(leaf);
    const void* moved[max_leaf_rows];
    for (int64_t i = 0; i < pixels(); i += block_rows) {
      a.live_rows = pixels() - i < block_rows ? static_cast<int32_t>(pixels() - i) : block_rows;
      a.acc = whole ? acc() + turn * leaf.rows * layout.columns : acc() + i * layout.columns;
      a.pending = waiting ? &pending[turn ^ 1] : nullptr;
      a.row_step = row_steps()[i / block_rows];
      a.rows = rows() + i;
      if (skipped != 0) {
        for (int32_t k = 0; k < a.live_rows; ++k) moved[k] = static_cast<const uint8_t*>(rows()[i + k]) + skipped;
        a.rows = moved;
      }
      for (int64_t done = 0; done < fetched; done += 64, next += 64)
        __builtin_prefetch(reinterpret_cast<const void*>(next), 0, 2);
      (p.wide ? leaf.block_wide : leaf.block)(a);
      waiting = false;
      if (p.long_sum) add_long(a.acc, int64_t{a.live_rows} * layout.columns, fresh, long_sums() + i * layout.columns);
      if (last) finish(parts, a, i, column);
    }
  }

  // The channels of a panel: the first, and how many.
  int64_t first_channel(int64_t index, int32_t& live) const noexcept {
    const int32_t columns = p.leaf->layout.columns;
    const int64_t within = index % p.panels_per_group * columns, group_columns = p.merged_groups * l.shape.group_out();
    live = group_columns - within < columns ? static_cast<int32_t>(group_columns - within) : columns;
    return index / p.panels_per_group * group_columns + within;
  }

  void panel(int64_t index) noexcept {
    const const_panel_parts parts = parts_of(call.panel(index), p.leaf->layout);
    int32_t live = 0;
    const int64_t column = first_channel(index, live);
    start_panel(parts, live);
    int64_t tap = 0, step = 0;
    do {
      const int64_t count = p.taps - tap < p.chunk_taps ? p.taps - tap : p.chunk_taps;
      const int64_t steps = p.tap_steps - step < p.chunk_steps ? p.tap_steps - step : p.chunk_steps;
      const bool fresh = tap == 0 && step == 0, row_done = step + steps >= p.tap_steps;
      chunk(parts, column, live, tap, count, step, steps, fresh, row_done && tap + count >= p.taps);
      step = row_done ? 0 : step + steps;
      if (row_done) tap += count;
    } while (tap < p.taps);
    if (!one_chunk(p)) flush();  // the next panel's chunks use the same sums
  }

  // Panels [first, end) of a group, all in L1, for one block of pixels after another.
  void small_panels(int64_t first, int64_t end) noexcept {
    const gemm_leaf& leaf = *p.leaf;
    const panel_layout& layout = leaf.layout;
    const int64_t bytes = read_panel_bytes(p);
    uint8_t* wide = scratch + p.chunk_at;
    for (int64_t k = first; p.wide && k < end; ++k)
      leaf.widen(parts_of(call.panel(k), layout).weights, p.taps * p.tap_steps, wide + (k - first) * bytes);
    block_args a;
    a.taps = taps();
    a.tap_count = static_cast<int32_t>(p.taps);
    a.steps = p.tap_steps;
    a.lhs_unsigned = l.in == dtype::u8;
    a.begun = begun;
    for (int64_t i = 0; i < pixels(); i += block_rows) {
      a.live_rows = pixels() - i < block_rows ? static_cast<int32_t>(pixels() - i) : block_rows;
      a.row_step = row_steps()[i / block_rows];
      a.rows = rows() + i;
      for (int64_t k = first; k < end; ++k) {
        const const_panel_parts parts = parts_of(call.panel(k), layout);
        const int64_t column = first_channel(k, a.live_columns);
        a.panel = p.wide ? wide + (k - first) * bytes : parts.weights;
        a.acc = acc() + turn * leaf.rows * layout.columns;
        a.pending = waiting ? &pending[turn ^ 1] : nullptr;
        (p.wide ? leaf.block_wide : leaf.block)(a);
        waiting = false;
        start_panel(parts, a.live_columns);
        finish(parts, a, i, column);
      }
    }
  }

  // The sum of each window, by the panel of ones: the same for all columns of a group.
  void add_windows() const noexcept {
    const gemm_leaf& leaf = *p.leaf;
    const int32_t columns = leaf.layout.columns;
    block_args a;
    a.taps = taps();
    a.tap_count = static_cast<int32_t>(p.taps);
    a.steps = p.tap_steps;
    a.panel = parts_of(call.panel(p.panels), leaf.layout).weights;
    a.live_columns = columns;
    a.lhs_unsigned = l.in == dtype::u8;
    a.begun = begun;
    for (int64_t i = 0; i < pixels(); i += block_rows) {
      a.live_rows = pixels() - i < block_rows ? static_cast<int32_t>(pixels() - i) : block_rows;
      a.rows = rows() + i;
      a.row_step = row_steps()[i / block_rows];
      a.acc = sums() + i * columns;
      leaf.block(a);
    }
  }

  // Not inlined: no arithmetic moves out of the standard rounding mode.
  [[gnu::noinline]] void run(int64_t first_panel, int64_t end_panel) noexcept {
    if (!p.in_place) fill_band();
    find_windows();
    current = p.store;
    for (int64_t i = first_panel; i < end_panel;) {
      const int64_t group = i / p.panels_per_group;
      const int64_t group_end =
          (group + 1) * p.panels_per_group < end_panel ? (group + 1) * p.panels_per_group : end_panel;
      set_taps(group);
      if (p.weight_zero_point != 0) add_windows();
      if (p.inputs_stay)
        small_panels(i, group_end);
      else
        for (int64_t k = i; k < group_end; ++k) panel(k);
      i = group_end;
    }
    flush();
  }
};

inline void conv_call::task(uint64_t index, uint8_t* scratch) const noexcept {
  const conv_layout& l = p.layout;
  int64_t t = static_cast<int64_t>(index);
  const int64_t panel_tile = t % p.panel_tiles;
  t /= p.panel_tiles;
  const int64_t x0 = t % p.column_tiles * p.tile_w;
  t /= p.column_tiles;
  const int64_t y0 = t % p.row_tiles * p.tile_h, image = t / p.row_tiles;
  const int64_t h = l.out_h - y0 < p.tile_h ? l.out_h - y0 : p.tile_h;
  const int64_t w = l.out_w - x0 < p.tile_w ? l.out_w - x0 : p.tile_w;
  const int64_t first = panel_tile * p.panels_per_task;
  const int64_t end = p.panels - first < p.panels_per_task ? p.panels : first + p.panels_per_task;
  const default_fp_env standard;
  conv_task work{*this, p, l, scratch, image, y0, x0, h, w, {}, {}};
  work.choose_blocks();
  if (p.leaf->begin != nullptr) p.leaf->begin(work.begun);
  work.run(first, end);
  if (p.leaf->end != nullptr) p.leaf->end();
}

}  // namespace detail

// Runs the convolution. Nothing is written before all checks have passed. Errors: plan (no plan, or packed weights that
// are not its), null_pointer, buffer, overlap, scratch.
inline status run_conv(const conv_plan& p, const conv_buffers& b, const parallel_for& parallel = {}) noexcept {
  if (p.magic != conv_plan_magic || p.leaf == nullptr) return status::plan;
  if (p.layout.out_elements == 0) return status::ok;
  const size_t width = lanes_of(parallel);
  if (const status s = detail::check_buffers(p.layout, b, p.packed_bytes, conv_workspace_bytes(p, width));
      s != status::ok)
    return s;
  const detail::conv_header own = detail::conv_header_of(p);
  if (__builtin_memcmp(b.packed, &own, sizeof own) != 0) return status::plan;
  const detail::conv_call call{p, b};
  const uint64_t lanes = p.tasks < width ? p.tasks : width;
  // One lane per workspace slice; lane i takes tasks i, i + lanes, ...: no two tasks share a slice.
  parallel(static_cast<size_t>(lanes), [&](size_t lane) {
    for (uint64_t t = lane; t < p.tasks; t += lanes)
      call.task(t, static_cast<uint8_t*>(b.workspace) + lane * p.task_workspace);
  });
  return status::ok;
}

}  // namespace quantal
