// external_files: the files beside a model that hold its larger tensors (onnx.proto, TensorProto.external_data).
//
//   location  path below the model's directory: io/path.hpp lets no link, "..", absolute name or device through
//   offset    first byte, default 0;  length  bytes, default: what the shape needs;  checksum  SHA-1 of the file
//
// Every range is checked against the file before memory is allocated. Tensors may name the same range (they then share
// memory), but not overlap otherwise: many large tensors cannot be made of one small file. A file is opened once.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/io/file.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::onnx {

class external_files {
 public:
  // `directory` "": external data is refused.
  explicit external_files(std::string directory) : directory_(std::move(directory)) {}

  // `bytes`: what type and shape of the tensor need.
  result<io::file_bytes> load(const ir::string_pairs& place, std::uint64_t bytes);
  std::vector<std::string> paths() const;  // of the files that tensors were taken from

 private:
  struct source {
    io::random_file file;
    std::map<std::uint64_t, io::file_bytes> ranges;  // by first byte; not overlapping
  };
  result<source*> open(const std::string& location, const std::string& checksum);

  std::string directory_;
  std::map<std::string, source> sources_;
};

}  // namespace quantal::onnx
