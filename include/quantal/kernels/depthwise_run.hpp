// Running a planned depthwise convolution: the nest, free of ISA. See depthwise_plan.hpp for the picture. Re-entrant: a
// plan and its packed weights serve any number of runs at once, each with its own workspace. Freestanding.
#pragma once
#include "quantal/kernels/depthwise_pack.hpp"

namespace quantal {
namespace detail {

// `live` codes of each of some pixels, in pieces of powers of two: a call of memcpy for each pixel would cost more.
template <int32_t Piece = 64>
inline void copy_pixels(const uint8_t* from, int64_t from_step, int64_t pixels, int32_t live, uint8_t* to,
                        int64_t to_step) noexcept {
  const int32_t whole = live / Piece * Piece;
  for (int32_t c = 0; c < whole; c += Piece)
    for (int64_t x = 0; x < pixels; ++x) __builtin_memcpy(to + c + x * to_step, from + c + x * from_step, Piece);
  if constexpr (Piece > 1) {
    if (live > whole) copy_pixels<Piece / 2>(from + whole, from_step, pixels, live - whole, to + whole, to_step);
  }
}

// Four codes, each twice; in either byte order.
inline void double_codes(const uint8_t* from, uint8_t* to) noexcept {
  uint32_t codes = 0;
  __builtin_memcpy(&codes, from, sizeof codes);
  uint64_t spread = (codes | uint64_t{codes} << 16) & 0x0000ffff0000ffff;
  spread = (spread | spread << 8) & 0x00ff00ff00ff00ff;
  spread |= spread << 8;
  __builtin_memcpy(to, &spread, sizeof spread);
}

struct depthwise_call {
  const depthwise_plan& p;
  const uint8_t* in;
  const uint8_t* packed;
  const uint8_t* residual;
  uint8_t* out;

  struct scratch {
    uint8_t* ring;      // [group][ring unit][pixel][channels] words, or [ring unit][pixel][group][channels] codes
    uint8_t* expanded;  // [unit row][pixel][channels] codes
    uint8_t* padding;   // one pixel of zero-point codes
    const uint8_t** units;
    int32_t *sums, *ordered;
  };

  scratch carve(uint8_t* at) const noexcept {
    scratch s{};
    s.ring = at;
    at += p.unit_bytes * static_cast<uint64_t>(p.leaf->plain ? p.ring : p.ring * p.group);
    s.expanded = at;
    at += round_up(static_cast<uint64_t>(p.tile_in_w * p.channels * max_unit_rows), gemm_alignment);
    s.padding = at;
    __builtin_memset(at, p.layout.in_zero_point & 0xff, static_cast<size_t>(p.channels));
    at += round_up(static_cast<uint64_t>(p.channels), gemm_alignment);
    s.units = reinterpret_cast<const uint8_t**>(at);
    at += round_up(static_cast<uint64_t>(p.max_units) * sizeof(const uint8_t*), gemm_alignment);
    s.sums = reinterpret_cast<int32_t*>(at);
    s.ordered = reinterpret_cast<int32_t*>(
        at + (p.fast ? 0 : round_up(static_cast<uint64_t>(p.tile_w * p.channels) * 4, gemm_alignment)));
    return s;
  }

  // Blocks [first, ...) up to `last` or to one that is not whole.
  int64_t whole_blocks(int64_t first, int64_t last) const noexcept {
    const int64_t whole = p.layout.shape.out_c / p.channels;
    return whole < first ? first : whole < last ? whole : last;
  }

  int32_t live_channels(int64_t block) const noexcept {
    const int64_t left = p.layout.shape.out_c - block * p.channels;
    return left < p.channels ? static_cast<int32_t>(left) : p.channels;
  }

  // `count` pixels of padding in a unit.
  void pad(uint8_t* words, int64_t count) const noexcept {
    const uint8_t zero = static_cast<uint8_t>(p.prepared_zero_point);
    __builtin_memset(words, p.leaf->form == lhs_form::s16_centred ? 0 : zero,
                     static_cast<size_t>(count * p.pixel_bytes));
  }

