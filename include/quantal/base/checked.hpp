// Checked size arithmetic: the one place where sizes are multiplied and added.
//
// Every size that comes from outside (a file, a C caller) is formed with these; a wrapped product is the
// most frequent memory error of model readers. Each returns false and leaves `out` alone on overflow.
// Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace quantal {

constexpr bool checked_add(uint64_t a, uint64_t b, uint64_t& out) noexcept {
  if (a > UINT64_MAX - b) return false;
  out = a + b;
  return true;
}

constexpr bool checked_mul(uint64_t a, uint64_t b, uint64_t& out) noexcept {
  if (a != 0 && b > UINT64_MAX / a) return false;
  out = a * b;
  return true;
}

// Narrows to size_t: fails on a 32-bit target for what only a 64-bit one can hold.
constexpr bool checked_size(uint64_t value, size_t& out) noexcept {
  if (value > SIZE_MAX) return false;
  out = static_cast<size_t>(value);
  return true;
}

}  // namespace quantal
