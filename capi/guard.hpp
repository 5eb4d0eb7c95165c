// What every C function needs: struct_size rules, diag, and a fence that no exception passes.
//
// The rule for structs: the caller's struct_size says how much of a struct it knows. We read what both sides know; a
// larger struct is accepted when its unknown tail is all zero (nothing was asked that we cannot do).
#pragma once
#include <cstdint>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "quantal.h"
#include "quantal/base/result.hpp"

namespace quantal::capi {

constexpr std::int32_t code_of(status s) noexcept {
  return static_cast<std::int32_t>(s);
}

// A struct larger than this is a wrong struct_size, not a newer library.
inline constexpr std::uint32_t largest_struct = 4096;

// Copies the caller's struct into `out` (zeros where the caller's is shorter). `version1` is sizeof in version 1.
template <class T>
std::int32_t read_struct(const T* in, T& out, std::size_t version1, std::uint32_t known_flags) noexcept {
  if (in == nullptr) return QUANTAL_E_NULL;
  std::uint32_t size = 0;
  std::memcpy(&size, in, sizeof size);
  if (size == sizeof(T)) {  // the same version: no length to find out
    std::memcpy(&out, in, sizeof(T));
    return (out.flags & ~known_flags) != 0 ? QUANTAL_E_FLAGS : QUANTAL_OK;
  }
  if (size < version1 || size > largest_struct) return QUANTAL_E_STRUCT_SIZE;
  const auto* bytes = reinterpret_cast<const unsigned char*>(in);
  for (std::size_t i = sizeof(T); i < size; ++i) {
    if (bytes[i] != 0) return QUANTAL_E_VERSION;
  }
  std::memset(&out, 0, sizeof out);
  std::memcpy(&out, in, size < sizeof(T) ? size : sizeof(T));
  return (out.flags & ~known_flags) != 0 ? QUANTAL_E_FLAGS : QUANTAL_OK;
}

// Writes as much of `value` as the caller's struct has room for; its struct_size stays.
template <class T>
std::int32_t write_struct(const T& value, T* out, std::size_t version1) noexcept {
  if (out == nullptr) return QUANTAL_E_NULL;
  const std::uint32_t size = out->struct_size;
  if (size < version1 || size > largest_struct) return QUANTAL_E_STRUCT_SIZE;
  T copy = value;
  copy.struct_size = size;
  std::memcpy(out, &copy, size < sizeof(T) ? size : sizeof(T));
  return QUANTAL_OK;
}

// Fills diag (if there is one that is large enough) and returns the status number.
std::int32_t fail(const error& e, quantal_diag* diag) noexcept;
inline std::int32_t fail(std::int32_t code, const char* what, quantal_diag* diag) noexcept {
  try {
    return fail(error{static_cast<status>(code), what, {}, {}}, diag);
  } catch (...) {
    return QUANTAL_E_OUT_OF_MEMORY;
  }
}

// Runs a body that returns a status; exceptions of the standard library and of others' code end here.
template <class Body>
std::int32_t fenced(quantal_diag* diag, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return fail(QUANTAL_E_OUT_OF_MEMORY, "out of memory", diag);
  } catch (const std::exception& e) {
    return fail(QUANTAL_E_INTERNAL, e.what(), diag);
  } catch (...) {
    return fail(QUANTAL_E_INTERNAL, "unknown exception", diag);
  }
}

// A malloc'd copy for the caller (freed by quantal_free); null when there is no memory.
char* copy_out(const std::string& text) noexcept;

}  // namespace quantal::capi
