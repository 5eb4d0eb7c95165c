// The integer elementwise kernels, written once over a vector type V (kernels/<isa>/vec.hpp), every contract.
//
// fp32_rne: sums and products of codes are exact in s32 and in f32, so a run is: widen, subtract zero points, convert, multiply,
// convert back (ties to even), narrow with saturation, clamp. On x86 a value below the s32 range converts to INT_MIN,
// the lowest code; values above are cut first. The trap: a compiler may fuse the product and the sum of `add` into one
// FMA; V::fence stands between. The fixed-point contracts have their products from fixed_simd.hpp. Tails go through buffers on the stack; pools overlap their last vector instead. As in
// elementwise_simd.hpp, nothing here calls an inline function of the headers below. Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/fixed_simd.hpp"
#include "quantal/kernels/integer.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

// RNE(x), possibly outside the range on the low side.
template <class V>
[[gnu::always_inline]] inline typename V::s32 rounded(typename V::f32 x, typename V::f32 low,
                                                      typename V::f32 high) noexcept {
  if constexpr (!V::impossible_is_lowest) x = V::max(x, low);
  return V::to_s32(V::min(x, high));
}

// What becomes of centred codes and their sums (s32, exact in f32), in steps of the output. fp32_rne; Small: no result
// leaves s32, the narrowing clamps enough.
template <class V, bool Small>
struct real_ratios {
  typename V::f32 first, other, low, high;
  explicit real_ratios(const codes_run& run) noexcept
      : first(V::set(run.ratio)),
        other(V::set(run.other_ratio)),
        low(V::set(static_cast<float>(run.codes.min - run.zero_point))),
        high(V::set(static_cast<float>(run.codes.max - run.zero_point))) {}
  typename V::s32 finish(typename V::f32 x) const noexcept {
    if constexpr (Small) return V::to_s32(x);
    return rounded<V>(x, low, high);
  }
  typename V::s32 rescale(typename V::s32 x) const noexcept { return finish(V::mul(V::to_f32(x), first)); }
  typename V::s32 multiply(typename V::s32 x, typename V::s32 y) const noexcept {
    return finish(V::mul(V::mul(V::to_f32(x), V::to_f32(y)), first));
  }
  typename V::s32 add(typename V::s32 x, typename V::s32 y) const noexcept {
    const typename V::f32 left = V::fence(V::mul(V::to_f32(x), first));
    const typename V::f32 right = V::fence(V::mul(V::to_f32(y), other));
    return finish(V::add(left, right));
  }
};
// The fixed-point contracts:
template <class V, bool Twice>
struct fixed_ratios {
  fixed_product<V, Twice> first, other;
  explicit fixed_ratios(const codes_run& run) noexcept : first(&run.multiplier, 0), other(&run.other_multiplier, 0) {}
  typename V::s32 rescale(typename V::s32 x) const noexcept { return first(x); }
  typename V::s32 multiply(typename V::s32 x, typename V::s32 y) const noexcept {
    return first(V::to_s32(V::mul(V::to_f32(x), V::to_f32(y))));
  }
  typename V::s32 add(typename V::s32 x, typename V::s32 y) const noexcept {
    return fixed_product<V, Twice>::sum(first(x), other(y));
  }
};

inline constexpr float small_ratio = 0x1p14f;  // times the product of two codes: below 2^31

// Calls body(ratios of the run's contract). `codes`: of single codes, pairs or products, not of sums.
template <class V, class Body>
[[gnu::always_inline]] inline void with_ratios(const codes_run& run, bool codes, Body&& body) noexcept {
  if (run.rule == contract::fixed_double)
    body(fixed_ratios<V, true>(run));
  else if (run.rule == contract::fixed_single)
    body(fixed_ratios<V, false>(run));
  else if (codes && run.ratio < small_ratio && run.other_ratio < small_ratio)
    body(real_ratios<V, true>(run));
  else
    body(real_ratios<V, false>(run));
}

// Four vectors of step(position) -> codes.
template <class V, class Code, class Step>
[[gnu::always_inline]] inline void store_four(const typename V::template narrowing<Code>& n, Code* out,
                                              Step&& step) noexcept {
  n.store(out, step(size_t{0}), step(V::width), step(2 * V::width), step(3 * V::width));
}

