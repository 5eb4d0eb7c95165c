// What integer products share around a leaf: the header in front of a packed panel, and the portable way of a finished
// block to the output (any contract, residual, table), for leaves without a fast form.
//
//   panel in memory:  bias s32[columns] | raw bias s32 | ratio f32 | multiplier | column sum s32 | real bias f32 |
//                     weights, 64-aligned
//
// `bias` is ready to be added: it contains -zero_point * column sum of a left-hand side whose zero point is known, in
// the leaf's form; `raw_bias` does not (for forms that are centred already). The column sums (of the stored s8 weights)
// serve zero points that are known only at run time. Meaning: ref/epilogue.hpp. Freestanding.
#pragma once
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/ref/epilogue.hpp"

namespace quantal {

inline constexpr size_t gemm_alignment = 64;  // of packed weights, panels and workspace
inline constexpr int32_t max_panel_columns = 64;

constexpr uint64_t round_up(uint64_t x, uint64_t to) noexcept {
  return (x + to - 1) / to * to;
}

struct panel_parts {
  int32_t* bias;
  int32_t* raw_bias;
  float* ratio;
  fixed_multiplier* multiplier;
  int32_t* column_sum;
  float* real_bias;
  uint8_t* weights;
};
struct const_panel_parts {
  const int32_t* bias;
  const int32_t* raw_bias;
  const float* ratio;
  const fixed_multiplier* multiplier;
  const int32_t* column_sum;
  const float* real_bias;
  const uint8_t* weights;
};

constexpr uint64_t panel_header_bytes(const panel_layout& l) noexcept {
  return round_up(static_cast<uint64_t>(l.columns) * 28, gemm_alignment);
}
// Header and weights for `depths` (whole steps).
constexpr uint64_t panel_bytes(const panel_layout& l, int64_t depths) noexcept {
  return panel_header_bytes(l) +
         round_up(static_cast<uint64_t>(depths) * static_cast<uint64_t>(l.columns), gemm_alignment);
}

inline panel_parts parts_of(uint8_t* panel, const panel_layout& l) noexcept {
  int32_t* bias = reinterpret_cast<int32_t*>(panel);
  float* ratio = reinterpret_cast<float*>(bias + 2 * l.columns);
  fixed_multiplier* multiplier = reinterpret_cast<fixed_multiplier*>(ratio + l.columns);
  int32_t* sum = reinterpret_cast<int32_t*>(multiplier + l.columns);
  return {bias,
          bias + l.columns,
          ratio,
          multiplier,
          sum,
          reinterpret_cast<float*>(sum + l.columns),
          panel + panel_header_bytes(l)};
}
inline const_panel_parts parts_of(const uint8_t* panel, const panel_layout& l) noexcept {
  const panel_parts p = parts_of(const_cast<uint8_t*>(panel), l);
  return {p.bias, p.raw_bias, p.ratio, p.multiplier, p.column_sum, p.real_bias, p.weights};
}

// Fills a zeroed panel's header for channels [first, first + live); bias (s32) and real_bias (f32) of all channels, or
// null. Call it when the column sums are in place: bias becomes bias - lhs_zero_point * column sum.
inline void fill_panel_header(const panel_parts& p, const epilogue& e, dtype out, const int32_t* bias,
                              const float* real_bias, int32_t lhs_zero_point, int64_t first, int32_t live) noexcept {
  const requantizer& q = e.requant;
  const bool fixed = out != dtype::f32 && q.rule != contract::fp32_rne;
  for (int32_t c = 0; c < live; ++c) {
    const size_t channel = q.count == 1 ? 0 : static_cast<size_t>(first + c);
    const uint32_t raw = bias == nullptr ? 0 : static_cast<uint32_t>(bias[first + c]);
    p.bias[c] =
        static_cast<int32_t>(raw - static_cast<uint32_t>(lhs_zero_point) * static_cast<uint32_t>(p.column_sum[c]));
    p.raw_bias[c] = static_cast<int32_t>(raw);
    // Adding -0 changes no number, adding 0 would make 0 of -0.
    p.real_bias[c] = real_bias == nullptr ? -0.0f : real_bias[first + c];
    if (out == dtype::s32) continue;
    if (fixed)
      p.multiplier[c] = q.multipliers[channel];
    else
      p.ratio[c] = q.ratios[channel];
  }
}

// What a nest sets once per run; it adds acc, rows, columns, pointers and the panel's parts per block.
inline store_args start_store(const epilogue& e, dtype out, code_limits codes, int64_t out_stride) noexcept {
  store_args a;
  a.type = out;
  a.out_stride = out_stride;
  a.rule = e.requant.rule;
  a.zero_point = e.requant.zero_point;
  a.codes = codes;
  a.low = static_cast<float>(codes.min - a.zero_point);
  a.high = static_cast<float>(codes.max - a.zero_point);
  if (out == dtype::f32) {
    const real_limits reals = real_limits_of(e.requant);
    a.low = reals.low;
    a.high = reals.high;
  }
  a.residual_type = e.residual.type;
  a.residual_zero_point = e.residual.zero_point;
  a.residual_ratio = e.residual.ratio;
  a.residual_multiplier = e.residual.multiplier;
  return a;
}

// What packing has put into the bytes, for the header of packed weights: a plan runs only on weights of its own kind.
//
//   bits 0-9    folded zero point of the input + 256      10-19  what weights had subtracted + 256 (0, unless s16)
//   bit  20     the weights were u8 (stored as code - 128)     21  a table follows the header
//   bits 22-24  what the channels hold: 0 s32 (bias), 1 f32 (bias, ratio, real bias), 2.. codes of contract 0..
//
// What packing does not touch may differ, and plans that differ in nothing else, and have chosen the same leaf and
// layout (rows, strides and padding may change both), share packed weights: rows, strides,
// output and residual zero points, clamp, residual ratio, s8 or u8 output, the sign and zero point of the input where
// the folded one is the same, the zero point of weights where it is subtracted from sums, tasks and threads.
constexpr uint32_t packed_kind(dtype weights, dtype out, contract rule, bool table, int32_t folded_zero_point,
                               int32_t subtracted = 0) noexcept {
  const uint32_t channels = out == dtype::s32 ? 0 : out == dtype::f32 ? 1 : 2 + static_cast<uint32_t>(rule);
  return static_cast<uint32_t>(folded_zero_point + 256) | static_cast<uint32_t>(subtracted + 256) << 10 |
         (weights == dtype::u8 ? 1u << 20 : 0) | (table ? 1u << 21 : 0) | channels << 22;
}

// What of `e` an output of this type reads, as a number: a plan keeps it, and packing refuses an epilogue of another.
// (FNV-1a, Fowler, Noll, Vo.)
inline uint64_t finish_sum(const epilogue& e, dtype out) noexcept {
  if (out == dtype::s32) return 0;
  uint64_t sum = 0xcbf29ce484222325u;
  const auto add = [&](uint32_t word) noexcept { sum = (sum ^ word) * 0x100000001b3u; };
  const auto add_multiplier = [&](const fixed_multiplier& m) noexcept {
    add(static_cast<uint32_t>(m.multiplier));
    add(static_cast<uint32_t>(m.shift));
  };
  const requantizer& q = e.requant;
  add(static_cast<uint32_t>(q.min));
  add(static_cast<uint32_t>(q.max));
  const bool real = out == dtype::f32, fixed = !real && q.rule != contract::fp32_rne;
  for (size_t i = 0; i < q.count; ++i) {
    if (fixed)
      add_multiplier(q.multipliers[i]);
    else
      add(load_bits(q.ratios + i));
  }
  if (real) return sum;
  add(static_cast<uint32_t>(q.zero_point));
  for (int32_t i = 0; e.table != nullptr && i < 256; ++i) add(e.table[i]);
  if (e.residual.type == dtype::none) return sum;
  add(static_cast<uint32_t>(e.residual.type));
  add(static_cast<uint32_t>(e.residual.zero_point));
  if (fixed)
    add_multiplier(e.residual.multiplier);
  else
    add(load_bits(&e.residual.ratio));
  return sum;
}

// Is `e`, given to pack, of the plan's contract, with a table where the plan has one? s32 and f32 have neither.
constexpr bool same_finish(const epilogue& e, dtype out, contract rule, bool table) noexcept {
  return out == dtype::s32 || out == dtype::f32 || (e.requant.rule == rule && (e.table != nullptr) == table);
}

namespace detail {

// Do two ranges share a byte?
inline bool overlap(const void* a, uint64_t a_bytes, const void* b, uint64_t b_bytes) noexcept {
  const uintptr_t x = reinterpret_cast<uintptr_t>(a), y = reinterpret_cast<uintptr_t>(b);
  return (x - y < b_bytes && a_bytes > 0) || (y - x < a_bytes && b_bytes > 0);
}

// The arrays that packing reads beside the epilogue. Errors: argument (4-byte data that is not aligned), overlap.
struct pack_sources {
  const void* weights = nullptr;
  uint64_t weight_bytes = 0;
  const int32_t* bias = nullptr;
  const float* real_bias = nullptr;
  uint64_t channels = 0;

