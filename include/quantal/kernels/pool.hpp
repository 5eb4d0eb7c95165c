// Max and average pooling of NHWC codes: the loop nest over output rows, free of ISA; a leaf of integer_table does
// a run of pixels whose windows are as large (the inside of a row, or a pixel at its edge), all channels at once.
//
//   max      the largest code under the window; padding takes no part
//   average  clamp(round((sum of (code - in_zero_point)) * in_scale / (out_scale * count)) + out_zero_point)
//            count: the taps inside the image or, with count_padding, inside the padded image (padding counts as 0)
//
// The ratio is formed in f64 for each count and rounded once to f32 (or to multiplier and shift); a global pool is an
// average over the whole image. Sizes round down; `ceil` adds a last window that starts inside the image or its left
// padding and runs over the edge, whose taps beyond the padding never count (ONNX, torch). Freestanding.
#pragma once
#include "quantal/base/checked.hpp"
#include "quantal/base/parallel.hpp"
#include "quantal/kernels/integer.hpp"

namespace quantal {

struct pool_desc {
  int64_t batch = 1, in_h = 0, in_w = 0, channels = 0;
  int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int64_t pad_top = 0, pad_left = 0, pad_bottom = 0, pad_right = 0;
  bool ceil = false;
  dtype type = dtype::u8;  // of both sides
  // average only
  bool count_padding = false;
  contract rule = contract::fp32_rne;
  quant_params in, out;
  code_limits codes = {INT32_MIN, INT32_MAX};  // clamp; the default is all codes of the type
};

struct pool_plan {
  pool_desc desc;
  bool average = false;
  int64_t out_h = 0, out_w = 0;
  uint64_t in_elements = 0, out_elements = 0;
};

namespace detail {

// Output positions along one axis.
constexpr int64_t pool_positions(int64_t in, int64_t before, int64_t after, int64_t window, int64_t stride,
                                 bool ceil) noexcept {
  const int64_t room = in + before + after - window;
  int64_t n = room / stride + 1;
  if (ceil && room % stride != 0 && n * stride < in + before) ++n;
  return n;
}

// The taps of position `at` that lie inside [0, in): first tap, number, and how many lie before the padded axis' end.
struct tap_range {
  int64_t first = 0, count = 0, padded = 0;
};
constexpr tap_range taps_of(int64_t at, int64_t kernel, int64_t stride, int64_t dilation, int64_t before, int64_t in,
                            int64_t after) noexcept {
  const int64_t start = at * stride - before;
  const auto taps_before = [&](int64_t end) {
    const int64_t room = end - start;
    const int64_t taps = room <= 0 ? 0 : dilation == 1 ? room : (room + dilation - 1) / dilation;
    return taps < kernel ? taps : kernel;
  };
  const int64_t skipped = taps_before(0), end = taps_before(in);
  return {end > skipped ? start + skipped * dilation : 0, end - skipped, taps_before(in + after)};
}

// Is there a window that straddles the image without touching it? Such a pixel would have no value. Taps closer than
// the image is long cannot step over it, and a window that starts inside has its first tap.
constexpr bool misses_image(int64_t positions, int64_t kernel, int64_t stride, int64_t dilation, int64_t before,
                            int64_t in) noexcept {
  for (int64_t at = 0; dilation > in && at < positions && at * stride < before; ++at) {
    if (taps_of(at, kernel, stride, dilation, before, in, 0).count == 0) return true;
  }
  return false;
}

constexpr codes_run average_run(const pool_desc& d, int64_t count) noexcept {
  codes_run run;
  run.rule = d.rule;
  run.a_zero_point = d.in.zero_point;
  run.zero_point = d.out.zero_point;
  run.codes = d.codes;
  const double ratio = double{d.in.scale} / (double{d.out.scale} * static_cast<double>(count));
  run.ratio = static_cast<float>(ratio);
  fixed_multiplier_of(ratio, run.multiplier, true);
  return run;
}

}  // namespace detail

// Checks a pool. `out` is written on success only. Errors: dtype, shape (a size of the wrong sign, a window larger than
// the padded image, padding not smaller than the window, more than 2^23 taps), overflow, contract, scale, zero_point,
// range.
constexpr status plan_pool(const pool_desc& desc, bool average, pool_plan& out) noexcept {
  pool_plan p;
  p.desc = desc;
  p.average = average;
  pool_desc& d = p.desc;
  code_limits codes;
  if ((d.type != dtype::u8 && d.type != dtype::s8) || !code_limits_of(d.type, codes)) return status::dtype;
  const int64_t sizes[] = {d.batch, d.in_h, d.in_w, d.channels, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right};
  for (const int64_t x : sizes) {
    if (x < 0) return status::shape;
    if (x > INT32_MAX) return status::overflow;
  }
  const int64_t steps[] = {d.kernel_h, d.kernel_w, d.stride_h, d.stride_w, d.dilation_h, d.dilation_w};
  for (const int64_t x : steps) {
    if (x < 1) return status::shape;
    if (x > INT32_MAX) return status::overflow;
  }
  if (d.kernel_h > (int64_t{1} << 23) / d.kernel_w) return status::shape;
  const int64_t window_h = (d.kernel_h - 1) * d.dilation_h + 1, window_w = (d.kernel_w - 1) * d.dilation_w + 1;
  if (d.in_h + d.pad_top + d.pad_bottom < window_h || d.in_w + d.pad_left + d.pad_right < window_w)
    return status::shape;
  if (d.pad_top >= d.kernel_h || d.pad_bottom >= d.kernel_h || d.pad_left >= d.kernel_w || d.pad_right >= d.kernel_w)
    return status::shape;
  if (d.in_h == 0 || d.in_w == 0) return status::shape;
  p.out_h = detail::pool_positions(d.in_h, d.pad_top, d.pad_bottom, window_h, d.stride_h, d.ceil);
  p.out_w = detail::pool_positions(d.in_w, d.pad_left, d.pad_right, window_w, d.stride_w, d.ceil);
  if (detail::misses_image(p.out_h, d.kernel_h, d.stride_h, d.dilation_h, d.pad_top, d.in_h) ||
      detail::misses_image(p.out_w, d.kernel_w, d.stride_w, d.dilation_w, d.pad_left, d.in_w))
    return status::shape;
  const auto elements = [&](int64_t h, int64_t w, uint64_t& total) {
    uint64_t n = static_cast<uint64_t>(d.batch);
    if (!checked_mul(n, static_cast<uint64_t>(h), n) || !checked_mul(n, static_cast<uint64_t>(w), n) ||
        !checked_mul(n, static_cast<uint64_t>(d.channels), n))
      return false;
    total = n;
    return n <= static_cast<uint64_t>(INT64_MAX) / 8 && n <= SIZE_MAX;
  };
  if (!elements(d.in_h, d.in_w, p.in_elements) || !elements(p.out_h, p.out_w, p.out_elements)) return status::overflow;
  if (average) {
    if (d.codes.min == INT32_MIN) d.codes.min = codes.min;
    if (d.codes.max == INT32_MAX) d.codes.max = codes.max;
    if (const status s = check_params(d.in, d.type); s != status::ok) return s;
    if (const status s = check_params(d.out, d.type); s != status::ok) return s;
    const status one = check_run(detail::average_run(d, 1), d.type, d.type, false);
    const status all = check_run(detail::average_run(d, d.kernel_h * d.kernel_w), d.type, d.type, false);
    if (one != status::ok || all != status::ok) return one != status::ok ? one : all;
  }
  out = p;
  return status::ok;
}

namespace detail {

template <class Code>
void pool_row(const pool_plan& p, const integer_table& table, const Code* in, int64_t row, Code* out) noexcept {
  const pool_desc& d = p.desc;
  const int64_t image = row / p.out_h;
  const tap_range v = taps_of(row % p.out_h, d.kernel_h, d.stride_h, d.dilation_h, d.pad_top, d.in_h, d.pad_bottom);
  window_taps<Code> taps;
  taps.channels = d.channels;
  taps.rows = v.count;
  taps.row_step = d.dilation_h * d.in_w * d.channels;
  taps.column_step = d.dilation_w * d.channels;
  taps.pixel_step = d.stride_w * d.channels;
  int64_t last_count = 0;
  codes_run run;
  for (int64_t x = 0; x < p.out_w; x += taps.pixels) {
    const tap_range h = taps_of(x, d.kernel_w, d.stride_w, d.dilation_w, d.pad_left, d.in_w, d.pad_right);
    taps.columns = h.count;
    taps.first = in + ((image * d.in_h + v.first) * d.in_w + h.first) * d.channels;
    // Windows inside the image are neighbours.
    const int64_t room = d.in_w + d.pad_left - (d.kernel_w - 1) * d.dilation_w - 1;
    const int64_t inside = room / d.stride_w + 1 < p.out_w ? room / d.stride_w + 1 : p.out_w;
    taps.pixels = h.count == d.kernel_w ? inside - x : 1;
    Code* to = out + (row * p.out_w + x) * d.channels;
    if (p.average) {
      const int64_t count = d.count_padding ? v.padded * h.padded : v.count * h.count;
      if (count != last_count) run = average_run(d, count);
      last_count = count;
      if constexpr (Code(-1) < Code(0))
        table.mean_s8(taps, run, to);
      else
        table.mean_u8(taps, run, to);
    } else {
      if constexpr (Code(-1) < Code(0))
        table.max_s8(taps, to);
      else
        table.max_u8(taps, to);
    }
  }
}

}  // namespace detail

// Runs it: in[batch, in_h, in_w, channels] -> out[batch, out_h, out_w, channels], dense; a task is one output row.
// `table` serves the plan's contract. Errors: null_pointer.
inline status run_pool(const pool_plan& p, const integer_table& table, const void* in, void* out,
                       const parallel_for& parallel = {}) noexcept {
  if (p.out_elements == 0) return status::ok;
  if (in == nullptr || out == nullptr) return status::null_pointer;
  const size_t rows = static_cast<size_t>(p.desc.batch * p.out_h);
  const auto band = [&](size_t row) noexcept {
    const int64_t at = static_cast<int64_t>(row);
    if (p.desc.type == dtype::s8)
      detail::pool_row(p, table, static_cast<const int8_t*>(in), at, static_cast<int8_t*>(out));
    else
      detail::pool_row(p, table, static_cast<const uint8_t*>(in), at, static_cast<uint8_t*>(out));
  };
  parallel(rows, band);
  return status::ok;
}

}  // namespace quantal
