#include "rope.hpp"

#include <iterator>
#include <protozero/varint.hpp>

namespace quantal::onnx {

void rope::varint(std::uint64_t value) {
  protozero::write_varint(std::back_inserter(text_), value);
}

void rope::tag(std::uint32_t field, std::uint32_t wire) {
  varint(std::uint64_t{field} << 3 | wire);
}

void rope::integer(std::uint32_t field, std::int64_t value) {
  tag(field, 0);
  varint(static_cast<std::uint64_t>(value));
}

void rope::real32(std::uint32_t field, float value) {
  tag(field, 5);
  const auto pattern = std::bit_cast<std::uint32_t>(value);
  for (unsigned shift = 0; shift < 32; shift += 8) text_ += static_cast<char>(pattern >> shift & 0xff);
}

void rope::bytes(std::uint32_t field, std::string_view value) {
  tag(field, 2);
  varint(value.size());
  text_ += value;
}

void rope::message(std::uint32_t field, const rope& inner) {
  tag(field, 2);
  varint(inner.size());
  for (const splice& s : inner.splices_) splices_.push_back({text_.size() + s.at, s.data, s.size});
  spliced_ += inner.spliced_;
  text_ += inner.text_;
}

void rope::borrowed(std::uint32_t field, const void* data, std::size_t size) {
  constexpr std::size_t splice_from = 4096;  // smaller data is copied: a splice costs a write call
  if (size < splice_from) return bytes(field, {static_cast<const char*>(data), size});
  tag(field, 2);
  varint(size);
  splices_.push_back({text_.size(), static_cast<const char*>(data), size});
  spliced_ += size;
}

}  // namespace quantal::onnx
