// Packing of sub-byte integers: the first element lies in the low bits, the last byte is padded with zero bits.
//
//   4 bits:  byte 0 = e1 e0 (low nibble e0)        2 bits:  byte 0 = e3 e2 e1 e0
//
// This is the order of ONNX, TensorRT and MatMulNBits; ggml's blocks interleave differently. Two's complement for the
// signed types. The trap: a packed buffer of n elements has (n + 1) / 2 bytes, never n. Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace quantal {

constexpr size_t packed_bytes(size_t count, uint32_t bits) noexcept {
  const size_t per_byte = 8 / bits;
  return count / per_byte + (count % per_byte != 0 ? 1 : 0);
}

// Element i of a packed array, as stored (unsigned). bits is 4 or 2.
constexpr uint8_t packed_get(const uint8_t* packed, size_t i, uint32_t bits) noexcept {
  const size_t per_byte = 8 / bits;
  const uint32_t shift = static_cast<uint32_t>(i % per_byte) * bits;
  return static_cast<uint8_t>((packed[i / per_byte] >> shift) & ((1u << bits) - 1u));
}
constexpr void packed_set(uint8_t* packed, size_t i, uint32_t bits, uint8_t value) noexcept {
  const size_t per_byte = 8 / bits;
  const uint32_t shift = static_cast<uint32_t>(i % per_byte) * bits;
  const uint32_t mask = ((1u << bits) - 1u) << shift;
  const uint32_t old = packed[i / per_byte];
  packed[i / per_byte] = static_cast<uint8_t>((old & ~mask) | ((static_cast<uint32_t>(value) << shift) & mask));
}

// The value of the low `bits` bits as two's complement.
constexpr int8_t sign_extend(uint8_t code, uint32_t bits) noexcept {
  const uint32_t sign = 1u << (bits - 1);
  return static_cast<int8_t>(static_cast<int32_t>((code & ((1u << bits) - 1u)) ^ sign) - static_cast<int32_t>(sign));
}

// One byte per element -> packed. Only the low bits of each source byte are used.
constexpr void pack_bits(const uint8_t* values, size_t count, uint32_t bits, uint8_t* packed) noexcept {
  const size_t bytes = packed_bytes(count, bits);
  for (size_t i = 0; i < bytes; ++i) packed[i] = 0;
  for (size_t i = 0; i < count; ++i) packed_set(packed, i, bits, values[i]);
}
constexpr void unpack_unsigned(const uint8_t* packed, size_t count, uint32_t bits, uint8_t* values) noexcept {
  for (size_t i = 0; i < count; ++i) values[i] = packed_get(packed, i, bits);
}
constexpr void unpack_signed(const uint8_t* packed, size_t count, uint32_t bits, int8_t* values) noexcept {
  for (size_t i = 0; i < count; ++i) values[i] = sign_extend(packed_get(packed, i, bits), bits);
}

}  // namespace quantal
