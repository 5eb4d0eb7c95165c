// The registry: every operator file's entries, sorted once, found by binary search.
#include "quantal/ops/all.hpp"

#include <algorithm>
#include <tuple>

namespace quantal::ops {

namespace {

constexpr op_list (*light_files[])() = {
    // clang-format off
    arithmetic_ops,
    compare_ops,
    unary_ops,
    cast_ops,
    reduce_ops,
    scan_ops,
    reshape_ops,
    constant_ops,
    move_ops,
    slice_ops,
    pad_ops,
    gather_ops,
    select_ops,
    control_ops,
    einsum_ops,
    vision_ops,
    roi_ops,
    unpool_ops,
    attention_ops,
    // clang-format on
};

// Multiply-accumulate, pooling, normalisation, recurrence, quantized forms: one name per line.
constexpr op_list (*heavy_files[])() = {
    conv_ops,      matmul_ops,    normalization_ops, pool_ops,    quantize_linear_ops,
    quantized_ops, recurrent_ops, resize_ops,        softmax_ops,
};

auto key(const op_def& d) {
  return std::tie(d.domain, d.type, d.since);
}

const std::vector<const op_def*>& table() {
  static const std::vector<const op_def*> sorted = [] {
    std::vector<const op_def*> list;
    for (auto files : {std::span<op_list (*const)()>(light_files), std::span<op_list (*const)()>(heavy_files)}) {
      for (auto file : files) {
        if (file == nullptr) continue;
        for (const op_def& d : file()) list.push_back(&d);
      }
    }
    std::sort(list.begin(), list.end(), [](const op_def* a, const op_def* b) { return key(*a) < key(*b); });
    return list;
  }();
  return sorted;
}

}  // namespace

const op_def* find(std::string_view domain, std::string_view type, std::int64_t opset) noexcept {
  if (domain == "ai.onnx") domain = "";
  const auto& list = table();
  // The last entry of this operator that began at or before `opset`.
  auto after = std::upper_bound(list.begin(), list.end(), std::tie(domain, type, opset),
                                [](const auto& wanted, const op_def* d) { return wanted < key(*d); });
  if (after == list.begin()) return nullptr;
  const op_def* found = *(after - 1);
  return found->domain == domain && found->type == type && opset <= found->until ? found : nullptr;
}

std::vector<const op_def*> all() {
  return table();
}

}  // namespace quantal::ops
