// Integer matrix product, planned: describe once, check once, pack the weights once, then run without checks,
// allocation or branches on parameters.
//
//   gemm_desc ── plan_gemm ──> gemm_plan          all parameters checked; kernel chosen; sizes known
//                  │
//   rhs, bias ── pack_gemm ──> packed weights     relocatable bytes with a layout id; reusable by any plan that fits
//                  │
//                run_gemm(plan, lhs, packed, out, workspace, parallel)     noexcept, re-entrant
//
// What packing is: panels of `columns` weight columns, `group` depths of a column side by side, each panel preceded by
// its bias and scales; the kernel then reads weights strictly forward. It costs one pass over the weights and pays from
// the second use.
//
// Blocking: tasks of `block_m` lhs rows x a range of panels. A task widens its rows once (they stay in L2), then for
// each panel, for each depth chunk (widened panel chunk in L1), runs the row blocks. Integer sums do not depend on the
// order, so neither blocking nor threads change a bit. Meaning: kernels/ref/gemm.hpp. Freestanding.
#pragma once
#include "quantal/base/parallel.hpp"
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/ref/gemm.hpp"

namespace quantal {

struct gemm_desc {
  gemm_shape shape;
  dtype lhs = dtype::u8, rhs = dtype::s8, out = dtype::s32;  // lhs, rhs: u8 or s8; out: s32, s8, u8, f32
  int64_t lhs_stride = 0, out_stride = 0;                    // elements between rows; 0: dense
  int64_t rhs_row_stride = 0, rhs_column_stride = 0;         // elements; 0, 0: dense [k, n]
  int32_t lhs_zero_point = 0, rhs_zero_point = 0;
  requantizer epilogue;  // 8-bit out: all of it; f32 out: ratios and count; s32 out: not read
};

struct gemm_plan {
  uint32_t magic = 0;
  const gemm_leaf* leaf = nullptr;
  gemm_shape shape;
  dtype lhs = dtype::none, rhs = dtype::none, out = dtype::none;
  int64_t lhs_stride = 0, out_stride = 0, rhs_row_stride = 0, rhs_column_stride = 0;
  int32_t lhs_zero_point = 0;
  int32_t rhs_zero_point = 0;  // of the packed s8 form: u8 weights are stored as code - 128
  contract rule = contract::fp32_rne;
  code_limits codes;
  int32_t out_zero_point = 0;
  int64_t padded_k = 0;  // k in whole groups
  int64_t chunk_k = 0;   // depths of a widened panel chunk
  int64_t block_m = 0;   // lhs rows of a task
  int64_t panels = 0;
  int64_t panels_per_task = 0;
  bool direct = false;        // few rows: panels are read packed
  uint64_t panel_stride = 0;  // bytes of one packed panel with its header
  uint64_t packed_bytes = 0;
  uint64_t lhs_row_bytes = 0;   // of a widened row
  uint64_t task_workspace = 0;  // bytes
  uint64_t tasks = 0;
};

inline constexpr uint32_t gemm_plan_magic = 0x4d475151;  // "QQGM"
inline constexpr size_t gemm_alignment = 64;             // of packed weights and workspace
inline constexpr int64_t max_gemm_depth = 33025;         // 2^31 / (255 * 255): no s32 sum can overflow

namespace detail {

constexpr uint64_t round_up(uint64_t x, uint64_t to) noexcept {
  return (x + to - 1) / to * to;
}

// Bytes in front of a panel: bias, ratios, multipliers.
constexpr uint64_t panel_header(const gemm_leaf& leaf) noexcept {
  return round_up(static_cast<uint64_t>(leaf.columns) * (sizeof(int32_t) + sizeof(float) + sizeof(fixed_multiplier)),
                  gemm_alignment);
}

struct packed_header {  // at the start of the packed weights
  uint32_t magic, version, layout, reserved;
  int64_t n, k;
  uint64_t panel_stride, bytes;
};
inline constexpr uint32_t packed_magic = 0x57475151;  // "QQGW"
inline constexpr uint32_t packed_version = 1;

// Last element + 1 of a strided matrix; false on overflow or negative strides.
constexpr bool extent(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride,
                      uint64_t& out) noexcept {
  if (row_stride < 0 || column_stride < 0) return false;
  if (rows == 0 || columns == 0) {
    out = 0;
    return true;
  }
  uint64_t a = 0, b = 0;
  return checked_mul(static_cast<uint64_t>(rows - 1), static_cast<uint64_t>(row_stride), a) &&
         checked_mul(static_cast<uint64_t>(columns - 1), static_cast<uint64_t>(column_stride), b) &&
         checked_add(a, b, a) && checked_add(a, 1, out) && out <= static_cast<uint64_t>(INT64_MAX) / 8;
}

constexpr bool is_code(dtype t) noexcept {
  return t == dtype::u8 || t == dtype::s8;
}

}  // namespace detail

// Checks the description and chooses sizes for `leaf`; `width` is how many tasks can run at once. Errors: dtype, shape
// (negative, or k above max_gemm_depth), stride, overflow, zero_point, and those of check_requantizer.
inline status plan_gemm(const gemm_desc& d, const gemm_leaf& leaf, size_t width, gemm_plan& out,
                        size_t* bad_channel = nullptr) noexcept {
  const gemm_shape& s = d.shape;
  if (!detail::is_code(d.lhs) || !detail::is_code(d.rhs)) return status::dtype;
  if (!detail::is_code(d.out) && d.out != dtype::s32 && d.out != dtype::f32) return status::dtype;
  if (s.m < 0 || s.n < 0 || s.k < 0 || s.k > max_gemm_depth) return status::shape;
  gemm_plan p;
  p.magic = gemm_plan_magic;
  p.leaf = &leaf;
  p.shape = s;
  p.lhs = d.lhs;
  p.rhs = d.rhs;
  p.out = d.out;
  p.lhs_stride = d.lhs_stride == 0 ? s.k : d.lhs_stride;
  p.out_stride = d.out_stride == 0 ? s.n : d.out_stride;
  const bool dense_rhs = d.rhs_row_stride == 0 && d.rhs_column_stride == 0;
  p.rhs_row_stride = dense_rhs ? s.n : d.rhs_row_stride;
  p.rhs_column_stride = dense_rhs ? 1 : d.rhs_column_stride;
  if (p.lhs_stride < s.k || p.out_stride < s.n || p.rhs_row_stride < 0 || p.rhs_column_stride < 0)
    return status::stride;
  uint64_t extent = 0;
  if (!detail::extent(s.m, s.k, p.lhs_stride, 1, extent) || !detail::extent(s.m, s.n, p.out_stride, 1, extent) ||
      !detail::extent(s.k, s.n, p.rhs_row_stride, p.rhs_column_stride, extent))
    return status::overflow;
  code_limits lhs_codes, rhs_codes;
  code_limits_of(d.lhs, lhs_codes);
  code_limits_of(d.rhs, rhs_codes);
  if (d.lhs_zero_point < lhs_codes.min || d.lhs_zero_point > lhs_codes.max) return status::zero_point;
  if (d.rhs_zero_point < rhs_codes.min || d.rhs_zero_point > rhs_codes.max) return status::zero_point;
  p.lhs_zero_point = d.lhs_zero_point;
  p.rhs_zero_point = d.rhs == dtype::u8 ? d.rhs_zero_point - 128 : d.rhs_zero_point;
  if (detail::is_code(d.out) && s.n > 0) {
    if (const status bad = check_requantizer(d.epilogue, d.out, static_cast<size_t>(s.n), bad_channel);
        bad != status::ok)
      return bad;
    requant_limits(d.epilogue, d.out, p.codes);
    p.rule = d.epilogue.rule;
    p.out_zero_point = d.epilogue.zero_point;
  } else if (d.out == dtype::f32 && s.n > 0) {
    if (d.epilogue.ratios == nullptr) return status::null_pointer;
    if (d.epilogue.count != 1 && d.epilogue.count != static_cast<size_t>(s.n)) return status::count;
    for (size_t i = 0; i < d.epilogue.count; ++i) {
      if (is_positive_normal(d.epilogue.ratios[i])) continue;
      if (bad_channel != nullptr) *bad_channel = i;
      return status::scale;
    }
  }
  const uint64_t k = static_cast<uint64_t>(s.k), columns = static_cast<uint64_t>(leaf.columns);
  p.padded_k = static_cast<int64_t>(detail::round_up(k, static_cast<uint64_t>(leaf.group)));
  p.panels = static_cast<int64_t>(detail::round_up(static_cast<uint64_t>(s.n), columns) / columns);
  p.panel_stride =
      detail::panel_header(leaf) + detail::round_up(static_cast<uint64_t>(p.padded_k) * columns, gemm_alignment);
  if (!checked_mul(p.panel_stride, static_cast<uint64_t>(p.panels), p.packed_bytes) ||
      !checked_add(p.packed_bytes, gemm_alignment, p.packed_bytes))
    return status::overflow;
  if (size_t fits = 0; !checked_size(p.packed_bytes, fits)) return status::overflow;
  // A widened panel chunk takes half of a 32 KiB L1, a task's widened rows stay in half of a 512 KiB L2.
  constexpr int64_t l1_chunk_bytes = 24 * 1024, l2_rows_bytes = 256 * 1024;
  p.direct = s.m <= 2 * leaf.rows || leaf.widen_panel == nullptr;
  const int64_t chunk_limit = l1_chunk_bytes / leaf.panel_bytes * leaf.group;
  const int64_t chunks = p.direct || p.padded_k == 0 ? 1 : (p.padded_k + chunk_limit - 1) / chunk_limit;
  p.chunk_k = static_cast<int64_t>(
      detail::round_up(static_cast<uint64_t>((p.padded_k + chunks - 1) / chunks), static_cast<uint64_t>(leaf.group)));
  // Rows of widened lhs are 64-byte aligned and never a multiple of 4096 bytes apart: they would share one set of L1.
  p.lhs_row_bytes = detail::round_up(static_cast<uint64_t>(p.padded_k) * static_cast<uint64_t>(leaf.lhs_bytes) + 1, 64);
  if (p.lhs_row_bytes % 1024 == 0) p.lhs_row_bytes += 64;
  int64_t fit = l2_rows_bytes / static_cast<int64_t>(p.lhs_row_bytes) / leaf.rows * leaf.rows;
  if (fit < 2 * leaf.rows) fit = 2 * leaf.rows;
  const int64_t row_tasks = s.m == 0 ? 0 : (s.m + fit - 1) / fit;
  p.block_m = row_tasks == 0
                  ? 0
                  : static_cast<int64_t>(detail::round_up(static_cast<uint64_t>((s.m + row_tasks - 1) / row_tasks),
                                                          static_cast<uint64_t>(leaf.rows)));
  const int64_t wanted = width <= 1 ? 1 : static_cast<int64_t>(4 * width);
  int64_t panel_tasks = row_tasks == 0 ? 1 : (wanted + row_tasks - 1) / row_tasks;
  if (panel_tasks > p.panels) panel_tasks = p.panels > 0 ? p.panels : 1;
  p.panels_per_task = p.panels == 0 ? 1 : (p.panels + panel_tasks - 1) / panel_tasks;
  const uint64_t row_count = p.block_m == 0 ? 0 : static_cast<uint64_t>((s.m + p.block_m - 1) / p.block_m);
  p.tasks = row_count * static_cast<uint64_t>((p.panels + p.panels_per_task - 1) / p.panels_per_task);
  const uint64_t rows = static_cast<uint64_t>(p.block_m);
  p.task_workspace =
      detail::round_up(rows * p.lhs_row_bytes, gemm_alignment)  // widened rows
      + (p.direct
             ? 0
             : detail::round_up(static_cast<uint64_t>(p.chunk_k / leaf.group) * static_cast<uint64_t>(leaf.panel_bytes),
                                gemm_alignment)) +
      detail::round_up(rows * columns * sizeof(int32_t), gemm_alignment)  // accumulators
      + detail::round_up(rows * sizeof(int32_t), gemm_alignment);         // row sums
  out = p;
  return status::ok;
}

// Workspace for `width` tasks at once, 64-byte aligned.
constexpr uint64_t gemm_workspace_bytes(const gemm_plan& p, size_t width) noexcept {
  const uint64_t at_once = p.tasks < width ? p.tasks : width;
  return p.task_workspace * (at_once == 0 ? 1 : at_once);
}

// Packs rhs (as described) with its bias (s32 [n] or null) and the epilogue's scales into `packed` (plan.packed_bytes,
// 64-byte aligned). `q` is the epilogue the plan was made with. Errors: plan, null_pointer, buffer, scratch
// (alignment).
inline status pack_gemm(const gemm_plan& p, const void* rhs, const int32_t* bias, const requantizer& q, void* packed,
                        uint64_t packed_bytes) noexcept {
  if (p.magic != gemm_plan_magic || p.leaf == nullptr) return status::plan;
  if (packed == nullptr || (rhs == nullptr && p.shape.n > 0 && p.shape.k > 0)) return status::null_pointer;
  if (packed_bytes < p.packed_bytes) return status::buffer;
  if (reinterpret_cast<uintptr_t>(packed) % gemm_alignment != 0) return status::scratch;
  const gemm_leaf& leaf = *p.leaf;
  uint8_t* base = static_cast<uint8_t*>(packed);
  const detail::packed_header header{detail::packed_magic, detail::packed_version, leaf.layout, 0, p.shape.n, p.shape.k,
                                     p.panel_stride,       p.packed_bytes};
  __builtin_memset(base, 0, gemm_alignment);
  __builtin_memcpy(base, &header, sizeof header);
  const uint8_t flip = p.rhs == dtype::u8 ? 0x80 : 0;
  const uint8_t* codes = static_cast<const uint8_t*>(rhs);
  for (int64_t panel = 0; panel < p.panels; ++panel) {
    uint8_t* at = base + gemm_alignment + static_cast<uint64_t>(panel) * p.panel_stride;
    int32_t* panel_bias = reinterpret_cast<int32_t*>(at);
    float* ratio = reinterpret_cast<float*>(panel_bias + leaf.columns);
    fixed_multiplier* multiplier = reinterpret_cast<fixed_multiplier*>(ratio + leaf.columns);
    __builtin_memset(at, 0, static_cast<size_t>(p.panel_stride));
    const int64_t first = panel * leaf.columns;
    const int64_t live = p.shape.n - first < leaf.columns ? p.shape.n - first : leaf.columns;
    for (int64_t c = 0; c < live; ++c) {
      const size_t channel = q.count == 1 ? 0 : static_cast<size_t>(first + c);
      panel_bias[c] = bias == nullptr ? 0 : bias[first + c];
      if (p.out != dtype::s32 && q.ratios != nullptr && p.rule == contract::fp32_rne) ratio[c] = q.ratios[channel];
      if (detail::is_code(p.out) && p.rule != contract::fp32_rne) multiplier[c] = q.multipliers[channel];
    }
    uint8_t* weights = at + detail::panel_header(leaf);
    for (int64_t d = 0; d < p.shape.k; ++d) {
      const uint8_t* row = codes + d * p.rhs_row_stride + first * p.rhs_column_stride;
      uint8_t* to = weights + d / leaf.group * leaf.group * leaf.columns + d % leaf.group;
      for (int64_t c = 0; c < live; ++c) to[c * leaf.group] = static_cast<uint8_t>(row[c * p.rhs_column_stride] ^ flip);
    }
  }
  return status::ok;
}

namespace detail {

// Everything a task needs, for one call.
struct gemm_call {
  const gemm_plan& p;
  const uint8_t* lhs;
  const uint8_t* packed;
  uint8_t* out;
  uint8_t* workspace;

