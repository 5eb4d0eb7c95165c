// What an ISA supplies for the matrix product. The loop nest (kernels/gemm.hpp) knows blocking, packing, threads and
// epilogues and no ISA; a leaf knows how `rows` lhs rows meet one panel of `columns` weight columns.
//
//   weights, packed once        panels of `columns` columns; inside, `group` consecutive depths of a column lie
//   together:
//                               [k / group][columns][group] bytes, s8, zero-filled to a whole group
//   lhs, widened per row block  [rows][k] in the type the leaf multiplies, zero point already subtracted where it can
//   be block                       acc[rows][columns] s32, dense
//
// A leaf's functions are compiled with its ISA's flags, see nothing but pointers and sizes, and use no inline function
// of another header that could be merged with a baseline copy at link time. Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace quantal {

// Parameters of the epilogue for one panel: arrays of `columns` entries.
struct panel_epilogue {
  const int32_t* bias = nullptr;
  const float* ratio = nullptr;
  float low = 0, high = 0;  // clamp before the zero point is added: lowest - zp, highest - zp
  int32_t zero_point = 0;
};

struct gemm_leaf {
  const char* isa = nullptr;
  uint32_t layout = 0;  // stored in the packed weights: a blob runs only on leaves with this layout
  int32_t rows = 0;     // of a block
  int32_t columns = 0;
  int32_t group = 0;      // depths that lie together
  int32_t lhs_bytes = 0;  // bytes of one widened lhs element

  // One row of k codes -> widened, minus the zero point; elements [k, padded_k) become 0.
  void (*widen_lhs)(const void* codes, bool is_unsigned, int32_t zero_point, int64_t k, int64_t padded_k,
                    void* out) = nullptr;
  // A packed panel -> the form `block` reads from L1; null: block reads the panel as it is.
  void (*widen_panel)(const int8_t* panel, int64_t groups, void* out) = nullptr;
  int32_t panel_bytes = 0;  // bytes of one widened group of a panel (columns * group * element)
  // acc[live_rows][columns] = or += lhs x panel. lhs_stride in bytes. `panel` is widened (block) or packed
  // (block_packed).
  void (*block)(const void* lhs, int64_t lhs_stride, const void* panel, int64_t groups, int32_t live_rows,
                bool accumulate, int32_t* acc) = nullptr;
  void (*block_packed)(const void* lhs, int64_t lhs_stride, const int8_t* panel, int64_t groups, int32_t live_rows,
                       bool accumulate, int32_t* acc) = nullptr;
  // Epilogues for `live_columns` of acc's columns, row by row; `row_terms` (one s32 per row, may be null) is subtracted
  // first.
  void (*store_u8)(const int32_t* acc, const panel_epilogue& e, int32_t live_rows, int32_t live_columns, void* out,
                   int64_t out_stride) = nullptr;
  void (*store_s8)(const int32_t* acc, const panel_epilogue& e, int32_t live_rows, int32_t live_columns, void* out,
                   int64_t out_stride) = nullptr;
};

}  // namespace quantal
