// What an ISA supplies for integer products. The loop nests (kernels/gemm_run.hpp, convolution) know blocking, packing,
// threads and epilogues and no ISA; a leaf knows how a few lhs rows meet one panel of weight columns.
//
//   rows[0] ─┐ + taps[t]          panel: [tap][step][tile][group of depths][columns of a tile][group] s8
//   rows[1] ─┤ ─── block ───>     acc[live_rows][columns] s32, dense:  sum over taps, depths of lhs * weight
//   rows[i] ─┘                                                                        modulo 2^32
//
// A product of matrices has one tap at offset 0. A convolution has one tap per kernel element: its row pointers are the
// pixels of the padded image, so the accumulators stay in registers over all taps and no im2col is needed.
// What the lhs bytes mean is the leaf's `form`; `prepare` makes it. Where the codes already are of that form, the nest
// gives the caller's own rows. A row is read in whole steps (`layout.depth` depths): the nest copies rows that end
// within one. Zero points: form s16_centred has none left; otherwise the panel's bias carries -zero_point * column sum.
//
// A leaf's functions are compiled with its ISA's flags, see nothing but pointers and sizes, and use no inline function
// of another header that could be merged with a baseline copy at link time. Rounding mode and denormals are standard
// when they run. Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "quantal/num/fixed_point.hpp"
#include "quantal/quant/requant.hpp"
#include "quantal/tensor/dtype.hpp"

