// The integer elementwise kernels, written once over a vector type V (kernels/<isa>/vec.hpp), every contract.
//
// fp32_rne: sums and products of codes are exact in s32 and in f32, so a run is: codes minus zero point as floats (V::centred),
// multiply, convert back (ties to even), narrow with saturation, clamp. On x86 a value below the s32 range converts to
// INT_MIN, the lowest code; values above are cut first. The trap: a compiler may fuse the product and the sum of `add`
// into one FMA; V::fence stands between. The fixed-point contracts have their products from fixed_simd.hpp. Tails go
// through buffers on the stack. As in elementwise_simd.hpp, nothing here calls an inline function of the headers below.
// Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/code_sum_simd.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/fixed_simd.hpp"
#include "quantal/kernels/integer.hpp"
#include "quantal/kernels/lookup_simd.hpp"
#include "quantal/kernels/pool_simd.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

// RNE(x), possibly outside the range on the low side.
template <class V>
[[gnu::always_inline]] inline typename V::s32 rounded(typename V::f32 x, typename V::f32 low,
                                                      typename V::f32 high) noexcept {
  if constexpr (!V::impossible_is_lowest) x = V::max(x, low);
  return V::to_s32(V::min(x, high));
}

// What becomes of centred codes (exact in f32) and of their sums (s32), in steps of the output. fp32_rne; Small: no result
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
  typename V::s32 rescale_sum(typename V::s32 x) const noexcept { return rescale(V::to_f32(x)); }
  typename V::s32 rescale(typename V::f32 x) const noexcept { return finish(V::mul(x, first)); }
  typename V::s32 multiply(typename V::f32 x, typename V::f32 y) const noexcept {
    return finish(V::mul(V::mul(x, y), first));
  }
  typename V::s32 add(typename V::f32 x, typename V::f32 y) const noexcept {
    return finish(V::add(V::fence(V::mul(x, first)), V::fence(V::mul(y, other))));
  }
};
// The fixed-point contracts:
template <class V, bool Twice>
struct fixed_ratios {
  fixed_product<V, Twice> first, other;
  explicit fixed_ratios(const codes_run& run) noexcept : first(&run.multiplier, 0), other(&run.other_multiplier, 0) {}
  typename V::s32 rescale_sum(typename V::s32 x) const noexcept { return first(x); }
  typename V::s32 rescale(typename V::f32 x) const noexcept { return first(V::to_s32(x)); }
  typename V::s32 multiply(typename V::f32 x, typename V::f32 y) const noexcept {
    return first(V::to_s32(V::mul(x, y)));
  }
  typename V::s32 add(typename V::f32 x, typename V::f32 y) const noexcept {
    return fixed_product<V, Twice>::sum(first(V::to_s32(x)), other(V::to_s32(y)));
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

// The loops copy their ratios: a store of codes could change the caller's, for all that the compiler knows.
template <class V, class Ratios, class In, class Out>
[[gnu::noinline]] void rescale_loop(const In* a, size_t n, const codes_run& run, const Ratios& ratios,
                                    Out* out) noexcept {
  constexpr size_t step = 4 * V::width;
  const Ratios r = ratios;
  const typename V::template centred<In> centre(run.a_zero_point);
  const typename V::template narrowing<Out> narrow(run.zero_point, run.codes.min, run.codes.max);
  const auto four = [&](const In* x, Out* y) __attribute__((always_inline)) {
    typename V::f32 v[4];
    centre(x, v);
    narrow.store_unpacked(y, r.rescale(v[0]), r.rescale(v[1]), r.rescale(v[2]), r.rescale(v[3]));
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

template <class V, bool Product, bool Clamped, class Ratios, class Code>
[[gnu::noinline]] void binary_loop(const Code* a, const Code* b, size_t n, const codes_run& run, const Ratios& ratios,
                                   Code* out) noexcept {
  constexpr size_t step = 4 * V::width;
  const Ratios r = ratios;
  const typename V::template centred<Code> a_centre(run.a_zero_point), b_centre(run.b_zero_point);
  const typename V::template narrowing<Code, Clamped> narrow(run.zero_point, run.codes.min, run.codes.max);
  const auto four = [&](const Code* x, const Code* y, Code* z) __attribute__((always_inline)) {
    typename V::f32 left[4], right[4];
    a_centre(x, left);
    b_centre(y, right);
    const auto both = [&](int k) __attribute__((always_inline)) {
      if constexpr (Product) return r.multiply(left[k], right[k]);
      return r.add(left[k], right[k]);
    };
    narrow.store_unpacked(z, both(0), both(1), both(2), both(3));
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

// The products of four vectors of channels. fp32_rne; Small: every ratio is below 1, so no product leaves s32.
template <class V, bool Small>
struct real_products {
  using factor = float;
  static constexpr size_t tile = 4;
  typename V::f32 ratio[4], low, high;
  real_products(const float* r, code_limits steps) noexcept
      : low(V::set(static_cast<float>(steps.min))), high(V::set(static_cast<float>(steps.max))) {
    for (size_t i = 0; i < 4; ++i) ratio[i] = V::load(r + i * V::width);
  }
  typename V::s32 product(int i, typename V::s32 x) const noexcept {
    const typename V::f32 real = V::mul(V::to_f32(x), ratio[i]);
    if constexpr (Small) return V::to_s32(real);
    return rounded<V>(real, low, high);
  }
  static const float* factors(const requantizer& r) noexcept { return r.ratios; }
};
// Fixed point:
template <class V, bool Twice>
struct fixed_products {
  using factor = fixed_multiplier;
  static constexpr size_t tile = 256;  // multipliers take long to make ready
  fixed_product<V, Twice> one[4];
  fixed_products(const fixed_multiplier* m, code_limits) noexcept
      : one{fixed_product<V, Twice>(m), fixed_product<V, Twice>(m + V::width),
            fixed_product<V, Twice>(m + 2 * V::width), fixed_product<V, Twice>(m + 3 * V::width)} {}
  typename V::s32 product(int i, typename V::s32 x) const noexcept { return one[i](x); }
  static const fixed_multiplier* factors(const requantizer& r) noexcept { return r.multipliers; }
};

inline constexpr size_t sums_ahead = 1024;  // bytes; without, a run from L2 takes 7 % longer on Zen 3

// Four vectors of channels of `rows` rows: what belongs to the channels stays in registers.
template <class V, class Products, class Narrowing, class Code>
[[gnu::always_inline]] inline void requantize_block(const int32_t* sums, size_t rows, size_t channels,
                                                    const int32_t* bias, const Products& p, const Narrowing& narrow,
                                                    Code* out) noexcept {
  constexpr size_t w = V::width;
  const typename V::s32 b[4] = {V::load(bias), V::load(bias + w), V::load(bias + 2 * w), V::load(bias + 3 * w)};
  for (; rows > 0; --rows, sums += channels, out += channels) {
    const uintptr_t ahead = reinterpret_cast<uintptr_t>(sums) + sums_ahead;  // perhaps beyond the array
    for (size_t line = 0; line < 16 * w; line += 64) __builtin_prefetch(reinterpret_cast<const void*>(ahead + line));
    narrow.store(out, p.product(0, V::add(V::load(sums), b[0])), p.product(1, V::add(V::load(sums + w), b[1])),
                 p.product(2, V::add(V::load(sums + 2 * w), b[2])), p.product(3, V::add(V::load(sums + 3 * w), b[3])));
  }
}

// Tiles of a few rows: the sums stream by, and what belongs to channels is loaded once for the tile.
template <class V, class Products, bool Clamped, class Code>
[[gnu::noinline]] void requantize_loop(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels,
                                       const requantizer& r, code_limits codes, Code* out) noexcept {
  using factor = typename Products::factor;
  constexpr size_t step = 4 * V::width;
  const typename V::template narrowing<Code, Clamped> narrow(r.zero_point, codes.min, codes.max);
  const code_limits steps{codes.min - r.zero_point, codes.max - r.zero_point};
  const bool same = r.count == 1;
  const size_t whole = channels / step * step, rest = channels - whole;
  const factor* const factors = Products::factors(r);
  factor last_factors[step];  // of the block at the end, or of every block
  int32_t last_bias[step], in[step];
  Code last[step];
  for (size_t k = 0; k < step; ++k) {
    last_factors[k] = factors[same ? 0 : k < rest ? whole + k : channels - 1];
    last_bias[k] = bias != nullptr && k < rest ? bias[whole + k] : 0;
    in[k] = 0;
  }
  for (size_t row = 0; row < rows; row += Products::tile) {
    const size_t tall = rows - row < Products::tile ? rows - row : Products::tile;
    const int32_t* x = sums + row * channels;
    Code* y = out + row * channels;
    for (size_t c = 0; c < whole; c += step)
      requantize_block<V>(x + c, tall, channels, bias != nullptr ? bias + c : last_bias,
                          Products(same ? last_factors : factors + c, steps), narrow, y + c);
    if (rest == 0) continue;
    const Products products(last_factors, steps);
    for (size_t k = 0; k < tall; ++k) {
      for (size_t i = 0; i < rest; ++i) in[i] = x[k * channels + whole + i];
      requantize_block<V>(in, 1, 0, last_bias, products, narrow, last);
      for (size_t i = 0; i < rest; ++i) y[k * channels + whole + i] = last[i];
    }
  }
}

template <class V>
[[gnu::noinline]] void look_up(const uint8_t* codes, size_t n, const uint8_t* table, uint8_t* out) noexcept {
  constexpr size_t step = V::byte_width;
  size_t i = 0;
  if (n >= 2 * step) {
    const typename table_lookup_of<V>::type lookup(table);
    for (; i + 4 * step <= n; i += 4 * step) lookup.template apply<4>(codes + i, out + i);
    for (; i + step <= n; i += step) lookup.template apply<1>(codes + i, out + i);
  }
  for (; i < n; ++i) out[i] = table[codes[i]];
}

template <class V, class Ratios, class Code>
[[gnu::noinline]] void mean_of(const window_taps<Code>& t, const codes_run& run, const Ratios& ratios,
                               Code* out) noexcept {
  constexpr size_t w = V::width;
  constexpr int64_t step = 4 * V::width;
  const Ratios r = ratios;
  const typename V::template narrowing<Code> narrow(run.zero_point, run.codes.min, run.codes.max);
  const typename V::s32 offset =
      V::set(static_cast<int32_t>(static_cast<uint32_t>(t.rows * t.columns) * static_cast<uint32_t>(run.a_zero_point)));
  const auto finish = [&](typename V::s32 sum) __attribute__((always_inline)) {
    return r.rescale_sum(V::sub(sum, offset));
  };
  for (int64_t p = 0; p < t.pixels; ++p, out += t.channels) {
    const Code* first = t.first + p * t.pixel_step;
    if (t.channels < step) {
      int32_t sums[step] = {};
      Code codes[step];
      for (int64_t y = 0; y < t.rows; ++y) {
        for (int64_t x = 0; x < t.columns; ++x) {
          const Code* pixel = first + y * t.row_step + x * t.column_step;
          for (int64_t i = 0; i < t.channels; ++i) sums[i] += pixel[i];
        }
      }
      narrow.store(codes, finish(V::load(sums)), finish(V::load(sums + w)), finish(V::load(sums + 2 * w)),
                   finish(V::load(sums + 3 * w)));
      for (int64_t i = 0; i < t.channels; ++i) out[i] = codes[i];
      continue;
    }
    int64_t at = 0;
    const auto store = [&](int i, typename V::s32 a, typename V::s32 b, typename V::s32 c, typename V::s32 d)
        __attribute__((always_inline)) {
      narrow.store(out + at + i * step, finish(a), finish(b), finish(c), finish(d));
    };
    for (; at + 4 * step <= t.channels; at += 4 * step) sum_window<V, 4>(first + at, t, store);
    for (; at < t.channels; at += step) {
      if (at > t.channels - step) at = t.channels - step;
      sum_window<V, 1>(first + at, t, store);
    }
  }
}

template <class V, class In, class Out>
void rescale(const In* a, size_t n, const codes_run& run, Out* out) noexcept {
  const default_fp_env env;
  with_ratios<V>(run, true, [&](const auto& ratios) noexcept { rescale_loop<V>(a, n, run, ratios, out); });
}
template <class V, bool Product, class Code>
void binary(const Code* a, const Code* b, size_t n, const codes_run& run, Code* out) noexcept {
  const default_fp_env env;
  with_ratios<V>(run, true, [&](const auto& ratios) noexcept {
    if (run.codes.max - run.codes.min < 255) return binary_loop<V, Product, true>(a, b, n, run, ratios, out);
    binary_loop<V, Product, false>(a, b, n, run, ratios, out);  // narrowing saturates to all codes
  });
}
template <class V, class Code>
[[gnu::always_inline]] inline void requantize_rows(const int32_t* sums, const int32_t* bias, size_t rows,
                                                   size_t channels, const requantizer& r, code_limits codes,
                                                   Code* out) noexcept {
  if (r.rule == contract::fixed_double)
    return requantize_loop<V, fixed_products<V, true>, true>(sums, bias, rows, channels, r, codes, out);
  if (r.rule == contract::fixed_single)
    return requantize_loop<V, fixed_products<V, false>, true>(sums, bias, rows, channels, r, codes, out);
  bool small = true;
  for (size_t i = 0; i < r.count; ++i) small &= r.ratios[i] < 1.0f;
  if (small && codes.max - codes.min == 255)  // narrowing saturates to all codes
    return requantize_loop<V, real_products<V, true>, false>(sums, bias, rows, channels, r, codes, out);
  requantize_loop<V, real_products<V, false>, true>(sums, bias, rows, channels, r, codes, out);
}
template <class V, class Code>
void requantize_sums(const int32_t* sums, const int32_t* bias, size_t rows, size_t channels, const requantizer& r,
                     code_limits codes, Code* out) noexcept {
  const default_fp_env env;
  if (r.count == 1 && bias == nullptr) {  // one multiplier for all: rows as long as a block, and what remains
    constexpr size_t step = 4 * V::width;
    const size_t total = rows * channels, whole = total / step * step;
    if (whole != 0 && channels != step) {
      requantize_rows<V>(sums, bias, whole / step, step, r, codes, out);
      return requantize_rows<V>(sums + whole, bias, 1, total - whole, r, codes, out + whole);
    }
  }
  requantize_rows<V>(sums, bias, rows, channels, r, codes, out);
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
