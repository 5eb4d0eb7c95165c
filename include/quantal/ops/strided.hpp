// Copies between a dense tensor and a strided view of another: what Transpose, Slice, Expand and their kin do.
//
//   out[i0, i1, ...] = source[i0 * stride0 + i1 * stride1 + ...]      strides in elements, 0 or negative allowed
//
// Neighbouring dimensions are joined where the strides allow; a transposition runs in square tiles so that both sides
// use whole cache lines.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "quantal/base/parallel.hpp"
#include "quantal/tensor/shape.hpp"

namespace quantal::ops {

using stride_list = std::array<std::int64_t, static_cast<std::size_t>(limits::max_rank)>;

// Strides of a dense tensor of this shape.
stride_list dense_strides(const shape& s);
// `size`: bytes of an element: 1, 2, 4, 8 or 16. The target is dense with shape `dims`.
void gather_strided(const parallel_for& parallel, std::size_t size, const shape& dims, const stride_list& strides,
                    const void* source, void* target);
// The reverse: the source is dense, the target strided (Concat writes its part of the output).
void scatter_strided(const parallel_for& parallel, std::size_t size, const shape& dims, const stride_list& strides,
                     const void* source, void* target);
// n copies of one element.
void fill_elements(std::size_t size, const void* element, std::int64_t n, void* target);

}  // namespace quantal::ops
