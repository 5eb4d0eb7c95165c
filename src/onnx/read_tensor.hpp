// read_tensor: TensorProto -> constant, however its elements are stored: raw_data, a typed field (packed or not),
// strings, external data.
//
// raw_data of a file stays where it was read (no second copy of the weights): the tensor shares the file's buffer. A
// payload that is not aligned for its elements is first moved a few bytes towards the front, over its own tag and
// length, which have been read. Small tensors are copied, so that they do not keep a large file in memory.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "external.hpp"
#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "wire.hpp"

namespace quantal::onnx {

// What all parts of one read share.
struct read_context {
  std::shared_ptr<const void> owner;  // of the file's bytes, which may be changed; null: the bytes are the caller's
  external_files* external = nullptr;
};

result<ir::constant> read_tensor(cursor c, read_context& context);
// key and value of a StringStringEntryProto, appended.
result<void> read_pair(cursor c, ir::string_pairs& out);

}  // namespace quantal::onnx
