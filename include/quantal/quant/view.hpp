// quantize and dequantize between tensor views: any strides, real numbers as f32, f16, bf16 or f64, codes of any
// integer type or small float.
//
// f16 and bf16 are converted to f32 (exactly) and treated as quant/affine.hpp says. f64 keeps its precision: the
// quotient is formed and rounded in f64. Codes of a small float (f8e4m3fn...) are encode(x / scale), saturating, and
// have zero point 0 (ONNX, QuantizeLinear-19). Going back, the f32 product is rounded once to f16 or bf16; f64 gets an
// f64 product. One element at a time: the meaning, and good for odd layouts; kernels/quantize_array.hpp is the fast way
// for dense f32. Freestanding.
#pragma once
#include "quantal/num/float16.hpp"
#include "quantal/num/float8.hpp"
#include "quantal/quant/affine.hpp"
#include "quantal/tensor/view.hpp"

namespace quantal {

constexpr bool is_real_storage(dtype t) noexcept {
  return t == dtype::f32 || t == dtype::f16 || t == dtype::bf16 || t == dtype::f64;
}
constexpr bool is_small_float(dtype t) noexcept {
  return t == dtype::f8e4m3fn || t == dtype::f8e4m3fnuz || t == dtype::f8e5m2 || t == dtype::f8e5m2fnuz ||
         t == dtype::f4e2m1;
}

// One f64 value, quotient in f64.
constexpr int32_t quantize_value(double x, quant_params p, code_limits codes,
                                 const quantize_options& options = {}) noexcept {
  if (is_nan(x)) return quantize_value(f32_of_bits(0x7fc00000u), p, codes, options);
  const double scale = fence(double{p.scale});
  const double quotient = options.reciprocal ? fence(x * fence(1.0 / scale)) : fence(x / scale);
  const int64_t q = round_to_int(quotient, options.round) + p.zero_point;
  return static_cast<int32_t>(q < codes.min ? codes.min : q > codes.max ? codes.max : q);
}

constexpr uint8_t encode_small_float(dtype t, float x, bool saturate = true) noexcept {
  switch (t) {
    case dtype::f8e4m3fn: return f32_to_f8e4m3fn(x, saturate);
    case dtype::f8e4m3fnuz: return f32_to_f8e4m3fnuz(x, saturate);
    case dtype::f8e5m2: return f32_to_f8e5m2(x, saturate);
    case dtype::f8e5m2fnuz: return f32_to_f8e5m2fnuz(x, saturate);
    default: return f32_to_f4e2m1(x);
  }
}
constexpr float decode_small_float(dtype t, uint8_t code) noexcept {
  switch (t) {
    case dtype::f8e4m3fn: return f8e4m3fn_to_f32(code);
    case dtype::f8e4m3fnuz: return f8e4m3fnuz_to_f32(code);
    case dtype::f8e5m2: return f8e5m2_to_f32(code);
    case dtype::f8e5m2fnuz: return f8e5m2fnuz_to_f32(code);
    default: return f4e2m1_to_f32(code);
  }
}

namespace detail {

// An f32 that holds the element; f64 is rounded (callers treat f64 apart where it matters).
inline float load_real(const tensor_view& v, int64_t offset) noexcept {
  switch (v.type) {
    case dtype::f16: return f16_to_f32(static_cast<const uint16_t*>(v.data)[offset]);
    case dtype::bf16: return bf16_to_f32(static_cast<const uint16_t*>(v.data)[offset]);
    case dtype::f64: return static_cast<float>(static_cast<const double*>(v.data)[offset]);
    default: return static_cast<const float*>(v.data)[offset];
  }
}

// Walks two views of one shape in row-major order: body(offset in a, offset in b, index of the parameters).
template <class Body>
void walk(const tensor_view& a, const tensor_view& b, const affine_params& p, Body&& body) noexcept {
  int64_t index[limits::max_rank] = {};
  const int64_t count = a.elements();
  const int64_t inner = p.block > 0 ? a.dims.elements(p.axis + 1, a.dims.rank) : 1;
  const int64_t blocks = p.block > 0 ? (a.dims[p.axis] + p.block - 1) / p.block : 1;
  int64_t at_a = 0, at_b = 0;
  for (int64_t done = 0; done < count; ++done) {
    int64_t pair = 0;
    if (p.axis >= 0 && p.block == 0) pair = index[p.axis];
    if (p.block > 0) {
      const int64_t outer = done / (a.dims[p.axis] * inner);
      pair = (outer * blocks + index[p.axis] / p.block) * inner + done % inner;
    }
    body(at_a, at_b, static_cast<size_t>(pair));
    for (int32_t axis = a.dims.rank; axis-- > 0;) {
      at_a += a.strides[axis];
      at_b += b.strides[axis];
      if (++index[axis] < a.dims[axis]) break;
      at_a -= a.strides[axis] * a.dims[axis];
      at_b -= b.strides[axis] * a.dims[axis];
      index[axis] = 0;
    }
  }
}

inline status check_pair(const tensor_view& real, const tensor_view& codes, const affine_params& params,
                         size_t* bad) noexcept {
  code_limits limits_of_type;
  if (!is_real_storage(real.type)) return status::dtype;
  if (!is_small_float(codes.type) && !code_limits_of(codes.type, limits_of_type)) return status::dtype;
  if (!(real.dims == codes.dims)) return status::shape;
  if (const status s = check_view(real, UINT64_MAX, UINT64_MAX); s != status::ok) return s;
  if (const status s = check_view(codes, UINT64_MAX, UINT64_MAX); s != status::ok) return s;
  // The parameters of a small float are those of a symmetric type: its zero points must be 0.
  if (is_small_float(codes.type) && params.zero_points != nullptr) {
    for (size_t i = 0; i < params.count; ++i) {
      if (params.zero_points[i] == 0) continue;
      if (bad != nullptr) *bad = i;
      return status::zero_point;
    }
  }
  return check_affine(real.dims, is_small_float(codes.type) ? dtype::s8 : codes.type, params, bad);
}

[[gnu::noinline]] inline void quantize_walk(const tensor_view& x, const tensor_view& q, const affine_params& params,
                                            code_limits codes, const quantize_options& options) noexcept {
  walk(x, q, params, [&](int64_t from, int64_t to, size_t pair) noexcept {
    const quant_params p = params_at(params, pair);
    if (is_small_float(q.type)) {
      const float quotient = fence(load_real(x, from) / fence(p.scale));
      const uint8_t code = encode_small_float(q.type, quotient);
      if (q.type == dtype::f4e2m1)
        packed_set(static_cast<uint8_t*>(q.data), static_cast<size_t>(to), 4, code);
      else
        static_cast<uint8_t*>(q.data)[to] = code;
      return;
    }
    const int32_t code = x.type == dtype::f64
                             ? quantize_value(static_cast<const double*>(x.data)[from], p, codes, options)
                             : quantize_value(load_real(x, from), p, codes, options);
    // store_code counts elements from data on; strided views may lie below it.
    const int64_t size = static_cast<int64_t>(bits_of(q.type) / 8);
    if (size == 0)
      store_code(q.type, q.data, static_cast<size_t>(to), code);
    else
      store_code(q.type, static_cast<char*>(q.data) + to * size, 0, code);
  });
}

[[gnu::noinline]] inline void dequantize_walk(const tensor_view& q, const tensor_view& x,
                                              const affine_params& params) noexcept {
  walk(q, x, params, [&](int64_t from, int64_t to, size_t pair) noexcept {
    const quant_params p = params_at(params, pair);
    const int64_t size = static_cast<int64_t>(bits_of(q.type) / 8);
    const char* at = static_cast<const char*>(q.data) + from * size;
    const size_t packed_at = size == 0 ? static_cast<size_t>(from) : 0;
    float small = 0;
    int32_t code = 0;
    const bool is_small = is_small_float(q.type);
    if (is_small) {
      const uint8_t raw =
          size == 0 ? packed_get(reinterpret_cast<const uint8_t*>(at), packed_at, 4) : static_cast<uint8_t>(*at);
      small = decode_small_float(q.type, raw);
    } else {
      code = load_code(q.type, size == 0 ? q.data : at, packed_at);
    }
    if (x.type == dtype::f64) {
      const double step = is_small ? double{small} : double(int64_t{code} - p.zero_point);
      static_cast<double*>(x.data)[to] = fence(step * double{p.scale});
      return;
    }
    const float value = is_small ? fence(small * fence(p.scale)) : dequantize_value(code, p);
    switch (x.type) {
      case dtype::f16: static_cast<uint16_t*>(x.data)[to] = f32_to_f16(value); break;
      case dtype::bf16: static_cast<uint16_t*>(x.data)[to] = f32_to_bf16(value); break;
      default: static_cast<float*>(x.data)[to] = value; break;
    }
  });
}

}  // namespace detail

// x -> q. Errors: as quantize() of affine.hpp, shape (the shapes differ), stride (a packed type that is not dense),
// flags (q is read only).
inline status quantize(const tensor_view& x, const tensor_view& q, const affine_params& params,
                       const quantize_options& options = {}, size_t* bad = nullptr) noexcept {
  if (q.read_only) return status::flags;
  if (const status s = detail::check_pair(x, q, params, bad); s != status::ok) return s;
  code_limits codes;
  if (!is_small_float(q.type)) {
    if (const status s = clamped_codes(q.type, options, codes); s != status::ok) return s;
  }
  if (options.nan == nan_policy::error) {
    size_t position = 0;
    bool found = false;
    detail::walk(x, x, {nullptr, nullptr, 1, -1, 0}, [&](int64_t from, int64_t, size_t) noexcept {
      if (!found && is_nan(detail::load_real(x, from))) found = true;
      if (!found) ++position;
    });
    if (found) {
      if (bad != nullptr) *bad = position;
      return status::nan_value;
    }
  }
  const size_t total = static_cast<size_t>(x.elements());
  const uint32_t bits = bits_of(q.type);
  if (bits < 8 && total % (8 / bits) != 0) static_cast<uint8_t*>(q.data)[packed_bytes(total, bits) - 1] = 0;
  const default_fp_env env;
  detail::quantize_walk(x, q, params, codes, options);
  return status::ok;
}

// q -> x. Errors: as quantize.
inline status dequantize(const tensor_view& q, const tensor_view& x, const affine_params& params,
                         size_t* bad = nullptr) noexcept {
  if (x.read_only) return status::flags;
  if (const status s = detail::check_pair(x, q, params, bad); s != status::ok) return s;
  const default_fp_env env;
  detail::dequantize_walk(q, x, params);
  return status::ok;
}

}  // namespace quantal
