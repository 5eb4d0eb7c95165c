// byte_reader: a cursor over bytes of unknown origin. Every get is checked against what remains; nothing is read past
// the end, and a failed get leaves the cursor where it was. Multi-byte numbers are little endian on any machine.
//
//   byte_reader in(bytes);  std::uint32_t magic;
//   if (!in.get(magic)) return error{status::model_syntax, "truncated header", ...};
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

namespace quantal::io {

class byte_reader {
 public:
  explicit byte_reader(std::span<const std::byte> bytes) noexcept : bytes_(bytes) {}

  std::size_t position() const noexcept { return at_; }
  std::size_t remaining() const noexcept { return bytes_.size() - at_; }
  bool at_end() const noexcept { return at_ == bytes_.size(); }

  // Any integer type, little endian.
  template <class T>
  [[nodiscard]] bool get(T& out) noexcept {
    static_assert(std::is_integral_v<T> && !std::is_same_v<T, bool>);
    if (remaining() < sizeof(T)) return false;
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      value |= static_cast<std::uint64_t>(std::to_integer<std::uint8_t>(bytes_[at_ + i])) << (8 * i);
    }
    out = static_cast<T>(value);
    at_ += sizeof(T);
    return true;
  }
  // The next `count` bytes, not copied.
  [[nodiscard]] bool get_bytes(std::uint64_t count, std::span<const std::byte>& out) noexcept {
    if (count > remaining()) return false;
    out = bytes_.subspan(at_, static_cast<std::size_t>(count));
    at_ += static_cast<std::size_t>(count);
    return true;
  }
  [[nodiscard]] bool get_text(std::uint64_t count, std::string_view& out) noexcept {
    std::span<const std::byte> part;
    if (!get_bytes(count, part)) return false;
    out = {reinterpret_cast<const char*>(part.data()), part.size()};
    return true;
  }
  [[nodiscard]] bool skip(std::uint64_t count) noexcept {
    std::span<const std::byte> ignored;
    return get_bytes(count, ignored);
  }
  // From the beginning.
  [[nodiscard]] bool seek(std::uint64_t position) noexcept {
    if (position > bytes_.size()) return false;
    at_ = static_cast<std::size_t>(position);
    return true;
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace quantal::io
