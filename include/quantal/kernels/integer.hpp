// Elementwise kernels of an integer network: 8-bit codes (and s32 sums) in, 8-bit codes out. One table of functions per
// ISA, all equal to ref/integer.hpp bit for bit.
//
//   rescale    out = clamp(round((a - za) * ratio) + zp)                     another scale, zero point or sign
//   add        out = clamp(round((a - za) * ratio + (b - zb) * other) + zp)  two products, one sum, each rounded to f32
//   multiply   out = clamp(round((a - za) * (b - zb) * ratio) + zp)          the product of codes is exact
//   mean       out = clamp(round(sum over the taps of (a - za) * ratio) + zp)      ratio has 1 / count in it
//   requantize s32 -> codes, quant/requant.hpp
//
// round is that of the contract (quant/requant.hpp); a fused ReLU is the clamp. Under the fixed contracts add adds two
// rounded products, as the residual of ref/epilogue.hpp. Parameters were checked by the caller (check_run): kernels cannot fail. Freestanding, apart from
// integer_kernels().
#pragma once
#include "quantal/quant/requant.hpp"

namespace quantal {

// What rescale, add, multiply and mean do. ratio and multiplier say the same number for their contracts.
struct codes_run {
  contract rule = contract::fp32_rne;
  int32_t a_zero_point = 0, b_zero_point = 0;
  float ratio = 1, other_ratio = 1;
  fixed_multiplier multiplier, other_multiplier;
  int32_t zero_point = 0;
  code_limits codes;  // allowed codes, within the type
};

// The pixels under a pooling window, a rectangle of `rows` x `columns` runs of `channels` codes, and under the windows
// of the next pixels of that row; steps in elements.
template <class Code>
struct window_taps {
  const Code* first = nullptr;
  int64_t rows = 0, row_step = 0, columns = 0, column_step = 0, channels = 0;
  int64_t pixels = 1, pixel_step = 0;
};

struct integer_table {
  const char* isa;
  // sums[rows, channels] (+ bias[channels], may be null), dense. fp32_rne: one ratio, or one per channel.
  void (*requantize_s8)(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels, const requantizer& r,
                        code_limits codes, int8_t* out) noexcept;
  void (*requantize_u8)(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels, const requantizer& r,
                        code_limits codes, uint8_t* out) noexcept;
  // out may be a (or b), exactly.
  void (*rescale_s8_s8)(const int8_t* a, size_t n, const codes_run& run, int8_t* out) noexcept;
  void (*rescale_s8_u8)(const int8_t* a, size_t n, const codes_run& run, uint8_t* out) noexcept;
  void (*rescale_u8_s8)(const uint8_t* a, size_t n, const codes_run& run, int8_t* out) noexcept;
  void (*rescale_u8_u8)(const uint8_t* a, size_t n, const codes_run& run, uint8_t* out) noexcept;
  void (*add_s8)(const int8_t* a, const int8_t* b, size_t n, const codes_run& run, int8_t* out) noexcept;
  void (*add_u8)(const uint8_t* a, const uint8_t* b, size_t n, const codes_run& run, uint8_t* out) noexcept;
  void (*multiply_s8)(const int8_t* a, const int8_t* b, size_t n, const codes_run& run, int8_t* out) noexcept;
  void (*multiply_u8)(const uint8_t* a, const uint8_t* b, size_t n, const codes_run& run, uint8_t* out) noexcept;
  // out[i] = table[codes[i]], 256 entries; a signed code is its byte.
  void (*look_up)(const uint8_t* codes, size_t n, const uint8_t* table, uint8_t* out) noexcept;
  // Output pixels of a pool, neighbours in a row whose windows are as large: out[pixels, channels], dense.
  void (*max_s8)(const window_taps<int8_t>& taps, int8_t* out) noexcept;
  void (*max_u8)(const window_taps<uint8_t>& taps, uint8_t* out) noexcept;
  void (*mean_s8)(const window_taps<int8_t>& taps, const codes_run& run, int8_t* out) noexcept;
  void (*mean_u8)(const window_taps<uint8_t>& taps, const codes_run& run, uint8_t* out) noexcept;
  int64_t (*sum_s8)(const int8_t* codes, size_t n) noexcept;
  int64_t (*sum_u8)(const uint8_t* codes, size_t n) noexcept;
};

// Above it two products of opposite sign could be infinite and make a NaN.
inline constexpr float max_code_ratio = 0x1p100f;

// Checks a run for inputs of type `in` and outputs of type `out`. `two` says that there is a second input. Errors:
// dtype (not u8 or s8), contract, zero_point, scale, range (ratio above max_code_ratio, multiplier, clamp).
constexpr status check_run(const codes_run& run, dtype in, dtype out, bool two) noexcept {
  code_limits from, to;
  if ((in != dtype::u8 && in != dtype::s8) || (out != dtype::u8 && out != dtype::s8)) return status::dtype;
  code_limits_of(in, from);
  code_limits_of(out, to);
  const auto inside = [](int32_t x, code_limits l) { return x >= l.min && x <= l.max; };
  if (run.rule != contract::fp32_rne && run.rule != contract::fixed_double && run.rule != contract::fixed_single)
    return status::contract;
  if (!inside(run.a_zero_point, from) || (two && !inside(run.b_zero_point, from)) || !inside(run.zero_point, to))
    return status::zero_point;
  if (run.codes.min > run.codes.max || !inside(run.codes.min, to) || !inside(run.codes.max, to)) return status::range;
  if (run.rule != contract::fp32_rne) {
    if (const status s = check_fixed_multiplier(run.multiplier); s != status::ok) return s;
    return two ? check_fixed_multiplier(run.other_multiplier) : status::ok;
  }
  const float* ratios[] = {&run.ratio, two ? &run.other_ratio : &run.ratio};
  for (const float* ratio : ratios) {
    if (!is_positive_normal_f32(load_bits(ratio))) return status::scale;
    if (bits_of_f32(*ratio) > bits_of_f32(max_code_ratio)) return status::range;
  }
  return status::ok;
}

// Fills a table for look_up: every code of `in`, dequantized, through `f` (float -> float), quantized. This is how a
// Sigmoid, HardSwish or any other function of one 8-bit tensor becomes a lookup (ONNX Runtime's QLinear kernels do the
// same). Errors: as check_params.
template <class Function>
constexpr status fill_table(dtype in, quant_params from, dtype out, quant_params to, Function&& f,
                            uint8_t (&table)[256]) noexcept {
  if ((in != dtype::u8 && in != dtype::s8) || (out != dtype::u8 && out != dtype::s8)) return status::dtype;
  if (const status s = check_params(from, in); s != status::ok) return s;
  if (const status s = check_params(to, out); s != status::ok) return s;
  code_limits codes;
  code_limits_of(out, codes);
  for (int32_t byte = 0; byte < 256; ++byte) {
    const int32_t code = in == dtype::u8 ? byte : int32_t{static_cast<int8_t>(byte)};
    table[byte] = static_cast<uint8_t>(quantize_value(f(dequantize_value(code, from)), to, codes));
  }
  return status::ok;
}

// The table of the best ISA in use, and that of any ISA that this CPU and build have (nullptr otherwise). Host only.
const integer_table& integer_kernels() noexcept;
const integer_table* integer_kernels_of(const char* isa_name) noexcept;

}  // namespace quantal
