// The plan of a matrix product: everything that can be wrong is found here, everything that can be chosen is chosen
// here. A plan is plain data: copy it, share it between threads; it points only at its leaf. Freestanding.
//
// Blocking:  a task is block_m lhs rows x panels_per_task panels. Its rows are prepared once (they stay in L2). For
// each panel, for each chunk of depths (a panel chunk and its rows stay in L1 or near it), the row blocks run. Sums of integers do
// not depend on the order, so neither blocking nor threads change a bit.
//
// Depth: up to max_gemm_depth (ref/epilogue.hpp) no s32 sum can overflow. Beyond, chunks are added in s64 and the exact sum
// plus bias is saturated to s32 before the epilogue (`long_sum`), up to max_long_depth.
#pragma once
#include "quantal/base/parallel.hpp"
#include "quantal/kernels/long_sum.hpp"
#include "quantal/kernels/ref/gemm.hpp"

namespace quantal {

struct gemm_desc {
  gemm_shape shape;
  dtype lhs = dtype::u8, rhs = dtype::s8, out = dtype::s32;  // lhs, rhs: u8 or s8; out: s32, s8, u8, f32
  // Strides are in elements and not negative. Rows of lhs, out and residual are contiguous and do not overlap (no
  // transposed lhs); rhs takes any two, a 0 beside another repeats. That of a dimension of size 1 is not looked at.
  int64_t lhs_stride = 0, out_stride = 0, residual_stride = 0;  // between rows; 0: dense
  int64_t rhs_row_stride = 0, rhs_column_stride = 0;            // 0, 0: dense [k, n]
  int32_t lhs_zero_point = 0, rhs_zero_point = 0;
  bool dynamic_lhs = false;  // each run brings the zero point of every lhs row; lhs_zero_point is not read
  epilogue finish;
};

// Overrides of what the plan would choose; 0: choose. For tests and tuning: results never depend on them.
struct gemm_blocking {
  int64_t block_m = 0, panels_per_task = 0, chunk_steps = 0;
  int32_t wide = -1;  // 1, 0: with or without the leaf's wide panels; -1: choose
};

namespace detail {

struct packed_header {  // at the start of the packed weights
  uint32_t magic = 0, version = 0, layout = 0, kind = 0;
  int64_t n = 0, k = 0;
  uint64_t panel_stride = 0, bytes = 0;  // they follow from the others
};
inline constexpr size_t packed_identity = 32;  // bytes of the header that tell packed weights apart

// One block of rows against groups of panels, as many as a block takes; the last group may be smaller.
struct gemm_groups {
  block_args block;  // of the first group, but for pointers
  int64_t count = 0;
  uint64_t stride = 0;                        // bytes of packed weights
  int32_t columns = 0, out_bytes = 0;         // of a group, in a row of the output
  int32_t last_panels = 0, last_columns = 0;  // of the last group, and of its last panel
};

}  // namespace detail

struct gemm_plan {
  uint32_t magic = 0;
  const gemm_leaf* leaf = nullptr;
  gemm_shape shape;
  dtype lhs = dtype::none, rhs = dtype::none, out = dtype::none;
  bool dynamic_lhs = false, row_scales = false;
  bool table = false;
  bool in_place = false;  // lhs rows are read where they are
  bool wide = false;      // panels are widened into the workspace
  bool long_sum = false;
  bool overlaps = false;     // a block is stored during the next one
  bool leaf_stores = false;  // every block, and there is no table
  bool direct = false;       // one block of rows, one task, nothing to correct: run_direct, with `groups`
  int64_t lhs_stride = 0, out_stride = 0, residual_stride = 0, rhs_row_stride = 0, rhs_column_stride = 0;
  int32_t lhs_zero_point = 0;
  int32_t folded_zero_point = 0;  // what packing puts into the bias
  int32_t rhs_zero_point = 0;     // of the packed s8 form
  store_args store;               // what does not change from block to block
  int64_t padded_k = 0;           // k in whole steps
  int64_t steps = 0, chunk_steps = 0;
  int64_t block_m = 0, panels_per_task = 0;  // of a task
  int64_t panels = 0;
  uint64_t panel_stride = 0, packed_bytes = 0;
  uint64_t lhs_row_bytes = 0;  // of a prepared row
  // Parts of a task's workspace, each 64-byte aligned: prepared rows | row sums | wide chunk | acc | s64 sums.
  uint64_t sums_at = 0, chunk_at = 0, acc_at = 0, long_at = 0, task_workspace = 0;
  uint64_t tasks = 0, panel_tasks = 0;                        // all; of one block of rows
  uint64_t lhs_bytes = 0, out_bytes = 0, residual_bytes = 0;  // what a run reads and writes
  bool more_buffers = false;                                  // residual; zero points, scales or sums of rows
  uint64_t finish_sum = 0;                                    // of its epilogue: what packing compares
  detail::packed_header header;                               // of its packed weights
  detail::gemm_groups groups;
};

inline constexpr uint32_t gemm_plan_magic = 0x4d475151;  // "QQGM"

// The kernel's name: its ISA.
constexpr const char* kernel_name(const gemm_plan& p) noexcept {
  return p.leaf == nullptr ? "" : p.leaf->isa;
}

namespace detail {

inline constexpr uint32_t packed_magic = 0x57475151;  // "QQGW"
inline constexpr uint32_t packed_version = 3;
inline constexpr uint64_t packed_prefix = gemm_alignment + 256;  // header, table

constexpr packed_header packed_header_of(const gemm_plan& p) noexcept {
  return {packed_magic,      packed_version,
          p.leaf->layout.id, packed_kind(p.rhs, p.out, p.store.rule, p.table, p.folded_zero_point),
          p.shape.n,         p.shape.k,
          p.panel_stride,    p.packed_bytes};
}

constexpr bool is_code(dtype t) noexcept {
  return t == dtype::u8 || t == dtype::s8;
}

constexpr int64_t divide_up(int64_t a, int64_t b) noexcept {
  return (a + b - 1) / b;
}

// Bytes from the first to past the last element of a strided matrix; false on overflow.
constexpr bool extent(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride, uint64_t element,
                      uint64_t& out) noexcept {
  if (rows == 0 || columns == 0) {
    out = 0;
    return true;
  }
  uint64_t a = 0, b = 0;
  return checked_mul(static_cast<uint64_t>(rows - 1), static_cast<uint64_t>(row_stride), a) &&
         checked_mul(static_cast<uint64_t>(columns - 1), static_cast<uint64_t>(column_stride), b) &&
         checked_add(a, b, a) && checked_add(a, 1, a) && checked_mul(a, element, out) &&
         out <= static_cast<uint64_t>(INT64_MAX) / 8;
}

constexpr status check_zero_point(dtype type, int32_t zero_point) noexcept {
  code_limits codes;
  code_limits_of(type, codes);
  return zero_point < codes.min || zero_point > codes.max ? status::zero_point : status::ok;
}

// Types, shape, strides and zero points of `d`, as far as they need no leaf.
inline status describe(const gemm_desc& d, gemm_plan& p, size_t* bad_channel) noexcept {
  const gemm_shape& s = d.shape;
  if (!is_code(d.lhs) || !is_code(d.rhs)) return status::dtype;
  if (!is_code(d.out) && d.out != dtype::s32 && d.out != dtype::f32) return status::dtype;
  if (s.m < 0 || s.n < 0 || s.k < 0 || s.k > max_long_depth) return status::shape;
  constexpr int64_t most = int64_t{1} << 48;  // sizes rounded up to blocks and panels do not overflow either
  if (s.m > most || s.n > most) return status::overflow;
  p.shape = s;
  p.lhs = d.lhs;
  p.rhs = d.rhs;
  p.out = d.out;
  const int64_t strides[] = {d.lhs_stride, d.out_stride, d.residual_stride, d.rhs_row_stride, d.rhs_column_stride};
  for (const int64_t stride : strides)
    if (stride < 0) return status::stride;
  p.lhs_stride = d.lhs_stride == 0 || s.m <= 1 ? s.k : d.lhs_stride;
  p.out_stride = d.out_stride == 0 || s.m <= 1 ? s.n : d.out_stride;
  p.residual_stride = d.residual_stride == 0 || s.m <= 1 ? s.n : d.residual_stride;
  const bool dense_rhs = d.rhs_row_stride == 0 && d.rhs_column_stride == 0;
  p.rhs_row_stride = dense_rhs || s.k <= 1 ? s.n : d.rhs_row_stride;
  p.rhs_column_stride = dense_rhs || s.n <= 1 ? 1 : d.rhs_column_stride;
  if (p.lhs_stride < s.k || p.out_stride < s.n || p.residual_stride < s.n) return status::stride;
  uint64_t bytes = 0;
  if (!extent(s.m, s.k, p.lhs_stride, 1, 1, p.lhs_bytes) || !extent(s.m, s.n, p.out_stride, 1, 4, p.out_bytes) ||
      !extent(s.m, s.n, p.residual_stride, 1, 1, p.residual_bytes) ||
      !extent(s.k, s.n, p.rhs_row_stride, p.rhs_column_stride, 1, bytes))
    return status::overflow;
  if (!d.dynamic_lhs && check_zero_point(d.lhs, d.lhs_zero_point) != status::ok) return status::zero_point;
  if (check_zero_point(d.rhs, d.rhs_zero_point) != status::ok) return status::zero_point;
  p.dynamic_lhs = d.dynamic_lhs;
  p.lhs_zero_point = d.dynamic_lhs ? 0 : d.lhs_zero_point;
  p.rhs_zero_point = d.rhs == dtype::u8 ? d.rhs_zero_point - 128 : d.rhs_zero_point;
  if (const status e = check_epilogue(d.finish, d.out, static_cast<size_t>(s.n), bad_channel); e != status::ok)
    return e;
  code_limits codes;
  if (is_code(d.out)) requant_limits(d.finish.requant, d.out, codes);
  p.store = start_store(d.finish, d.out, codes, p.out_stride);
  p.store.residual_stride = p.residual_stride;
  if (is_code(d.out)) p.out_bytes /= 4;
  if (d.finish.residual.type == dtype::none) p.residual_bytes = 0;
  p.finish_sum = s.n == 0 ? 0 : finish_sum(d.finish, d.out);
  p.table = d.finish.table != nullptr;
  p.row_scales = d.finish.row_scales;
  p.long_sum = s.k > max_gemm_depth;
  return status::ok;
}

// What packing subtracts times the column sums: the zero point in the form of the leaf that reads codes. A leaf that
// centres has none, but the one it leaves few rows to may; both run on the same packed weights.
constexpr int32_t folded_zero_point(const gemm_leaf& leaf, const gemm_plan& p) noexcept {
  if (p.dynamic_lhs) return 0;
  const bool centred = leaf.form == lhs_form::s16_centred && leaf.few_rows != nullptr;
  return prepared_zero_point(centred ? *leaf.few_rows : leaf, p.lhs, p.lhs_zero_point);
}

// How many rows and panels a task takes: rows that fit most of a 512 KiB L2, and enough tasks for `width` threads. Where
// each task widens the weights anew, half of L2 is better (weights pass by, too), but not below 72 rows.
constexpr void choose_tasks(gemm_plan& p, size_t width, const gemm_blocking& forced) noexcept {
  const int64_t rows = register_rows(*p.leaf), m = p.shape.m;
  const auto rows_in = [&](int64_t kib) noexcept {
    return kib * 1024 / static_cast<int64_t>(p.lhs_row_bytes) / rows * rows;
  };
  int64_t fit = rows_in(448);
  if (p.leaf->block_wide != nullptr && fit > 72) fit = rows_in(256) > 72 ? rows_in(256) : 72;
  if (fit < 2 * rows) fit = 2 * rows;
  const int64_t row_tasks = m == 0 ? 0 : divide_up(m, fit);
  p.block_m = row_tasks == 0 ? 0 : divide_up(divide_up(m, row_tasks), rows) * rows;
  if (forced.block_m > 0) p.block_m = divide_up(forced.block_m, rows) * rows;
  const int64_t wanted = width <= 1 ? 1 : static_cast<int64_t>(4 * planned_lanes(width));
  int64_t panel_tasks = row_tasks == 0 ? 1 : divide_up(wanted, row_tasks);
  if (panel_tasks > p.panels) panel_tasks = p.panels > 0 ? p.panels : 1;
  p.panels_per_task = p.panels == 0 ? 1 : divide_up(p.panels, panel_tasks);
  if (forced.panels_per_task > 0) p.panels_per_task = forced.panels_per_task;
  const int64_t row_count = p.block_m == 0 ? 0 : divide_up(m, p.block_m);
  p.panel_tasks = static_cast<uint64_t>(divide_up(p.panels, p.panels_per_task));
  p.tasks = static_cast<uint64_t>(row_count) * p.panel_tasks;
}

// Wide panels or not, and chunks of depths. A wide chunk may come from L2, which keeps up with the block (64 bytes in
// six cycles): that costs less than to put sums aside and fetch them again.
constexpr void choose_chunks(gemm_plan& p, const gemm_blocking& forced) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  p.wide = leaf.block_wide != nullptr && p.shape.m >= leaf.wide_from;
  if (forced.wide >= 0) p.wide = leaf.block_wide != nullptr && forced.wide > 0;
  int64_t limit = p.steps;
  if (p.wide) limit = 128 * 1024 / leaf.wide_bytes;
  if (leaf.chunk_steps > 0 && p.shape.m > register_rows(leaf)) limit = leaf.chunk_steps;
  if (p.long_sum && limit > long_chunk_depth / leaf.layout.depth) limit = long_chunk_depth / leaf.layout.depth;
  if (limit < 1) limit = 1;
  p.chunk_steps = p.steps == 0 ? 1 : divide_up(p.steps, divide_up(p.steps, limit));
  if (forced.chunk_steps > 0 && (!p.long_sum || forced.chunk_steps <= limit)) p.chunk_steps = forced.chunk_steps;
}

constexpr void choose_workspace(gemm_plan& p) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  const uint64_t rows = static_cast<uint64_t>(p.block_m), columns = static_cast<uint64_t>(leaf.layout.columns);
  const bool one_chunk = p.chunk_steps >= p.steps;
  const uint64_t block_rows = static_cast<uint64_t>(leaf.rows * leaf.panels) * (p.overlaps ? 2 : 1);
  const uint64_t acc_rows = one_chunk || rows < block_rows ? block_rows : rows;
  p.sums_at = p.in_place ? 0 : round_up(rows * p.lhs_row_bytes + gemm_alignment, gemm_alignment);
  p.chunk_at = p.sums_at + round_up(rows * sizeof(int32_t), gemm_alignment);
  const uint64_t chunk = static_cast<uint64_t>(p.chunk_steps) * static_cast<uint64_t>(leaf.wide_bytes);
  p.acc_at = p.chunk_at + (p.wide ? round_up(chunk, gemm_alignment) : 0);
  p.long_at = p.acc_at + round_up(acc_rows * columns * sizeof(int32_t), gemm_alignment);
  p.task_workspace = p.long_at + (p.long_sum ? round_up(rows * columns * sizeof(int64_t), gemm_alignment) : 0);
}

