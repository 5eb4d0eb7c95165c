// One problem, stated once for our kernel, for every peer and for the check: an integer product or convolution with
// its data, or an array to quantize, dequantize or observe.
//
// A product [m, k] x [k, n] is a 1x1 convolution of m pixels. Operands take the whole range of their type (weights
// [-127, 127], as symmetric quantization gives), because that is where saturating instructions go wrong; the ratios are
// chosen so that the outputs spread over the codes. Peers that know only signed input compute the same thing on
// input - 128 with the zero point moved by 128.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "rows.hpp"

namespace bench {

enum class kind {
  product,
  convolution,
  depthwise,
  quantize,
  dequantize,
  observe,
  requantize,
  add,
  multiply,
  look_up,
  max_pool,
  average_pool
};

struct problem {
  kind what = kind::product;
  std::string name;                                                       // of the shape
  std::int64_t height = 1, width = 1, in_channels = 0, out_channels = 0;  // batch 1; m is `width`
  std::int64_t kernel = 1, stride = 1, dilation = 1, pad = 0, groups = 1, out_height = 1, out_width = 1;
  bool unsigned_codes = false;  // input and output: u8, else s8
  std::int32_t input_zero_point = 0, output_zero_point = 0;
  array<std::uint8_t> input;   // NHWC codes
  array<std::int8_t> weights;  // [out_channels][kernel_h][kernel][in_channels / groups]
  array<std::int32_t> bias;    // [out_channels]
  array<float> ratios;         // [out_channels]: input scale * weight scale / output scale
  array<std::uint8_t> second;  // the other codes of add and multiply, the residual of a product
  std::int32_t second_zero_point = 0;
  array<std::int32_t> sums;  // of requantize
  array<float> values;       // of quantize and observe; what dequantize should give
  float scale = 0;           // of quantize and dequantize
  std::string method;        // of observe: min_max, histogram, moments

  // Images of one row have one dimension: no kernel rows but one, no padding above.
  std::int64_t kernel_h() const { return height == 1 ? 1 : kernel; }
  std::int64_t pad_h() const { return height == 1 ? 0 : pad; }
  std::int64_t window() const { return (kernel - 1) * dilation + 1; }
  std::int64_t window_h() const { return (kernel_h() - 1) * dilation + 1; }
  std::size_t outputs() const { return static_cast<std::size_t>(out_height * out_width * out_channels); }
  double operations() const;  // 1 multiply-add = 2; 0 for arrays
  double bytes() const;       // of arrays: read and written
};

using problem_ptr = std::shared_ptr<const problem>;

inline constexpr double residual_ratio = 0.5;  // of the residual of a product

// shape: "<m>x<n>x<k>".
problem_ptr make_product(const std::string& shape, bool unsigned_codes, bool residual = false);
// shape: "<n>x<h>x<w>x<ic>-<oc>-k<k>s<s>[-p<p>][-d<dilation>][-g<groups>]", batch 1; h = 1: one dimension.
problem_ptr make_convolution(const std::string& shape, bool unsigned_codes, std::int32_t input_zero_point);
// shape: number of elements; requantize: "<rows>x<channels>"; pools: as a depthwise convolution.
// Ratios: of the (first) input; add: of both.
problem_ptr make_codes(kind what, const std::string& shape);
// The sigmoid that look_up stands for: code -> code.
std::int32_t looked_up(const problem& p, std::int32_t code);
// A byte of the problem's type.
inline double code_value(const problem& p, std::uint8_t byte) {
  return p.unsigned_codes ? static_cast<double>(byte) : static_cast<double>(static_cast<std::int8_t>(byte));
}
// shape: number of elements.
problem_ptr make_array(kind what, const std::string& shape, const std::string& method = {});

struct check_result {
  long wrong = 0, checked = 0;
};
// Compares up to 20000 outputs with exact integer arithmetic (500 let a peer pass that is wrong in 0.2 % of them).
// value(i): the i-th output as a number. `pad` replaces the problem's leading padding where a peer can only pad another
// way (-1: it does not).
template <class Value>
check_result check(const problem& p, Value value, std::int64_t pad = -1);

double expected_output(const problem& p, std::size_t index, std::int64_t pad);

template <class Value>
check_result check(const problem& p, Value value, std::int64_t pad) {
  check_result r;
  const std::size_t total = p.what == kind::quantize || p.what == kind::dequantize ? p.values.size() : p.outputs();
  const std::size_t samples = total < 20000 ? total : 20000;
  const double tolerance = p.what == kind::dequantize ? 1e-5 : 1.0;
  for (std::size_t i = 0; i < samples; ++i) {
    const std::size_t at = samples == total ? i : (i * 2654435761u + i / 3) % total;
    const double d = value(at) - expected_output(p, at, pad);
    ++r.checked;
    if (!(d <= tolerance && d >= -tolerance)) ++r.wrong;
  }
  return r;
}

}  // namespace bench
