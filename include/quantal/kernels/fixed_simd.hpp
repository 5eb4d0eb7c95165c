// The fixed-point products of num/fixed_point.hpp for a vector of s32, each lane with a multiplier of its own. Written
// once over an ISA's 64-bit steps (kernels/<isa>/fixed.hpp); ISAs without go lane by lane.
//
//   even lanes  x * m ─────────────> 64 bits ── + rounding ── >> ─┐
//   odd lanes   (x >> 32) * (m >> 32) ──────── + rounding ── >> ─┴─ merged: the low 32 bits of each
//
// rounded_twice (fixed_double): SRDHM is (x * m + 2^30) >> 31 for m >= 0, both signs: its truncated division and its
// nudge of changing sign amount to rounding half up. Then a rounding shift, ties away from zero, in 32 bits.
// rounded_once (fixed_single): (x * m + 2^(total-1)) >> total. AVX2 has no arithmetic shift of 64 bits by lane: with
// 2^63 added before a logical shift and 2^63 >> total taken away after it, it is one.
// Only positive shifts (ratios of 1 and above) saturate; the test for them is once per vector of multipliers. Nothing
// here calls an inline function of another header (copy.hpp). Freestanding.
#pragma once
#include "quantal/kernels/copy.hpp"
#include "quantal/num/fixed_point.hpp"
#include "quantal/quant/requant.hpp"

