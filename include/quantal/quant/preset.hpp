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

// What a row does not say is Quantal's own recipe.
struct preset_row {
  const char* name;
  const char* tool;
  // Scale and zero point.
  precision arithmetic = precision::f64;
  symmetric_divisor divisor = symmetric_divisor::half_span;
  bool narrow_symmetric = true;      // symmetric signed codes leave out the lowest: [-127, 127]
  bool reduced_includes_top = true;  // reduced range of s8 is [-64, 64]; otherwise [-64, 63]
  zero_point_from zero_point_end = zero_point_from::min;
  rounding zero_point_rounding = rounding::half_even;
  float minimum_scale = 0;  // smaller scales are raised to it; 0: a range too small for a normal f32 gives scale 1,
                            // zero point 0
  bool power_of_two = false;
  // Values.
  rounding value_rounding = rounding::half_even;
  bool reciprocal = false;  // x * (1 / scale) instead of x / scale: differs by one on rare ties
  nan_policy nan = nan_policy::zero_point;
  // What the tool does unless told otherwise.
  dtype activation_type = dtype::u8;
  bool activation_symmetric = false;
  dtype weight_type = dtype::s8;
  bool weight_symmetric = true;
  bool per_channel = false;  // weights
  const char* activation_observer = "minmax";
  const char* weight_observer = "minmax";
  const char* operators = "";  // what it quantizes, ONNX names; "": the recipe's
};

inline constexpr preset_row presets[] = {
    {.name = "quantal", .tool = "Quantal's own recipe"},
    {.name = "onnxruntime",
     .tool = "ONNX Runtime quantize_static",
     .nan = nan_policy::lowest,
     .activation_type = dtype::s8,
     .operators = "Conv ConvTranspose Gemm MatMul Gather Add Mul Relu Clip LeakyRelu Sigmoid MaxPool AveragePool "
                  "GlobalAveragePool Concat Split Pad Reshape Transpose Squeeze Unsqueeze Resize Softmax Where ArgMax "
                  "EmbedLayerNormalization"},
    {.name = "torch",
     .tool = "torch.ao.quantization (fbgemm/x86 qconfig)",
     .arithmetic = precision::f32,
     .narrow_symmetric = false,
     .reduced_includes_top = false,
     .minimum_scale = 1.1920929e-07f,
     .reciprocal = true,
     .nan = nan_policy::lowest,
     .per_channel = true,
     .activation_observer = "histogram",
     .operators = "Conv ConvTranspose Gemm MatMul LSTM GRU Add Mul Concat Relu"},
    {.name = "tflite",
     .tool = "TensorFlow Lite converter, 8-bit specification",
     .zero_point_end = zero_point_from::nearest_end,
     .zero_point_rounding = rounding::half_away,
     .value_rounding = rounding::half_away,
     .activation_type = dtype::s8,
     .per_channel = true,
     .operators =
         "Conv ConvTranspose Gemm MatMul Add Mul Sub Concat Relu Clip Sigmoid Tanh Softmax AveragePool MaxPool Pad "
         "Reshape Transpose Resize Gather Slice Split Squeeze"},
    {.name = "tensorrt",
     .tool = "TensorRT implicit and explicit int8",
     .arithmetic = precision::f32,
     .divisor = symmetric_divisor::highest_code,
     .narrow_symmetric = false,
     .activation_type = dtype::s8,
     .activation_symmetric = true,
     .per_channel = true,
     .activation_observer = "entropy",
     .operators = "Conv ConvTranspose Gemm MatMul Add AveragePool MaxPool"},
    {.name = "ai8x",
     .tool = "ai8x quantize.py (MAX78000, MAX78002)",
     .arithmetic = precision::f32,
     .divisor = symmetric_divisor::lowest_code,
     .narrow_symmetric = false,
     .reduced_includes_top = false,
     .zero_point_rounding = rounding::half_up,
     .power_of_two = true,
     .value_rounding = rounding::half_up,
     .activation_type = dtype::s8,
     .activation_symmetric = true,
     .activation_observer = "qat_shift",
     .weight_observer = "qat_shift",
     .operators = "Conv ConvTranspose Gemm"},
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
