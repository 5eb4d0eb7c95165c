// atomic_file: a file that appears complete under its name, or not at all.
//
//   create(path) -> <directory>/.<name>.<random>.part  -> write...  -> fsync -> rename to path
//
// Until commit() the old content of `path` is untouched, so input and output may be the same file. A failed or
// abandoned write removes the temporary file. An existing regular file is replaced (its permissions are kept);
// a directory, link or device under the name is an error. Short writes and EINTR are continued.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "quantal/base/result.hpp"

namespace quantal::io {

class atomic_file {
 public:
  // Errors: not_found (the directory), io (read-only, not a regular file, ...).
  static result<atomic_file> create(const std::string& path);
  atomic_file(atomic_file&& other) noexcept;
  atomic_file& operator=(atomic_file&& other) noexcept;
  ~atomic_file();

  result<void> write(const void* data, std::size_t bytes);
  result<void> write(std::string_view text) { return write(text.data(), text.size()); }
  // Overwrites bytes that were written before (headers that learn their sizes late).
  result<void> write_at(std::uint64_t offset, const void* data, std::size_t bytes);
  std::uint64_t written() const noexcept { return written_; }
  // Makes the file visible. After this, and after any error, nothing can be written any more.
  result<void> commit();

 private:
  atomic_file(int descriptor, std::string path, std::string temporary);
  void abandon() noexcept;
  error fail(int error_number, const char* what);
  int descriptor_ = -1;
  std::string path_, temporary_;
  std::uint64_t written_ = 0;
};

// A whole file at once.
result<void> write_file(const std::string& path, std::span<const std::byte> bytes);
result<void> write_file(const std::string& path, std::string_view text);

}  // namespace quantal::io
