#include "quantal/kernels/quantize_array.hpp"

#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/elementwise.hpp"

namespace quantal {

namespace {

constexpr size_t task_elements = size_t{1} << 16;
constexpr size_t shortest_run = 16;  // below this the set-up of a vector kernel costs more than it saves

bool has_kernel(dtype type) noexcept {
  return type == dtype::s8 || type == dtype::u8;
}

// Cuts an array whose runs are `inner` long into tasks of whole runs, or a single run into pieces.
template <class Body>
void for_each_piece(const detail::axis_split& split, const affine_params& params, const parallel_for& parallel,
                    Body&& body) {
  const bool single = params.axis == -1;
  const size_t rows = single ? 1 : split.outer * split.length;
  if (single) {
    const size_t pieces = (split.inner + task_elements - 1) / task_elements;
    parallel(pieces, [&](size_t piece) {
      const size_t first = piece * task_elements;
      body(first, split.inner - first < task_elements ? split.inner - first : task_elements,
           detail::params_at(params, 0));
    });
    return;
  }
  const size_t rows_per_task = split.inner >= task_elements ? 1 : task_elements / split.inner;
  parallel((rows + rows_per_task - 1) / rows_per_task, [&](size_t task) {
    const size_t end = rows - task * rows_per_task < rows_per_task ? rows : (task + 1) * rows_per_task;
    for (size_t row = task * rows_per_task; row < end; ++row) {
      body(row * split.inner, split.inner, detail::params_at(params, row % split.length));
    }
  });
}

}  // namespace

status quantize_array(const float* x, const shape& dims, const affine_params& params, dtype type, void* codes,
                      const quantize_options& options, size_t* bad, const parallel_for& parallel) noexcept {
  detail::axis_split split;
  const bool fits = detail::split_axis(dims, params, split) == status::ok;
  if (!fits || !has_kernel(type) || params.block != 0 || options.round != rounding::half_even ||
      split.inner < shortest_run || x == nullptr || codes == nullptr) {
    return quantize(x, dims, params, type, codes, options, bad);
  }
  if (const status s = check_affine(dims, type, params, bad); s != status::ok) return s;
  code_limits limits;
  if (const status s = clamped_codes(type, options, limits); s != status::ok) return s;
  if (const status s = check_nan(x, split.outer * split.length * split.inner, options, bad); s != status::ok) return s;
  const elementwise_table& table = elementwise();
  for_each_piece(split, params, parallel, [&](size_t first, size_t count, quant_params p) noexcept {
    const quantize_run run{p, limits, options.nan == nan_policy::lowest, options.reciprocal};
    if (type == dtype::s8)
      table.quantize_s8(x + first, count, run, static_cast<int8_t*>(codes) + first);
    else
      table.quantize_u8(x + first, count, run, static_cast<uint8_t*>(codes) + first);
  });
  return status::ok;
}

status dequantize_array(const void* codes, const shape& dims, const affine_params& params, dtype type, float* x,
                        size_t* bad, const parallel_for& parallel) noexcept {
  detail::axis_split split;
  const bool fits = detail::split_axis(dims, params, split) == status::ok;
  if (!fits || !has_kernel(type) || params.block != 0 || split.inner < shortest_run || x == nullptr ||
      codes == nullptr) {
    return dequantize(codes, dims, params, type, x, bad);
  }
  if (const status s = check_affine(dims, type, params, bad); s != status::ok) return s;
  const elementwise_table& table = elementwise();
  for_each_piece(split, params, parallel, [&](size_t first, size_t count, quant_params p) noexcept {
    if (type == dtype::s8)
      table.dequantize_s8(static_cast<const int8_t*>(codes) + first, count, p, x + first);
    else
      table.dequantize_u8(static_cast<const uint8_t*>(codes) + first, count, p, x + first);
  });
  return status::ok;
}

}  // namespace quantal
