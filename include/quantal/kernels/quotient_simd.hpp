// x / scale in vectors, correctly rounded, without a division.
//
// The quotient x / scale must be the correctly rounded one, or codes differ on ties. Where the ISA has a fused
// multiply-add it is formed from the rounded reciprocal y = RN(1 / scale) by one correction step (Markstein):
//
//   q0 = x * y,   r = fma(-q0, scale, x),   q = fma(r, y, q0)      three operations instead of a division
//
// for scales in [2^-90, 2^90], where nothing can underflow or overflow. Long runs save one more: with 1 / scale as a
// sum of two floats, q = fma(x, high, x * low) is within 2^-46.4 of the quotient, and the code is right unless a float
// x has its quotient that close to where the code changes. `two_products_suffice` looks for such an x (one scale in
// about a thousand has one). Freestanding.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/elementwise.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

enum class quotient { corrected, two_products, divided, multiplied };

// Constants of a run, broadcast.
template <class V>
struct run_vectors {
  typename V::f32 scale, inverse, rest, nan_value, low, high;  // 1 / scale = inverse + rest
};

template <class V, quotient How>
run_vectors<V> broadcast(const quantize_run& run) noexcept {
  const float scale = run.params.scale;
  const float low = static_cast<float>(run.codes.min - run.params.zero_point);
  const float high = static_cast<float>(run.codes.max - run.params.zero_point);
  run_vectors<V> c;
  c.scale = V::set(scale);
  c.inverse = V::set(1.0f / scale);
  c.rest = c.inverse;
  if constexpr (How == quotient::two_products) c.rest = V::mul(V::fnma(c.inverse, c.scale, V::set(1.0f)), c.inverse);
  c.nan_value = V::set(run.nan_is_lowest ? -__builtin_inff() : 0.0f);
  // Before the quotient the bounds are those of x, one code outside; after it, those of the code.
  constexpr bool before = How == quotient::corrected || How == quotient::two_products;
  c.low = V::set(before ? (low - 1.0f) * scale : low);
  c.high = V::set(before ? (high + 1.0f) * scale : high);
  return c;
}

// x / scale by the run's method; x finite, or what comes out is not a number.
template <class V, quotient How>
[[gnu::always_inline]] inline typename V::f32 divide(typename V::f32 x, const run_vectors<V>& c) noexcept {
  if constexpr (How == quotient::divided) {
    return V::div(x, c.scale);
  } else if constexpr (How == quotient::multiplied) {
    return V::mul(x, c.inverse);
  } else if constexpr (How == quotient::two_products) {
    return V::fma(x, c.inverse, V::mul(x, c.rest));
  } else {
    const typename V::f32 q0 = V::mul(x, c.inverse);
    return V::fma(V::fnma(q0, c.scale, x), c.inverse, q0);
  }
}

// Which quotient a scale allows.
template <class V>
bool can_correct(float scale) noexcept {
  return V::has_fma && scale >= 0x1p-90f && scale <= 0x1p90f;
}

// Codes change at the ties T = n / 2, n odd. RN(x / scale) = T goes to the even code, so the change lies half a unit
// above T where n mod 4 is 1, half a unit below it where n mod 4 is 3: at M * 2^i with M = n * 2^j +- 1, a number of 25
// bits. With the scale's significand S (24 bits) a quotient is within 2^-46.4 of it only if M * S is within
// 2^49 * 2^-46.4 < 7 of a multiple of 2^24. n in [2^e, 2^(e+1)) has j = 24 - e; the octaves below 32 fill no vector.
template <class V>
[[gnu::noinline]] bool two_products_suffice(const quantize_run& run) noexcept {
  using s32 = typename V::s32;
  uint32_t bits;
  __builtin_memcpy(&bits, &run.params.scale, sizeof bits);
  const uint32_t s = (bits & 0x7fffffu) | 0x800000u;
  const int32_t below = run.params.zero_point - run.codes.min, above = run.codes.max - run.params.zero_point;
  const int32_t last = 2 * (below > above ? below : above) + 1;
  int32_t lanes[V::width];
  s32 closest = V::set(0xffffff);
  for (uint32_t n = 1; n < 32; n += 2) {
    const uint32_t even = (n * s) << (__builtin_clz(n) - 7);
    const uint32_t at = (n & 2) == 0 ? even + s : even - s;
    closest = V::min(closest, V::set(static_cast<int32_t>((at + 7) & 0xffffffu)));
  }
  for (int32_t e = 5; (1 << e) <= last; ++e) {
    for (size_t i = 0; i < V::width; ++i) {
      const uint32_t n = (1u << e) + 1 + 2 * static_cast<uint32_t>(i);
      const uint32_t even = (n * s) << (24 - e);
      lanes[i] = static_cast<int32_t>((i & 1) == 0 ? even + s + 7 : even - s + 7);
    }
    s32 at = V::load(lanes);
    const s32 stride = V::set(static_cast<int32_t>((2 * static_cast<uint32_t>(V::width) * s) << (24 - e)));
    for (int32_t n = 1 << e; n < 2 << e && n <= last; n += 2 * static_cast<int32_t>(V::width)) {
      closest = V::min(closest, V::bit_and(at, V::set(0xffffff)));
      at = V::add(at, stride);
    }
  }
  V::store(lanes, closest);
  int32_t least = lanes[0];
  for (size_t i = 1; i < V::width; ++i) least = lanes[i] < least ? lanes[i] : least;
  return least >= 15;
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