  // acc -> out for one block of rows and one panel.
  void store(const uint8_t* panel, int32_t* acc, const int32_t* row_sums, int64_t row, int32_t rows,
             int64_t column) const noexcept {
    const gemm_leaf& leaf = *p.leaf;
    const int32_t columns = leaf.columns;
    const int64_t left = p.shape.n - column;
    const int32_t live = left < columns ? static_cast<int32_t>(left) : columns;
    if (p.rhs_zero_point != 0) {  // sum (l)(w - z) = sum l w - z sum l
      for (int32_t i = 0; i < rows; ++i) {
        const uint32_t term = static_cast<uint32_t>(p.rhs_zero_point) * static_cast<uint32_t>(row_sums[i]);
        for (int32_t c = 0; c < columns; ++c)
          acc[i * columns + c] = static_cast<int32_t>(static_cast<uint32_t>(acc[i * columns + c]) - term);
      }
    }
    const int32_t* bias = reinterpret_cast<const int32_t*>(panel);
    const float* ratio = reinterpret_cast<const float*>(bias + columns);
    const int64_t at = row * p.out_stride + column;
    if (is_code(p.out) && p.rule == contract::fp32_rne) {
      const panel_epilogue e{bias, ratio, static_cast<float>(p.codes.min - p.out_zero_point),
                             static_cast<float>(p.codes.max - p.out_zero_point), p.out_zero_point};
      (p.out == dtype::u8 ? leaf.store_u8 : leaf.store_s8)(acc, e, rows, live, out + at, p.out_stride);
      return;
    }
    const requantizer q{p.rule,
                        ratio,
                        reinterpret_cast<const fixed_multiplier*>(ratio + columns),
                        static_cast<size_t>(columns),
                        p.out_zero_point,
                        p.codes.min,
                        p.codes.max};
    for (int32_t i = 0; i < rows; ++i) {
      for (int32_t c = 0; c < live; ++c) {
        const int32_t a = acc[i * columns + c];
        const int64_t to = at + i * p.out_stride + c;
        const int32_t sum = static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(bias[c]));
        if (p.out == dtype::s32)
          reinterpret_cast<int32_t*>(out)[to] = sum;
        else if (p.out == dtype::f32)
          reinterpret_cast<float*>(out)[to] = fence(static_cast<float>(sum) * ratio[c]);
        else
          store_code(p.out, out, static_cast<size_t>(to),
                     requantize_value(a, bias[c], q, static_cast<size_t>(c), p.codes));
      }
    }
  }

