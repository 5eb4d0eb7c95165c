// Running a planned matrix product: the loop nest, free of ISA. See gemm_plan.hpp for the blocking and gemm_leaf.hpp
// for what is called. Re-entrant: a plan and its packed weights serve any number of runs at once, each with its own
// workspace. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/gemm_pack.hpp"

namespace quantal {

// The buffers of one run, with their sizes in bytes.
struct gemm_buffers {
  const void* lhs = nullptr;
  uint64_t lhs_bytes = 0;
  const void* packed = nullptr;  // of pack_gemm
  uint64_t packed_bytes = 0;
  void* out = nullptr;
  uint64_t out_bytes = 0;
  void* workspace = nullptr;  // gemm_workspace_bytes(plan, width), 64-byte aligned
  uint64_t workspace_bytes = 0;
  const void* residual = nullptr;  // may be `out` itself
  uint64_t residual_bytes = 0;
  const int32_t* row_zero_points = nullptr;  // [m]: plans with dynamic_lhs
  const float* row_scales = nullptr;         // [m]: plans with row_scales
  const int32_t* row_sums = nullptr;         // [m]: sums of each row's codes, as quantize_rows gives them; read where
                                             // weights have a zero point. Null: they are added up
};

namespace detail {

inline constexpr int32_t max_leaf_rows = 64;
inline constexpr int64_t no_tap = 0;

inline const uint8_t* table_of(const gemm_plan& p, const gemm_buffers& b) noexcept {
  return p.table ? static_cast<const uint8_t*>(b.packed) + gemm_alignment : nullptr;
}

// Everything a task needs, for one call.
struct gemm_call {
  const gemm_plan& p;
  const gemm_buffers& b;

  const uint8_t* lhs_row(int64_t row) const noexcept { return static_cast<const uint8_t*>(b.lhs) + row * p.lhs_stride; }
  int32_t zero_point_of(int64_t row) const noexcept {
    return p.dynamic_lhs ? b.row_zero_points[row] : p.lhs_zero_point;
  }

  // Sum of (code - zero point) of a row.
  int32_t centred_sum(int64_t row) const noexcept {
    const uint8_t* codes = lhs_row(row);
    const bool is_unsigned = p.lhs == dtype::u8;
    int32_t sum = 0;
    if (b.row_sums != nullptr)
      sum = b.row_sums[row];
    else if (p.leaf->sum != nullptr)
      sum = p.leaf->sum(codes, is_unsigned, p.shape.k);
    else
      for (int64_t d = 0; d < p.shape.k; ++d)
        sum += is_unsigned ? int32_t{codes[d]} : int32_t{static_cast<int8_t>(codes[d])};
    return sum - static_cast<int32_t>(p.shape.k) * zero_point_of(row);
  }

  void prepare_rows(int64_t row0, int64_t count, uint8_t* rows, int32_t* sums) const noexcept {
    for (int64_t i = 0; i < count; ++i) {
      if (!p.in_place)
        p.leaf->prepare(lhs_row(row0 + i), p.lhs == dtype::u8, zero_point_of(row0 + i), p.shape.k, p.padded_k,
                        rows + static_cast<uint64_t>(i) * p.lhs_row_bytes);
      if (p.rhs_zero_point != 0) sums[i] = centred_sum(row0 + i);
    }
  }

  // Zero points that packing could not fold into the bias.
  void correct(const const_panel_parts& parts, const int32_t* sums, int64_t row, int32_t rows,
               int32_t* acc) const noexcept {
    const int32_t columns = p.leaf->layout.columns;
    const bool by_row = p.dynamic_lhs && p.leaf->form != lhs_form::s16_centred;
    for (int32_t i = 0; i < rows; ++i, acc += columns) {
      if (p.rhs_zero_point != 0) {  // sum l (w - z) = sum l w - z sum l
        const uint32_t term = static_cast<uint32_t>(p.rhs_zero_point) * static_cast<uint32_t>(sums[i]);
        for (int32_t c = 0; c < columns; ++c) acc[c] = static_cast<int32_t>(static_cast<uint32_t>(acc[c]) - term);
      }
      if (!by_row) continue;
      const uint32_t zero = static_cast<uint32_t>(prepared_zero_point(*p.leaf, p.lhs, zero_point_of(row + i)));
      for (int32_t c = 0; c < columns; ++c) {
        const uint32_t term = zero * static_cast<uint32_t>(parts.column_sum[c]);
        acc[c] = static_cast<int32_t>(static_cast<uint32_t>(acc[c]) - term);
      }
    }
  }