// A plan whose one block of rows needs nothing but its leaf's block and store: all that they are told, but pointers.
constexpr void choose_direct(gemm_plan& p) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  p.direct = p.tasks == 1 && p.shape.m <= leaf.rows && p.chunk_steps >= p.steps && !p.wide && !p.overlaps &&
             !p.long_sum && !p.dynamic_lhs && p.rhs_zero_point == 0 && leaf.begin == nullptr;
  if (!p.direct) return;
  gemm_groups& g = p.groups;
  g.count = divide_up(p.panels, leaf.panels);
  g.stride = p.panel_stride * static_cast<uint64_t>(leaf.panels);
  g.columns = leaf.panels * leaf.layout.columns;
  g.out_bytes = g.columns * (is_code(p.out) ? 1 : 4);
  g.last_panels = static_cast<int32_t>(p.panels - (g.count - 1) * leaf.panels);
  g.last_columns = static_cast<int32_t>(p.shape.n - (p.panels - 1) * leaf.layout.columns);
  block_args& a = g.block;
  a.row_step = p.in_place ? p.lhs_stride : static_cast<int64_t>(p.lhs_row_bytes);
  a.tap_count = 1;
  a.panels = p.store.panels = g.count == 1 ? g.last_panels : leaf.panels;
  a.live_columns = p.store.live_columns = g.count == 1 ? g.last_columns : leaf.layout.columns;
  a.steps = p.steps;
  a.panel_step = p.store.panel_step = static_cast<int64_t>(p.panel_stride);
  a.live_rows = p.store.rows = static_cast<int32_t>(p.shape.m);
  a.lhs_unsigned = p.lhs == dtype::u8;
}

}  // namespace detail