// The loops copy their ratios: a store of codes could change the caller's, for all that the compiler knows.
template <class V, class Ratios, class In, class Out>
[[gnu::noinline]] void rescale_loop(const In* a, size_t n, const codes_run& run, const Ratios& ratios,
                                    Out* out) noexcept {
  constexpr size_t step = 4 * V::width;
  const Ratios r = ratios;
  const typename V::s32 zero = V::set(run.a_zero_point);
  const typename V::template narrowing<Out> narrow(run.zero_point, run.codes.min, run.codes.max);
  const auto four = [&](const In* x, Out* y) noexcept {
    store_four<V>(narrow, y, [&](size_t k) { return r.rescale(V::sub(V::load_codes(x + k), zero)); });
  };
  size_t i = 0;
  for (; i + step <= n; i += step) four(a + i, out + i);
  if (i == n) return;
  In x[step];
  Out y[step];
  for (size_t k = 0; k < step; ++k) x[k] = i + k < n ? a[i + k] : In{0};
  four(x, y);
  for (size_t k = 0; i + k < n; ++k) out[i + k] = y[k];
}

template <class V, bool Product, class Ratios, class Code>
[[gnu::noinline]] void binary_loop(const Code* a, const Code* b, size_t n, const codes_run& run, const Ratios& ratios,
                                   Code* out) noexcept {
  constexpr size_t step = 4 * V::width;
  const Ratios r = ratios;
  const typename V::s32 a_zero = V::set(run.a_zero_point), b_zero = V::set(run.b_zero_point);
  const typename V::template narrowing<Code> narrow(run.zero_point, run.codes.min, run.codes.max);
  const auto four = [&](const Code* x, const Code* y, Code* z) noexcept {
    store_four<V>(narrow, z, [&](size_t k) {
      const typename V::s32 left = V::sub(V::load_codes(x + k), a_zero), right = V::sub(V::load_codes(y + k), b_zero);
      if constexpr (Product) return r.multiply(left, right);
      return r.add(left, right);
    });
  };
  size_t i = 0;
  for (; i + step <= n; i += step) four(a + i, b + i, out + i);
  if (i == n) return;
  Code x[step], y[step], z[step];
  for (size_t k = 0; k < step; ++k) {
    x[k] = i + k < n ? a[i + k] : Code{0};
    y[k] = i + k < n ? b[i + k] : Code{0};
  }
  four(x, y, z);
  for (size_t k = 0; i + k < n; ++k) out[i + k] = z[k];
}

template <class V, bool PerChannel, class Code>
[[gnu::noinline]] void requantize_loop(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels,
                                       const requantizer& r, code_limits codes, Code* out) noexcept {
  constexpr size_t step = 4 * V::width;
  const typename V::template narrowing<Code> narrow(r.zero_point, codes.min, codes.max);
  const typename V::f32 low = V::set(static_cast<float>(codes.min - r.zero_point));
  const typename V::f32 high = V::set(static_cast<float>(codes.max - r.zero_point));
  const typename V::f32 same = V::set(*r.ratios);
  const auto four = [&](const int32_t* x, const int32_t* b, const float* ratio, Code* y) noexcept {
    store_four<V>(narrow, y, [&](size_t k) {
      const typename V::s32 sum = b == nullptr ? V::load(x + k) : V::add(V::load(x + k), V::load(b + k));
      return rounded<V>(V::mul(V::to_f32(sum), PerChannel ? V::load(ratio + k) : same), low, high);
    });
  };
  for (size_t row = 0; row < rows; ++row, sums += channels, out += channels) {
    size_t i = 0;
    for (; i + step <= channels; i += step)
      four(sums + i, bias == nullptr ? nullptr : bias + i, PerChannel ? r.ratios + i : nullptr, out + i);
    if (i == channels) continue;
    int32_t x[step], b[step];
    float ratio[step];
    Code y[step];
    for (size_t k = 0; k < step; ++k) {
      const bool live = i + k < channels;
      x[k] = live ? sums[i + k] : 0;
      b[k] = live && bias != nullptr ? bias[i + k] : 0;
      ratio[k] = live && PerChannel ? r.ratios[i + k] : 1.0f;
    }
    four(x, b, ratio, y);
    for (size_t k = 0; i + k < channels; ++k) out[i + k] = y[k];
  }
}

