#include "quantal/io/atomic_file.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "quantal/io/file.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

namespace quantal::io {

namespace {

constexpr std::size_t largest_write = std::size_t{1} << 30;

// Need not be unpredictable: O_EXCL decides. Process, time and a counter only make collisions rare.
std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::string name = ".";
  name += file_name_of(path).substr(0, 200);  // NAME_MAX is 255
  for (const long part :
       {static_cast<long>(::getpid()), static_cast<long>(now.tv_nsec), static_cast<long>(counter++)}) {
    name += '-';
    name += std::to_string(part);
  }
  return join(directory_of(path), name + ".part");
}

int close_retry(int descriptor) {
  // On Linux the descriptor is gone after EINTR too: closing again could close someone else's.
  return ::close(descriptor) != 0 && errno != EINTR ? -1 : 0;
}

// The rename is durable once its directory is: best effort, some file systems cannot sync a directory.
void sync_directory(const std::string& path) {
  const int descriptor = ::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  (void)::fsync(descriptor);
  ::close(descriptor);
}

}  // namespace

atomic_file::atomic_file(int descriptor, std::string path, std::string temporary)
    : descriptor_(descriptor), path_(std::move(path)), temporary_(std::move(temporary)) {}

atomic_file::atomic_file(atomic_file&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, std::string())),
      written_(other.written_) {}

atomic_file& atomic_file::operator=(atomic_file&& other) noexcept {
  if (this == &other) return *this;
  abandon();
  descriptor_ = std::exchange(other.descriptor_, -1);
  path_ = std::move(other.path_);
  temporary_ = std::exchange(other.temporary_, std::string());
  written_ = other.written_;
  return *this;
}

atomic_file::~atomic_file() {
  abandon();
}

void atomic_file::abandon() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

error atomic_file::fail(int error_number, const char* what) {
  abandon();
  error failure = system_error(error_number, what, path_);
  failure.code = status::io;
  if (error_number == ENOSPC || error_number == EDQUOT) failure.advice = "free some space or choose another directory";
  return failure;
}

result<atomic_file> atomic_file::create(const std::string& path) {
  if (path.empty() || path.find('\0') != std::string::npos || path.back() == '/') {
    return error{status::io, "not a usable output file name", escape_text(path), "give the path of a file"};
  }
  struct stat facts {};
  const bool exists = ::lstat(path.c_str(), &facts) == 0;
  if (exists && !S_ISREG(facts.st_mode)) {
    const char* what = S_ISDIR(facts.st_mode)   ? "output is a directory"
                       : S_ISLNK(facts.st_mode) ? "output is a symbolic link"
                                                : "output is not a regular file";
    return error{status::io, what, escape_text(path), "give the path of a file"};
  }
  // Renaming over a write-protected file would work; a user who protected it does not expect that.
  if (exists && ::access(path.c_str(), W_OK) != 0) return system_error(errno, "output is write-protected", path);
  for (int attempt = 0;; ++attempt) {
    std::string temporary = temporary_name(path);
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor >= 0) {
      if (exists) (void)::fchmod(descriptor, facts.st_mode & 0777);
      return atomic_file(descriptor, path, std::move(temporary));
    }
    if ((errno == EINTR || errno == EEXIST) && attempt < 100) continue;
    if (errno == ENOENT) {
      return error{status::not_found, "directory for the output does not exist", escape_text(directory_of(path)),
                   "create it first"};
    }
    error failure = system_error(errno, "cannot create output file", path);
    failure.code = status::io;
    return failure;
  }
}

result<void> atomic_file::write(const void* data, std::size_t bytes) {
  const std::uint64_t end = written_ + bytes;
  QUANTAL_CHECK(write_at(written_, data, bytes));
  written_ = end;
  return {};
}

result<void> atomic_file::write_at(std::uint64_t offset, const void* data, std::size_t bytes) {
  if (descriptor_ < 0) return error{status::state, "output file is already closed", escape_text(path_), ""};
  auto* from = static_cast<const std::byte*>(data);
  while (bytes > 0) {
    const ssize_t put = ::pwrite(descriptor_, from, std::min(bytes, largest_write), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return fail(errno, "cannot write output file");
    if (put == 0) return fail(EIO, "cannot write output file");
    from += put;
    offset += static_cast<std::uint64_t>(put);
    bytes -= static_cast<std::size_t>(put);
  }
  return {};
}

result<void> atomic_file::commit() {
  if (descriptor_ < 0) return error{status::state, "output file is already closed", escape_text(path_), ""};
  while (::fsync(descriptor_) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL || errno == ENOTSUP) break;  // a file system without fsync
    return fail(errno, "cannot write output file");
  }
  if (close_retry(std::exchange(descriptor_, -1)) != 0) return fail(errno, "cannot write output file");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return fail(errno, "cannot rename output file");
  temporary_.clear();
  sync_directory(path_);
  return {};
}

result<void> write_file(const std::string& path, std::span<const std::byte> bytes) {
  QUANTAL_TRY(file, atomic_file::create(path));
  QUANTAL_CHECK(file.write(bytes.data(), bytes.size()));
  return file.commit();
}

result<void> write_file(const std::string& path, std::string_view text) {
  return write_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace quantal::io
