#include "quantal/onnx/onnx.hpp"

namespace quantal::onnx {

result<void> convert_opset(ir::model& m, std::int64_t target) {
  const std::int64_t version = m.opset_version("");
  if (version >= target) return {};
  return error{status::unsupported,
               "converting operators from opset " + std::to_string(version) + " to " + std::to_string(target) +
                   " is not supported yet",
               "", ""};
}

}  // namespace quantal::onnx
