// byte_stream: bytes from front to back, of a known number, from a file or out of an archive entry.
//
// The size is what the container declares. A stream that holds less or more than it declares is an error at the
// latest in finish(): a reader that wants all of it calls finish(), one that stops early need not.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/io/file.hpp"

namespace quantal::io {

class byte_stream {
 public:
  virtual ~byte_stream() = default;
  // Bytes that are still to come, by declaration.
  virtual std::uint64_t remaining() const noexcept = 0;
  // Exactly `bytes` bytes, or an error.
  virtual result<void> read(void* out, std::size_t bytes) = 0;
  // Everything was read: checks sums and ends.
  virtual result<void> finish() = 0;
  // "calib.npz: x.npy", for messages.
  virtual const std::string& name() const noexcept = 0;
};

// A file, or the part [offset, offset + bytes) of it.
std::unique_ptr<byte_stream> stream_of(std::shared_ptr<const random_file> file);
std::unique_ptr<byte_stream> stream_of(std::shared_ptr<const random_file> file, std::uint64_t offset,
                                       std::uint64_t bytes, std::string name);

}  // namespace quantal::io
