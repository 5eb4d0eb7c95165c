// Element conversion in two steps over small blocks: any source type -> f32, f64, s64 or u64 (exact) -> target type
// (one rounding). N readers + M writers instead of N x M loops.
#include "quantal/ops/convert.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantal/num/float16.hpp"
#include "quantal/num/int4.hpp"
#include "quantal/ops/arguments.hpp"

namespace quantal::ops {

namespace {

constexpr std::size_t block = 512;  // even: sub-byte blocks begin at a byte

enum class carrier { f32, f64, s64, u64, none };

carrier carrier_of(dtype t) {
  if (t == dtype::f64) return carrier::f64;
  if (t == dtype::u64) return carrier::u64;
  if (is_float(t)) return carrier::f32;
  return is_integer(t) || t == dtype::boolean ? carrier::s64 : carrier::none;
}

template <class T, class W>
void widen(const void* source, std::size_t begin, std::size_t n, W* out) {
  const T* x = static_cast<const T*>(source) + begin;
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<W>(x[i]);
}

template <class F>
void decode(const void* source, std::size_t begin, std::size_t n, float* out, F f) {
  const auto* x = static_cast<const std::uint8_t*>(source) + begin;
  for (std::size_t i = 0; i < n; ++i) out[i] = f(x[i]);
}

void read_f32(dtype t, const void* s, std::size_t at, std::size_t n, float* out) {
  const auto* halves = static_cast<const std::uint16_t*>(s) + at;
  switch (t) {
    case dtype::f16:
      for (std::size_t i = 0; i < n; ++i) out[i] = f16_to_f32(halves[i]);
      break;
    case dtype::bf16:
      for (std::size_t i = 0; i < n; ++i) out[i] = bf16_to_f32(halves[i]);
      break;
    case dtype::f8e4m3fn: decode(s, at, n, out, f8e4m3fn_to_f32); break;
    case dtype::f8e4m3fnuz: decode(s, at, n, out, f8e4m3fnuz_to_f32); break;
    case dtype::f8e5m2: decode(s, at, n, out, f8e5m2_to_f32); break;
    case dtype::f8e5m2fnuz: decode(s, at, n, out, f8e5m2fnuz_to_f32); break;
    case dtype::f8e8m0: decode(s, at, n, out, f8e8m0_to_f32); break;
    case dtype::f4e2m1:
      for (std::size_t i = 0; i < n; ++i) {
        out[i] = f4e2m1_to_f32(packed_get(static_cast<const std::uint8_t*>(s), at + i, 4));
      }
      break;
    default: std::memcpy(out, static_cast<const float*>(s) + at, n * sizeof(float)); break;
  }
}

void read_s64(dtype t, const void* s, std::size_t at, std::size_t n, std::int64_t* out) {
  switch (t) {
    case dtype::s8: widen<std::int8_t>(s, at, n, out); break;
    case dtype::u8:
    case dtype::boolean: widen<std::uint8_t>(s, at, n, out); break;
    case dtype::s16: widen<std::int16_t>(s, at, n, out); break;
    case dtype::u16: widen<std::uint16_t>(s, at, n, out); break;
    case dtype::s32: widen<std::int32_t>(s, at, n, out); break;
    case dtype::u32: widen<std::uint32_t>(s, at, n, out); break;
    case dtype::s64: widen<std::int64_t>(s, at, n, out); break;
    default: {
      const std::uint32_t bits = bits_of(t);
      for (std::size_t i = 0; i < n; ++i) {
        const std::uint8_t code = packed_get(static_cast<const std::uint8_t*>(s), at + i, bits);
        out[i] = is_signed(t) ? sign_extend(code, bits) : code;
      }
    }
  }
}

// Float to integer: truncation; outside the range what cvttsd2si gives.
template <class W>
std::int64_t to_s64(W x) {
  return x >= W(-9223372036854775808.0) && x < W(9223372036854775808.0) ? static_cast<std::int64_t>(x) : INT64_MIN;
}
template <class W>
std::int64_t to_s32(W x) {
  const std::int64_t wide = to_s64(x);
  return wide >= INT32_MIN && wide <= INT32_MAX ? wide : INT32_MIN;
}
template <class T, class W>
T to_integer(W x) {
  if constexpr (std::is_integral_v<W>) {
    return static_cast<T>(x);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    if (x >= W(9223372036854775808.0)) {
      return static_cast<std::uint64_t>(to_s64(x - W(9223372036854775808.0))) ^ (std::uint64_t{1} << 63);
    }
    return static_cast<std::uint64_t>(to_s64(x));
  } else if constexpr (sizeof(T) == 8 || std::is_same_v<T, std::uint32_t>) {
    return static_cast<T>(to_s64(x));
  } else {
    return static_cast<T>(to_s32(x));
  }
}

template <class T, class W>
void narrow(const W* x, void* target, std::size_t at, std::size_t n) {
  T* out = static_cast<T*>(target) + at;
  for (std::size_t i = 0; i < n; ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      out[i] = static_cast<T>(x[i]);
    } else {
      out[i] = to_integer<T>(x[i]);
    }
  }
}

template <class W>
std::uint16_t half_of(dtype t, W x) {
  if constexpr (std::is_same_v<W, float>) return t == dtype::f16 ? f32_to_f16(x) : f32_to_bf16(x);
  return t == dtype::f16 ? f64_to_f16(static_cast<double>(x)) : f64_to_bf16(static_cast<double>(x));
}

std::uint8_t f8_of(dtype t, float x, const cast_rules& r) {
  const bool fnuz = t == dtype::f8e4m3fnuz || t == dtype::f8e5m2fnuz;
  if (fnuz && r.fnuz_infinity && r.saturate && std::isinf(x))
    x = std::copysign(1e30f, x);  // any number that is too large
  switch (t) {
    case dtype::f8e4m3fn: return f32_to_f8e4m3fn(x, r.saturate);
    case dtype::f8e4m3fnuz: return f32_to_f8e4m3fnuz(x, r.saturate);
    case dtype::f8e5m2: return f32_to_f8e5m2(x, r.saturate);
    case dtype::f8e5m2fnuz: return f32_to_f8e5m2fnuz(x, r.saturate);
    default: return f32_to_f8e8m0(x, r.e8m0, r.saturate);
  }
}

template <class W>
void write(dtype t, const W* x, void* target, std::size_t at, std::size_t n, const cast_rules& rules) {
  auto* bytes = static_cast<std::uint8_t*>(target);
  switch (t) {
    case dtype::f32: narrow<float>(x, target, at, n); return;
    case dtype::f64: narrow<double>(x, target, at, n); return;
    case dtype::s8: narrow<std::int8_t>(x, target, at, n); return;
    case dtype::u8: narrow<std::uint8_t>(x, target, at, n); return;
    case dtype::s16: narrow<std::int16_t>(x, target, at, n); return;
    case dtype::u16: narrow<std::uint16_t>(x, target, at, n); return;
    case dtype::s32: narrow<std::int32_t>(x, target, at, n); return;
    case dtype::u32: narrow<std::uint32_t>(x, target, at, n); return;
    case dtype::s64: narrow<std::int64_t>(x, target, at, n); return;
    case dtype::u64: narrow<std::uint64_t>(x, target, at, n); return;
    case dtype::boolean:
      for (std::size_t i = 0; i < n; ++i) bytes[at + i] = x[i] != W(0);
      return;
    case dtype::f16:
    case dtype::bf16:
      for (std::size_t i = 0; i < n; ++i) static_cast<std::uint16_t*>(target)[at + i] = half_of(t, x[i]);
      return;
    case dtype::f4e2m1:
      for (std::size_t i = 0; i < n; ++i) packed_set(bytes, at + i, 4, f32_to_f4e2m1(static_cast<float>(x[i])));
      return;
    case dtype::s4:
    case dtype::u4:
    case dtype::s2:
    case dtype::u2:
      for (std::size_t i = 0; i < n; ++i) {
        packed_set(bytes, at + i, bits_of(t), static_cast<std::uint8_t>(to_integer<std::int32_t>(x[i])));
      }
      return;
    default:
      for (std::size_t i = 0; i < n; ++i) bytes[at + i] = f8_of(t, static_cast<float>(x[i]), rules);
      return;
  }
}

template <class W, class Read>
void convert_blocks(Read read, dtype to, void* target, std::size_t n, const cast_rules& rules) {
  W values[block];
  for (std::size_t at = 0; at < n; at += block) {
    const std::size_t m = std::min(block, n - at);
    read(at, m, values);
    write(to, values, target, at, m, rules);
  }
}

}  // namespace

