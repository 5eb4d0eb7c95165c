#include "quantal/io/file.hpp"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <system_error>
#include <utility>

#include "quantal/base/checked.hpp"
#include "quantal/io/text.hpp"

namespace quantal::io {

namespace {
constexpr std::size_t alignment = 64;
constexpr std::size_t largest_read = std::size_t{1} << 30;  // Linux reads at most 2 GB at once

error not_regular(const std::string& path) {
  return {status::io, "not a regular file", escape_text(path), "give the path of a file, not of a directory or device"};
}
}  // namespace

error system_error(int error_number, const std::string& what, const std::string& path) {
  status code = status::io;
  if (error_number == ENOENT || error_number == ENOTDIR) code = status::not_found;
  if (error_number == ENOMEM) code = status::out_of_memory;
  if (error_number == ELOOP) code = status::path;
  // generic_category().message() is strerror_r: safe on threads. Its language is the program's choice.
  return {code, what + ": " + std::generic_category().message(error_number), escape_text(path), ""};
}

result<memory_block> make_memory(std::uint64_t bytes) {
  std::size_t size = 0;
  if (bytes > limits::max_file || !checked_size(bytes, size)) {
    return error{status::limit, std::to_string(bytes) + " bytes are above the limit for one file or tensor", "", ""};
  }
  void* memory = ::operator new (std::max<std::size_t>(size, 1), std::align_val_t{alignment}, std::nothrow);
  if (memory == nullptr)
    return error{status::out_of_memory, "out of memory for " + std::to_string(bytes) + " bytes", "", ""};
  memory_block block;
  block.owner = std::shared_ptr<void>(memory, [](void* p) { ::operator delete (p, std::align_val_t{alignment}); });
  block.data = static_cast<std::byte*>(memory);
  block.size = size;
  return block;
}

random_file::random_file(int descriptor, std::uint64_t size, std::string name)
    : descriptor_(descriptor), size_(size), name_(std::move(name)) {}

random_file::random_file(random_file&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      name_(std::move(other.name_)),
      memory_(std::move(other.memory_)) {}

random_file& random_file::operator=(random_file&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(size_, other.size_);
  std::swap(name_, other.name_);
  std::swap(memory_, other.memory_);
  return *this;
}

random_file::~random_file() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

result<random_file> random_file::open(const std::string& path) {
  if (path.empty()) return error{status::not_found, "file name is empty", "", ""};
  if (path.find('\0') != std::string::npos)
    return error{status::path, "file name holds a NUL byte", escape_text(path), ""};
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return error{status::not_found, "file not found", escape_text(path), ""};
    return system_error(errno, "cannot open file", path);
  }
  if (!S_ISREG(facts.st_mode)) return not_regular(path);
  // O_NONBLOCK: should the name become a FIFO between stat and open, open returns at once; adopt looks again.
  int descriptor = -1;
  do {
    descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return system_error(errno, "cannot open file", path);
  return adopt(descriptor, path);
}

result<random_file> random_file::adopt(int descriptor, std::string name) {
  random_file file(descriptor, 0, std::move(name));
  struct stat facts {};
  if (::fstat(descriptor, &facts) != 0) return system_error(errno, "cannot inspect file", file.name_);
  if (!S_ISREG(facts.st_mode)) return not_regular(file.name_);
  file.size_ = static_cast<std::uint64_t>(facts.st_size);
  if (file.size_ > limits::max_file) {
    return error{status::limit, "file of " + std::to_string(file.size_) + " bytes is above the limit",
                 escape_text(file.name_), ""};
  }
  return file;
}

random_file random_file::over(file_bytes bytes, std::string name) {
  random_file file(-1, bytes.size, std::move(name));
  file.memory_ = std::move(bytes);
  return file;
}

result<void> random_file::read(std::uint64_t offset, void* out, std::size_t bytes) const {
  if (offset > size_ || bytes > size_ - offset) {
    return error{status::model_syntax,
                 "needs " + std::to_string(bytes) + " bytes at " + std::to_string(offset) + ", the file has " +
                     std::to_string(size_),
                 escape_text(name_), "the file is truncated or damaged"};
  }
  if (memory_.data != nullptr) {
    if (bytes > 0) std::memcpy(out, memory_.data + offset, bytes);
    return {};
  }
  auto* to = static_cast<std::byte*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, to, std::min(bytes, largest_read), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error(errno, "cannot read file", name_);
    if (got == 0) return error{status::io, "file became shorter while it was read", escape_text(name_), ""};
    to += got;
    offset += static_cast<std::uint64_t>(got);
    bytes -= static_cast<std::size_t>(got);
  }
  return {};
}

result<file_bytes> random_file::read(std::uint64_t offset, std::uint64_t bytes) const {
  // Before memory is taken: what cannot be there is not allocated for.
  if (offset > size_ || bytes > size_ - offset) return read(offset, nullptr, static_cast<std::size_t>(bytes)).failure();
  QUANTAL_TRY(block, make_memory(bytes));
  QUANTAL_CHECK(read(offset, block.data, block.size));
  return block.share();
}

result<file_bytes> read_file(const std::string& path, std::uint64_t limit) {
  QUANTAL_TRY(file, random_file::open(path));
  if (file.size() > limit) {
    return error{status::limit,
                 "file of " + std::to_string(file.size()) + " bytes is above the limit of " + std::to_string(limit),
                 escape_text(path), ""};
  }
  return file.read(0, file.size());
}

}  // namespace quantal::io
