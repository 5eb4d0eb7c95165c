#include "quantal/data/trt_cache.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <string_view>

#include "quantal/io/atomic_file.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

constexpr std::uint64_t max_bytes = std::uint64_t{1} << 28;

error wrong(const std::string& name, std::size_t line, const std::string& what) {
  return {status::model_syntax, what, name + ": line " + std::to_string(line),
          "pass a TensorRT calibration cache, or make it again"};
}

bool is_word(std::string_view text, bool digits_only) noexcept {
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9',
               letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.';
    if (!digit && (digits_only || !letter)) return false;
  }
  return !text.empty();
}

// "TRT-8601-EntropyCalibration2"
bool read_head(std::string_view line, trt_cache& cache) {
  if (!line.starts_with("TRT-")) return false;
  line.remove_prefix(4);
  const std::size_t dash = line.find('-');
  if (dash == std::string_view::npos) return false;
  const std::string_view version = line.substr(0, dash), calibrator = line.substr(dash + 1);
  if (!is_word(version, true) || !is_word(calibrator, false)) return false;
  cache.version = version;
  cache.calibrator = calibrator;
  return true;
}

bool read_bits(std::string_view text, float& out) noexcept {
  if (text.size() != 8) return false;
  std::uint32_t bits = 0;
  for (const char c : text) {
    const std::uint32_t digit = c >= '0' && c <= '9'   ? static_cast<std::uint32_t>(c - '0')
                                : c >= 'a' && c <= 'f' ? static_cast<std::uint32_t>(c - 'a' + 10)
                                : c >= 'A' && c <= 'F' ? static_cast<std::uint32_t>(c - 'A' + 10)
                                                       : 16;
    if (digit == 16) return false;
    bits = bits << 4 | digit;
  }
  out = std::bit_cast<float>(bits);
  return true;
}

}  // namespace

result<trt_cache> parse_trt_cache(std::span<const std::byte> bytes, const std::string& name) {
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  trt_cache cache;
  for (std::size_t number = 1; !rest.empty() || number == 1; ++number) {
    const std::size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (number == 1) {
      if (!read_head(line, cache)) return wrong(name, number, "expected TRT-<version>-<calibrator>");
      continue;
    }
    if (line.empty()) continue;
    const std::size_t colon = line.rfind(": ");
    if (colon == std::string_view::npos || colon == 0)
      return wrong(name, number, "expected <tensor>: <8 hexadecimal digits>");
    float scale = 0;
    if (!read_bits(line.substr(colon + 2), scale))
      return wrong(name, number, "expected 8 hexadecimal digits after the tensor's name");
    if (!std::isfinite(scale) || scale < 0) return wrong(name, number, "the scale is negative or not finite");
    if (line.find('\0') != std::string_view::npos) return wrong(name, number, "a tensor's name holds a NUL");
    if (!cache.scales.emplace(line.substr(0, colon), scale).second)
      return wrong(name, number, "the tensor " + io::quote(line.substr(0, colon)) + " occurs twice");
  }
  return cache;
}

result<std::string> trt_cache_text(const trt_cache& cache) {
  if (!is_word(cache.version, true) || !is_word(cache.calibrator, false))
    return error{status::argument,
                 "the version must be digits and the calibrator one word",
                 io::quote(cache.version + "-" + cache.calibrator),
                 {}};
  std::string out = "TRT-" + cache.version + "-" + cache.calibrator + "\n";
  for (const auto& [tensor, scale] : cache.scales) {
    if (tensor.empty() || tensor.find_first_of(std::string_view("\n\r\0", 3)) != std::string::npos)
      return error{status::argument, "a TensorRT cache cannot hold this tensor's name", io::quote(tensor),
                   "rename the tensor"};
    if (!std::isfinite(scale) || scale < 0)
      return error{status::scale, "the scale is negative or not finite", io::quote(tensor), {}};
    const auto bits = std::bit_cast<std::uint32_t>(scale);
    out += tensor + ": ";
    for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[bits >> shift & 15u];
    out += "\n";
  }
  return out;
}

result<trt_cache> read_trt_cache(const std::string& path) {
  QUANTAL_TRY(bytes, io::read_file(path, max_bytes));
  return parse_trt_cache(bytes.span(), path);
}

result<void> write_trt_cache(const trt_cache& cache, const std::string& path) {
  QUANTAL_TRY(text, trt_cache_text(cache));
  return io::write_file(path, text);
}

std::map<std::string, calib::range> ranges_of(const trt_cache& cache) {
  std::map<std::string, calib::range> out;
  for (const auto& [tensor, scale] : cache.scales) {
    const double amax = static_cast<double>(scale) * 127;
    out[tensor] = {-amax, amax, amax == 0, 0};
  }
  return out;
}

trt_cache trt_cache_of(const std::map<std::string, calib::range>& ranges) {
  trt_cache cache;
  for (const auto& [tensor, r] : ranges)
    cache.scales[tensor] = static_cast<float>(std::fmax(std::fabs(r.min), std::fabs(r.max)) / 127);
  return cache;
}

}  // namespace quantal::data