  // The same for sums in s64: everything is put in, bias too, and saturated into acc.
  void correct_long(const const_panel_parts& parts, const int32_t* sums, int64_t row, int32_t rows, const int64_t* sum,
                    int32_t* acc) const noexcept {
    const int32_t columns = p.leaf->layout.columns;
    for (int32_t i = 0; i < rows; ++i) {
      const int64_t zero = prepared_zero_point(*p.leaf, p.lhs, zero_point_of(row + i));
      const int64_t taken = p.rhs_zero_point == 0 ? 0 : int64_t{p.rhs_zero_point} * sums[i];
      for (int32_t c = 0; c < columns; ++c)
        acc[i * columns + c] = long_result(parts, c, sum[i * columns + c], zero, taken);
    }
  }

  // What differs from panel to panel and from block to block.
  void set_panel(store_args& a, const const_panel_parts& parts) const noexcept {
    a.bias = p.leaf->form == lhs_form::s16_centred ? parts.raw_bias : parts.bias;
    if (p.long_sum) a.bias = no_bias;
    a.ratio = parts.ratio;
    a.multiplier = parts.multiplier;
    a.real_bias = parts.real_bias;
  }
  void set_block(store_args& a, const block_args& block, int64_t row, int64_t column) const noexcept {
    const int64_t at = row * p.out_stride + column;
    a.acc = block.acc;
    a.rows = block.live_rows;
    a.panels = block.panels;
    a.panel_step = block.panel_step;
    a.live_columns = block.live_columns;
    a.out = static_cast<uint8_t*>(b.out) + (is_code(p.out) ? at : at * 4);
    if (p.row_scales) a.row_scale = b.row_scales + row;
    if (a.residual_type != dtype::none)
      a.residual = static_cast<const uint8_t*>(b.residual) + row * p.residual_stride + column;
  }

  const uint8_t* table() const noexcept { return table_of(p, b); }

  void task(uint64_t index, uint8_t* scratch) const noexcept;
};

// One task at work.
struct gemm_task {
  const gemm_call& call;
  const gemm_plan& p;
  uint8_t* scratch;
  int64_t row0;
  store_args* pending;              // two
  int64_t from = 0, row_count = 0;  // rows at work, from row0 on
  int64_t chunk_steps = 0;
  int32_t turn = 0;
  bool waiting = false;

  int32_t* sums() const noexcept { return reinterpret_cast<int32_t*>(scratch + p.sums_at); }
  int32_t* acc() const noexcept { return reinterpret_cast<int32_t*>(scratch + p.acc_at); }
  int64_t* long_sums() const noexcept { return reinterpret_cast<int64_t*>(scratch + p.long_at); }

  void set_rows(block_args& a, const void** rows, int64_t first, int64_t depth) const noexcept {
    const int64_t bytes = depth * lhs_bytes(*p.leaf);
    const uint8_t* base =
        p.in_place ? call.lhs_row(row0 + first) : scratch + static_cast<uint64_t>(first) * p.lhs_row_bytes;
    for (int32_t i = 0; i < a.live_rows; ++i) rows[i] = base + bytes + i * a.row_step;
  }

  void flush() noexcept {
    if (waiting) store_block(*p.leaf, pending[turn ^ 1], call.table());
    waiting = false;
  }

  // A block's sums are complete.
  void finish(const const_panel_parts& parts, block_args& a, int64_t first, int64_t column) noexcept {
    const panel_layout& l = p.leaf->layout;
    const int32_t* row_sums = sums() + first;
    const int64_t row = row0 + first;
    if (p.long_sum)
      call.correct_long(parts, row_sums, row, a.live_rows, long_sums() + first * l.columns, a.acc);
    else if (p.rhs_zero_point != 0 || p.dynamic_lhs)
      for (int32_t i = 0; i < a.panels; ++i)
        call.correct(parts_of(reinterpret_cast<const uint8_t*>(parts.bias) + i * a.panel_step, l), row_sums, row,
                     a.live_rows, a.acc + i * a.live_rows * l.columns);
    store_args& s = pending[turn];
    if (p.overlaps) call.set_panel(s, parts);
    call.set_block(s, a, row, column);
    if (!p.overlaps) {
      store_block(*p.leaf, s, call.table());
      return;
    }
    turn ^= 1;
    waiting = true;
  }