  status check(const epilogue& e, dtype out, const void* packed, uint64_t bytes) const noexcept {
    if ((reinterpret_cast<uintptr_t>(bias) | reinterpret_cast<uintptr_t>(real_bias)) % 4 != 0) return status::argument;
    const auto hits = [&](const void* at, uint64_t size) noexcept {
      return at != nullptr && overlap(packed, bytes, at, size);
    };
    if (hits(weights, weight_bytes) || hits(bias, 4 * channels) || hits(real_bias, 4 * channels))
      return status::overlap;
    if (out == dtype::s32 || channels == 0) return status::ok;
    const requantizer& q = e.requant;
    const bool fixed = out != dtype::f32 && q.rule != contract::fp32_rne;
    const bool taken = fixed ? hits(q.multipliers, 8 * q.count) : hits(q.ratios, 4 * q.count);
    return taken || hits(e.table, 256) ? status::overlap : status::ok;
  }
};

inline void store_reals(const store_args& a, int32_t columns) noexcept {
  float* out = static_cast<float*>(a.out);
  for (int32_t i = 0; i < a.rows; ++i, out += a.out_stride) {
    for (int32_t c = 0; c < a.live_columns; ++c) {
      out[c] = ref::finish_real(a.acc[i * columns + c], a.bias[c], a.ratio[c],
                                a.row_scale == nullptr ? nullptr : a.row_scale + i,
                                a.real_bias == nullptr ? nullptr : a.real_bias + c, {a.low, a.high});
    }
  }
}

inline void store_sums(const store_args& a, int32_t columns) noexcept {
  int32_t* out = static_cast<int32_t*>(a.out);
  for (int32_t i = 0; i < a.rows; ++i, out += a.out_stride) {
    for (int32_t c = 0; c < a.live_columns; ++c) {
      out[c] = static_cast<int32_t>(static_cast<uint32_t>(a.acc[i * columns + c]) + static_cast<uint32_t>(a.bias[c]));
    }
  }
}

inline void store_all_codes(const store_args& a, int32_t columns) noexcept {
  epilogue e;
  e.requant = {a.rule, a.ratio, a.multiplier, static_cast<size_t>(columns), a.zero_point, a.codes.min, a.codes.max};
  e.residual = {a.residual == nullptr ? dtype::none : a.residual_type, a.residual_zero_point, a.residual_ratio,
                a.residual_multiplier};
  for (int32_t i = 0; i < a.rows; ++i) {
    for (int32_t c = 0; c < a.live_columns; ++c) {
      const size_t at = static_cast<size_t>(i * a.residual_stride + c);
      const int32_t residual = a.residual == nullptr ? 0 : load_code(a.residual_type, a.residual, at);
      store_code(a.type, a.out, static_cast<size_t>(i * a.out_stride + c),
                 ref::finish_code(a.acc[i * columns + c], a.bias[c], static_cast<size_t>(c), residual, e, a.codes));
    }
  }
}

}  // namespace detail

// What the leaf's own store does not do: one panel's block, portably.
inline void store_portably(const store_args& a, int32_t columns) noexcept {
  if (a.type == dtype::f32)
    detail::store_reals(a, columns);
  else if (a.type == dtype::s32)
    detail::store_sums(a, columns);
  else
    detail::store_all_codes(a, columns);
}

// What a leaf's store does not do. By itself: a product that its leaf stores need not set up this frame.
[[gnu::noinline]] inline void finish_portably(const store_args& a, int32_t columns, bool stored,
                                              const uint8_t* table) noexcept {
  if (!stored) {
    store_args one = a;
    one.live_columns = columns;
    for (int32_t i = 1; i < a.panels; ++i, next_panel(one, columns)) store_portably(one, columns);
    one.live_columns = a.live_columns;
    store_portably(one, columns);
  }
  if (table == nullptr) return;
  uint8_t* out = static_cast<uint8_t*>(a.out);
  const int32_t live = (a.panels - 1) * columns + a.live_columns;
  for (int32_t i = 0; i < a.rows; ++i, out += a.out_stride) {
    for (int32_t c = 0; c < live; ++c) out[c] = table[out[c]];
  }
}

// acc [panels][rows][columns] -> out, by the leaf or portably; then the table, if there is one.
inline void store_block(const gemm_leaf& leaf, const store_args& a, const uint8_t* table = nullptr) noexcept {
  const bool stored = leaf.store != nullptr && leaf.store(a);
  if (!stored || table != nullptr) finish_portably(a, leaf.layout.columns, stored, table);
}

}  // namespace quantal
