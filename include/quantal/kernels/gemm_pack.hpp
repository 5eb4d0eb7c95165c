// Packing: weights of any strides become panels (kernels/gemm_leaf.hpp: panel_layout) that the kernel reads strictly
// forward, each behind its header (kernels/gemm_epilogue.hpp). The bytes are relocatable and carry the layout's id and
// what was packed (packed_kind): a plan refuses those of another.
//
//   [header 64][table 256][panel 0][panel 1]...          panel: columns [first, first + columns) of rhs, all depths
//
// It costs one pass over the weights: pays from the second use, or at once when many rows follow. u8 weights are stored
// as code - 128. Freestanding.
#pragma once
#include "quantal/kernels/gemm_plan.hpp"

namespace quantal {

// What is packed. The epilogue is the one of the plan's description (its arrays are copied now).
struct gemm_weights {
  const void* rhs = nullptr;
  const int32_t* bias = nullptr;     // s32 [n], in units of lhs scale * rhs scale; null: 0
  const float* real_bias = nullptr;  // f32 [n], added after scaling; only f32 out; null: 0
  epilogue finish;
};

namespace detail {

// Packs the weights of one panel; adds up the stored bytes of each column.
inline void pack_panel_bytes(const panel_layout& l, const pack_args& a) noexcept {
  uint8_t* out = static_cast<uint8_t*>(a.out);
  for (int64_t d = 0; d < a.k; ++d) {
    for (int32_t c = 0; c < a.live_columns; ++c) {
      const uint8_t stored = static_cast<uint8_t>(a.codes[d * a.row_stride + c * a.column_stride] ^ a.flip);
      out[panel_offset(l, d, c)] = stored;
      a.column_sums[c] += static_cast<int8_t>(stored);
    }
  }
}

}  // namespace detail

// k depths of some panels into zeroed memory for k rounded up to whole steps.
inline void pack_panel(const gemm_leaf& leaf, const pack_args& a) noexcept {
  if (leaf.pack != nullptr) {
    leaf.pack(a);
    return;
  }
  const int32_t columns = leaf.layout.columns;
  pack_args one = a;
  for (int32_t i = 0; i < a.panels; ++i) {
    one.live_columns = i + 1 < a.panels ? columns : a.live_columns;
    detail::pack_panel_bytes(leaf.layout, one);
    one.codes += columns * a.column_stride;
    one.out = static_cast<uint8_t*>(one.out) + a.panel_step;
    one.column_sums += a.panel_step / 4;
  }
}

namespace detail {

inline constexpr int64_t row_major_slice = 128;  // depths: whole steps of every layout

// All panels: headers zeroed, weights, headers filled. Row-major weights go by slices of depths that all panels take
// before the next slice: few rows are open at a time (a row of 4 KiB is a page of its own). Column-major weights go
// panel by panel: a column is read from end to end.
inline void pack_panels(const gemm_plan& p, const gemm_weights& w, uint8_t* panels) noexcept {
  const gemm_leaf& leaf = *p.leaf;
  const panel_layout& l = leaf.layout;
  const auto parts_at = [&](int64_t i) noexcept {
    return parts_of(panels + static_cast<uint64_t>(i) * p.panel_stride, l);
  };
  const auto live = [&](int64_t i) noexcept {
    const int64_t left = p.shape.n - i * l.columns;
    return left < l.columns ? static_cast<int32_t>(left) : l.columns;
  };
  // A leaf's own packer writes every byte of the weights: only the header must be zero then.
  const uint64_t zeroed = leaf.pack != nullptr ? panel_header_bytes(l) : p.panel_stride;
  for (int64_t i = 0; i < p.panels; ++i)
    __builtin_memset(panels + static_cast<uint64_t>(i) * p.panel_stride, 0, static_cast<size_t>(zeroed));
  pack_args a;
  a.row_stride = p.rhs_row_stride;
  a.column_stride = p.rhs_column_stride;
  a.flip = p.rhs == dtype::u8 ? 0x80 : 0;
  a.panel_step = static_cast<int64_t>(p.panel_stride);
  const bool row_major = p.rhs_row_stride > p.rhs_column_stride;
  const int64_t slice = row_major ? row_major_slice : p.shape.k;
  const int64_t most = row_major ? INT32_MAX : 1;  // panels at once
  for (int64_t d = 0; d < p.shape.k; d += slice) {
    a.k = p.shape.k - d < slice ? p.shape.k - d : slice;
    for (int64_t i = 0; i < p.panels; i += a.panels) {
      const panel_parts parts = parts_at(i);
      a.panels = static_cast<int32_t>(p.panels - i < most ? p.panels - i : most);
      a.codes = static_cast<const uint8_t*>(w.rhs) + d * p.rhs_row_stride + i * l.columns * p.rhs_column_stride;
      a.live_columns = live(i + a.panels - 1);
      a.out = parts.weights + d * l.columns;
      a.column_sums = parts.column_sum;
      pack_panel(leaf, a);
    }
  }
  for (int64_t i = 0; i < p.panels; ++i)
    fill_panel_header(parts_at(i), w.finish, p.out, w.bias, w.real_bias, p.folded_zero_point, i * l.columns, live(i));
}

}  // namespace detail

// Packs into `packed` (plan.packed_bytes, 64-byte aligned). Nothing is written before all checks have passed. Errors:
// plan (no plan, or another epilogue than the plan's), null_pointer, buffer, scratch (alignment of packed), argument
// (alignment of a bias), overlap (packed with what is read), and those of check_epilogue.
inline status pack_gemm(const gemm_plan& p, const gemm_weights& w, void* packed, uint64_t packed_bytes) noexcept {
  if (p.magic != gemm_plan_magic || p.leaf == nullptr) return status::plan;
  if (packed == nullptr || (w.rhs == nullptr && p.shape.n > 0 && p.shape.k > 0)) return status::null_pointer;
  if (packed_bytes < p.packed_bytes) return status::buffer;
  if (reinterpret_cast<uintptr_t>(packed) % gemm_alignment != 0) return status::scratch;
  if (!same_finish(w.finish, p.out, p.store.rule, p.table)) return status::plan;
  if (const status s = check_epilogue(w.finish, p.out, static_cast<size_t>(p.shape.n)); s != status::ok) return s;
  uint64_t weight_bytes = 0;
  detail::extent(p.shape.k, p.shape.n, p.rhs_row_stride, p.rhs_column_stride, 1, weight_bytes);
  const detail::pack_sources read{w.rhs, weight_bytes, w.bias, w.real_bias, static_cast<uint64_t>(p.shape.n)};
  if (const status s = read.check(w.finish, p.out, packed, p.packed_bytes); s != status::ok) return s;
  if (p.shape.n > 0 && finish_sum(w.finish, p.out) != p.finish_sum) return status::plan;
  uint8_t* base = static_cast<uint8_t*>(packed);
  __builtin_memset(base, 0, detail::packed_prefix);
  __builtin_memcpy(base, &p.header, sizeof p.header);
  if (p.table) __builtin_memcpy(base + gemm_alignment, w.finish.table, 256);
  detail::pack_panels(p, w, base + detail::packed_prefix);
  return status::ok;
}

}  // namespace quantal