bool convert_elements(dtype from, const void* source, dtype to, void* target, std::size_t n, const cast_rules& rules) {
  if (carrier_of(to) == carrier::none) return false;
  std::uint64_t bytes = 0;
  // Padding bits of packed types are zero.
  if (bits_of(to) < 8 && bytes_of(to, n, bytes)) std::memset(target, 0, static_cast<std::size_t>(bytes));
  switch (carrier_of(from)) {
    case carrier::f32:
      convert_blocks<float>([&](std::size_t at, std::size_t m, float* v) { read_f32(from, source, at, m, v); }, to,
                            target, n, rules);
      return true;
    case carrier::f64:
      convert_blocks<double>([&](std::size_t at, std::size_t m, double* v) { widen<double>(source, at, m, v); }, to,
                             target, n, rules);
      return true;
    case carrier::s64:
      convert_blocks<std::int64_t>(
          [&](std::size_t at, std::size_t m, std::int64_t* v) { read_s64(from, source, at, m, v); }, to, target, n,
          rules);
      return true;
    case carrier::u64:
      convert_blocks<std::uint64_t>(
          [&](std::size_t at, std::size_t m, std::uint64_t* v) { widen<std::uint64_t>(source, at, m, v); }, to, target,
          n, rules);
      return true;
    case carrier::none: return false;
  }
  return false;
}

