#include "quantal/io/text.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace quantal::io {

namespace {

constexpr char hex_digits[] = "0123456789abcdef";

// One code point at text[at]: its length in bytes, 0 if the bytes are not well-formed UTF-8 (Unicode 15, table 3-7).
std::size_t decode(std::string_view text, std::size_t at, std::uint32_t& code) noexcept {
  const auto byte = [&](std::size_t i) -> std::uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const std::uint32_t first = byte(at);
  if (first < 0x80) {
    code = first;
    return 1;
  }
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4) return 0;
  code = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return overlong || surrogate || code > 0x10ffff ? 0 : length;
}

// Characters that do not show, or change how their neighbours show: C1 controls, soft hyphen, zero-width and
// bidirectional formatting, line and paragraph separators, byte order mark, variation selectors, tags.
bool is_deceptive(std::uint32_t c) noexcept {
  return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x34f || c == 0x61c || c == 0x115f || c == 0x1160 ||
         c == 0x17b4 || c == 0x17b5 || (c >= 0x180b && c <= 0x180f) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0x3164 || (c >= 0xfe00 && c <= 0xfe0f) ||
         c == 0xfeff || c == 0xffa0 || (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe0fff) ||
         (c & 0xfffe) == 0xfffe;
}

void append_hex(std::string& out, std::uint32_t value, int least_digits) {
  std::array<char, 8> digits{};
  int count = 0;
  do {
    digits[static_cast<std::size_t>(count++)] = hex_digits[value & 15];
    value >>= 4;
  } while (value != 0 || count < least_digits);
  while (count > 0) out += digits[static_cast<std::size_t>(--count)];
}

void append_byte_escape(std::string& out, unsigned char c) {
  switch (c) {
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default:
      out += "\\x";
      append_hex(out, c, 2);
      return;
  }
}

// The escaped form of the character at text[at]; advances `at`.
std::string escaped_one(std::string_view text, std::size_t& at) {
  std::string out;
  std::uint32_t code = 0;
  const std::size_t length = decode(text, at, code);
  if (length == 0 || code < 0x20 || code == 0x7f) {
    append_byte_escape(out, static_cast<unsigned char>(text[at]));
    ++at;
    return out;
  }
  if (is_deceptive(code)) {
    out += "\\u{";
    append_hex(out, code, 4);
    out += '}';
  } else if (code == '\\') {
    out += "\\\\";
  } else {
    out.append(text.substr(at, length));
  }
  at += length;
  return out;
}

template <class T>
std::string shortest(T value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

}  // namespace

std::string escape_text(std::string_view text, std::size_t most) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::string one = escaped_one(text, at);
    if (one.size() > most - out.size()) return out + "...";
    out += one;
  }
  return out;
}

std::string quote(std::string_view name) {
  std::string out = "'";
  for (const char c : escape_text(name)) {
    if (c == '\'') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string escape_html(std::string_view text, std::size_t most) {
  std::string out;
  for (const char c : escape_text(text, most)) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    std::uint32_t code = 0;
    const std::size_t length = decode(text, at, code);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      ++at;
      continue;
    }
    if (code == '"' || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else if (code < 0x20 || code == 0x7f || code == '<' || code == 0x2028 || code == 0x2029) {
      out += "\\u";
      append_hex(out, code, 4);
    } else {
      out.append(text.substr(at, length));
    }
    at += length;
  }
  return out + "\"";
}

std::string safe_file_name(std::string_view name) {
  constexpr std::size_t longest = 120;
  std::string out;
  for (const char c : name) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    out += plain ? c : '_';
    if (out.size() == longest) break;
  }
  if (out.empty() || out.front() == '.' || out.front() == '-') out.insert(out.begin(), '_');
  if (out.back() == '.') out.back() = '_';
  // Device names on DOS, with any extension: CON, con.txt, LPT1...
  const std::string stem = lower(std::string_view(out).substr(0, out.find('.')));
  const bool numbered =
      stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")) && stem[3] >= '0' && stem[3] <= '9';
  if (stem == "con" || stem == "prn" || stem == "aux" || stem == "nul" || numbered) out.insert(out.begin(), '_');
  return out;
}

bool is_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    std::uint32_t code = 0;
    const std::size_t length = decode(text, at, code);
    if (length == 0) return false;
    at += length;
  }
  return true;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view blanks = " \t\r\n\f\v";
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::string number(double value) {
  return shortest(value);
}
std::string number(float value) {
  return shortest(value);
}

std::string fixed(double value, int digits) {
  if (!std::isfinite(value)) return shortest(value);
  std::array<char, 400> buffer{};  // 1e308 has 309 digits before the point
  const int places = digits < 0 ? 0 : digits > 60 ? 60 : digits;
  const auto end =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, places).ptr;
  return {buffer.data(), end};
}

std::optional<double> parse_double(std::string_view text) noexcept {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  double value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_int(std::string_view text) noexcept {
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  std::int64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace quantal::io