  // The codes that output channels [first, first + live) read of a row's pixels, side by side. Those of the rest of a
  // block are not written: nothing is made of what they give.
  void expand(const uint8_t* row, int64_t pixels, int64_t first, int32_t live, uint8_t* to) const noexcept {
    const int64_t step = p.layout.in_strides.pixel, m = p.multiplier;
    row += first / m;
    if (m == 1) return copy_pixels(row, step, pixels, live, to, p.channels);
    for (int64_t x = 0; x < pixels; ++x, row += step, to += p.channels) {
      int64_t c = 0, from = 0, copy = first % m;
      for (; m == 2 && c + 8 <= live; c += 8) double_codes(row + c / 2, to + c);
      for (from = c / m; c < live; ++c) {
        to[c] = row[from];
        if (++copy == m) copy = 0, ++from;
      }
    }
  }

  // The words of a pass that lie left and right of the image: pixels [first, last) of a unit lie in it.
  struct image_pixels {
    int64_t first, last;
  };
  image_pixels pixels_in_image(int64_t left) const noexcept {
    const int64_t from = left - p.layout.shape.pad_left;  // image column of the first word
    const int64_t first = from < 0 ? (-from < p.tile_in_w ? -from : p.tile_in_w) : 0;
    const int64_t last = p.layout.shape.in_w - from < p.tile_in_w ? p.layout.shape.in_w - from : p.tile_in_w;
    return {first, last < first ? first : last};
  }
  // They stay as they are while the ring turns.
  void pad_sides(const scratch& s, image_pixels live, int64_t blocks) const noexcept {
    if (p.sideways) return;
    uint8_t* words = s.ring;
    for (int64_t i = 0; i < (p.leaf->plain ? p.ring : blocks * p.ring); ++i, words += p.unit_bytes) {
      if (live.first > 0) pad(words, live.first);
      if (live.last < p.tile_in_w) pad(words + live.last * p.pixel_bytes, p.tile_in_w - live.last);
    }
  }

  // A unit of a plain leaf: image row y, all channels of blocks [first, last).
  void build_plain(const scratch& s, int64_t image, int64_t index, int64_t y, int64_t left, int64_t first,
                   int64_t last) const noexcept {
    const conv_layout& l = p.layout;
    const image_pixels live = pixels_in_image(left);
    const int64_t pixels = live.last - live.first;
    if (pixels == 0) return;
    uint8_t* to = s.ring + p.unit_bytes * static_cast<uint64_t>(index % p.ring) + live.first * p.pixel_bytes;
    if (y < 0 || y >= l.shape.in_h) return pad(to, pixels);
    const uint8_t* from = in + image * l.in_strides.image + y * l.in_strides.row +
                          (left - l.shape.pad_left + live.first) * l.in_strides.pixel;
    const int64_t channel = first * p.channels, most = (last - first) * p.channels;
    const int64_t codes = l.shape.out_c - channel < most ? l.shape.out_c - channel : most;
    interleave_args a;
    a.rows[0] = from + channel;
    a.steps[0] = l.in_strides.pixel;
    a.pixels = pixels;
    a.is_unsigned = l.in == dtype::u8;
    a.codes = codes;
    a.out = to;
    a.out_step = p.pixel_bytes;
    p.leaf->interleave(a);
  }

