// rope: a protobuf message being written, with large tensor data spliced in by reference.
//
// The bytes of weights are never copied while the message is put together: the message keeps "at position p comes this
// memory", which is written straight to the file at the end. Fields must be added in the order of their numbers; that
// is the canonical order other protobuf writers use.
#pragma once
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quantal::onnx {

class rope {
 public:
  void integer(std::uint32_t field, std::int64_t value);
  void real32(std::uint32_t field, float value);
  void bytes(std::uint32_t field, std::string_view value);
  // A proto2 string that may be absent: not written when empty.
  void text(std::uint32_t field, std::string_view value) {
    if (!value.empty()) bytes(field, value);
  }
  void message(std::uint32_t field, const rope& inner);
  // `data` must outlive the rope.
  void borrowed(std::uint32_t field, const void* data, std::size_t size);

  std::uint64_t size() const noexcept { return text_.size() + spliced_; }
  // visit(const char*, size_t) for the pieces in order, until it returns false.
  template <class Visit>
  bool for_each_piece(Visit&& visit) const {
    std::size_t at = 0;
    for (const splice& s : splices_) {
      if (!visit(text_.data() + at, s.at - at) || !visit(s.data, s.size)) return false;
      at = s.at;
    }
    return visit(text_.data() + at, text_.size() - at);
  }

 private:
  struct splice {
    std::size_t at;  // position in text_ before which the data comes
    const char* data;
    std::size_t size;
  };
  void tag(std::uint32_t field, std::uint32_t wire);
  void varint(std::uint64_t value);

  std::string text_;
  std::vector<splice> splices_;
  std::uint64_t spliced_ = 0;
};

}  // namespace quantal::onnx