// Fixed point: four vectors of channels after the other, all rows of each, so that multipliers are made ready once.
template <class V, bool Twice, class Code>
[[gnu::noinline]] void requantize_fixed(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels,
                                        const requantizer& r, code_limits codes, Code* out) noexcept {
  constexpr size_t w = V::width, step = 4 * V::width;
  const typename V::template narrowing<Code> narrow(r.zero_point, codes.min, codes.max);
  for (size_t c = 0; c < channels; c += step) {
    const size_t live = channels - c < step ? channels - c : step;
    fixed_multiplier own[step];
    int32_t added[step];
    for (size_t k = 0; k < step; ++k) {
      const fixed_multiplier& m = r.multipliers[r.count == 1 ? 0 : k < live ? c + k : c];
      own[k] = {m.multiplier, m.shift};
      added[k] = bias != nullptr && k < live ? bias[c + k] : 0;
    }
    const fixed_product<V, Twice> product[4] = {fixed_product<V, Twice>(own), fixed_product<V, Twice>(own + w),
                                                fixed_product<V, Twice>(own + 2 * w),
                                                fixed_product<V, Twice>(own + 3 * w)};
    const auto four = [&](const int32_t* x, Code* y) noexcept {
      store_four<V>(narrow, y, [&](size_t k) { return product[k / w](V::add(V::load(x + k), V::load(added + k))); });
    };
    for (size_t row = 0; row < rows; ++row) {
      const int32_t* x = sums + row * channels + c;
      Code* y = out + row * channels + c;
      if (live == step) {
        four(x, y);
        continue;
      }
      int32_t in[step];
      Code done[step];
      for (size_t k = 0; k < step; ++k) in[k] = k < live ? x[k] : 0;
      four(in, done);
      for (size_t k = 0; k < live; ++k) y[k] = done[k];
    }
  }
}

template <class V>
[[gnu::noinline]] void look_up(const uint8_t* codes, size_t n, const uint8_t* table, uint8_t* out) noexcept {
  constexpr size_t step = V::byte_width;
  size_t i = 0;
  if (n >= 2 * step) {
    const typename V::table_lookup lookup(table);
    for (; i + step <= n; i += step) V::store_bytes(out + i, lookup.apply(V::load_bytes(codes + i)));
  }
  for (; i < n; ++i) out[i] = table[codes[i]];
}

template <class V, class Code>
[[gnu::noinline]] void max_of(const window_taps<Code>& t, Code* out) noexcept {
  constexpr int64_t step = V::byte_width;
  if (t.channels < step) {
    for (int64_t c = 0; c < t.channels; ++c) {
      Code best = t.first[c];
      for (int64_t y = 0; y < t.rows; ++y) {
        for (int64_t x = 0; x < t.columns; ++x) {
          const Code code = t.first[y * t.row_step + x * t.column_step + c];
          best = code > best ? code : best;
        }
      }
      out[c] = best;
    }
    return;
  }
  int64_t c = 0;
  for (; c + 2 * step <= t.channels; c += 2 * step) {
    typename V::bytes best = V::load_bytes(t.first + c), other = V::load_bytes(t.first + c + step);
    for (int64_t y = 0; y < t.rows; ++y) {
      const Code* row = t.first + y * t.row_step + c;
      for (int64_t x = 0; x < t.columns; ++x, row += t.column_step) {
        best = V::template max_bytes<Code>(best, V::load_bytes(row));
        other = V::template max_bytes<Code>(other, V::load_bytes(row + step));
      }
    }
    V::store_bytes(out + c, best);
    V::store_bytes(out + c + step, other);
  }
  for (; c < t.channels; c += step) {
    if (c > t.channels - step) c = t.channels - step;
    typename V::bytes best = V::load_bytes(t.first + c);
    for (int64_t y = 0; y < t.rows; ++y) {
      const Code* row = t.first + y * t.row_step + c;
      for (int64_t x = 0; x < t.columns; ++x)
        best = V::template max_bytes<Code>(best, V::load_bytes(row + x * t.column_step));
    }
    V::store_bytes(out + c, best);
  }
}

