// zip archives, as numpy's .npz files and torch's checkpoints use them: stored and deflated entries, zip64.
//
//   [local header, data]...  [central directory]  [zip64 end]  [end]        (PKWARE APPNOTE 6.3)
//
// An archive is untrusted, and two readers must never see two different archives in one file, so the layout is taken
// strictly: the first entry is at 0, the directory ends at the end record, the end record with the file; local headers
// must agree with the directory; entries that share bytes, repeat a name, are encrypted or climb out with '..' are
// errors; a declared size above 1000 times the compressed one is a bomb, and inflating stops at the declared size.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/io/atomic_file.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/stream.hpp"

namespace quantal::io {

struct zip_entry {
  std::string name;
  std::uint64_t compressed = 0;  // bytes in the archive
  std::uint64_t size = 0;        // bytes after inflating
  std::uint64_t offset = 0;      // of the local header
  std::uint32_t crc = 0;
  bool deflated = false;
};

class zip_archive {
 public:
  // Reads and checks the directory. Errors: what random_file::open says; model_syntax (not a zip, damaged), limit,
  // bomb, path (an entry's name), unsupported (encryption, other compression, several disks).
  static result<zip_archive> open(const std::string& path);
  static result<zip_archive> open(std::shared_ptr<const random_file> file);

  // In the order of the directory, without directory entries ("a/").
  const std::vector<zip_entry>& entries() const noexcept { return entries_; }
  const zip_entry* find(std::string_view name) const noexcept;
  // The entry's bytes from front to back; the CRC is checked by finish(). Several streams may be open at once, and on
  // several threads. 64 KB of memory each.
  result<std::unique_ptr<byte_stream>> stream(const zip_entry& entry) const;
  const random_file& file() const noexcept { return *file_; }

 private:
  zip_archive() = default;
  std::shared_ptr<const random_file> file_;
  std::vector<zip_entry> entries_;
  std::uint64_t directory_ = 0;  // offset of the central directory: all data ends before it
};

// Writes stored entries (numpy.savez does the same) in the given order, with a fixed date: equal input, equal bytes.
class zip_writer {
 public:
  // Sizes and offsets from `zip64_from` on are written as zip64 fields (other values: tests).
  explicit zip_writer(atomic_file file, std::uint64_t zip64_from = 0xffffffff);
  // One entry at a time: begin, write exactly `bytes` bytes, end. Errors: argument (name repeated, too long, wrong
  // number of bytes), io.
  result<void> begin(std::string_view name, std::uint64_t bytes);
  result<void> write(const void* data, std::size_t bytes);
  result<void> end();
  // The directory, then atomic_file::commit.
  result<void> finish();

 private:
  atomic_file file_;
  std::uint64_t zip64_from_;
  std::vector<zip_entry> entries_;
  std::uint64_t left_ = 0;  // bytes that the open entry still needs
  bool open_ = false;
};

}  // namespace quantal::io
