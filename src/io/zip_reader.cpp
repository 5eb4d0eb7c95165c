// Offsets below are those of PKWARE's APPNOTE.TXT 6.3: 4.3.7 local header, 4.3.12 central directory, 4.3.14 zip64 end,
// 4.3.15 zip64 locator, 4.3.16 end record, 4.5.3 zip64 extra field.
#include <zlib.h>

#include <algorithm>
#include <array>
#include <unordered_set>

#include "quantal/base/checked.hpp"
#include "quantal/io/path.hpp"
#include "quantal/io/reader.hpp"
#include "quantal/io/text.hpp"
#include "quantal/io/zip.hpp"

namespace quantal::io {

namespace {

constexpr std::uint32_t local_signature = 0x04034b50;
constexpr std::uint32_t central_signature = 0x02014b50;
constexpr std::uint32_t end_signature = 0x06054b50;
constexpr std::uint32_t zip64_end_signature = 0x06064b50;
constexpr std::uint32_t zip64_locator_signature = 0x07064b50;
constexpr std::uint64_t local_bytes = 30, central_bytes = 46, end_bytes = 22, zip64_end_bytes = 56, locator_bytes = 20;
constexpr std::uint32_t only_zip64 = 0xffffffff;

error damaged(const std::string& what, const std::string& where) {
  return {status::model_syntax, what, where, "the archive is truncated or damaged"};
}

struct directory_place {
  std::uint64_t offset = 0, bytes = 0, entries = 0;
};

// The end record: the last 22 bytes and a comment that ends with the file. A comment could hold a false record; the one
// whose comment length fits is taken, searching from the end, as all readers do.
result<std::uint64_t> find_end(const random_file& file, const std::string& where) {
  if (file.size() < end_bytes) return damaged("not a zip archive: too short", where);
  const std::uint64_t window = std::min<std::uint64_t>(file.size(), end_bytes + 0xffff);
  QUANTAL_TRY(tail, file.read(file.size() - window, window));
  for (std::uint64_t at = window - end_bytes + 1; at-- > 0;) {
    byte_reader in(tail.span().subspan(static_cast<std::size_t>(at)));
    std::uint32_t signature = 0;
    std::uint16_t comment = 0;
    if (in.get(signature) && signature == end_signature && in.skip(16) && in.get(comment) &&
        comment == in.remaining()) {
      return file.size() - window + at;
    }
  }
  return damaged("not a zip archive: no end record", where);
}

result<directory_place> read_zip64_end(const random_file& file, std::uint64_t end, const std::string& where) {
  std::array<std::byte, zip64_end_bytes> raw{};
  QUANTAL_CHECK(file.read(end - locator_bytes, raw.data(), locator_bytes));
  byte_reader locator(std::span<const std::byte>(raw).first(locator_bytes));
  std::uint32_t signature = 0, disk = 0, disks = 0;
  std::uint64_t record = 0;
  (void)(locator.get(signature) && locator.get(disk) && locator.get(record) && locator.get(disks));
  if (disk != 0 || disks > 1) return error{status::unsupported, "zip archive on several disks", where, ""};
  if (end < locator_bytes + zip64_end_bytes || record > end - locator_bytes - zip64_end_bytes) {
    return damaged("zip64 end record lies outside the file", where);
  }
  QUANTAL_CHECK(file.read(record, raw.data(), raw.size()));
  byte_reader in(raw);
  std::uint64_t size = 0, here = 0, total = 0;
  std::uint32_t this_disk = 0, first_disk = 0;
  directory_place place;
  (void)(in.get(signature) && in.get(size) && in.skip(4) && in.get(this_disk) && in.get(first_disk) && in.get(here) &&
         in.get(total) && in.get(place.bytes) && in.get(place.offset));
  if (signature != zip64_end_signature || size != end - locator_bytes - record - 12) {
    return damaged("zip64 end record is damaged", where);
  }
  if (this_disk != 0 || first_disk != 0 || here != total) {
    return error{status::unsupported, "zip archive on several disks", where, ""};
  }
  place.entries = total;
  if (place.offset > record || place.bytes != record - place.offset) {
    return damaged("central directory does not end at the end record", where);
  }
  return place;
}

result<directory_place> find_directory(const random_file& file, const std::string& where) {
  QUANTAL_TRY(end, find_end(file, where));
  std::array<std::byte, end_bytes> raw{};
  QUANTAL_CHECK(file.read(end, raw.data(), raw.size()));
  byte_reader in(raw);
  std::uint16_t disk = 0, first_disk = 0, here = 0, total = 0;
  std::uint32_t bytes = 0, offset = 0;
  (void)(in.skip(4) && in.get(disk) && in.get(first_disk) && in.get(here) && in.get(total) && in.get(bytes) &&
         in.get(offset));
  if (end >= locator_bytes) {
    std::array<std::byte, 4> signature{};
    QUANTAL_CHECK(file.read(end - locator_bytes, signature.data(), signature.size()));
    std::uint32_t value = 0;
    if (byte_reader(signature).get(value) && value == zip64_locator_signature) return read_zip64_end(file, end, where);
  }
  if (disk != 0 || first_disk != 0 || here != total) {
    return error{status::unsupported, "zip archive on several disks", where, ""};
  }
  directory_place place{offset, bytes, total};
  if (place.offset > end || place.bytes != end - place.offset) {
    return damaged("central directory does not end at the end record", where);
  }
  return place;
}

// Replaces the fields that are all ones by those of the zip64 extra field, which holds only these, in this order.
bool read_zip64_extra(std::span<const std::byte> extra, std::uint64_t& size, std::uint64_t& compressed,
                      std::uint64_t* offset) {
  const bool wanted = size == only_zip64 || compressed == only_zip64 || (offset != nullptr && *offset == only_zip64);
  byte_reader in(extra);
  bool found = false;
  while (in.remaining() >= 4) {  // fewer bytes: padding of alignment tools
    std::uint16_t id = 0, length = 0;
    std::span<const std::byte> body;
    if (!in.get(id) || !in.get(length) || !in.get_bytes(length, body)) return !wanted;
    if (id != 1 || found) continue;
    found = true;
    byte_reader fields(body);
    if (size == only_zip64 && !fields.get(size)) return false;
    if (compressed == only_zip64 && !fields.get(compressed)) return false;
    if (offset != nullptr && *offset == only_zip64 && !fields.get(*offset)) return false;
  }
  return found || !wanted;
}

// An entry's name is only ever a key, but a name that would escape when unpacked marks a hostile archive. A leading '/'
// is let pass: tensors of ONNX models are named "/block/conv".
result<void> check_name(std::string_view name, const std::string& where) {
  if (name.empty()) return damaged("entry without a name", where);
  const std::size_t slash = name.find_first_not_of('/');
  std::string_view relative = slash == std::string_view::npos ? std::string_view() : name.substr(slash);
  while (relative.ends_with('/')) relative.remove_suffix(1);
  if (auto parts = split_relative(relative); !parts) {
    return error{status::path, "entry " + quote(name) + " has a name that leaves the archive", where,
                 "do not use archives from this source"};
  }
  return {};
}

result<zip_entry> read_central(byte_reader& in, const std::string& where) {
  std::uint32_t signature = 0, crc = 0, compressed = 0, size = 0, offset = 0;
  std::uint16_t flags = 0, method = 0, name_bytes = 0, extra_bytes = 0, comment_bytes = 0, disk = 0;
  std::string_view name;
  std::span<const std::byte> extra;
  if (!(in.get(signature) && signature == central_signature && in.skip(4) && in.get(flags) && in.get(method) &&
        in.skip(4) && in.get(crc) && in.get(compressed) && in.get(size) && in.get(name_bytes) && in.get(extra_bytes) &&
        in.get(comment_bytes) && in.get(disk) && in.skip(6) && in.get(offset) && in.get_text(name_bytes, name) &&
        in.get_bytes(extra_bytes, extra) && in.skip(comment_bytes))) {
    return damaged("central directory is damaged", where);
  }
  QUANTAL_CHECK(check_name(name, where));
  zip_entry entry{std::string(name), compressed, size, offset, crc, method == 8};
  const std::string here = where + ": " + escape_text(name);
  if (!read_zip64_extra(extra, entry.size, entry.compressed, &entry.offset))
    return damaged("zip64 field is damaged", here);
  if ((flags & 0x2041) != 0)
    return error{status::unsupported, "entry is encrypted", here, "store it without a password"};
  if (method != 0 && method != 8) {
    return error{status::unsupported, "compression method " + std::to_string(method), here, "use stored or deflate"};
  }
  if (disk != 0 && disk != 0xffff) return error{status::unsupported, "zip archive on several disks", here, ""};
  if (method == 0 && entry.size != entry.compressed) return damaged("stored entry of two sizes", here);
  if (entry.size > limits::max_tensor_bytes) {
    return error{status::limit, "entry of " + std::to_string(entry.size) + " bytes is above the limit", here, ""};
  }
  if (entry.size / limits::max_inflate_ratio > entry.compressed) {
    return error{
        status::bomb, std::to_string(entry.compressed) + " bytes claim to inflate to " + std::to_string(entry.size),
        here,
        "a ratio above " + std::to_string(limits::max_inflate_ratio) + " is refused: store the array uncompressed"};
  }
  return entry;
}

// No two entries share bytes (overlapping entries make small archives explode), and all lie before the directory.
result<void> check_overlap(const std::vector<zip_entry>& entries, std::uint64_t directory, const std::string& where) {
  std::vector<const zip_entry*> order;
  order.reserve(entries.size());
  for (const zip_entry& e : entries) order.push_back(&e);
  std::sort(order.begin(), order.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
  if (!order.empty() && order.front()->offset != 0) return damaged("bytes before the first entry", where);
  std::uint64_t last = 0;
  for (const zip_entry* e : order) {
    std::uint64_t end = 0;
    const std::string here = where + ": " + escape_text(e->name);
    if (!checked_add(e->offset, local_bytes + e->name.size(), end) || !checked_add(end, e->compressed, end) ||
        end > directory) {
      return damaged("entry lies outside the file", here);
    }
    if (e->offset < last) return damaged("entries overlap", here);
    last = end;
  }
  return {};
}

class inflate_stream final : public byte_stream {
 public:
  inflate_stream(std::shared_ptr<const random_file> file, const zip_entry& entry, std::uint64_t data, std::string name)
      : file_(std::move(file)),
        at_(data),
        packed_left_(entry.compressed),
        left_(entry.size),
        expected_crc_(entry.crc),
        deflated_(entry.deflated),
        name_(std::move(name)) {}
  inflate_stream(const inflate_stream&) = delete;
  inflate_stream& operator=(const inflate_stream&) = delete;
  ~inflate_stream() override {
    if (started_) ::inflateEnd(&zip_);
  }

  std::uint64_t remaining() const noexcept override { return left_; }
  const std::string& name() const noexcept override { return name_; }

  result<void> read(void* out, std::size_t bytes) override {
    if (bytes > left_) return damaged("data end too early", name_);
    auto* to = static_cast<unsigned char*>(out);
    while (bytes > 0) {
      const std::size_t piece = std::min(bytes, std::size_t{1} << 28);  // zlib counts in 32 bits
      QUANTAL_CHECK(deflated_ ? inflate_piece(to, piece) : stored_piece(to, piece));
      crc_ = static_cast<std::uint32_t>(::crc32(crc_, to, static_cast<uInt>(piece)));
      to += piece;
      bytes -= piece;
      left_ -= piece;
    }
    return {};
  }

  result<void> finish() override {
    if (left_ != 0) return damaged(std::to_string(left_) + " bytes too many at the end", name_);
    if (deflated_) QUANTAL_CHECK(expect_end());
    if (crc_ != expected_crc_) return damaged("CRC of the entry is wrong", name_);
    return {};
  }

 private:
  result<void> stored_piece(unsigned char* to, std::size_t bytes) {
    QUANTAL_CHECK(file_->read(at_, to, bytes));
    at_ += bytes;
    return {};
  }

  result<void> refill() {
    if (zip_.avail_in > 0 || packed_left_ == 0) return {};
    const std::size_t bytes = static_cast<std::size_t>(std::min<std::uint64_t>(input_.size(), packed_left_));
    QUANTAL_CHECK(file_->read(at_, input_.data(), bytes));
    at_ += bytes;
    packed_left_ -= bytes;
    zip_.next_in = input_.data();
    zip_.avail_in = static_cast<uInt>(bytes);
    return {};
  }

  result<void> start() {
    if (started_) return {};
    if (::inflateInit2(&zip_, -MAX_WBITS) != Z_OK)
      return error{status::out_of_memory, "no memory to inflate", name_, ""};
    started_ = true;
    return {};
  }

  result<void> inflate_piece(unsigned char* to, std::size_t bytes) {
    QUANTAL_CHECK(start());
    zip_.next_out = to;
    zip_.avail_out = static_cast<uInt>(bytes);
    while (zip_.avail_out > 0) {
      QUANTAL_CHECK(refill());
      const int state = ::inflate(&zip_, Z_NO_FLUSH);
      ended_ = state == Z_STREAM_END;
      if (ended_ && zip_.avail_out == 0) return {};
      if (state == Z_MEM_ERROR) return error{status::out_of_memory, "no memory to inflate", name_, ""};
      if (state != Z_OK || (zip_.avail_in == 0 && packed_left_ == 0 && zip_.avail_out > 0)) {
        return damaged("compressed data are damaged", name_);
      }
    }
    return {};
  }

  // The compressed data must end exactly here: no more output, no input left.
  result<void> expect_end() {
    QUANTAL_CHECK(start());
    unsigned char more = 0;
    while (!ended_) {
      QUANTAL_CHECK(refill());
      zip_.next_out = &more;
      zip_.avail_out = 1;
      const int state = ::inflate(&zip_, Z_NO_FLUSH);
      ended_ = state == Z_STREAM_END;
      if (zip_.avail_out == 0) return error{status::bomb, "entry inflates to more than it declares", name_, ""};
      if (!ended_ && (state != Z_OK || (zip_.avail_in == 0 && packed_left_ == 0))) {
        return damaged("compressed data are damaged", name_);
      }
    }
    if (zip_.avail_in != 0 || packed_left_ != 0) return damaged("bytes after the compressed data", name_);
    return {};
  }

  std::shared_ptr<const random_file> file_;
  std::uint64_t at_, packed_left_, left_;
  std::uint32_t crc_ = 0, expected_crc_;
  bool deflated_, started_ = false, ended_ = false;
  std::string name_;
  z_stream zip_{};
  std::array<unsigned char, 65536> input_;
};

}  // namespace

result<zip_archive> zip_archive::open(const std::string& path) {
  QUANTAL_TRY(file, random_file::open(path));
  return open(std::make_shared<const random_file>(std::move(file)));
}

result<zip_archive> zip_archive::open(std::shared_ptr<const random_file> file) {
  const std::string where = escape_text(file->name());
  QUANTAL_TRY(place, find_directory(*file, where));
  if (place.entries > place.bytes / central_bytes) return damaged("more entries than the directory can hold", where);
  QUANTAL_TRY(raw, file->read(place.offset, place.bytes));
  byte_reader in(raw.span());
  zip_archive archive;
  archive.directory_ = place.offset;
  archive.entries_.reserve(static_cast<std::size_t>(place.entries));
  for (std::uint64_t i = 0; i < place.entries; ++i) {
    QUANTAL_TRY(entry, read_central(in, where));
    archive.entries_.push_back(std::move(entry));
  }
  if (!in.at_end()) return damaged("bytes after the last directory entry", where);
  QUANTAL_CHECK(check_overlap(archive.entries_, place.offset, where));
  std::erase_if(archive.entries_, [](const zip_entry& e) { return e.name.ends_with('/') && e.size == 0; });
  std::unordered_set<std::string_view> names;
  for (const zip_entry& e : archive.entries_) {
    if (!names.insert(e.name).second) return damaged("entry " + quote(e.name) + " exists twice", where);
  }
  archive.file_ = std::move(file);
  return archive;
}

const zip_entry* zip_archive::find(std::string_view name) const noexcept {
  for (const zip_entry& e : entries_) {
    if (e.name == name) return &e;
  }
  return nullptr;
}

result<std::unique_ptr<byte_stream>> zip_archive::stream(const zip_entry& entry) const {
  const std::string where = escape_text(file_->name()) + ": " + escape_text(entry.name);
  std::array<std::byte, local_bytes> raw{};
  QUANTAL_CHECK(file_->read(entry.offset, raw.data(), raw.size()));
  byte_reader in(raw);
  std::uint32_t signature = 0, crc = 0, compressed = 0, size = 0;
  std::uint16_t flags = 0, method = 0, name_bytes = 0, extra_bytes = 0;
  (void)(in.get(signature) && in.skip(2) && in.get(flags) && in.get(method) && in.skip(4) && in.get(crc) &&
         in.get(compressed) && in.get(size) && in.get(name_bytes) && in.get(extra_bytes));
  const std::uint64_t data = entry.offset + local_bytes + name_bytes + extra_bytes;
  if (signature != local_signature || data > directory_ || entry.compressed > directory_ - data) {
    return damaged("entry lies outside the file", where);
  }
  QUANTAL_TRY(rest, file_->read(entry.offset + local_bytes, std::uint64_t{name_bytes} + extra_bytes));
  byte_reader names(rest.span());
  std::string_view name;
  std::span<const std::byte> extra;
  (void)(names.get_text(name_bytes, name) && names.get_bytes(extra_bytes, extra));
  std::uint64_t long_size = size, long_compressed = compressed;
  const bool extra_ok = read_zip64_extra(extra, long_size, long_compressed, nullptr);
  const bool deferred = (flags & 8) != 0;  // sizes and CRC follow the data; the directory has them
  const bool same =
      name == entry.name && (method == 8) == entry.deflated && (flags & 0x2041) == 0 &&
      (deferred || (extra_ok && long_size == entry.size && long_compressed == entry.compressed && crc == entry.crc));
  if (!same) return damaged("local header contradicts the directory", where);
  return std::unique_ptr<byte_stream>(std::make_unique<inflate_stream>(file_, entry, data, where));
}

}  // namespace quantal::io