namespace quantal::kernels::simd {
inline namespace QUANTAL_KERNEL_COPY {

// L: lanes and their 64-bit steps.
template <class L>
class rounded_twice {
 public:
  using s32 = typename L::s32;
  // One multiplier per lane, `step` apart (0: one for all).
  explicit rounded_twice(const fixed_multiplier* m, size_t step = 1) noexcept {
    int32_t multiplier[L::width], left[L::width], right[L::width];
    for (size_t i = 0; i < L::width; ++i) {
      const fixed_multiplier& f = m[i * step];
      multiplier[i] = f.multiplier;
      left[i] = f.shift > 0 ? f.shift : 0;
      right[i] = f.shift > 0 ? 0 : -f.shift;
      any_left_ = any_left_ || f.shift > 0;
    }
    even_ = L::load(multiplier);
    odd_ = L::odd(even_);
    left_ = L::load(left);
    right_ = L::load(right);
    mask_ = L::sub(L::sllv(L::set(1), right_), L::set(1));
    half_ = L::template srl<1>(mask_);
  }
  s32 operator()(s32 x) const noexcept {
    if (any_left_) x = L::shift_left_saturated(x, left_);
    const s32 even = L::add64(L::mul_even(x, even_), L::set64(int64_t{1} << 30));
    const s32 odd = L::add64(L::mul_even(L::odd(x), odd_), L::set64(int64_t{1} << 30));
    const s32 high = L::merge(L::template srl64<31>(even), L::template sll64<1>(odd));
    const s32 threshold = L::sub(half_, L::template sra<31>(high));
    return L::add_if_greater(L::srav(high, right_), L::bit_and(high, mask_), threshold);
  }
  static s32 sum(s32 a, s32 b) noexcept { return L::add_saturated(a, b); }

 private:
  s32 even_, odd_, left_, right_, mask_, half_;
  bool any_left_ = false;
};

template <class L>
class rounded_once {
 public:
  using s32 = typename L::s32;
  explicit rounded_once(const fixed_multiplier* m, size_t step = 1) noexcept {
    int32_t multiplier[L::width];
    int64_t total[2][L::width / 2], rounding[2][L::width / 2], offset[2][L::width / 2];
    for (size_t i = 0; i < L::width; ++i) {
      const fixed_multiplier& f = m[i * step];
      const int32_t shift = 31 - f.shift;
      multiplier[i] = f.multiplier;
      total[i % 2][i / 2] = shift;
      rounding[i % 2][i / 2] = static_cast<int64_t>((uint64_t{1} << (shift - 1)) + (uint64_t{1} << 63));
      offset[i % 2][i / 2] = static_cast<int64_t>((uint64_t{1} << 63) >> shift);
      any_left_ = any_left_ || f.shift > 0;
    }
    even_ = L::load(multiplier);
    odd_ = L::odd(even_);
    for (int i = 0; i < 2; ++i) {
      total_[i] = L::load64(total[i]);
      rounding_[i] = L::load64(rounding[i]);
      offset_[i] = L::load64(offset[i]);
    }
  }
  s32 operator()(s32 x) const noexcept {
    s32 even = shifted(L::mul_even(x, even_), 0), odd = shifted(L::mul_even(L::odd(x), odd_), 1);
    if (any_left_) {
      even = L::clamp64(even);
      odd = L::clamp64(odd);
    }
    return L::merge(even, L::template sll64<32>(odd));
  }
  static s32 sum(s32 a, s32 b) noexcept { return L::add_saturated(a, b); }

 private:
  s32 shifted(s32 product, int i) const noexcept {
    return L::sub64(L::srlv64(L::add64(product, rounding_[i]), total_[i]), offset_[i]);
  }
  s32 even_, odd_, total_[2], rounding_[2], offset_[2];
  bool any_left_ = false;
};

// The same on any V, lane by lane.
template <class V, bool Twice>
class rounded_by_lane {
 public:
  using s32 = typename V::s32;
  explicit rounded_by_lane(const fixed_multiplier* m, size_t step = 1) noexcept {
    for (size_t i = 0; i < V::width; ++i) multipliers_[i] = {m[i * step].multiplier, m[i * step].shift};
  }
  s32 operator()(s32 x) const noexcept {
    int32_t lanes[V::width];
    V::store(lanes, x);
    for (size_t i = 0; i < V::width; ++i) lanes[i] = product(lanes[i], multipliers_[i]);
    return V::load(lanes);
  }
  static s32 sum(s32 a, s32 b) noexcept {
    int32_t left[V::width], right[V::width];
    V::store(left, a);
    V::store(right, b);
    for (size_t i = 0; i < V::width; ++i) left[i] = saturated(int64_t{left[i]} + right[i]);
    return V::load(left);
  }

 private:
  static int32_t saturated(int64_t x) noexcept {
    return static_cast<int32_t>(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x);
  }
  static int32_t product(int32_t x, fixed_multiplier m) noexcept {
    if constexpr (!Twice) {
      const int32_t total = 31 - m.shift;
      return saturated((int64_t{x} * m.multiplier + (int64_t{1} << (total - 1))) >> total);
    } else {
      const int32_t right = m.shift > 0 ? 0 : -m.shift;
      const int32_t wide = m.shift > 0 ? saturated(int64_t{x} * (int64_t{1} << m.shift)) : x;
      const int64_t high = (int64_t{wide} * m.multiplier + (int64_t{1} << 30)) >> 31;
      const int64_t mask = (int64_t{1} << right) - 1;
      const bool up = (high & mask) > (mask >> 1) + (high < 0 ? 1 : 0);
      return static_cast<int32_t>((high >> right) + (up ? 1 : 0));
    }
  }
  fixed_multiplier multipliers_[V::width];
};

// The products of V under a contract.
template <class V, bool Twice>
struct fixed_products_of {
  using type = rounded_by_lane<V, Twice>;
};
template <class V, bool Twice>
requires requires {
  typename V::fixed_lanes;
}
struct fixed_products_of<V, Twice> {
  template <class L, bool T>
  struct choose {
    using type = rounded_once<L>;
  };
  template <class L>
  struct choose<L, true> {
    using type = rounded_twice<L>;
  };
  using type = typename choose<typename V::fixed_lanes, Twice>::type;
};
template <class V, bool Twice>
using fixed_product = typename fixed_products_of<V, Twice>::type;

}  // namespace QUANTAL_KERNEL_COPY
}  // namespace quantal::kernels::simd
