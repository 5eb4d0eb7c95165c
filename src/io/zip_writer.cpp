#include <zlib.h>

#include <algorithm>

#include "quantal/io/text.hpp"
#include "quantal/io/zip.hpp"

namespace quantal::io {

namespace {

constexpr std::uint16_t date = 0x21;  // 1980-01-01, the first one a zip can hold

// Little endian fields appended to a header.
class header_bytes {
 public:
  header_bytes& u16(std::uint64_t v) { return put(v, 2); }
  header_bytes& u32(std::uint64_t v) { return put(v, 4); }
  header_bytes& u64(std::uint64_t v) { return put(v, 8); }
  header_bytes& text(std::string_view t) {
    bytes_ += t;
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  header_bytes& put(std::uint64_t v, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_ += static_cast<char>(v >> (8 * i) & 0xff);
    return *this;
  }
  std::string bytes_;
};

std::uint16_t utf8_flag(std::string_view name) {
  const bool ascii = std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  return ascii ? 0 : 0x800;
}

std::string local_header(const zip_entry& e, bool zip64) {
  header_bytes h;
  h.u32(0x04034b50).u16(zip64 ? 45 : 20).u16(utf8_flag(e.name)).u16(0).u16(0).u16(date).u32(e.crc);
  h.u32(zip64 ? 0xffffffff : e.size)
      .u32(zip64 ? 0xffffffff : e.size)
      .u16(e.name.size())
      .u16(zip64 ? 20 : 0)
      .text(e.name);
  if (zip64) h.u16(1).u16(16).u64(e.size).u64(e.size);
  return h.str();
}

std::string central_header(const zip_entry& e, std::uint64_t zip64_from) {
  const bool big_size = e.size >= zip64_from, big_offset = e.offset >= zip64_from;
  const std::uint64_t extra = (big_size || big_offset ? 4 : 0) + (big_size ? 16 : 0) + (big_offset ? 8 : 0);
  header_bytes h;
  const int version = extra > 0 ? 45 : 20;
  h.u32(0x02014b50).u16(static_cast<std::uint64_t>(3 << 8 | version)).u16(static_cast<std::uint64_t>(version));
  h.u16(utf8_flag(e.name)).u16(0).u16(0).u16(date).u32(e.crc);
  h.u32(big_size ? 0xffffffff : e.size).u32(big_size ? 0xffffffff : e.size).u16(e.name.size()).u16(extra);
  h.u16(0).u16(0).u16(0).u32(0600u << 16).u32(big_offset ? 0xffffffff : e.offset).text(e.name);
  if (extra > 0) h.u16(1).u16(extra - 4);
  if (big_size) h.u64(e.size).u64(e.size);
  if (big_offset) h.u64(e.offset);
  return h.str();
}

}  // namespace

zip_writer::zip_writer(atomic_file file, std::uint64_t zip64_from) : file_(std::move(file)), zip64_from_(zip64_from) {}

result<void> zip_writer::begin(std::string_view name, std::uint64_t bytes) {
  if (open_) return error{status::state, "the last archive entry is not ended", quote(name), ""};
  if (name.empty() || name.size() > 0xffff)
    return error{status::argument, "archive entry name of unusable length", quote(name), ""};
  for (const zip_entry& e : entries_) {
    if (e.name == name) return error{status::argument, "archive entry exists twice", quote(name), ""};
  }
  entries_.push_back({std::string(name), bytes, bytes, file_.written(), 0, false});
  left_ = bytes;
  open_ = true;
  return file_.write(local_header(entries_.back(), bytes >= zip64_from_));
}

result<void> zip_writer::write(const void* data, std::size_t bytes) {
  if (!open_ || bytes > left_)
    return error{status::argument, "archive entry gets more bytes than were announced", "", ""};
  zip_entry& e = entries_.back();
  const auto* from = static_cast<const unsigned char*>(data);
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t piece = std::min(bytes - done, std::size_t{1} << 28);  // zlib counts in 32 bits
    e.crc = static_cast<std::uint32_t>(::crc32(e.crc, from + done, static_cast<uInt>(piece)));
    done += piece;
  }
  left_ -= bytes;
  return file_.write(data, bytes);
}

result<void> zip_writer::end() {
  if (!open_ || left_ != 0)
    return error{status::argument, "archive entry gets fewer bytes than were announced", "", ""};
  open_ = false;
  const zip_entry& e = entries_.back();
  const std::string header = local_header(e, e.size >= zip64_from_);  // the same length, now with the CRC
  return file_.write_at(e.offset, header.data(), header.size());
}

result<void> zip_writer::finish() {
  if (open_) return error{status::state, "the last archive entry is not ended", "", ""};
  const std::uint64_t offset = file_.written();
  for (const zip_entry& e : entries_) QUANTAL_CHECK(file_.write(central_header(e, zip64_from_)));
  const std::uint64_t end = file_.written(), bytes = end - offset, count = entries_.size();
  header_bytes h;
  const bool zip64 = offset >= zip64_from_ || bytes >= zip64_from_ || count >= 0xffff;
  if (zip64) {
    h.u32(0x06064b50).u64(44).u16(3 << 8 | 45).u16(45).u32(0).u32(0).u64(count).u64(count).u64(bytes).u64(offset);
    h.u32(0x07064b50).u32(0).u64(end).u32(1);
  }
  const std::uint64_t short_count = zip64 ? 0xffff : count;
  h.u32(0x06054b50).u16(0).u16(0).u16(short_count).u16(short_count).u32(zip64 ? 0xffffffff : bytes);
  h.u32(zip64 ? 0xffffffff : offset).u16(0);
  QUANTAL_CHECK(file_.write(h.str()));
  return file_.commit();
}

}  // namespace quantal::io