namespace quantal {

// How packed weights lie. Byte (d, c) of a panel, d < k rounded up to `depth`, c < columns:
//   [d / depth][c / tile_columns][d % depth / group][c % tile_columns][d % group]
// Vector leaves have one tile (tile_columns = columns, depth = group); AMX tiles are 64 depths of 16 columns.
struct panel_layout {
  uint32_t id = 0;  // stored in the packed weights: they run only on leaves with this id
  int32_t columns = 0;
  int32_t tile_columns = 0;
  int32_t group = 0;
  int32_t depth = 0;  // of a step: k is padded to whole steps with zero weights
};

enum class lhs_form : int32_t {
  s16_centred,  // s16: code minus zero point
  u8,           // u8 codes; s8 codes are flipped (xor 0x80), their zero point is then 128 more
  s8,           // s8 codes; u8 codes are flipped, their zero point is then 128 less
  codes,        // either, as they are; block_args says which
  u8_nibbles,   // u8 as above, each group of 4 as 4 high and 4 low nibbles: 2 bytes per code
};

struct store_args;

struct block_args {
  const void* const* rows = nullptr;  // live_rows pointers, any alignment
  int64_t row_step = 0;               // bytes from each row to the next, if always the same; else 0
  const int64_t* taps = nullptr;      // bytes added to every row pointer
  int32_t tap_count = 0;
  int32_t panels = 1;  // 1 .. panels of the leaf
  int64_t steps = 0;   // of each tap; 0: nothing is added
  const void* panel = nullptr;
  int64_t panel_step = 0;     // bytes from each panel to the next
  int32_t live_rows = 0;      // 1 .. rows
  int32_t live_columns = 0;   // 1 .. columns, of the last panel; the accumulators of others need not be formed
  bool lhs_unsigned = false;  // form codes: u8
  bool accumulate = false;    // acc += instead of acc =
  int32_t begun = 0;          // what begin was told
  int32_t* acc = nullptr;     // [panels][live_rows][columns]
  // A finished block to be stored meanwhile (leaves with `overlaps`); null: none.
  const store_args* pending = nullptr;
};

// One finished block on its way out. acc + bias wraps; the rest is quant/requant.hpp, in this order (ref/gemm.hpp):
//   8-bit out   x = f32(acc + bias) * ratio; with a residual x += f32(code - residual_zero_point) * residual_ratio;
//               clamp x to [low, high]; ties to even; + zero_point
//   f32 out     x = f32(acc + bias) * ratio, or * (row_scale * ratio); + real_bias; low if x < low, high if x > high,
//               else x (NaN and -0 stay: maxps and minps with x as the second operand)
//   s32 out     acc + bias
struct store_args {
  const int32_t* acc = nullptr;  // [panels][rows][columns], zero points corrected
  int32_t rows = 0;
  int32_t panels = 1;        // 1 .. panels of the leaf
  int64_t panel_step = 0;    // bytes from the parts of each of them to those of the next
  int32_t live_columns = 0;  // of the last panel
  dtype type = dtype::none;
  void* out = nullptr;     // element (row 0, column 0)
  int64_t out_stride = 0;  // elements
  // Of the panel's columns:
  const int32_t* bias = nullptr;
  const float* ratio = nullptr;
  const fixed_multiplier* multiplier = nullptr;
  // 8-bit out:
  contract rule = contract::fp32_rne;
  int32_t zero_point = 0;
  code_limits codes;
  float low = 0, high = 0;         // codes.min - zero_point, codes.max - zero_point; f32 out: the clamp itself
  const void* residual = nullptr;  // as out: element (row 0, column 0); null: none
  int64_t residual_stride = 0;
  dtype residual_type = dtype::none;
  int32_t residual_zero_point = 0;
  float residual_ratio = 0;
  fixed_multiplier residual_multiplier;
  // f32 out; either may be null:
  const float* row_scale = nullptr;  // of the rows
  const float* real_bias = nullptr;  // of the columns
};

// `a`, with one panel: on to the next. (Inlined everywhere: leaves of every ISA use it.)
[[gnu::always_inline]] inline void next_panel(store_args& a, int32_t columns) noexcept {
  a.bias += a.panel_step / 4;
  a.ratio += a.panel_step / 4;
  a.multiplier += a.panel_step / 8;
  if (a.real_bias != nullptr) a.real_bias += a.panel_step / 4;
  a.acc += a.rows * columns;
  const bool codes = a.type == dtype::u8 || a.type == dtype::s8;
  a.out = static_cast<uint8_t*>(a.out) + (codes ? columns : 4 * columns);
  if (a.residual != nullptr) a.residual = static_cast<const uint8_t*>(a.residual) + columns;
}

struct pack_args {
  const uint8_t* codes = nullptr;  // element (d, c) at d * row_stride + c * column_stride
  int64_t row_stride = 0, column_stride = 0;
  int64_t k = 0;
  int32_t panels = 1;
  int64_t panel_step = 0;    // bytes from out and column_sums of each panel to those of the next
  int32_t live_columns = 0;  // of the last panel
  uint8_t flip = 0;          // 0x80: u8 weights become s8
  void* out = nullptr;
  int32_t* column_sums = nullptr;  // of the stored s8 weights, += for all live columns
};

struct gemm_leaf {
  const char* isa = nullptr;
  panel_layout layout;
  int32_t rows = 0;           // of a block
  int32_t register_rows = 0;  // a block takes its rows in groups of at most so many, as even as possible; 0: all
  int32_t half_columns = 0;   // a block of at most so many live columns costs about half; 0: all cost the same
  int32_t panels = 1;         // neighbours that block and store take at once, where no depth is cut
  lhs_form form = lhs_form::u8;

  // One row of k codes -> the form, [k, padded_k) zero. s16_centred subtracts the zero point, u8 and s8 flip the other
  // sign, codes copies. `out` has 64 bytes more than the row.
  void (*prepare)(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded_k,
                  void* out) noexcept = nullptr;
  // Sum of k codes; null: the nest adds them itself.
  int32_t (*sum)(const void* codes, bool is_unsigned, int64_t k) noexcept = nullptr;
  // Packs whole panels (padding included); null: the nest does it byte by byte.
  void (*pack)(const pack_args& a) noexcept = nullptr;

  void (*block)(const block_args& a) noexcept = nullptr;
  // Leaves that multiply wider weights than they store: `steps` steps of a panel -> the wide form in L1, which
  // block_wide reads when enough row blocks share it. Null: none.
  void (*widen)(const void* panel, int64_t steps, void* out) noexcept = nullptr;
  void (*block_wide)(const block_args& a) noexcept = nullptr;
  // block, with one tap, that does what `widen` does on the way.
  void (*block_widening)(const block_args& a, void* out) noexcept = nullptr;
  int32_t wide_bytes = 0;  // of one step
  int32_t wide_from = 0;   // rows: with fewer, widening a panel does not pay

