// Text from a file as it may appear in a message, a terminal or a report: bounded, valid UTF-8, no control characters.
//
// printable("a\nb\x1b[2J") == "a\\x0ab\\x1b[2J". Control characters, DEL, bytes that are not UTF-8 and the Unicode
// controls that reorder text (U+200E/F, U+202A..E, U+2066..9) become \xNN; what is longer than the limit ends in "...".
// Host only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "quantal/base/limits.hpp"

namespace quantal {

// Length of the well-formed UTF-8 sequence at the start of `text` (RFC 3629); 0 if there is none.
constexpr std::size_t utf8_sequence(std::string_view text, std::uint32_t* code_point = nullptr) noexcept {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(text[i])); };
  const std::uint32_t lead = byte(0);
  std::size_t length = 1;
  std::uint32_t value = lead;
  if (lead >= 0x80) {
    length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    value = lead & (0x7fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
      if ((byte(i) & 0xc0u) != 0x80) return 0;
      value = value << 6 | (byte(i) & 0x3fu);
    }
    const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (overlong || surrogate || value > 0x10ffff) return 0;
  }
  if (code_point != nullptr) *code_point = value;
  return length;
}

constexpr bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

inline std::string printable(std::string_view text, std::size_t limit = limits::max_name) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  while (!text.empty()) {
    if (out.size() >= limit) return out + "...";
    std::uint32_t code = 0;
    const std::size_t length = utf8_sequence(text, &code);
    const bool reorders =
        code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
    const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
    if (length != 0 && !reorders && !control) {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    for (std::size_t i = 0; i < (length == 0 ? 1 : length); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

// 'name' for a message.
inline std::string quoted(std::string_view name) {
  return "'" + printable(name) + "'";
}

}  // namespace quantal
