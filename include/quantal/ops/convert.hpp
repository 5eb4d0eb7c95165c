// Conversion between element types, and the way operators support narrow types: run the f32 (or s8) meaning between
// two conversions. in_wide<eval> does that for a whole eval function:
//
//   f16 bf16 f8* f4 inputs -> f32, s4 u4 s2 u2 -> s8 u8;   eval;   outputs of the wide type -> the narrow one
//
// Rules of Cast (ONNX spec, Cast): to integers truncates toward zero; to boolean is x != 0; float8 saturates if asked.
// Floats outside an integer type's range give what x86's conversion instructions give, on every CPU.
#pragma once
#include "quantal/num/float8.hpp"
#include "quantal/ops/op.hpp"

namespace quantal::ops {

struct cast_rules {
  bool saturate = true;        // float8: too large becomes the largest number, else infinity or NaN
  bool fnuz_infinity = false;  // FNUZ types: infinity becomes the largest number too (Cast-24), not NaN (Cast-19..23)
  scale_rounding e8m0 = scale_rounding::up;  // float8e8m0: which power of two
};

// Converts n elements; false if one of the types has no conversion (string, complex).
bool convert_elements(dtype from, const void* source, dtype to, void* target, std::size_t n,
                      const cast_rules& rules = {});
result<tensor_buffer> convert_tensor(const tensor_buffer& t, dtype to, const cast_rules& rules = {});

// The type in which a narrow type is computed; the type itself if it is not narrow.
dtype wide_type(dtype t) noexcept;
result<void> eval_wide(eval_context& c, eval_fn f);
template <eval_fn F>
result<void> in_wide(eval_context& c) {
  return eval_wide(c, F);
}
// The same for operators that only move data: 16-bit types stay, only sub-byte types are unpacked.
result<void> eval_unpacked(eval_context& c, eval_fn f);
template <eval_fn F>
result<void> in_bytes(eval_context& c) {
  return eval_unpacked(c, F);
}

}  // namespace quantal::ops
