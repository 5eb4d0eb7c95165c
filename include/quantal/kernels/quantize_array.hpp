// quantize_array and dequantize_array: what quantize() and dequantize() of quant/affine.hpp compute, with the kernels
// of this CPU where the elements that share parameters lie together, in tasks of the caller's threads. Host only.
#pragma once
#include "quantal/base/parallel.hpp"
#include "quantal/quant/affine.hpp"

namespace quantal {

// Arguments and errors as quantize() and dequantize(); the results are theirs, bit for bit, for any number of threads.
status quantize_array(const float* x, const shape& dims, const affine_params& params, dtype type, void* codes,
                      const quantize_options& options = {}, size_t* bad = nullptr,
                      const parallel_for& parallel = {}) noexcept;
status dequantize_array(const void* codes, const shape& dims, const affine_params& params, dtype type, float* x,
                        size_t* bad = nullptr, const parallel_for& parallel = {}) noexcept;

}  // namespace quantal
