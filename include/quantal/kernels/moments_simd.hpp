// The moments kernel, written once over vectors as wide as those of V (kernels/<isa>/vec.hpp); they are compiler
// vectors, which any target compiles: base_moments_vec is every CPU's.
//
// Why nothing rounds, in any rounding mode. Let a window hold at most 2^11 values with 2^(e-18) <= |x| < 2^e:
//
//   x     is a multiple of 2^(e-41), so sums are below 2^(e+11) = 2^52 units: exact in double.
//   x^2   has 48 bits, exact in double, a multiple of 2^(2e-82) below 2^(2e). An accumulator that starts at
//         C = 1.5 * 2^(2e+11) stays inside [2^(2e+11), 2^(2e+12)), where doubles are the multiples of u = 2^(2e-41).
//         Then
//           h' = h + x^2   rounds to a multiple of u
//           d = h' - h     is exact, and so is l = x^2 - d, at most u = 2^41 units of 2^(2e-82)
//         sums of l stay within 2^52 units, h - C within 2^52 units of u.
//
// x^2 being exact, a multiplication contracted with an addition to an FMA gives the same numbers. Windows that reach
// the denormal numbers hold all that is left: multiples of 2^-149 whatever their size. Values outside the window are
// replaced by zero; the largest of those below it heads the next window. The first one excludes NaN and infinities.
// Freestanding.
#pragma once
#include "quantal/base/fp_env.hpp"
#include "quantal/kernels/copy.hpp"
#include "quantal/kernels/moments.hpp"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

template <size_t Bytes>
struct moment_lanes {
  typedef int32_t s32 __attribute__((vector_size(Bytes)));
  typedef float half_f32 __attribute__((vector_size(Bytes / 2)));
  typedef double f64 __attribute__((vector_size(Bytes)));
  static constexpr size_t width = Bytes / sizeof(float);
};

struct base_moments_vec {  // SSE2, NEON
  static constexpr size_t byte_width = 16;
};

inline double moment_power(int32_t exponent) noexcept {  // 2^exponent, a normal double
  const uint64_t bits = static_cast<uint64_t>(1023 + exponent) << 52;
  double x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

// Nothing is moved or cancelled across it, also with -ffast-math.
template <class Vector>
[[gnu::always_inline]] inline void moment_fence(Vector& v) noexcept {
#if defined(__SSE2__) && !defined(QUANTAL_EMULATE)  // emulated vectors may be wider than a register
  __asm__("" : "+x"(v));
#elif defined(__aarch64__)
  __asm__("" : "+w"(v));
#else
  __asm__("" : "+m"(v));
#endif
}

template <class V>
class moment_loop {
  using L = moment_lanes<V::byte_width>;
  using s32 = typename L::s32;
  using f64 = typename L::f64;
  static constexpr size_t width = L::width;

 public:
  // x holds whole vectors.
  [[gnu::noinline]] static void run(const float* x, size_t n, block_moments& out) noexcept {
    int32_t top = largest_finite(x, n, out.finite);
    out.windows = 0;
    while (top != 0) top = window(x, n, top, out.window[out.windows++]);
  }

 private:
  static s32 magnitudes(const float* x) noexcept {
    s32 m;
    __builtin_memcpy(&m, x, sizeof m);
    return m & 0x7fffffff;
  }
  // Floats, given by their bits, as doubles.
  static void widen(s32 bits, f64 (&to)[2]) noexcept {
#if defined(__SSE2__)
    if constexpr (V::byte_width == 16) {  // GCC would convert one by one
      __m128 x;
      __builtin_memcpy(&x, &bits, sizeof x);
      to[0] = _mm_cvtps_pd(x);
      to[1] = _mm_cvtps_pd(_mm_movehl_ps(x, x));
      return;
    }
#endif
    typename L::half_f32 half[2];
    __builtin_memcpy(half, &bits, sizeof half);
    for (size_t k = 0; k < 2; ++k) to[k] = __builtin_convertvector(half[k], f64);
  }
  static int32_t largest(s32 v) noexcept {
    int32_t top = 0;
    for (size_t k = 0; k < width; ++k) top = v[k] > top ? v[k] : top;
    return top;
  }

  static int32_t largest_finite(const float* x, size_t n, uint64_t& finite) noexcept {
    s32 top = {}, seen = {};
    for (size_t i = 0; i < n; i += width) {
      const s32 m = magnitudes(x + i), keep = m < 0x7f800000, kept = m & keep;
      seen -= keep;
      top = kept > top ? kept : top;
    }
    finite = 0;
    for (size_t k = 0; k < width; ++k) finite += static_cast<uint64_t>(seen[k]);
    return largest(top);
  }

  // Sums the window that `top`, the bits of its largest magnitude, heads. Returns the largest magnitude below it.
  static int32_t window(const float* x, size_t n, int32_t top, moment_window& out) noexcept {
    const int32_t e = (top >> 23) - 126;                        // 2^e is above it
    const int32_t least = e > -108 ? (e - 18 + 127) << 23 : 1;  // zeros need no sum
    const double start = 1.5 * moment_power(2 * e + 11);
    f64 sum[2] = {}, high[2] = {}, low[2] = {};
    high[0] += start;
    high[1] += start;
    s32 rest = {};
    for (size_t i = 0; i < n; i += width) {
      const s32 m = magnitudes(x + i), small = m < least;
      const s32 left = m & small;
      rest = left > rest ? left : rest;
      s32 bits;
      __builtin_memcpy(&bits, x + i, sizeof bits);
      bits &= (m <= top) & ~small;
      f64 values[2];
      widen(bits, values);
      for (size_t k = 0; k < 2; ++k) {
        const f64 v = values[k], square = v * v, old = high[k];
        high[k] = old + square;
        moment_fence(high[k]);
        f64 added = high[k] - old;
        moment_fence(added);
        f64 lost = square - added;
        moment_fence(lost);
        low[k] += lost;
        sum[k] += v;
      }
    }
    for (f64& h : high) {
      h -= start;
      moment_fence(h);
    }
    const f64 s = sum[0] + sum[1], h = high[0] + high[1], l = low[0] + low[1];
    double total = 0, upper = 0, lower = 0;
    for (size_t k = 0; k < sizeof(f64) / sizeof(double); ++k) total += s[k], upper += h[k], lower += l[k];
    out.sum_unit = e > -108 ? e - 41 : -149;
    out.high_unit = 2 * e - 41;
    out.low_unit = e > -108 ? 2 * e - 82 : -298;
    out.sum = static_cast<int64_t>(total * moment_power(-out.sum_unit));
    out.high = static_cast<int64_t>(upper * moment_power(-out.high_unit));
    out.low = static_cast<int64_t>(lower * moment_power(-out.low_unit));
    return largest(rest);
  }
};

template <class V>
void moments_of(const float* x, size_t n, block_moments& out) noexcept {
  constexpr size_t width = moment_lanes<V::byte_width>::width;
  const default_fp_env env;
  if (n % width == 0) return moment_loop<V>::run(x, n, out);
  // The end goes through a buffer: no byte outside the array is read. Zeros add nothing but their number.
  float padded[moment_block + width];
  size_t i = 0;
  for (; i < n; ++i) padded[i] = x[i];
  for (; i % width != 0; ++i) padded[i] = 0.0f;
  moment_loop<V>::run(padded, i, out);
  out.finite -= i - n;
}

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
