// Text that is safe to show, and numbers that read the same in every locale.
//
// Names in models and archives are untrusted: they may hold terminal escapes, line breaks, bidirectional overrides
// that reorder what a person reads, or bytes that are not UTF-8. Each function here gives one destination a form
// that cannot break out of it. Numbers go through std::to_chars/from_chars: neither LC_NUMERIC nor the rounding
// mode of printf changes them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "quantal/base/limits.hpp"

namespace quantal::io {

// For messages and terminals: valid printable UTF-8 stays; the rest becomes \n, \x1b, \u{202e}. At most `most` bytes of
// result, then "...".
std::string escape_text(std::string_view text, std::size_t most = limits::max_name);
// 'name', escaped and quoted, as messages quote a name.
std::string quote(std::string_view name);
// For HTML text and attribute values (both kinds of quotes are escaped), on top of escape_text.
std::string escape_html(std::string_view text, std::size_t most = SIZE_MAX);
// A JSON string with its quotes: valid UTF-8 stays, invalid bytes become U+FFFD, control characters \u00xx; so that
// the JSON can be put into an HTML script element, '<' becomes \u003c.
std::string json_string(std::string_view text);
// A name that is safe as a file name anywhere: [A-Za-z0-9._-], others '_'; not empty, no leading dot or dash, not a
// DOS device name, at most 120 bytes. Different names may collide: the caller numbers them.
std::string safe_file_name(std::string_view name);

// Does `text` hold only well-formed UTF-8 (no surrogates, no overlong forms)?
bool is_utf8(std::string_view text) noexcept;
std::string lower(std::string_view text);               // ASCII only, not the locale's idea
std::string_view trim(std::string_view text) noexcept;  // ASCII blanks and line ends

// Shortest text that reads back as the same number: "0.1", "1e+30", "nan", "inf". Valid JSON unless nan or inf.
std::string number(double value);
std::string number(float value);
// Fixed digits after the point: fixed(3.14159, 2) = "3.14".
std::string fixed(double value, int digits);
// The whole text must be the number (leading '+' allowed). None: empty, blanks, trailing characters, out of range.
std::optional<double> parse_double(std::string_view text) noexcept;
std::optional<std::int64_t> parse_int(std::string_view text) noexcept;

}  // namespace quantal::io
