#include "wire.hpp"

#include <protozero/exception.hpp>
#include <protozero/varint.hpp>

#include "quantal/base/text.hpp"

namespace quantal::onnx {

bool cursor::fail(const char* what) noexcept {
  if (mistake_ != nullptr) return false;
  mistake_ = what;
  mistake_offset_ = offset_ + static_cast<std::uint64_t>((field_begin_ == nullptr ? begin_ : field_begin_) - begin_);
  at_ = end_;
  return false;
}

bool cursor::take_varint(const char*& p, const char* stop, std::uint64_t& out) noexcept {
  const char* const first = p;
  try {
    out = protozero::decode_varint(&p, stop);
  } catch (const protozero::end_of_buffer_exception&) {
    return fail("a number ends outside its message");
  } catch (const protozero::exception&) {
    return fail("a varint is longer than 10 bytes");
  }
  if (p - first == protozero::max_varint_length && static_cast<unsigned char>(p[-1]) > 1)
    return fail("a varint does not fit 64 bits");
  return true;
}

bool cursor::take_fixed(const char*& p, const char* stop, std::size_t width, std::uint64_t& out) noexcept {
  if (static_cast<std::size_t>(stop - p) < width) return fail("a number ends outside its message");
  out = 0;
  for (std::size_t i = 0; i < width; ++i)
    out |= static_cast<std::uint64_t>(static_cast<unsigned char>(p[i])) << (8 * i);
  p += width;
  return true;
}

bool cursor::take(scalar kind, const char*& p, const char* stop, std::uint64_t& out) noexcept {
  if (kind == scalar::varint) return take_varint(p, stop, out);
  return take_fixed(p, stop, kind == scalar::fixed32 ? 4 : 8, out);
}

bool cursor::next() noexcept {
  if (at_ == end_) return false;
  field_begin_ = at_;
  std::uint64_t tag = 0;
  if (!take_varint(at_, end_, tag)) return false;
  if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return fail("a field number is out of range");
  field_ = static_cast<std::uint32_t>(tag >> 3);
  wire_ = static_cast<wire>(tag & 7);
  switch (wire_) {
    case wire::varint: return take_varint(at_, end_, number_);
    case wire::fixed64: return take_fixed(at_, end_, 8, number_);
    case wire::fixed32: return take_fixed(at_, end_, 4, number_);
    case wire::bytes: {
      std::uint64_t length = 0;
      if (!take_varint(at_, end_, length)) return false;
      if (length > static_cast<std::uint64_t>(end_ - at_)) return fail("a field is longer than its message");
      view_ = {at_, static_cast<std::size_t>(length)};
      at_ += length;
      return true;
    }
    case wire::group:
    case wire::group_end: return fail("a protobuf group, which ONNX does not use");
  }
  return fail("an unknown wire type");
}

bool cursor::expect(wire w) noexcept {
  return wire_ == w || fail("a field has another wire type than ONNX says");
}

bool cursor::expect_scalar(scalar kind) noexcept {
  return expect(kind == scalar::varint ? wire::varint : kind == scalar::fixed32 ? wire::fixed32 : wire::fixed64);
}

std::int64_t cursor::integer() noexcept {
  return expect(wire::varint) ? static_cast<std::int64_t>(number_) : 0;
}

float cursor::real32() noexcept {
  return expect(wire::fixed32) ? std::bit_cast<float>(static_cast<std::uint32_t>(number_)) : 0.0f;
}

std::string_view cursor::bytes() noexcept {
  return expect(wire::bytes) ? view_ : std::string_view();
}

std::string cursor::text() {
  const std::string_view view = bytes();
  if (!is_utf8(view)) fail("a text is not valid UTF-8");
  return std::string(view);
}

cursor cursor::message() noexcept {
  const std::string_view view = bytes();
  if (view.empty()) return {{begin_, 0}, offset_};
  return {view, offset_ + static_cast<std::uint64_t>(view.data() - begin_)};
}

void cursor::integers(std::vector<std::int64_t>& out) {
  for_each(scalar::varint, [&](std::uint64_t pattern) { out.push_back(static_cast<std::int64_t>(pattern)); });
}

void cursor::reals(std::vector<float>& out) {
  for_each(scalar::fixed32,
           [&](std::uint64_t pattern) { out.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(pattern))); });
}

std::uint64_t cursor::count(scalar kind) noexcept {
  if (!is_packed()) return expect_scalar(kind) ? 1 : 0;
  if (kind == scalar::fixed32 || kind == scalar::fixed64) {
    const std::size_t width = kind == scalar::fixed32 ? 4 : 8;
    if (view_.size() % width != 0) fail("packed numbers end inside a number");
    return view_.size() / width;
  }
  std::uint64_t ends = 0;  // each varint ends in its only byte below 0x80
  for (const char byte : view_) ends += static_cast<unsigned char>(byte) < 0x80 ? 1u : 0u;
  return ends;
}

result<void> cursor::finish(const char* message_name) const {
  if (mistake_ == nullptr) return {};
  return error{status::model_syntax, std::string("not a valid ONNX file: ") + mistake_,
               std::string(message_name) + " at byte " + std::to_string(mistake_offset_),
               "the file is damaged or not an ONNX model"};
}

}  // namespace quantal::onnx
