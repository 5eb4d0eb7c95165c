// Bytes of an element, for operators that move elements without looking at them. Sub-byte types are unpacked before
// (in_bytes in ops/convert.hpp), so that one arriving here is an error.
#pragma once
#include "quantal/ops/arguments.hpp"

namespace quantal::ops {

inline result<std::size_t> size_of(const eval_context& c, const tensor_buffer& t) {
  if (bits_of(t.type()) < 8) return unsupported_type(c, t.type());
  return static_cast<std::size_t>(bits_of(t.type()) / 8);
}

}  // namespace quantal::ops
