// Any bytes through the functions that make them safe to show: the promises of io/text.hpp and io/path.hpp hold.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "quantal/io/path.hpp"
#include "quantal/io/text.hpp"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool shows_safely(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return false;
  }
  return quantal::io::is_utf8(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quantal::io;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  require(shows_safely(escape_text(text)));
  require(shows_safely(escape_html(text)));
  require(escape_html(text).find('<') == std::string::npos);
  const std::string json = json_string(text);
  require(shows_safely(json) && json.size() >= 2 && json.find('<') == std::string::npos);
  const std::string name = safe_file_name(text);
  require(!name.empty() && name.find('/') == std::string::npos && name.front() != '.' && split_relative(name));
  if (const auto value = parse_double(text)) require(parse_double(number(*value)) == *value || *value != *value);
  if (const auto value = parse_int(text)) require(parse_int(std::to_string(*value)) == *value);
  if (auto parts = split_relative(text)) {
    for (const std::string& part : *parts)
      require(part != ".." && !part.empty() && part.find('/') == std::string::npos);
  }
  return 0;
}
