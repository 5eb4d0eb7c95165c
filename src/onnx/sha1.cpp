#include "sha1.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

namespace quantal::onnx {

namespace {

using digest = std::array<std::uint32_t, 5>;

void add_block(digest& h, const unsigned char* block) noexcept {
  std::array<std::uint32_t, 80> w{};
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t k = 0; k < 4; ++k) w[i] = w[i] << 8 | block[i * 4 + k];
  for (std::size_t i = 16; i < 80; ++i) w[i] = std::rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = h;
  for (std::size_t i = 0; i < 80; ++i) {
    const std::uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
    const std::uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
    const std::uint32_t next = std::rotl(a, 5) + f + e + k + w[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  h = {h[0] + a, h[1] + b, h[2] + c, h[3] + d, h[4] + e};
}

}  // namespace

result<std::string> sha1_of(const io::random_file& file) {
  digest h{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  constexpr std::size_t piece = std::size_t{1} << 20;  // a multiple of the 64-byte block
  std::vector<unsigned char> buffer(piece + 128);
  for (std::uint64_t at = 0;; at += piece) {
    std::size_t bytes = static_cast<std::size_t>(std::min<std::uint64_t>(piece, file.size() - at));
    QUANTAL_CHECK(file.read(at, buffer.data(), bytes));
    const bool last = at + bytes == file.size();
    if (last) {  // padding: 0x80, zeros, the length in bits as 64 big-endian bits
      const std::size_t padded = (bytes + 9 + 63) / 64 * 64;
      std::memset(buffer.data() + bytes, 0, padded - bytes);
      buffer[bytes] = 0x80;
      for (std::size_t i = 0; i < 8; ++i)
        buffer[padded - 1 - i] = static_cast<unsigned char>(file.size() * 8 >> (8 * i));
      bytes = padded;
    }
    for (std::size_t i = 0; i < bytes; i += 64) add_block(h, buffer.data() + i);
    if (last) break;
  }
  std::string text;
  for (const std::uint32_t word : h)
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

}  // namespace quantal::onnx
