// Sums of 8-bit codes, by V::add_codes: instructions that add neighbours (psadbw, vpadal). Where those want unsigned
// bytes a signed code counts V::code_offset too much, which the end takes away. Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "quantal/kernels/copy.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

// Of at most 2^23 codes.
template <class V, class Code>
class code_sum {
 public:
  code_sum() noexcept : sums_(V::set(0)) {}
  // A vector of bytes.
  void add(const Code* codes) noexcept {
    sums_ = V::template add_codes<Code>(sums_, V::load_bytes(codes));
    count_ += V::byte_width;
  }
  // The first n of a vector; the others become 0.
  void add_tail(Code* codes, size_t n) noexcept {
    for (size_t k = n; k < V::byte_width; ++k) codes[k] = 0;
    add(codes);
  }
  int64_t total() const noexcept {
    int32_t lanes[V::width];
    V::store(lanes, sums_);
    int64_t total = -count_ * V::template code_offset<Code>;
    for (size_t k = 0; k < V::width; ++k) total += lanes[k];
    return total;
  }

 private:
  typename V::s32 sums_;
  int64_t count_ = 0;
};

template <class V, class Code>
[[gnu::noinline]] int64_t sum_of(const Code* codes, size_t n) noexcept {
  constexpr size_t step = V::byte_width, block = size_t{1} << 22;
  int64_t total = 0;
  size_t i = 0;
  while (i + step <= n) {
    const size_t end = n - i > block ? i + block : n;
    code_sum<V, Code> sum;
    for (; i + step <= end; i += step) sum.add(codes + i);
    total += sum.total();
  }
  for (; i < n; ++i) total += codes[i];
  return total;
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
