// The list of operator files. One function per file in src/ops/ gives that file's entries; adding a file is one
// declaration here and one line in the list of src/ops/all.cpp. Lookups go through ops::find (op.hpp).
#pragma once
#include <span>

#include "quantal/ops/op.hpp"

namespace quantal::ops {

using op_list = std::span<const op_def>;

// ---- element-wise, data movement, reductions, control flow ----
op_list arithmetic_ops();  // Add Sub Mul Div Pow Mod Max Min Sum Mean, bits, PRelu
op_list compare_ops();     // Equal Less Greater And Or Xor Not Where IsNaN IsInf
op_list unary_ops();       // Abs Exp Log Sqrt, trigonometry, activations, Clip
op_list cast_ops();        // Cast CastLike BitCast
op_list reduce_ops();      // Reduce* ArgMax ArgMin
op_list scan_ops();        // CumSum CumProd Hardmax Trilu
op_list reshape_ops();     // Reshape Flatten Squeeze Unsqueeze Identity Dropout Shape Size
op_list constant_ops();    // Constant ConstantOfShape EyeLike Range OneHot, windows
op_list move_ops();        // Transpose Concat Expand Tile DepthToSpace SpaceToDepth ReverseSequence
op_list slice_ops();       // Split Slice
op_list pad_ops();         // Pad CenterCropPad
op_list gather_ops();      // Gather GatherElements GatherND Scatter* Compress TensorScatter
op_list select_ops();      // TopK NonZero Unique NonMaxSuppression
op_list control_ops();     // If Loop Scan
op_list einsum_ops();      // Einsum Det
op_list vision_ops();      // GridSample AffineGrid
op_list roi_ops();         // RoiAlign MaxRoiPool
op_list unpool_ops();      // Col2Im MaxUnpool
op_list attention_ops();   // Attention RotaryEmbedding

// ---- multiply-accumulate, pooling, normalisation, recurrence, quantized forms ----
op_list conv_ops();             // Conv ConvTranspose
op_list matmul_ops();           // MatMul Gemm
op_list normalization_ops();    // Batch- Instance- Group- Layer- RMSNormalization LRN LpNormalization
op_list pool_ops();             // MaxPool AveragePool LpPool and the global ones
op_list quantize_linear_ops();  // QuantizeLinear DequantizeLinear DynamicQuantizeLinear
op_list quantized_ops();        // ConvInteger QLinearConv MatMulInteger QLinearMatMul
op_list recurrent_ops();        // LSTM GRU RNN
op_list resize_ops();           // Resize Upsample
op_list softmax_ops();          // Softmax LogSoftmax

}  // namespace quantal::ops
