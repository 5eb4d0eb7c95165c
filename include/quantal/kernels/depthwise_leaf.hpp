// What an ISA supplies for depthwise convolution. A dot product of the kernels' instructions adds two s16 or four 8-bit
// products of one 32-bit word, so rows of the image are interleaved: a word holds one channel of one pixel column in
// `unit_rows` consecutive rows, and a unit is a whole row of such words.
//
//   image rows r, r+1 (s16)            unit j:  [pixel][channel]{row r, row r+1}          r = j * unit_step
//   weights of a tap                            [channel]{w[ky], w[ky+1]}  or {0, w[0]}, {w[2], 0} at the window's ends
//
// One load and one instruction then serve two (four) vertical taps of a vector of channels, and each image row is
// interleaved once for all output rows that see it. The nest (kernels/depthwise.hpp) keeps the few units that an output
// row needs in L1, pads them, and tells the leaf where they are.
//
// A `plain` leaf does 3 x 3 windows of stride 2 from rows of codes: a unit is one padded row, copied only, and the leaf
// makes the pairs in registers. Its words of weights:  {w00 w10} {w01 w11} {w02 w12} | {w20 w21} {w22 0}. Freestanding.
#pragma once
#include "quantal/kernels/gemm_leaf.hpp"

namespace quantal {

inline constexpr int32_t max_unit_rows = 4;

inline constexpr int32_t plain_words = 5;  // of a plain leaf's weights

struct interleave_args {
  const uint8_t* rows[max_unit_rows] = {};  // first pixel's codes of each row, `channels` readable at every pixel
  int64_t steps[max_unit_rows] = {};        // bytes from pixel to pixel; 0: one pixel repeated
  int64_t pixels = 0;
  bool is_unsigned = false;
  int32_t zero_point = 0;  // subtracted by form s16_centred
  void* out = nullptr;     // [pixel][channels] words
  // A plain leaf: how many codes of rows[0] to copy at each pixel, and how far apart.
  int64_t codes = 0, out_step = 0;
};

// One output row of one channel block. Arrays of channels are in word order (word_of).
struct depthwise_row {
  const uint8_t* const* units = nullptr;  // the words of the window's first column, for each unit it needs
  int32_t unit_count = 0;
  int64_t kernel_w = 0;
  int64_t tap_step = 0;    // bytes between the words of neighbouring kernel columns
  int64_t pixel_step = 0;  // and of neighbouring output pixels
  int64_t pixels = 0;
  const uint8_t* weights = nullptr;  // [unit][kernel column][channels] words
  const int32_t* bias = nullptr;
  const float* ratio = nullptr;
  bool wide_ratio = false;  // some ratio is >= 1: a product may exceed s32
  int32_t zero_point = 0;
  code_limits codes;
  bool out_unsigned = false;
  void* out = nullptr;     // codes: pixel 0, all channels written; sums: s32 [pixel][channels] in word order
  int64_t out_stride = 0;  // codes: bytes from pixel to pixel
};

struct depthwise_leaf {
  const char* isa = nullptr;
  uint32_t layout = 0;                    // stored in the packed weights
  int32_t vectors = 0, lanes = 0;         // of a block: channels = 4 * vectors * lanes
  int32_t unit_rows = 0, unit_step = 0;   // image rows in a unit; from one unit to the next
  lhs_form form = lhs_form::s16_centred;  // not `codes`

  void (*interleave)(const interleave_args& a) noexcept = nullptr;
  void (*codes)(const depthwise_row& a) noexcept = nullptr;  // contract fp32_rne, u8 or s8 out
  void (*sums)(const depthwise_row& a) noexcept = nullptr;   // without bias

  bool plain = false;                         // see above; unit_rows and unit_step are 1
  const depthwise_leaf* plain_3x3 = nullptr;  // takes 3 x 3 windows of horizontal stride 2
};

constexpr bool is_plain_window(int64_t kernel_h, int64_t kernel_w, int64_t dilation_w, int64_t stride_w) noexcept {
  return kernel_h == 3 && kernel_w == 3 && dilation_w == 1 && stride_w == 2;
}

// Weights of any zero point? Others need theirs in the middle.
constexpr bool holds_wide_weights(const depthwise_leaf& leaf) noexcept {
  return leaf.plain || leaf.form == lhs_form::s16_centred;
}
// Bytes of a channel in a unit's pixel.
constexpr int64_t unit_element(const depthwise_leaf& leaf) noexcept {
  return leaf.plain ? 1 : 4;
}

constexpr int32_t channels_of(const depthwise_leaf& leaf) noexcept {
  return 4 * leaf.vectors * leaf.lanes;
}

// Vectors are unpacked and packed within 128-bit lanes; this is the order in which no permutation is needed: lane l of
// vector j holds the channels 4 * (l * vectors + j) ... + 3.
constexpr int32_t word_of(const depthwise_leaf& leaf, int32_t channel) noexcept {
  const int32_t quad = channel / 4;
  return (quad % leaf.vectors * leaf.lanes + quad / leaf.vectors) * 4 + channel % 4;
}

// The leaves this CPU can run, best last; that of an ISA by name, or its nearest ancestor's (null: unknown, not compiled,
// or this CPU cannot). Host only.
const depthwise_leaf* const* depthwise_leaves(size_t& count) noexcept;
const depthwise_leaf* depthwise_leaf_of(const char* isa) noexcept;
// The best one; `wide_weights`: one that holds weights of any zero point (plan_depthwise answers `unsupported` else).
const depthwise_leaf& best_depthwise_leaf(bool wide_weights = false) noexcept;

}  // namespace quantal
