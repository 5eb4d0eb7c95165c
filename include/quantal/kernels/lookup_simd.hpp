// A table of 256 bytes in vectors that look up 16 entries at a time (pshufb), no branch and no memory.
//
//   step k   y ^= part[k][x & 15] where x is 0..127 (else 0);   x -= 16          16 steps
//
// A code x < 128 passes the parts 0 to x / 16 before it turns negative, a code from 128 on the parts x / 16 - 7 to
// x / 16: eight steps later it has become positive. With part[k] = T[k] ^ T[k - 1], and ^ part[k - 8] too from 8 on,
// what a code passes cancels down to T[x / 16]. The ninth subtraction and those after it saturate: what is negative
// stays so. A lookup costs three operations per part; to select parts by a comparison costs four. The trap: a compiler
// turns the chains into sums of their own and spills them; fences keep them. The idea is that of XNNPACK's x8-lut
// kernels. Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "quantal/kernels/copy.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

template <class V>
class shuffled_table {
 public:
  using bytes = typename V::bytes;

  explicit shuffled_table(const uint8_t* table) noexcept {
    bytes last = V::broadcast_16(table);
    part_[0] = last;
    for (int k = 1; k < 16; ++k) {
      const bytes own = V::broadcast_16(table + 16 * k);
      part_[k] = V::exclusive_or(own, last);
      if (k >= 8) part_[k] = V::exclusive_or(part_[k], part_[k - 8]);
      last = own;
    }
  }

  // N vectors: each part is loaded once for all.
  template <int N>
  [[gnu::always_inline]] void apply(const uint8_t* from, uint8_t* to) const noexcept {
    const bytes sixteen = V::set_bytes(16);
    bytes x[N], y[N];
    for (int i = 0; i < N; ++i) {
      x[i] = V::load_bytes(from + static_cast<size_t>(i) * V::byte_width);
      y[i] = V::shuffle_16(part_[0], x[i]);
    }
#pragma GCC unroll 16
    for (int k = 1; k < 16; ++k) {
      const bytes part = part_[k];
      for (int i = 0; i < N; ++i) {
        x[i] = V::fence(k <= 8 ? V::subtract_bytes(x[i], sixteen) : V::subtract_saturated(x[i], sixteen));
        y[i] = V::fence(V::exclusive_or(y[i], V::shuffle_16(part, x[i])));
      }
    }
    for (int i = 0; i < N; ++i) V::store_bytes(to + static_cast<size_t>(i) * V::byte_width, y[i]);
  }

 private:
  bytes part_[16];
};

// The lookup of V: its own, or this one.
template <class V>
struct table_lookup_of {
  using type = shuffled_table<V>;
};
template <class V>
requires requires {
  typename V::table_lookup;
}
struct table_lookup_of<V> {
  using type = typename V::table_lookup;
};

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