  // All row blocks against one chunk of some panels.
  void chunk(const const_panel_parts& parts, int64_t column, int64_t panels, int64_t step0, int64_t steps) noexcept {
    const gemm_leaf& leaf = *p.leaf;
    const void* rows[max_leaf_rows];
    const int64_t before = column + (panels - 1) * leaf.layout.columns, left_columns = p.shape.n - before;
    block_args a;
    a.rows = rows;
    a.row_step = p.in_place ? p.lhs_stride : static_cast<int64_t>(p.lhs_row_bytes);
    a.taps = &no_tap;
    a.tap_count = 1;
    a.panels = static_cast<int32_t>(panels);
    a.steps = steps;
    a.panel = parts.weights + step0 * leaf.layout.depth * leaf.layout.columns;
    a.panel_step = static_cast<int64_t>(p.panel_stride);
    a.live_columns = left_columns < leaf.layout.columns ? static_cast<int32_t>(left_columns) : leaf.layout.columns;
    a.lhs_unsigned = p.lhs == dtype::u8;
    a.accumulate = step0 > 0 && !p.long_sum;
    a.begun = begun();
    const int64_t chunk_bytes = steps * leaf.layout.depth * leaf.layout.columns;
    // What the next chunk reads is fetched into L2 meanwhile (an address: it may lie past the end); block_widening does
    // it by itself.
    uintptr_t next = reinterpret_cast<uintptr_t>(a.panel) + static_cast<uintptr_t>(chunk_bytes);
    const bool one_chunk = chunk_steps >= p.steps, last = step0 + steps >= p.steps;
    const int32_t block_size = leaf.rows * leaf.panels * leaf.layout.columns;
    // Groups of rows as even as possible: 13 rows are 5 + 4 + 4, not 6 + 6 + 1.
    const int32_t most = register_rows(leaf), at_once = leaf.rows / most;
    const int64_t groups = row_count <= most ? 1 : divide_up(row_count, most);
    const int64_t fewest = groups == 1 ? row_count : row_count / groups;
    int64_t larger = row_count - fewest * groups;
    const int64_t fetched = groups > 1 && leaf.widen == nullptr ? chunk_bytes * at_once / groups : 0;
    for (int64_t i = from, left = groups; left > 0; left -= at_once, i += a.live_rows) {
      const int64_t taken = left < at_once ? left : at_once, more = larger < taken ? larger : taken;
      larger -= more;
      a.live_rows = static_cast<int32_t>(fewest * taken + more);
      a.acc = one_chunk ? acc() + turn * block_size : acc() + i * leaf.layout.columns;
      a.pending = waiting ? &pending[turn ^ 1] : nullptr;
      set_rows(a, rows, i, step0 * leaf.layout.depth);
      for (int64_t done = 0; done < fetched; done += 64, next += 64)
        __builtin_prefetch(reinterpret_cast<const void*>(next), 0, 2);
      if (!p.wide) {
        leaf.block(a);
      } else if (i == from) {
        leaf.block_widening(a, scratch + p.chunk_at);
        a.panel = scratch + p.chunk_at;
      } else {
        leaf.block_wide(a);
      }
      waiting = false;
      if (p.long_sum)
        add_long(a.acc, int64_t{a.live_rows} * leaf.layout.columns, step0 == 0, long_sums() + i * leaf.layout.columns);
      if (last) finish(parts, a, i, column);
    }
  }

  int32_t begun() const noexcept {
    return p.leaf->whole_blocks ? static_cast<int32_t>(row_count < p.leaf->rows ? row_count : p.leaf->rows) : 0;
  }

  // How many panels a block takes: cut depths and exact long sums are kept panel by panel, and a panel that several
  // blocks of rows meet stays in L1 alone.
  int64_t panels_at_once() const noexcept {
    return chunk_steps >= p.steps && !p.long_sum && row_count <= p.leaf->rows ? p.leaf->panels : 1;
  }

  void panels(int64_t index, int64_t count) noexcept {
    const panel_layout& l = p.leaf->layout;
    const uint8_t* at =
        static_cast<const uint8_t*>(call.b.packed) + packed_prefix + static_cast<uint64_t>(index) * p.panel_stride;
    const const_panel_parts parts = parts_of(at, l);
    if (!p.overlaps) call.set_panel(pending[0], parts);
    int64_t step = 0;
    do {
      const int64_t steps = p.steps - step < chunk_steps ? p.steps - step : chunk_steps;
      chunk(parts, index * l.columns, count, step, steps);
      step += steps;
    } while (step < p.steps);
    // The next panel's blocks reuse the accumulators of chunks.
    if (chunk_steps < p.steps) flush();
  }

