// Quantization of each row by its own range, at run time: what dynamic_int8 does to the left side of a product.
//
//   u8  range widened to contain 0; scale = (max - min) / 255; zero_point = clamp(round(0 - min / scale))
//       (ONNX DynamicQuantizeLinear, in f32)
//   s8  scale = max |x| / 127; zero_point = 0; codes in [-127, 127]
//
// A row of zeros has scale 1. A scale below the smallest normal becomes it. NaN takes no part in the range and becomes
// the zero point; infinities count as the largest finite number and saturate. The row is read twice while it lies in L1
// and its sum of codes falls out: a product with a weight zero point needs it. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/elementwise.hpp"

namespace quantal {

namespace detail {

constexpr float finite_part(float x) noexcept {
  constexpr float largest = 0x1.fffffep127f;
  return x > largest ? largest : x < -largest ? -largest : x;
}

// Scale of a range that contains 0; `steps` codes cover it. Halved where the width would overflow.
constexpr float row_scale(float low, float high, float steps) noexcept {
  const float width = fence(high - low);
  float scale = fence(width / steps);
  if (!is_finite(width)) scale = fence(fence(high * 0.5f - low * 0.5f) / (steps * 0.5f));
  if (scale == 0.0f && low == high) return 1.0f;
  return scale < 0x1p-126f ? 0x1p-126f : scale;
}

}  // namespace detail

// Parameters of one row from its extremes. The floating-point mode is set by who calls it.
[[gnu::noinline]] inline quant_params row_params(min_max range, dtype type) noexcept {
  if (range.min > range.max) return {};  // nothing but NaN
  const float low = detail::finite_part(range.min < 0 ? range.min : 0.0f);
  const float high = detail::finite_part(range.max > 0 ? range.max : 0.0f);
  if (type == dtype::s8) {
    const float most = high > -low ? high : -low;
    return {detail::row_scale(0.0f, most, 127.0f), 0};
  }
  const float scale = detail::row_scale(low, high, 255.0f);
  const int32_t zero = round_to_int(fence(0.0f - fence(low / scale)));
  return {scale, zero < 0 ? 0 : zero > 255 ? 255 : zero};
}

// x[rows, k] (row stride in elements) -> codes[rows, k] (their own stride), params and sums of codes (each may be null)
// per row. Type u8 or s8. Errors: dtype, shape, stride, overflow (k above 2^23: sums), null_pointer.
inline status quantize_rows(const elementwise_table& table, const float* x, int64_t rows, int64_t k, int64_t x_stride,
                            dtype type, void* codes, int64_t codes_stride, quant_params* params,
                            int32_t* sums) noexcept {
  if (type != dtype::u8 && type != dtype::s8) return status::dtype;
  if (rows < 0 || k < 0) return status::shape;
  if (x_stride < k || codes_stride < k) return status::stride;
  if (k > int64_t{1} << 23) return status::overflow;
  if (rows == 0) return status::ok;
  if (params == nullptr || (k > 0 && (x == nullptr || codes == nullptr))) return status::null_pointer;
  const auto batch_of = [&]<class Code>(Code* to) noexcept {
    return row_batch<Code>{x,
                           static_cast<size_t>(rows),
                           static_cast<size_t>(k),
                           static_cast<size_t>(x_stride),
                           static_cast<size_t>(codes_stride),
                           to,
                           params,
                           sums};
  };
  if (type == dtype::u8)
    table.quantize_rows_u8(batch_of(static_cast<uint8_t*>(codes)), row_params);
  else
    table.quantize_rows_s8(batch_of(static_cast<int8_t*>(codes)), row_params);
  return status::ok;
}

}  // namespace quantal
