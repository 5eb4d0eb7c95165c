// Presets: the arithmetic of the established tools, as rows of one table. Data, no code.
//
// All tools compute scale = (max - min) / (qmax - qmin); their results differ in the last bit (and by one in the zero
// point) because they disagree about what this table's columns say. Example: [-2, 2] in s8 gives zero point 0 in
// float64 (-128 + 127.5 = -0.5, tie to even) and -1 in torch's float32 (2 / 0.015686275 rounds to 127.49999...).
// Sources: ONNX Runtime 1.31 quant_utils.py; torch.ao.quantization.observer; TFLite quantization_util.h; TensorRT
// developer guide; ai8x-training / ai8x-synthesis quantize.py. Freestanding.
#pragma once
#include "quantal/base/bits.hpp"
#include "quantal/tensor/dtype.hpp"

namespace quantal {

enum class precision : uint8_t { f64, f32 };

// What divides the largest magnitude in symmetric mode.
enum class symmetric_divisor : uint8_t {
  half_span,     // (qmax - qmin) / 2: 127 for narrow s8, 127.5 for full s8
  highest_code,  // qmax
  lowest_code,   // -qmin: 128 for s8, so that a power of two stays one
};

// Which end of the range the affine zero point is computed from.
enum class zero_point_from : uint8_t {
  min,          // round(qmin - min / scale)
  nearest_end,  // from the end with the smaller rounding error (TFLite's "nudging")
};

enum class nan_policy : uint8_t {
  zero_point,  // NaN becomes the code of 0.0
  lowest,      // NaN becomes the lowest code (ONNX Runtime, torch)
  error,       // status::nan_value, nothing is written
};

struct preset_row {
  const char* name;
  const char* tool;
  // Scale and zero point.
  precision arithmetic;
  symmetric_divisor divisor;
  bool narrow_symmetric;      // symmetric signed codes leave out the lowest: [-127, 127]
  bool reduced_includes_top;  // reduced range of s8 is [-64, 64]; otherwise [-64, 63]
  zero_point_from zero_point_end;
  rounding zero_point_rounding;
  float minimum_scale;  // smaller scales are raised to it; 0: a range too small for a normal f32 gives scale 1, zero
                        // point 0
  bool power_of_two;
  // Values.
  rounding value_rounding;
  bool reciprocal;  // x * (1 / scale) instead of x / scale: differs by one on rare ties
  nan_policy nan;
  // What the tool does unless told otherwise.
  dtype activation_type;
  bool activation_symmetric;
  dtype weight_type;
  bool weight_symmetric;
  bool per_channel;  // weights
  const char* activation_observer;
  const char* weight_observer;
  const char* operators;  // what it quantizes, ONNX names; "" : the recipe's
};

inline constexpr preset_row presets[] = {
    {"quantal",
     "Quantal's own recipe",
     precision::f64,
     symmetric_divisor::half_span,
     true,
     true,
     zero_point_from::min,
     rounding::half_even,
     0.0f,
     false,
     rounding::half_even,
     false,
     nan_policy::zero_point,
     dtype::u8,
     false,
     dtype::s8,
     true,
     false,
     "minmax",
     "minmax",
     ""},
    {"onnxruntime",
     "ONNX Runtime quantize_static",
     precision::f64,
     symmetric_divisor::half_span,
     true,
     true,
     zero_point_from::min,
     rounding::half_even,
     0.0f,
     false,
     rounding::half_even,
     false,
     nan_policy::lowest,
     dtype::s8,
     false,
     dtype::s8,
     true,
     false,
     "minmax",
     "minmax",
     "Conv ConvTranspose Gemm MatMul Gather Add Mul Relu Clip LeakyRelu Sigmoid MaxPool AveragePool GlobalAveragePool "
     "Concat Split Pad Reshape Transpose Squeeze Unsqueeze Resize Softmax Where ArgMax EmbedLayerNormalization"},
    {"torch",
     "torch.ao.quantization (fbgemm/x86 qconfig)",
     precision::f32,
     symmetric_divisor::half_span,
     false,
     false,
     zero_point_from::min,
     rounding::half_even,
     1.1920929e-07f,
     false,
     rounding::half_even,
     true,
     nan_policy::lowest,
     dtype::u8,
     false,
     dtype::s8,
     true,
     true,
     "histogram",
     "minmax",
     "Conv ConvTranspose Gemm MatMul LSTM GRU Add Mul Concat Relu"},
    {"tflite",
     "TensorFlow Lite converter, 8-bit specification",
     precision::f64,
     symmetric_divisor::half_span,
     true,
     true,
     zero_point_from::nearest_end,
     rounding::half_away,
     0.0f,
     false,
     rounding::half_away,
     false,
     nan_policy::zero_point,
     dtype::s8,
     false,
     dtype::s8,
     true,
     true,
     "minmax",
     "minmax",
     "Conv ConvTranspose Gemm MatMul Add Mul Sub Concat Relu Clip Sigmoid Tanh Softmax AveragePool MaxPool Pad Reshape "
     "Transpose "
     "Resize Gather Slice Split Squeeze"},
    {"tensorrt",
     "TensorRT implicit and explicit int8",
     precision::f32,
     symmetric_divisor::highest_code,
     false,
     true,
     zero_point_from::min,
     rounding::half_even,
     0.0f,
     false,
     rounding::half_even,
     false,
     nan_policy::zero_point,
     dtype::s8,
     true,
     dtype::s8,
     true,
     true,
     "entropy",
     "minmax",
     "Conv ConvTranspose Gemm MatMul Add AveragePool MaxPool"},
    {"ai8x",
     "ai8x quantize.py (MAX78000, MAX78002)",
     precision::f32,
     symmetric_divisor::lowest_code,
     false,
     false,
     zero_point_from::min,
     rounding::half_up,
     0.0f,
     true,
     rounding::half_up,
     false,
     nan_policy::zero_point,
     dtype::s8,
     true,
     dtype::s8,
     true,
     false,
     "qat_shift",
     "qat_shift",
     "Conv ConvTranspose Gemm"},
};

// The row of that name; nullptr if there is none. Names are case-insensitive.
constexpr const preset_row* find_preset(const char* name) noexcept {
  if (name == nullptr) return nullptr;
  for (const preset_row& row : presets) {
    size_t i = 0;
    for (; row.name[i] != 0; ++i) {
      const char c = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + 32) : name[i];
      if (c != row.name[i]) break;
    }
    if (row.name[i] == 0 && name[i] == 0) return &row;
  }
  return nullptr;
}

}  // namespace quantal
