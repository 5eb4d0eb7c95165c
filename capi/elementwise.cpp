// The C ABI's elementwise kernels: arguments checked here, kernels/integer.hpp, pool.hpp and dynamic_rows.hpp behind.
// Contract fp32_rne runs on this CPU's table, the fixed contracts on the reference.
#include "plan.hpp"
#include "quantal/kernels/dynamic_rows.hpp"
#include "quantal/kernels/gemm_run.hpp"
#include "quantal/kernels/pool.hpp"
#include "quantal/kernels/ref/integer.hpp"

namespace quantal::capi {
namespace {

const integer_table& table_of(contract rule) noexcept {
  return rule == contract::fp32_rne ? integer_kernels() : kernels::ref::integer;
}

// An output may be an input exactly, or must not touch it.
bool collides(const void* in, std::uint64_t in_bytes, const void* out, std::uint64_t out_bytes) noexcept {
  return in != out && detail::overlap(in, in_bytes, out, out_bytes);
}

std::int32_t read_codes(const quantal_codes_desc* desc, bool two, codes_run& run, dtype& in, dtype& out) noexcept {
  quantal_codes_desc d;
  if (const std::int32_t s = read_struct(desc, d, sizeof d, QUANTAL_CLAMP); s != QUANTAL_OK) return s;
  in = static_cast<dtype>(d.in_dtype);
  out = static_cast<dtype>(d.out_dtype);
  if (two && in != out) return QUANTAL_E_DTYPE;
  run.rule = static_cast<contract>(d.contract);
  run.a_zero_point = d.a_zero_point;
  run.b_zero_point = d.b_zero_point;
  run.ratio = d.ratio;
  run.other_ratio = d.other_ratio;
  run.multiplier = {d.multiplier.multiplier, d.multiplier.shift};
  run.other_multiplier = {d.other_multiplier.multiplier, d.other_multiplier.shift};
  run.zero_point = d.zero_point;
  if (!code_limits_of(out, run.codes)) return QUANTAL_E_DTYPE;
  if ((d.flags & QUANTAL_CLAMP) != 0) run.codes = {d.min, d.max};
  return QUANTAL_OK;
}

enum class operation { add, multiply };

constexpr std::uint32_t pool_flags =
    std::uint32_t{QUANTAL_CLAMP} | std::uint32_t{QUANTAL_COUNT_PADDING} | std::uint32_t{QUANTAL_CEIL};

std::int32_t binary(const quantal_codes_desc* desc, const void* a, const void* b, void* out, std::size_t n,
                    operation op) noexcept {
  codes_run run;
  dtype in = dtype::none, to = dtype::none;
  if (const std::int32_t s = read_codes(desc, true, run, in, to); s != QUANTAL_OK) return s;
  if (op == operation::multiply) {  // one ratio for the product
    run.other_ratio = run.ratio;
    run.other_multiplier = run.multiplier;
  }
  if (const status s = check_run(run, in, to, true); s != status::ok) return code_of(s);
  if (n == 0) return QUANTAL_OK;
  if (a == nullptr || b == nullptr || out == nullptr) return QUANTAL_E_NULL;
  if (collides(a, n, out, n) || collides(b, n, out, n)) return QUANTAL_E_OVERLAP;
  const integer_table& t = table_of(run.rule);
  if (in == dtype::s8) {
    (op == operation::add ? t.add_s8 : t.multiply_s8)(
        static_cast<const std::int8_t*>(a), static_cast<const std::int8_t*>(b), n, run, static_cast<std::int8_t*>(out));
  } else {
    (op == operation::add ? t.add_u8 : t.multiply_u8)(static_cast<const std::uint8_t*>(a),
                                                      static_cast<const std::uint8_t*>(b), n, run,
                                                      static_cast<std::uint8_t*>(out));
  }
  return QUANTAL_OK;
}

std::int32_t pool(const quantal_pool_desc* desc, bool average, const void* in, std::size_t in_bytes, void* out,
                  std::size_t out_bytes, const quantal_parallel* parallel) noexcept {
  quantal_pool_desc d;
  if (const std::int32_t s = read_struct(desc, d, sizeof d, pool_flags); s != QUANTAL_OK) return s;
  for (std::int64_t* x : {&d.stride_h, &d.stride_w, &d.dilation_h, &d.dilation_w}) {
    if (*x == 0) *x = 1;
  }
  pool_desc to;
  to.batch = d.batch;
  to.in_h = d.in_h;
  to.in_w = d.in_w;
  to.channels = d.channels;
  to.kernel_h = d.kernel_h;
  to.kernel_w = d.kernel_w;
  to.stride_h = d.stride_h;
  to.stride_w = d.stride_w;
  to.dilation_h = d.dilation_h;
  to.dilation_w = d.dilation_w;
  to.pad_top = d.pad_top;
  to.pad_left = d.pad_left;
  to.pad_bottom = d.pad_bottom;
  to.pad_right = d.pad_right;
  to.ceil = (d.flags & QUANTAL_CEIL) != 0;
  to.count_padding = (d.flags & QUANTAL_COUNT_PADDING) != 0;
  to.type = static_cast<dtype>(d.dtype);
  to.rule = static_cast<contract>(d.contract);
  to.in = {d.in_scale, d.in_zero_point};
  to.out = {d.out_scale, d.out_zero_point};
  if ((d.flags & QUANTAL_CLAMP) != 0) {
    if (d.min == INT32_MIN || d.max == INT32_MAX) return QUANTAL_E_RANGE;
    to.codes = {d.min, d.max};
  }
  pool_plan plan;
  if (const status s = plan_pool(to, average, plan); s != status::ok) return code_of(s);
  parallel_for threads;
  if (const std::int32_t s = read_parallel(parallel, threads); s != QUANTAL_OK) return s;
  if (plan.out_elements == 0) return QUANTAL_OK;
  if (in == nullptr || out == nullptr) return QUANTAL_E_NULL;
  if (in_bytes < plan.in_elements || out_bytes < plan.out_elements) return QUANTAL_E_BUFFER;
  if (detail::overlap(in, plan.in_elements, out, plan.out_elements)) return QUANTAL_E_OVERLAP;
  return code_of(run_pool(plan, table_of(to.rule), in, out, threads));
}

}  // namespace
}  // namespace quantal::capi