  // A unit of one row, whose words are its pixels x, x + dilation, ...: all of them, the padding too.
  void build_sideways(const scratch& s, const uint8_t* row, image_pixels image, uint8_t* words, int64_t first,
                      int64_t last) const noexcept {
    const conv_layout& l = p.layout;
    const int64_t apart = l.shape.dilation_w * p.channels, count = image.last - image.first;
    const int64_t codes = p.tile_in_w * p.channels + (p.leaf->unit_rows - 1) * apart;
    interleave_args a;
    a.pixels = p.tile_in_w;
    a.is_unsigned = l.in == dtype::u8;
    a.zero_point = l.in_zero_point;
    for (int32_t r = 0; r < p.leaf->unit_rows; ++r) {
      a.rows[r] = s.expanded + r * apart;
      a.steps[r] = p.channels;
    }
    const int64_t before = image.first * p.channels, end = image.last * p.channels;
    __builtin_memset(s.expanded, l.in_zero_point & 0xff, static_cast<size_t>(row == nullptr ? codes : before));
    __builtin_memset(s.expanded + end, l.in_zero_point & 0xff, static_cast<size_t>(codes - end));
    for (int64_t block = first; block < last; ++block, words += p.block_step) {
      if (row != nullptr) expand(row, count, block * p.channels, live_channels(block), s.expanded + before);
      a.out = words;
      p.leaf->interleave(a);
    }
  }

  // Unit `index` (of padded rows of a class), pixels [left, left + tile_in_w) of the padded width, of blocks [first, last).
  void build(const scratch& s, int64_t image, int64_t index, int64_t row_class, int64_t left, int64_t first,
             int64_t last) const noexcept {
    const conv_layout& l = p.layout;
    const auto image_row = [&](int32_t r) {
      return (index * p.unit_step + r) * p.row_classes + row_class - l.shape.pad_top;
    };
    if (p.leaf->plain) return build_plain(s, image, index, image_row(0), left, first, last);
    const image_pixels live_pixels = pixels_in_image(left);
    const int64_t skip = live_pixels.first, from = left - l.shape.pad_left;
    uint8_t* words = s.ring + p.unit_bytes * static_cast<uint64_t>(index % p.ring);
    const uint8_t* rows[max_unit_rows] = {};
    for (int32_t r = 0; r < p.leaf->unit_rows; ++r) {
      const int64_t y = image_row(r);
      if (y >= 0 && y < l.shape.in_h)
        rows[r] = in + image * l.in_strides.image + y * l.in_strides.row + (from + skip) * l.in_strides.pixel;
    }
    if (p.sideways) return build_sideways(s, rows[0], live_pixels, words, first, last);
    interleave_args a;
    a.pixels = live_pixels.last - skip;
    if (a.pixels == 0) return;
    a.is_unsigned = l.in == dtype::u8;
    a.zero_point = l.in_zero_point;
    const int64_t whole = p.multiplier == 1 ? whole_blocks(first, last) : first;
    for (int32_t r = 0; r < p.leaf->unit_rows; ++r) {
      a.rows[r] = rows[r] == nullptr ? s.padding : rows[r] + first * p.channels;
      a.steps[r] = rows[r] == nullptr ? 0 : l.in_strides.pixel;
    }
    words += skip * p.channels * 4;
    for (int64_t block = first; block < whole; ++block, words += p.block_step) {
      a.out = words;
      p.leaf->interleave(a);
      for (int32_t r = 0; r < p.leaf->unit_rows; ++r)
        if (rows[r] != nullptr) a.rows[r] += p.channels;
    }
    for (int64_t block = whole; block < last; ++block, words += p.block_step) {
      for (int32_t r = 0; r < p.leaf->unit_rows; ++r) {
        if (rows[r] == nullptr) continue;
        uint8_t* to = s.expanded + r * p.tile_in_w * p.channels;
        expand(rows[r], a.pixels, block * p.channels, live_channels(block), to);
        a.rows[r] = to;
        a.steps[r] = p.channels;
      }
      a.out = words;
      p.leaf->interleave(a);
    }
  }

