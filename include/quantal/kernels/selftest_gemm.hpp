// The self-test of the matrix product: one checksum over products of every sign, contract and epilogue, the same for
// every leaf on every CPU. See selftest.hpp. Freestanding, but not small: it wants some 90 KiB of stack, so a
// microcontroller tests the parts it uses instead.
#pragma once
#include "quantal/kernels/gemm.hpp"
#include "quantal/kernels/selftest.hpp"

namespace quantal {

inline constexpr uint32_t selftest_gemm_expected = 0x76dea7b2u;

namespace detail {

struct gemm_selftest {
  static constexpr int64_t max_m = 17, max_n = 67, max_k = 131;

  // One product of each size with everything else drawn at random. False: refused, which no leaf may.
  bool product(gemm_shape s) noexcept {
    constexpr dtype codes[] = {dtype::u8, dtype::s8}, outs[] = {dtype::s32, dtype::u8, dtype::s8, dtype::f32};
    gemm_desc d;
    d.shape = s;
    d.lhs = codes[random.below(2)];
    d.rhs = codes[random.below(2)];
    d.out = outs[random.below(4)];
    d.lhs_zero_point = code_of(d.lhs);
    d.rhs_zero_point = random.below(2) == 0 ? 0 : code_of(d.rhs);
    d.dynamic_lhs = random.below(4) == 0;
    for (int64_t i = 0; i < s.m; ++i) {
      zeros[i] = code_of(d.lhs);
      scales[i] = f32_of_bits(0x3a000000u + random.below(0x04000000u));
    }
    draw_epilogue(d);
    for (uint8_t& x : lhs) x = static_cast<uint8_t>(random.next() >> 24);
    for (uint8_t& x : rhs) x = static_cast<uint8_t>(random.next() >> 24);
    for (uint8_t& x : residual) x = static_cast<uint8_t>(random.next() >> 24);
    return run(d);
  }

  explicit gemm_selftest(const gemm_leaf& of) noexcept : leaf(of) {}

  const gemm_leaf& leaf;
  generator random;
  crc32 crc;

 private:
  int32_t code_of(dtype t) noexcept { return static_cast<int32_t>(random.below(256)) - (t == dtype::u8 ? 0 : 128); }

  void draw_epilogue(gemm_desc& d) noexcept {
    const bool to_codes = is_code(d.out);
    for (int64_t c = 0; c < d.shape.n; ++c) {
      ratios[c] = f32_of_bits(0x37000000u + random.below(0x03000000u));  // about 2^-17 .. 2^-11
      if (fixed_multiplier_of(ratios[c], multipliers[c]) != status::ok) multipliers[c] = {};
      bias[c] = static_cast<int32_t>(random.next()) >> (14 + random.below(18));
    }
    requantizer& q = d.finish.requant;
    q.rule = to_codes ? static_cast<contract>(random.below(3)) : contract::fp32_rne;
    q.ratios = ratios;
    q.multipliers = multipliers;
    q.count = static_cast<size_t>(d.shape.n);
    q.zero_point = to_codes ? code_of(d.out) : 0;
    const bool relu = random.below(4) == 0;
    q.min = relu && to_codes ? q.zero_point : INT32_MIN;
    q.max = INT32_MAX;
    d.finish.row_scales = d.out == dtype::f32 && random.below(2) == 0;
    if (!to_codes || random.below(2) == 0) return;
    residual_input& r = d.finish.residual;
    r.type = random.below(2) == 0 ? dtype::u8 : dtype::s8;
    r.zero_point = code_of(r.type);
    r.ratio = f32_of_bits(0x3d000000u + random.below(0x03000000u));
    if (fixed_multiplier_of(r.ratio, r.multiplier) != status::ok) r.multiplier = {};
  }

  bool run(const gemm_desc& d) noexcept {
    gemm_plan plan;
    const gemm_weights weights{rhs, bias, d.out == dtype::f32 ? ratios : nullptr, d.finish};
    if (plan_gemm(d, leaf, 1, plan) != status::ok || gemm_workspace_bytes(plan, 1) > sizeof work) return false;
    if (pack_gemm(plan, weights, packed, sizeof packed) != status::ok) return false;
    gemm_buffers b;
    b.lhs = lhs;
    b.lhs_bytes = sizeof lhs;
    b.packed = packed;
    b.packed_bytes = sizeof packed;
    b.out = out;
    b.out_bytes = sizeof out;
    b.workspace = work;
    b.workspace_bytes = sizeof work;
    b.residual = d.finish.residual.type == dtype::none ? nullptr : residual;
    b.residual_bytes = sizeof residual;
    b.row_zero_points = d.dynamic_lhs ? zeros : nullptr;
    b.row_scales = d.finish.row_scales ? scales : nullptr;
    if (run_gemm(plan, b) != status::ok) return false;
    const int64_t count = d.shape.m * d.shape.n;
    for (int64_t i = 0; i < count; ++i) crc.add(is_code(d.out) ? uint32_t{reinterpret_cast<uint8_t*>(out)[i]} : out[i]);
    return true;
  }

  int32_t zeros[max_m], bias[max_n];
  float scales[max_m], ratios[max_n];
  fixed_multiplier multipliers[max_n];
  uint8_t lhs[max_m * max_k], rhs[max_k * max_n], residual[max_m * max_n];
  uint32_t out[max_m * max_n];
  alignas(64) uint8_t packed[32 * 1024];
  alignas(64) uint8_t work[32 * 1024];
};

}  // namespace detail

// 0: a product was refused.
inline uint32_t selftest_gemm(const gemm_leaf& leaf) noexcept {
  detail::gemm_selftest test(leaf);
  constexpr gemm_shape shapes[] = {{1, 1, 1},   {1, 67, 131}, {3, 17, 5},   {4, 16, 64},
                                   {7, 33, 70}, {8, 64, 16},  {17, 40, 131}};
  for (int32_t round = 0; round < 8; ++round)
    for (const gemm_shape& s : shapes)
      if (!test.product(s)) return 0;
  return test.crc.value();
}

}  // namespace quantal
