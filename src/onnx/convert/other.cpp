// The remaining changes: attributes dropped, renamed, or with another default. Source: ONNX Changelog.
#include "rewriter.hpp"

namespace quantal::onnx::convert {

namespace {

// From 7 on Y is made whenever it is named; `output_sequence` said so before.
result<void> recurrent_7(rewriter& r) {
  r.node.erase("output_sequence");
  return {};
}

result<void> scatter_11(rewriter& r) {
  r.node.op_type = "ScatterElements";
  return {};
}

// The default became half_pixel.
result<void> roi_align_16(rewriter& r) {
  if (r.node.find("coordinate_transformation_mode") == nullptr)
    r.node.set(ir::attribute("coordinate_transformation_mode", std::string("output_half_pixel")));
  return {};
}

result<void> grid_sample_20(rewriter& r) {
  const std::string mode = r.node.get_string("mode", "bilinear");
  r.node.set(ir::attribute("mode", mode == "bilinear" ? "linear" : mode == "bicubic" ? "cubic" : mode));
  return {};
}

// Scan 8 has a batch axis and sequence lengths, which Scan 9 has not.
result<void> scan_9(rewriter& r) {
  return r.unsupported("Scan of opset 8 works on batches of sequences");
}

constexpr step steps[] = {
    {"LSTM", 7, recurrent_7},    {"GRU", 7, recurrent_7},        {"RNN", 7, recurrent_7},
    {"Scatter", 11, scatter_11}, {"RoiAlign", 16, roi_align_16}, {"GridSample", 20, grid_sample_20},
    {"Scan", 9, scan_9},
};

}  // namespace

std::span<const step> other_steps() {
  return steps;
}

}  // namespace quantal::onnx::convert
