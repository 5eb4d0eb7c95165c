// shape: up to limits::max_rank concrete dimensions, by value, no heap. Rank 0 is a scalar (one element);
// a dimension of 0 makes an empty tensor. Symbolic dimensions live in ir/type.hpp. Freestanding.
#pragma once
#include <stdint.h>

#include "quantal/base/checked.hpp"
#include "quantal/base/limits.hpp"

namespace quantal {

struct shape {
  int64_t dims[limits::max_rank] = {};
  int32_t rank = 0;

  constexpr shape() noexcept = default;
  template <class... D>
  constexpr explicit shape(int64_t first, D... rest) noexcept
      : dims{first, static_cast<int64_t>(rest)...}, rank(1 + static_cast<int32_t>(sizeof...(rest))) {
    static_assert(1 + sizeof...(rest) <= static_cast<unsigned>(limits::max_rank));
  }

  constexpr int64_t operator[](int32_t axis) const noexcept { return dims[axis]; }
  constexpr int64_t& operator[](int32_t axis) noexcept { return dims[axis]; }
  constexpr const int64_t* begin() const noexcept { return dims; }
  constexpr const int64_t* end() const noexcept { return dims + rank; }
  constexpr bool push_back(int64_t dim) noexcept {
    if (rank == limits::max_rank) return false;
    dims[rank++] = dim;
    return true;
  }
  friend constexpr bool operator==(const shape& a, const shape& b) noexcept {
    if (a.rank != b.rank) return false;
    for (int32_t i = 0; i < a.rank; ++i)
      if (a.dims[i] != b.dims[i]) return false;
    return true;
  }

  // Number of elements; false when a dimension is negative or the product overflows int64.
  constexpr bool count(uint64_t& out) const noexcept {
    uint64_t n = 1;
    bool empty = false;
    for (int32_t i = 0; i < rank; ++i) {
      if (dims[i] < 0) return false;
      if (dims[i] == 0) { empty = true; continue; }
      if (!checked_mul(n, static_cast<uint64_t>(dims[i]), n)) return false;
    }
    if (n > static_cast<uint64_t>(INT64_MAX)) return false;
    out = empty ? 0 : n;
    return true;
  }
  // The same for a shape that is known to be valid (an allocated tensor's).
  constexpr int64_t elements() const noexcept {
    int64_t n = 1;
    for (int32_t i = 0; i < rank; ++i) n *= dims[i];
    return n;
  }
  // Elements of the dimensions [from, to).
  constexpr int64_t elements(int32_t from, int32_t to) const noexcept {
    int64_t n = 1;
    for (int32_t i = from; i < to; ++i) n *= dims[i];
    return n;
  }
};

}  // namespace quantal