  void task(uint64_t index, uint8_t* scratch) const noexcept {
    const gemm_leaf& leaf = *p.leaf;
    const uint64_t panel_tasks = static_cast<uint64_t>((p.panels + p.panels_per_task - 1) / p.panels_per_task);
    const int64_t row0 = static_cast<int64_t>(index / panel_tasks) * p.block_m;
    const int64_t panel0 = static_cast<int64_t>(index % panel_tasks) * p.panels_per_task;
    const int64_t row_count = p.shape.m - row0 < p.block_m ? p.shape.m - row0 : p.block_m;
    const int64_t panel_end = panel0 + p.panels_per_task < p.panels ? panel0 + p.panels_per_task : p.panels;
    uint8_t* rows = scratch;
    scratch += round_up(static_cast<uint64_t>(p.block_m) * p.lhs_row_bytes, gemm_alignment);
    uint8_t* chunk = scratch;
    if (!p.direct)
      scratch += round_up(static_cast<uint64_t>(p.chunk_k / leaf.group) * static_cast<uint64_t>(leaf.panel_bytes),
                          gemm_alignment);
    int32_t* acc = reinterpret_cast<int32_t*>(scratch);
    int32_t* sums = acc + round_up(static_cast<uint64_t>(p.block_m * leaf.columns) * sizeof(int32_t), gemm_alignment) /
                              sizeof(int32_t);
    const bool is_unsigned = p.lhs == dtype::u8;
    for (int64_t i = 0; i < row_count; ++i) {
      const uint8_t* codes = lhs + (row0 + i) * p.lhs_stride;
      leaf.widen_lhs(codes, is_unsigned, p.lhs_zero_point, p.shape.k, p.padded_k,
                     rows + static_cast<uint64_t>(i) * p.lhs_row_bytes);
      if (p.rhs_zero_point == 0) continue;
      int32_t sum = 0;
      for (int64_t d = 0; d < p.shape.k; ++d)
        sum += is_unsigned ? int32_t{codes[d]} : int32_t{static_cast<int8_t>(codes[d])};
      sums[i] = sum - static_cast<int32_t>(p.shape.k) * p.lhs_zero_point;
    }
    for (int64_t panel = panel0; panel < panel_end; ++panel) {
      const uint8_t* at = packed + gemm_alignment + static_cast<uint64_t>(panel) * p.panel_stride;
      const int8_t* weights = reinterpret_cast<const int8_t*>(at + panel_header(leaf));
      const int64_t step = p.direct ? p.padded_k : p.chunk_k;
      for (int64_t d = 0; d < p.padded_k || d == 0; d += step > 0 ? step : 1) {
        const int64_t depth = p.padded_k - d < step ? p.padded_k - d : step;
        const int64_t groups = depth / leaf.group;
        const bool last = d + depth >= p.padded_k;
        const int8_t* packed_chunk = weights + d * leaf.columns;
        if (!p.direct) leaf.widen_panel(packed_chunk, groups, chunk);
        for (int64_t i = 0; i < row_count; i += leaf.rows) {
          const int32_t live = row_count - i < leaf.rows ? static_cast<int32_t>(row_count - i) : leaf.rows;
          const uint8_t* left = rows + static_cast<uint64_t>(i) * p.lhs_row_bytes +
                                static_cast<uint64_t>(d) * static_cast<uint64_t>(leaf.lhs_bytes);
          int32_t* sum = acc + i * leaf.columns;
          const int64_t stride = static_cast<int64_t>(p.lhs_row_bytes);
          if (p.direct)
            leaf.block_packed(left, stride, packed_chunk, groups, live, d > 0, sum);
          else
            leaf.block(left, stride, chunk, groups, live, d > 0, sum);
          if (last) store(at, sum, sums + i, row0 + i, live, panel * leaf.columns);
        }
        if (last) break;
      }
    }
  }
};

}  // namespace detail