  // Writes a block; false, with nothing written, for what it has no fast form of (store_block of gemm_epilogue.hpp
  // then has). It decides by type, rule and residual_type alone; with rows = 0 it only answers.
  bool (*store)(const store_args& a) noexcept = nullptr;

  // A leaf of the same layout for products of at most few_rows_limit rows; null: none.
  const gemm_leaf* few_rows = nullptr;
  int32_t few_rows_limit = 0;

  // Around each task, on its thread (AMX: tile configuration). Null: nothing. `rows`: all blocks up to the next begin
  // or end have exactly so many (block_args.begun says it again); 0: any.
  void (*begin)(int32_t rows) noexcept = nullptr;
  void (*end)() noexcept = nullptr;
  bool overlaps = false;      // block runs `pending`, which `store` has accepted
  bool whole_blocks = false;  // fewer rows do not cost less: blocks are cut whole, the rest is one block, begun anew
  int32_t chunk_steps = 0;    // of a panel that stays in L1 while blocks of rows meet it; 0: any
};

// Bytes of one prepared lhs element.
constexpr int64_t lhs_bytes(const gemm_leaf& leaf) noexcept {
  return leaf.form == lhs_form::s16_centred || leaf.form == lhs_form::u8_nibbles ? 2 : 1;
}

// Rows that a block keeps in registers at once.
constexpr int32_t register_rows(const gemm_leaf& leaf) noexcept {
  return leaf.register_rows == 0 ? leaf.rows : leaf.register_rows;
}

// May codes of this sign be read in place?
constexpr bool reads_in_place(const gemm_leaf& leaf, dtype lhs) noexcept {
  if (leaf.form == lhs_form::u8_nibbles) return false;
  return leaf.form == lhs_form::codes || leaf.form == (lhs == dtype::u8 ? lhs_form::u8 : lhs_form::s8);
}

// The zero point of the form that `prepare` makes.
constexpr int32_t prepared_zero_point(const gemm_leaf& leaf, dtype lhs, int32_t zero_point) noexcept {
  switch (leaf.form) {
    case lhs_form::s16_centred: return 0;
    case lhs_form::u8:
    case lhs_form::u8_nibbles: return lhs == dtype::s8 ? zero_point + 128 : zero_point;
    case lhs_form::s8: return lhs == dtype::u8 ? zero_point - 128 : zero_point;
    case lhs_form::codes: return zero_point;
  }
  return zero_point;
}

// Offset of byte (d, c) in a panel.
constexpr int64_t panel_offset(const panel_layout& l, int64_t d, int32_t c) noexcept {
  return d / l.depth * l.depth * l.columns + c / l.tile_columns * l.depth * l.tile_columns +
         d % l.depth / l.group * l.tile_columns * l.group + c % l.tile_columns * l.group + d % l.group;
}

// The leaves of the library, best last: those this CPU can run (AMX only where QUANTAL_ISA allows it: asking Linux for
// tiles is felt by the whole process). By name: that ISA's, or its nearest ancestor's where it has none of its own (null:
// unknown, not compiled, or this CPU cannot); a name goes past QUANTAL_ISA. Host only; a header-only user has
// native_gemm_leaf() of native.hpp.
const gemm_leaf* const* gemm_leaves(size_t& count) noexcept;
const gemm_leaf* gemm_leaf_of(const char* isa) noexcept;
const gemm_leaf& best_gemm_leaf() noexcept;
// The same for one product, where AMX takes only what pays on it: more than 6 rows, 64 depths or more, 64^3 products of
// codes or more; the rest is its parent's. Packed weights of the two differ: for products of many sizes with the same
// weights take best_gemm_leaf(), or one by name.
struct gemm_shape;
const gemm_leaf& best_gemm_leaf(const gemm_shape& shape) noexcept;
bool amx_pays(const gemm_shape& shape) noexcept;

}  // namespace quantal
