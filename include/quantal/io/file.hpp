// Reading files whose content nobody vouches for: regular files only, through pread, against a length snapshot.
//
// The size is taken once, when the file is opened; a file that shrinks while it is read is an error, one that grows is
// read up to the snapshot. Nothing is mapped: a mapping of a file that another process truncates raises SIGBUS, which
// a library cannot answer. FIFOs, sockets and devices are refused before they are opened, so that no name can block us.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "quantal/base/limits.hpp"
#include "quantal/base/result.hpp"

namespace quantal::io {

// Bytes in memory: 64-byte aligned, shared by those who refer to parts of them (tensor_buffer::wrap takes `owner`).
struct file_bytes {
  std::shared_ptr<const void> owner;
  const std::byte* data = nullptr;
  std::size_t size = 0;

  std::span<const std::byte> span() const noexcept { return {data, size}; }
};

// Uninitialised, aligned memory that the maker may write before sharing it. Errors: out_of_memory, limit.
struct memory_block {
  std::shared_ptr<void> owner;
  std::byte* data = nullptr;
  std::size_t size = 0;

  file_bytes share() const { return {owner, data, size}; }
};
result<memory_block> make_memory(std::uint64_t bytes);

// An open regular file, read at any offset. Moves, does not copy; reads may run on several threads at once.
class random_file {
 public:
  // Errors: not_found, io (no permission, not a regular file), limit (larger than limits::max_file).
  static result<random_file> open(const std::string& path);
  // Takes ownership of `descriptor`; `name` is for messages.
  static result<random_file> adopt(int descriptor, std::string name);
  // Bytes in memory under the same interface (fuzzing, C callers).
  static random_file over(file_bytes bytes, std::string name);
  random_file(random_file&& other) noexcept;
  random_file& operator=(random_file&& other) noexcept;
  ~random_file();

  std::uint64_t size() const noexcept { return size_; }
  const std::string& name() const noexcept { return name_; }
  // Exactly `bytes` bytes at `offset`, or an error: model_syntax beyond the end, io if the file shrank or cannot be
  // read.
  result<void> read(std::uint64_t offset, void* out, std::size_t bytes) const;
  // The same into new memory.
  result<file_bytes> read(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  random_file(int descriptor, std::uint64_t size, std::string name);
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::string name_;
  file_bytes memory_;  // instead of a descriptor
};

// The whole file. Errors: as random_file, and limit if it is larger than `limit` bytes.
result<file_bytes> read_file(const std::string& path, std::uint64_t limit = limits::max_file);

// The text of errno for a message about `path`: "cannot read x.onnx: Permission denied".
error system_error(int error_number, const std::string& what, const std::string& path);

}  // namespace quantal::io