// Checks the description and chooses sizes for `leaf`; `width` is how many tasks can run at once. `out` is untouched on
// error. Errors: dtype, shape (negative, or k above max_long_depth), stride, overflow, zero_point, and those of
// check_epilogue, with the channel at fault.
inline status plan_gemm(const gemm_desc& d, const gemm_leaf& leaf, size_t width, gemm_plan& out,
                        size_t* bad_channel = nullptr, const gemm_blocking& forced = {}) noexcept {
  gemm_plan p;
  const bool few = leaf.few_rows != nullptr && d.shape.m <= leaf.few_rows_limit && forced.wide < 0;
  p.leaf = few ? leaf.few_rows : &leaf;
  if (const status s = detail::describe(d, p, bad_channel); s != status::ok) return s;
  const panel_layout& l = leaf.layout;
  p.folded_zero_point = detail::folded_zero_point(leaf, p);
  p.steps = detail::divide_up(p.shape.k, l.depth);
  p.padded_k = p.steps * l.depth;
  // Rows a multiple of 4 KiB apart share one set of L1: blocks of many rows read copies.
  const bool one_set = register_rows(leaf) >= 8 && p.lhs_stride % 4096 == 0 && p.lhs_stride > 0;
  p.in_place = reads_in_place(*p.leaf, p.lhs) && p.padded_k == p.shape.k && !one_set;
  p.leaf_stores = !p.table && p.leaf->store != nullptr && p.leaf->store(p.store);
  p.overlaps = p.leaf->overlaps && p.leaf_stores;
  p.panels = detail::divide_up(p.shape.n, l.columns);
  p.panel_stride = panel_bytes(l, p.padded_k);
  if (!checked_mul(p.panel_stride, static_cast<uint64_t>(p.panels), p.packed_bytes) ||
      !checked_add(p.packed_bytes, detail::packed_prefix, p.packed_bytes))
    return status::overflow;
  if (size_t fits = 0; !checked_size(p.packed_bytes, fits)) return status::overflow;
  // Prepared rows are 64-byte aligned and never a multiple of 1024 bytes apart: they would share sets of L1.
  p.lhs_row_bytes = round_up(static_cast<uint64_t>(p.padded_k * lhs_bytes(*p.leaf)) + 1, gemm_alignment);
  if (p.lhs_row_bytes % 1024 == 0) p.lhs_row_bytes += gemm_alignment;
  detail::choose_tasks(p, width, forced);
  detail::choose_chunks(p, forced);
  detail::choose_workspace(p);
  detail::choose_direct(p);
  p.more_buffers = p.residual_bytes > 0 || p.dynamic_lhs || p.row_scales || p.rhs_zero_point != 0;
  p.header = detail::packed_header_of(p);
  p.magic = gemm_plan_magic;
  out = p;
  return status::ok;
}

// Workspace for `width` tasks at once, 64-byte aligned.
constexpr uint64_t gemm_workspace_bytes(const gemm_plan& p, size_t width) noexcept {
  const uint64_t at_once = p.tasks < width ? p.tasks : width;
  return p.task_workspace * (at_once == 0 ? 1 : at_once);
}

}  // namespace quantal