  // The portable way out: sums in word order -> channels in order -> any epilogue.
  void finish(const scratch& s, const depthwise_parts& parts, int64_t pixels, int32_t live, int64_t image, int64_t y,
              int64_t x, int64_t first) const noexcept {
    const conv_layout& l = p.layout;
    for (int64_t i = 0; i < pixels; ++i) {
      for (int32_t c = 0; c < p.channels; ++c)
        s.ordered[i * p.channels + c] = s.sums[i * p.channels + word_of(*p.leaf, c)];
    }
    store_args a = p.store;
    a.acc = s.ordered;
    a.rows = static_cast<int32_t>(pixels);
    a.live_columns = live;
    const int64_t at = image * l.out_strides.image + y * l.out_strides.row + x * l.out_strides.pixel + first;
    a.out = out + at * (is_code(l.out) ? 1 : 4);
    a.bias = parts.bias;
    a.ratio = parts.ratio;
    a.multiplier = parts.multiplier;
    if (l.residual.type != dtype::none) {
      const image_strides& r = l.residual_strides;
      a.residual = residual + image * r.image + y * r.row + x * r.pixel + first;
    }
    gemm_leaf portable;
    portable.layout.columns = p.channels;
    store_block(portable, a, l.has_table ? packed + gemm_alignment : nullptr);
  }

  // What the rows of a pass have in common.
  depthwise_row common_row(int64_t pixels) const noexcept {
    const conv_layout& l = p.layout;
    depthwise_row a;
    a.kernel_w = p.kernel_words;
    a.tap_step = l.shape.dilation_w * p.pixel_bytes * (p.sideways ? p.leaf->unit_rows : 1);
    a.pixel_step = l.shape.stride_w * p.pixel_bytes;
    a.pixels = pixels;
    a.wide_ratio = p.wide_ratio;
    a.zero_point = l.out_zero_point;
    a.codes = l.codes;
    a.out_unsigned = l.out == dtype::u8;
    return a;
  }

  // One output row of one block from column x on; a.units, a.unit_count are set.
  void row(depthwise_row& a, const scratch& s, int64_t image, int64_t y, int64_t x, int64_t block,
           uint64_t weights) const noexcept {
    const conv_layout& l = p.layout;
    uint8_t* at = const_cast<uint8_t*>(packed) + depthwise_prefix + static_cast<uint64_t>(block) * p.block_bytes;
    const depthwise_parts parts = depthwise_parts_of(at, p.channels);
    const int64_t first = block * p.channels;
    const int32_t live = live_channels(block);
    a.weights = at + weights;
    a.bias = parts.word_bias;
    a.ratio = parts.word_ratio;
    if (!p.fast) {
      a.out = s.sums;
      p.leaf->sums(a);
      finish(s, parts, a.pixels, live, image, y, x, first);
      return;
    }
    a.out = s.expanded;
    a.out_stride = p.channels;
    p.leaf->codes(a);
    copy_pixels(s.expanded, p.channels, a.pixels, live, out_pixel(image, y, x) + first, l.out_strides.pixel);
  }

  uint8_t* out_pixel(int64_t image, int64_t y, int64_t x) const noexcept {
    const image_strides& o = p.layout.out_strides;
    return out + image * o.image + y * o.row + x * o.pixel;
  }

  // The same for blocks [first, last), all whole, straight to codes: `to` is the first one's.
  void whole_rows(depthwise_row& a, const scratch& s, uint8_t* to, int64_t first, int64_t last,
                  uint64_t weights) const noexcept {
    const uint8_t* at = packed + depthwise_prefix + static_cast<uint64_t>(first) * p.block_bytes;
    a.out_stride = p.layout.out_strides.pixel;
    for (int64_t block = first; block < last; ++block, at += p.block_bytes, to += p.channels) {
      const depthwise_parts parts = depthwise_parts_of(const_cast<uint8_t*>(at), p.channels);
      a.weights = at + weights;
      a.bias = parts.word_bias;
      a.ratio = parts.word_ratio;
      a.out = to;
      p.leaf->codes(a);
      for (int32_t u = 0; u < a.unit_count; ++u) s.units[u] += p.block_step;
    }
  }