// `step` channels: their sums in s32, which up to 2^23 taps cannot overflow.
template <class V, class Ratios, class Code>
[[gnu::noinline]] void mean_of(const window_taps<Code>& t, const codes_run& run, const Ratios& ratios,
                               Code* out) noexcept {
  constexpr size_t w = V::width;
  constexpr int64_t step = 4 * V::width;
  const Ratios r = ratios;
  const typename V::template narrowing<Code> narrow(run.zero_point, run.codes.min, run.codes.max);
  const typename V::s32 offset =
      V::set(static_cast<int32_t>(static_cast<uint32_t>(t.rows * t.columns) * static_cast<uint32_t>(run.a_zero_point)));
  const auto finish = [&](typename V::s32 sum) noexcept { return r.rescale(V::sub(sum, offset)); };
  if (t.channels < step) {
    int32_t sums[step] = {};
    Code codes[step];
    for (int64_t y = 0; y < t.rows; ++y) {
      for (int64_t x = 0; x < t.columns; ++x) {
        const Code* pixel = t.first + y * t.row_step + x * t.column_step;
        for (int64_t i = 0; i < t.channels; ++i) sums[i] += pixel[i];
      }
    }
    narrow.store(codes, finish(V::load(sums)), finish(V::load(sums + w)), finish(V::load(sums + 2 * w)),
                 finish(V::load(sums + 3 * w)));
    for (int64_t i = 0; i < t.channels; ++i) out[i] = codes[i];
    return;
  }
  for (int64_t at = 0; at < t.channels; at += step) {
    if (at > t.channels - step) at = t.channels - step;
    typename V::s32 s0 = V::set(0), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t y = 0; y < t.rows; ++y) {
      const Code* pixel = t.first + y * t.row_step + at;
      for (int64_t x = 0; x < t.columns; ++x, pixel += t.column_step) {
        s0 = V::add(s0, V::load_codes(pixel));
        s1 = V::add(s1, V::load_codes(pixel + w));
        s2 = V::add(s2, V::load_codes(pixel + 2 * w));
        s3 = V::add(s3, V::load_codes(pixel + 3 * w));
      }
    }
    narrow.store(out + at, finish(s0), finish(s1), finish(s2), finish(s3));
  }
}

template <class V, class Code>
[[gnu::noinline]] int64_t sum_of(const Code* codes, size_t n) noexcept {
  int64_t total = 0;
  size_t i = 0;
  while (i + V::width <= n) {
    const size_t end = n - i > (size_t{1} << 22) ? i + (size_t{1} << 22) : n;
    typename V::s32 sum = V::set(0);
    for (; i + V::width <= end; i += V::width) sum = V::add(sum, V::load_codes(codes + i));
    int32_t lanes[V::width];
    V::store(lanes, sum);
    for (size_t k = 0; k < V::width; ++k) total += lanes[k];
  }
  for (; i < n; ++i) total += codes[i];
  return total;
}

template <class V, class In, class Out>
void rescale(const In* a, size_t n, const codes_run& run, Out* out) noexcept {
  const default_fp_env env;
  with_ratios<V>(run, true, [&](const auto& ratios) noexcept { rescale_loop<V>(a, n, run, ratios, out); });
}
template <class V, bool Product, class Code>
void binary(const Code* a, const Code* b, size_t n, const codes_run& run, Code* out) noexcept {
  const default_fp_env env;
  with_ratios<V>(run, true, [&](const auto& ratios) noexcept { binary_loop<V, Product>(a, b, n, run, ratios, out); });
}
template <class V, class Code>
void requantize_sums(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels, const requantizer& r,
                     code_limits codes, Code* out) noexcept {
  const default_fp_env env;
  if (rows == 0 || channels == 0) return;
  if (r.rule != contract::fp32_rne) {
    if (r.count == 1 && bias == nullptr) {  // one long row; its tail is shorter than that of each row
      channels *= rows;
      rows = 1;
    }
    if (r.rule == contract::fixed_double) return requantize_fixed<V, true>(sums, bias, rows, channels, r, codes, out);
    return requantize_fixed<V, false>(sums, bias, rows, channels, r, codes, out);
  }
  if (r.count != 1) return requantize_loop<V, true>(sums, bias, rows, channels, r, codes, out);
  if (bias != nullptr) return requantize_loop<V, false>(sums, bias, rows, channels, r, codes, out);
  requantize_loop<V, false>(sums, bias, 1, rows * channels, r, codes, out);
}
template <class V, class Code>
void mean(const window_taps<Code>& t, const codes_run& run, Code* out) noexcept {
  const default_fp_env env;
  with_ratios<V>(run, false, [&](const auto& ratios) noexcept { mean_of<V>(t, run, ratios, out); });
}

template <class V>
constexpr integer_table make_integer(const char* isa) noexcept {
  return {isa,
          requantize_sums<V, int8_t>,
          requantize_sums<V, uint8_t>,
          rescale<V, int8_t, int8_t>,
          rescale<V, int8_t, uint8_t>,
          rescale<V, uint8_t, int8_t>,
          rescale<V, uint8_t, uint8_t>,
          binary<V, false, int8_t>,
          binary<V, false, uint8_t>,
          binary<V, true, int8_t>,
          binary<V, true, uint8_t>,
          look_up<V>,
          max_of<V, int8_t>,
          max_of<V, uint8_t>,
          mean<V, int8_t>,
          mean<V, uint8_t>,
          sum_of<V, int8_t>,
          sum_of<V, uint8_t>};
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
