// cursor: the one bounded reader of protobuf bytes. Walks the fields of one message; every length is checked against
// the message's end before anything is formed from it, and nothing is copied or allocated.
//
//   cursor c(bytes, 0);
//   while (c.next()) switch (c.field()) { case 1: name = c.text(); ... }
//   QUANTAL_CHECK(c.finish("node"));
//
// The first mistake (end of data inside a field, overlong varint, group or unknown wire type, value of another wire
// type than the schema's, text that is not UTF-8) stops the walk and is what `finish` reports, with its byte offset.
// Fields of unknown numbers are passed over. Lengths are full 64-bit varints here: protozero::pbf_reader cuts them to
// 32 bits, so that a length of 2^32 + 5 would be read as 5. Its varint decoder does the decoding.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quantal/base/result.hpp"

namespace quantal::onnx {

class cursor {
 public:
  // `offset`: where `bytes` begins in the file, for messages.
  cursor(std::string_view bytes, std::uint64_t offset) noexcept
      : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()), offset_(offset) {}

  // Steps to the next field and reads its value; false at the end and after a mistake.
  bool next() noexcept;
  std::uint32_t field() const noexcept { return field_; }

  // The value of the field, as its schema type; a mistake if the wire type is another.
  std::int64_t integer() noexcept;
  float real32() noexcept;
  std::string_view bytes() noexcept;
  std::string text();
  cursor message() noexcept;
  // Bytes that the field's tag and length take before bytes().
  std::size_t header() const noexcept { return static_cast<std::size_t>(view_.data() - field_begin_); }

  // Repeated scalars, packed or not, appended.
  void integers(std::vector<std::int64_t>& out);
  void reals(std::vector<float>& out);

  // For typed tensor data: how many scalars the field holds, and visiting them one by one as 64-bit patterns.
  enum class scalar : std::uint8_t { varint, fixed32, fixed64 };
  std::uint64_t count(scalar kind) noexcept;
  template <class Visit>
  void for_each(scalar kind, Visit&& visit) noexcept {
    if (!is_packed()) {
      if (expect_scalar(kind)) visit(number_);
      return;
    }
    const char* p = view_.data();
    const char* const stop = p + view_.size();
    std::uint64_t pattern = 0;
    while (p != stop && take(kind, p, stop, pattern)) visit(pattern);
  }

  bool failed() const noexcept { return mistake_ != nullptr; }
  result<void> finish(const char* message_name) const;

 private:
  enum class wire : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, group = 3, group_end = 4, fixed32 = 5 };

  bool fail(const char* what) noexcept;
  bool expect(wire w) noexcept;
  bool expect_scalar(scalar kind) noexcept;
  bool is_packed() const noexcept { return wire_ == wire::bytes; }
  bool take_varint(const char*& p, const char* stop, std::uint64_t& out) noexcept;
  bool take_fixed(const char*& p, const char* stop, std::size_t width, std::uint64_t& out) noexcept;
  bool take(scalar kind, const char*& p, const char* stop, std::uint64_t& out) noexcept;

  const char* begin_;
  const char* at_;
  const char* end_;
  std::uint64_t offset_;
  const char* field_begin_ = nullptr;
  std::uint32_t field_ = 0;
  wire wire_ = wire::varint;
  std::uint64_t number_ = 0;
  std::string_view view_;
  const char* mistake_ = nullptr;
  std::uint64_t mistake_offset_ = 0;
};

}  // namespace quantal::onnx