  // Rows [first, first + count) of the task against panels [panel, end).
  void rows(int64_t first, int64_t count, int64_t panel, int64_t end) noexcept {
    if (count == 0) return;
    from = first;
    row_count = count;
    const bool one_block = p.leaf->whole_blocks && count <= p.leaf->rows && !p.long_sum;
    chunk_steps = one_block && p.chunk_steps < p.steps ? p.steps : p.chunk_steps;
    if (p.leaf->begin != nullptr) p.leaf->begin(begun());
    const int64_t at_once = panels_at_once();
    for (int64_t i = panel; i < end; i += at_once) panels(i, end - i < at_once ? end - i : at_once);
  }
};

inline void gemm_call::task(uint64_t index, uint8_t* scratch) const noexcept {
  const uint64_t row_task = p.tasks == 1 ? 0 : index / p.panel_tasks;
  const int64_t row0 = static_cast<int64_t>(row_task) * p.block_m;
  const int64_t panel0 = static_cast<int64_t>(index - row_task * p.panel_tasks) * p.panels_per_task;
  const int64_t row_count = p.shape.m - row0 < p.block_m ? p.shape.m - row0 : p.block_m;
  const int64_t end = p.panels - panel0 < p.panels_per_task ? p.panels : panel0 + p.panels_per_task;
  const default_fp_env standard;
  store_args slots[2] = {p.store, p.store};
  gemm_task work{*this, p, scratch, row0, slots};
  prepare_rows(row0, row_count, scratch, work.sums());
  const int64_t rest = p.leaf->whole_blocks ? row_count % p.leaf->rows : 0;
  work.rows(0, row_count - rest, panel0, end);
  work.rows(row_count - rest, rest, panel0, end);
  work.flush();
  if (p.leaf->end != nullptr) p.leaf->end();
}

// A plan with `direct`: its one block of rows meets the panels, one group after the other. What gemm_task finds out for
// each block has been found out by the plan, so a small product costs little more than its leaf. By itself, so that
// nothing of gemm_task takes its registers.
[[gnu::noinline]] inline void run_direct(const gemm_plan& p, const gemm_buffers& b) noexcept {
  const default_fp_env standard;
  const gemm_leaf& leaf = *p.leaf;
  const gemm_groups& g = p.groups;
  uint8_t* scratch = static_cast<uint8_t*>(b.workspace);
  const uint8_t *codes = static_cast<const uint8_t*>(b.lhs), *row = p.in_place ? codes : scratch;
  const void* rows[max_leaf_rows];
  for (int64_t i = 0; i < p.shape.m; ++i, row += g.block.row_step, codes += p.lhs_stride) {
    rows[i] = row;
    if (!p.in_place)
      leaf.prepare(codes, g.block.lhs_unsigned, p.lhs_zero_point, p.shape.k, p.padded_k, const_cast<uint8_t*>(row));
  }
  block_args a = g.block;
  a.rows = rows;
  a.taps = &no_tap;
  a.acc = reinterpret_cast<int32_t*>(scratch + p.acc_at);
  store_args s = p.store;
  s.acc = a.acc;
  s.out = b.out;
  if (p.more_buffers) {
    if (p.row_scales) s.row_scale = b.row_scales;
    if (p.residual_bytes > 0) s.residual = b.residual;
  }
  const uint8_t* panel = static_cast<const uint8_t*>(b.packed) + packed_prefix;
  for (int64_t left = g.count;;) {
    const const_panel_parts parts = parts_of(panel, leaf.layout);
    a.panel = parts.weights;
    leaf.block(a);
    s.bias = leaf.form == lhs_form::s16_centred ? parts.raw_bias : parts.bias;
    s.ratio = parts.ratio;
    s.multiplier = parts.multiplier;
    s.real_bias = parts.real_bias;
    if (p.leaf_stores)
      leaf.store(s);
    else
      store_block(leaf, s, table_of(p, b));
    if (--left == 0) return;
    panel += g.stride;
    s.out = static_cast<uint8_t*>(s.out) + g.out_bytes;
    if (s.residual != nullptr) s.residual = static_cast<const uint8_t*>(s.residual) + g.columns;
    if (left > 1) continue;
    a.panels = s.panels = g.last_panels;
    a.live_columns = s.live_columns = g.last_columns;
  }
}

// Sizes, pointers, overlaps and row parameters of a run; nothing is written before it has said ok. `More`: what only some
// plans have (more_buffers).
template <bool More>
inline status check_buffers(const gemm_plan& p, const gemm_buffers& b, size_t width) noexcept {
  const bool residual = More && p.residual_bytes > 0, zero_points = More && p.dynamic_lhs,
             scales = More && p.row_scales;
  if (b.out == nullptr || b.packed == nullptr || (b.lhs == nullptr && p.shape.k > 0) ||
      (residual && b.residual == nullptr) || (zero_points && b.row_zero_points == nullptr) ||
      (scales && b.row_scales == nullptr))
    return status::null_pointer;
  const uint64_t lhs = p.lhs_bytes, out = p.out_bytes, packed = p.packed_bytes,
                 second = residual ? p.residual_bytes : 0, workspace = gemm_workspace_bytes(p, width);
  if (b.lhs_bytes < lhs || b.out_bytes < out || b.packed_bytes < packed || b.residual_bytes < second)
    return status::buffer;
  const uintptr_t both = reinterpret_cast<uintptr_t>(b.workspace) | reinterpret_cast<uintptr_t>(b.packed);
  if (b.workspace == nullptr || b.workspace_bytes < workspace || both % gemm_alignment != 0) return status::scratch;
  const auto collides = [&](const void* read, uint64_t bytes) noexcept {
    return overlap(b.out, out, read, bytes) || overlap(b.workspace, workspace, read, bytes);
  };
  if (collides(b.lhs, lhs) || collides(b.packed, packed) || overlap(b.out, out, b.workspace, workspace))
    return status::overlap;
  if constexpr (More) {
    const bool same = b.residual == b.out && p.residual_stride == p.out_stride;
    const uint64_t by_row = static_cast<uint64_t>(p.shape.m) * 4;
    if (collides(b.row_zero_points, zero_points ? by_row : 0) || collides(b.row_scales, scales ? by_row : 0) ||
        (p.rhs_zero_point != 0 && b.row_sums != nullptr && collides(b.row_sums, by_row)) ||
        overlap(b.workspace, workspace, b.residual, second) || (!same && overlap(b.out, out, b.residual, second)))
      return status::overlap;
  }
  if (__builtin_memcmp(b.packed, &p.header, packed_identity) != 0) return status::plan;
  for (int64_t i = 0; zero_points && i < p.shape.m; ++i)
    if (check_zero_point(p.lhs, b.row_zero_points[i]) != status::ok) return status::zero_point;
  for (int64_t i = 0; scales && i < p.shape.m; ++i)
    if (!is_positive_normal_f32(load_bits(b.row_scales + i))) return status::scale;
  return status::ok;
}

inline status check_run(const gemm_plan& p, const gemm_buffers& b, size_t width) noexcept {
  return p.more_buffers ? check_buffers<true>(p, b, width) : check_buffers<false>(p, b, width);
}

}  // namespace detail

// Runs the product. Nothing is written before all checks have passed. Errors: plan (no plan, or packed weights that are
// not its), null_pointer, buffer, scratch, overlap (of out or workspace with another buffer), zero_point and scale (of
// rows).
inline status run_gemm(const gemm_plan& p, const gemm_buffers& b, const parallel_for& parallel = {}) noexcept {
  if (p.magic != gemm_plan_magic || p.leaf == nullptr) return status::plan;
  if (p.shape.m == 0 || p.shape.n == 0) return status::ok;
  const size_t width = lanes_of(parallel);
  if (const status s = detail::check_run(p, b, width); s != status::ok) return s;
  if (p.direct) {
    detail::run_direct(p, b);
    return status::ok;
  }
  const detail::gemm_call call{p, b};
  const uint64_t lanes = p.tasks < width ? p.tasks : width;
  // One lane per workspace slice; lane i takes tasks i, i + lanes, ...: no two tasks share a slice.
  parallel(static_cast<size_t>(lanes), [&](size_t lane) {
    for (uint64_t t = lane; t < p.tasks; t += lanes)
      call.task(t, static_cast<uint8_t*>(b.workspace) + lane * p.task_workspace);
  });
  return status::ok;
}

}  // namespace quantal