  // Blocks [first, last) over output rows [top, bottom) and columns [x, x + pixels).
  void pass(const scratch& s, int64_t image, int64_t top, int64_t bottom, int64_t x, int64_t pixels, int64_t first,
            int64_t last) const noexcept {
    const conv_shape& shape = p.layout.shape;
    depthwise_row a = common_row(pixels);
    a.units = s.units;
    pad_sides(s, pixels_in_image(x * shape.stride_w), last - first);
    const int64_t classes = p.row_classes;
    for (int64_t c = 0; c < classes; ++c) {
      int64_t built = 0;
      for (int64_t y = top + (c + classes - top % classes) % classes; y < bottom; y += classes) {
        const int64_t start = y * shape.stride_h / classes;
        const int64_t begin = start / p.unit_step, phase = start % p.unit_step;
        int64_t end = begin;
        cover_window(*p.leaf, phase, shape.kernel_h, p.dilation, [&](int64_t index, int64_t unit, int64_t, int32_t) {
          s.units[index] = s.ring + p.unit_bytes * static_cast<uint64_t>((begin + unit) % p.ring);
          end = begin + unit + 1;
        });
        a.unit_count = static_cast<int32_t>(p.phase_units[phase]);
        if (built < begin) built = begin;
        for (; built < end; ++built) build(s, image, built, c, x * shape.stride_w, first, last);
        const int64_t whole = p.fast ? whole_blocks(first, last) : first;
        if (whole > first)
          whole_rows(a, s, out_pixel(image, y, x) + first * p.channels, first, whole, p.phase_weights[phase]);
        for (int64_t b = whole; b < last; ++b) {
          row(a, s, image, y, x, b, p.phase_weights[phase]);
          for (int32_t u = 0; u < a.unit_count; ++u) s.units[u] += p.block_step;
        }
      }
    }
  }

  [[gnu::noinline]] void task(uint64_t index, uint8_t* workspace) const noexcept {
    const scratch s = carve(workspace);
    const int64_t t = static_cast<int64_t>(index);
    const int64_t group_tile = t % p.group_tiles, row_tile = t / p.group_tiles % p.row_tiles;
    const int64_t image = t / p.group_tiles / p.row_tiles;
    const int64_t top = row_tile * p.tile_h;
    const int64_t bottom = top + p.tile_h < p.layout.out_h ? top + p.tile_h : p.layout.out_h;
    const int64_t block_end = (group_tile + 1) * p.groups_per_task * p.group;
    for (int64_t b = group_tile * p.groups_per_task * p.group; b < block_end && b < p.blocks; b += p.group) {
      const int64_t last = b + p.group < p.blocks ? b + p.group : p.blocks;
      for (int64_t x = 0; x < p.layout.out_w; x += p.tile_w) {
        const int64_t pixels = p.layout.out_w - x < p.tile_w ? p.layout.out_w - x : p.tile_w;
        pass(s, image, top, bottom, x, pixels, b, last);
      }
    }
  }
};

}  // namespace detail

// Runs the convolution; re-entrant. Nothing is written before all checks have passed. Errors: plan (not a plan, or
// weights packed for another one), null_pointer, buffer, overlap, scratch.
inline status run_depthwise(const depthwise_plan& p, const conv_buffers& b,
                            const parallel_for& parallel = {}) noexcept {
  if (p.magic != depthwise_plan_magic || p.leaf == nullptr) return status::plan;
  if (p.layout.out_elements == 0) return status::ok;
  const size_t width = lanes_of(parallel);
  if (const status s = detail::check_buffers(p.layout, b, p.packed_bytes, depthwise_workspace_bytes(p, width));
      s != status::ok)
    return s;
  const detail::depthwise_header own = detail::depthwise_header_of(p);
  if (__builtin_memcmp(b.packed, &own, sizeof own) != 0) return status::plan;
  const detail::depthwise_call call{p, static_cast<const uint8_t*>(b.in), static_cast<const uint8_t*>(b.packed),
                                    static_cast<const uint8_t*>(b.residual), static_cast<uint8_t*>(b.out)};
  uint8_t* workspace = static_cast<uint8_t*>(b.workspace);
  const uint64_t lanes = p.tasks < width ? p.tasks : width;
  parallel(static_cast<size_t>(lanes), [&](size_t lane) {
    const default_fp_env standard;
    for (uint64_t t = lane; t < p.tasks; t += lanes) call.task(t, workspace + lane * p.task_workspace);
  });
  return status::ok;
}

}  // namespace quantal
