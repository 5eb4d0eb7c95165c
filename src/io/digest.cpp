#include "quantal/io/digest.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace quantal::io {

namespace {

using words = std::array<std::uint32_t, 16>;

words load(const unsigned char* block) noexcept {
  words w{};
  for (std::size_t i = 0; i < 16; ++i)
    for (std::size_t k = 0; k < 4; ++k) w[i] = w[i] << 8 | block[i * 4 + k];
  return w;
}

void sha1_block(std::array<std::uint32_t, 8>& h, words w) noexcept {
  auto [a, b, c, d, e, unused5, unused6, unused7] = h;
  for (std::size_t i = 0; i < 80; ++i) {
    std::uint32_t& x = w[i % 16];
    if (i >= 16) x = std::rotl(w[(i + 13) % 16] ^ w[(i + 8) % 16] ^ w[(i + 2) % 16] ^ x, 1);
    const std::uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
    const std::uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
    const std::uint32_t next = std::rotl(a, 5) + f + e + k + x;
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  h = {h[0] + a, h[1] + b, h[2] + c, h[3] + d, h[4] + e, unused5, unused6, unused7};
}

// The fractional parts of the cube roots of the first 64 primes.
constexpr std::uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

void sha256_block(std::array<std::uint32_t, 8>& h, words w) noexcept {
  auto [a, b, c, d, e, f, g, last] = h;
  for (std::size_t i = 0; i < 64; ++i) {
    std::uint32_t& x = w[i % 16];
    if (i >= 16) {
      const std::uint32_t s = w[(i + 1) % 16];
      const std::uint32_t t = w[(i + 14) % 16];
      x += (std::rotr(s, 7) ^ std::rotr(s, 18) ^ s >> 3) + w[(i + 9) % 16] +
           (std::rotr(t, 17) ^ std::rotr(t, 19) ^ t >> 10);
    }
    const std::uint32_t t1 =
        last + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + sha256_k[i] + x;
    const std::uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    last = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  h = {h[0] + a, h[1] + b, h[2] + c, h[3] + d, h[4] + e, h[5] + f, h[6] + g, h[7] + last};
}

}  // namespace

digest::digest(kind k) noexcept : kind_(k) {
  if (k == sha1) {
    state_ = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  } else {
    state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  }
}

void digest::add_block(const unsigned char* block) noexcept {
  if (kind_ == sha1) {
    sha1_block(state_, load(block));
  } else {
    sha256_block(state_, load(block));
  }
}

void digest::add(const void* data, std::size_t bytes) noexcept {
  const auto* p = static_cast<const unsigned char*>(data);
  std::size_t filled = static_cast<std::size_t>(bytes_ % 64);
  bytes_ += bytes;
  if (filled != 0) {
    const std::size_t part = std::min(bytes, 64 - filled);
    std::memcpy(block_.data() + filled, p, part);
    p += part;
    bytes -= part;
    filled += part;
    if (filled < 64) return;
    add_block(block_.data());
  }
  for (; bytes >= 64; p += 64, bytes -= 64) add_block(p);
  if (bytes != 0) std::memcpy(block_.data(), p, bytes);
}

std::string digest::hex() {
  const std::uint64_t bits = bytes_ * 8;
  // 0x80, zeros up to 8 bytes before the end of a block, the length in bits, big endian.
  unsigned char tail[72] = {0x80};
  const std::size_t zeros = static_cast<std::size_t>((119 - bytes_ % 64) % 64 + 1);
  for (std::size_t i = 0; i < 8; ++i) tail[zeros + i] = static_cast<unsigned char>(bits >> (56 - 8 * i));
  add(tail, zeros + 8);
  std::string text;
  for (std::size_t i = 0; i < (kind_ == sha1 ? 5u : 8u); ++i)
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[state_[i] >> shift & 15];
  return text;
}

}  // namespace quantal::io