using namespace quantal;
using namespace quantal::capi;

extern "C" {

int32_t quantal_requantize(const quantal_epilogue* how, int32_t type, const int32_t* sums, const int32_t* bias,
                           uint64_t rows, uint64_t channels, void* out, size_t out_bytes) {
  if (how == nullptr) return QUANTAL_E_NULL;
  const auto to = static_cast<dtype>(type);
  if (to != dtype::s8 && to != dtype::u8) return QUANTAL_E_DTYPE;
  epilogue e;
  if (const int32_t s = read_epilogue(how, to, e); s != QUANTAL_OK) return s;
  if (e.table != nullptr || e.residual.type != dtype::none || e.row_scales) return QUANTAL_E_UNSUPPORTED;
  uint64_t total = 0, bytes = 0;
  if (!checked_mul(rows, channels, total) || !checked_mul(total, 4, bytes) || bytes > SIZE_MAX)
    return QUANTAL_E_OVERFLOW;
  if (const status s = check_requantizer(e.requant, to, static_cast<size_t>(channels)); s != status::ok)
    return code_of(s);
  if (total == 0) return QUANTAL_OK;
  if (sums == nullptr || out == nullptr) return QUANTAL_E_NULL;
  if (!aligned4(sums) || !aligned4(bias)) return QUANTAL_E_ARGUMENT;
  if (out_bytes < total) return QUANTAL_E_BUFFER;
  if (detail::overlap(sums, bytes, out, total) || detail::overlap(bias, bias == nullptr ? 0 : channels * 4, out, total))
    return QUANTAL_E_OVERLAP;
  code_limits codes;
  requant_limits(e.requant, to, codes);
  const integer_table& t = table_of(e.requant.rule);
  const auto r = static_cast<size_t>(rows), c = static_cast<size_t>(channels);
  if (to == dtype::s8)
    t.requantize_s8(sums, bias, r, c, e.requant, codes, static_cast<int8_t*>(out));
  else
    t.requantize_u8(sums, bias, r, c, e.requant, codes, static_cast<uint8_t*>(out));
  return QUANTAL_OK;
}

int32_t quantal_rescale(const quantal_codes_desc* desc, const void* a, void* out, size_t n) {
  codes_run run;
  dtype in = dtype::none, to = dtype::none;
  if (const int32_t s = read_codes(desc, false, run, in, to); s != QUANTAL_OK) return s;
  if (const status s = check_run(run, in, to, false); s != status::ok) return code_of(s);
  if (n == 0) return QUANTAL_OK;
  if (a == nullptr || out == nullptr) return QUANTAL_E_NULL;
  if (collides(a, n, out, n)) return QUANTAL_E_OVERLAP;
  const integer_table& t = table_of(run.rule);
  const auto* s = static_cast<const int8_t*>(a);
  const auto* u = static_cast<const uint8_t*>(a);
  if (in == dtype::s8 && to == dtype::s8) t.rescale_s8_s8(s, n, run, static_cast<int8_t*>(out));
  if (in == dtype::s8 && to == dtype::u8) t.rescale_s8_u8(s, n, run, static_cast<uint8_t*>(out));
  if (in == dtype::u8 && to == dtype::s8) t.rescale_u8_s8(u, n, run, static_cast<int8_t*>(out));
  if (in == dtype::u8 && to == dtype::u8) t.rescale_u8_u8(u, n, run, static_cast<uint8_t*>(out));
  return QUANTAL_OK;
}

int32_t quantal_add(const quantal_codes_desc* desc, const void* a, const void* b, void* out, size_t n) {
  return binary(desc, a, b, out, n, operation::add);
}
int32_t quantal_multiply(const quantal_codes_desc* desc, const void* a, const void* b, void* out, size_t n) {
  return binary(desc, a, b, out, n, operation::multiply);
}

int32_t quantal_look_up(const uint8_t* table, const void* codes, void* out, size_t n) {
  if (n == 0) return QUANTAL_OK;
  if (table == nullptr || codes == nullptr || out == nullptr) return QUANTAL_E_NULL;
  if (collides(codes, n, out, n) || detail::overlap(table, 256, out, n)) return QUANTAL_E_OVERLAP;
  integer_kernels().look_up(static_cast<const uint8_t*>(codes), n, table, static_cast<uint8_t*>(out));
  return QUANTAL_OK;
}

int32_t quantal_fill_table(int32_t in_dtype, float in_scale, int32_t in_zero_point, int32_t out_dtype, float out_scale,
                           int32_t out_zero_point, float (*f)(void* context, float x), void* context, uint8_t* table) {
  if (f == nullptr || table == nullptr) return QUANTAL_E_NULL;
  uint8_t made[256];
  const status s = fill_table(
      static_cast<dtype>(in_dtype), {in_scale, in_zero_point}, static_cast<dtype>(out_dtype),
      {out_scale, out_zero_point}, [&](float x) { return f(context, x); }, made);
  if (s == status::ok) std::memcpy(table, made, sizeof made);
  return code_of(s);
}

int32_t quantal_max_pool(const quantal_pool_desc* desc, const void* in, size_t in_bytes, void* out, size_t out_bytes,
                         const quantal_parallel* parallel) {
  return pool(desc, false, in, in_bytes, out, out_bytes, parallel);
}
int32_t quantal_average_pool(const quantal_pool_desc* desc, const void* in, size_t in_bytes, void* out,
                             size_t out_bytes, const quantal_parallel* parallel) {
  return pool(desc, true, in, in_bytes, out, out_bytes, parallel);
}

int32_t quantal_quantize_rows(int32_t type, const float* x, uint64_t rows, uint64_t k, void* codes, size_t codes_bytes,
                              float* scales, int32_t* zero_points, int32_t* sums) {
  const auto to = static_cast<dtype>(type);
  if (to != dtype::s8 && to != dtype::u8) return QUANTAL_E_DTYPE;
  uint64_t total = 0, bytes = 0;
  if (k > uint64_t{1} << 23 || !checked_mul(rows, k, total) || !checked_mul(total, 4, bytes) || bytes > SIZE_MAX)
    return QUANTAL_E_OVERFLOW;
  if (rows == 0) return QUANTAL_OK;
  if (scales == nullptr || zero_points == nullptr || (k > 0 && (x == nullptr || codes == nullptr)))
    return QUANTAL_E_NULL;
  if (!aligned4(x) || !aligned4(scales) || !aligned4(zero_points) || !aligned4(sums)) return QUANTAL_E_ARGUMENT;
  if (codes_bytes < total) return QUANTAL_E_BUFFER;
  const void* outputs[] = {codes, scales, zero_points, sums};
  const uint64_t sizes[] = {total, rows * 4, rows * 4, sums == nullptr ? 0 : rows * 4};
  for (int i = 0; i < 4; ++i) {
    if (detail::overlap(x, bytes, outputs[i], sizes[i])) return QUANTAL_E_OVERLAP;
    for (int j = 0; j < i; ++j) {
      if (detail::overlap(outputs[i], sizes[i], outputs[j], sizes[j])) return QUANTAL_E_OVERLAP;
    }
  }
  const auto width = static_cast<int64_t>(k);
  constexpr uint64_t batch = 64;
  quant_params params[batch];
  for (uint64_t row = 0; row < rows; row += batch) {
    const uint64_t count = rows - row < batch ? rows - row : batch;
    quantize_rows(elementwise(), x + row * k, static_cast<int64_t>(count), width, width, to,
                  static_cast<uint8_t*>(codes) + row * k, width, params, sums == nullptr ? nullptr : sums + row);
    for (uint64_t i = 0; i < count; ++i) {
      scales[row + i] = params[i].scale;
      zero_points[row + i] = params[i].zero_point;
    }
  }
  return QUANTAL_OK;
}

}  // extern "C"