// Runs the product. `lhs_bytes` and `out_bytes` are the sizes of the caller's buffers; `workspace` holds
// gemm_workspace_bytes(plan, parallel.width) bytes and is 64-byte aligned. Nothing is written before all checks have
// passed. Errors: plan, null_pointer, buffer, scratch.
inline status run_gemm(const gemm_plan& p, const void* lhs, uint64_t lhs_bytes, const void* packed,
                       uint64_t packed_bytes, void* out, uint64_t out_bytes, void* workspace, uint64_t workspace_bytes,
                       const parallel_for& parallel = {}) noexcept {
  if (p.magic != gemm_plan_magic || p.leaf == nullptr) return status::plan;
  if (p.shape.m == 0 || p.shape.n == 0) return status::ok;
  if (out == nullptr || packed == nullptr || workspace == nullptr || (lhs == nullptr && p.shape.k > 0))
    return status::null_pointer;
  const uint64_t lhs_needed = p.shape.k == 0 ? 0 : static_cast<uint64_t>((p.shape.m - 1) * p.lhs_stride + p.shape.k);
  const uint64_t out_needed =
      static_cast<uint64_t>((p.shape.m - 1) * p.out_stride + p.shape.n) * (detail::is_code(p.out) ? 1 : 4);
  if (lhs_bytes < lhs_needed || out_bytes < out_needed || packed_bytes < p.packed_bytes) return status::buffer;
  detail::packed_header header;
  __builtin_memcpy(&header, packed, sizeof header);
  if (header.magic != detail::packed_magic || header.version != detail::packed_version ||
      header.layout != p.leaf->layout || header.n != p.shape.n || header.k != p.shape.k ||
      header.panel_stride != p.panel_stride)
    return status::plan;
  const size_t width = parallel.call == nullptr ? 1 : parallel.width;
  if (workspace_bytes < gemm_workspace_bytes(p, width) || reinterpret_cast<uintptr_t>(workspace) % gemm_alignment != 0)
    return status::scratch;
  const detail::gemm_call call{p, static_cast<const uint8_t*>(lhs), static_cast<const uint8_t*>(packed),
                               static_cast<uint8_t*>(out), static_cast<uint8_t*>(workspace)};
  const uint64_t lanes = p.tasks < width ? p.tasks : width;
  // One lane per workspace slice; lane i takes tasks i, i + lanes, ...: no two tasks share a slice.
  parallel(static_cast<size_t>(lanes), [&](size_t lane) {
    for (uint64_t t = lane; t < p.tasks; t += lanes) call.task(t, call.workspace + lane * p.task_workspace);
  });
  return status::ok;
}

}  // namespace quantal