result<tensor_buffer> convert_tensor(const tensor_buffer& t, dtype to, const cast_rules& rules) {
  if (t.type() == to) return t;
  QUANTAL_TRY(out, tensor_buffer::make(to, t.dims()));
  if (!convert_elements(t.type(), t.data(), to, out.mutable_data(), static_cast<std::size_t>(t.elements()), rules)) {
    return error{status::unsupported, std::string("no conversion from ") + name_of(t.type()) + " to " + name_of(to), "",
                 "cast to f32 first"};
  }
  return std::move(out);
}

dtype wide_type(dtype t) noexcept {
  switch (t) {
    case dtype::f16:
    case dtype::bf16:
    case dtype::f8e4m3fn:
    case dtype::f8e4m3fnuz:
    case dtype::f8e5m2:
    case dtype::f8e5m2fnuz:
    case dtype::f8e8m0:
    case dtype::f4e2m1: return dtype::f32;
    case dtype::s4:
    case dtype::s2: return dtype::s8;
    case dtype::u4:
    case dtype::u2: return dtype::u8;
    default: return t;
  }
}

namespace {

// Shows an operator wide inputs and narrows its wide outputs.
class wide_context final : public eval_context {
 public:
  wide_context(eval_context& outer, dtype narrow)
      : eval_context(outer.node, outer.opset), outer_(outer), narrow_(narrow) {}

  result<void> open() {
    inputs_.resize(outer_.input_count());
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (!outer_.has_input(i)) continue;
      const tensor_buffer& t = outer_.input(i);
      // Every narrow input is widened, also one of another narrow type than the outputs'.
      const bool convert = t.type() == narrow_ || (is_float(narrow_) && wide_type(t.type()) == dtype::f32);
      QUANTAL_TRY(wide, convert ? convert_tensor(t, wide_type(t.type())) : result<tensor_buffer>(t));
      inputs_[i] = wide;
    }
    outputs_.resize(node.outputs.size() + 8);
    return {};
  }
  result<void> close() {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (!outputs_[i]) continue;
      QUANTAL_TRY(out, outer_.output(i, narrow_, outputs_[i].dims()));
      convert_elements(outputs_[i].type(), outputs_[i].data(), narrow_, out->mutable_data(),
                       static_cast<std::size_t>(outputs_[i].elements()));
    }
    return {};
  }

  std::size_t input_count() const override { return inputs_.size(); }
  const tensor_buffer& input(std::size_t i) const override { return inputs_[i]; }
  result<tensor_buffer*> output(std::size_t i, dtype type, const shape& dims) override {
    if (type != wide_type(narrow_) || i >= outputs_.size()) return outer_.output(i, type, dims);
    QUANTAL_TRY(t, tensor_buffer::make(type, dims));
    outputs_[i] = std::move(t);
    return &outputs_[i];
  }
  result<void> forward(std::size_t i, tensor_buffer value) override {
    if (value.type() != wide_type(narrow_) || i >= outputs_.size()) return outer_.forward(i, std::move(value));
    outputs_[i] = std::move(value);
    return {};
  }
  result<void*> scratch(std::size_t bytes) override { return outer_.scratch(bytes); }
  const parallel_for& parallel() const override { return outer_.parallel(); }
  result<std::vector<tensor_buffer>> run_subgraph(const ir::graph& g, std::span<const tensor_buffer> inputs) override {
    return outer_.run_subgraph(g, inputs);
  }
  std::shared_ptr<const void> cached(const std::function<std::shared_ptr<const void>()>& make) override {
    return outer_.cached(make);
  }
  bool is_constant(std::size_t i) const override { return outer_.is_constant(i); }

 private:
  eval_context& outer_;
  dtype narrow_;
  std::vector<tensor_buffer> inputs_;
  std::vector<tensor_buffer> outputs_;
};

result<void> eval_with(eval_context& c, eval_fn f, bool packed_only) {
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    if (!c.has_input(i)) continue;
    const dtype t = c.input(i).type();
    if (wide_type(t) == t || (packed_only && bits_of(t) >= 8)) continue;
    wide_context wide(c, t);
    QUANTAL_CHECK(wide.open());
    QUANTAL_CHECK(f(wide));
    return wide.close();
  }
  return f(c);
}

}  // namespace

result<void> eval_wide(eval_context& c, eval_fn f) {
  return eval_with(c, f, false);
}
result<void> eval_unpacked(eval_context& c, eval_fn f) {
  return eval_with(c, f, true);
}

}  // namespace quantal::ops
