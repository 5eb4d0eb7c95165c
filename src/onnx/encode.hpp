// encode: the IR as ModelProto bytes, fields in the order of their numbers (onnx.proto), tensors as raw_data.
//
// The same model always gives the same bytes. With a `data_plan`, tensors of at least `external_from` bytes are given a
// place in a data file instead and listed in the plan, in file order.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "quantal/ir/graph.hpp"
#include "rope.hpp"

namespace quantal::onnx {

struct data_plan {
  static constexpr std::uint64_t alignment = 4096;  // a page: lets readers map the file
  static constexpr std::uint64_t external_from = 1024;
  struct part {
    std::uint64_t offset;
    const void* data;
    std::size_t size;
  };
  std::string location;  // name of the data file, relative to the model
  std::uint64_t end = 0;
  std::vector<part> parts;
};

// The rope refers to tensors of `m`.
rope encode_model(const ir::model& m, data_plan* plan = nullptr);

}  // namespace quantal::onnx
