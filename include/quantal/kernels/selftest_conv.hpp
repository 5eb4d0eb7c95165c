// The self-test of convolution and depthwise convolution: for each a checksum over layers of every sign, contract and
// epilogue, planned, packed and run, the same for every leaf on every CPU. See selftest.hpp. Freestanding, but not
// small: it wants some 150 KiB of stack, so a microcontroller tests the parts it uses instead.
#pragma once
#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"
#include "quantal/kernels/selftest.hpp"

namespace quantal {

inline constexpr uint32_t selftest_conv_expected = 0x79ad2987u;
inline constexpr uint32_t selftest_depthwise_expected = 0xa8d5d0a8u;

namespace detail {

struct conv_selftest {
  static constexpr int64_t max_channels = 67, max_pixels = 81;
  static constexpr uint64_t workspace = 64 * 1024, packed_room = 64 * 1024;

  generator random;
  crc32 crc;

  int64_t pick(int64_t low, int64_t high) noexcept {
    return low + static_cast<int64_t>(random.below(static_cast<uint32_t>(high - low + 1)));
  }
  int32_t code_of(dtype t) noexcept { return static_cast<int32_t>(random.below(256)) - (t == dtype::u8 ? 0 : 128); }

  // A layer with everything but its channels and kernel drawn at random. `wide`: weights may have any zero point.
  const conv_desc& draw(int64_t in_c, int64_t out_c, int64_t groups, int64_t kernel_h, int64_t kernel_w,
                        bool wide) noexcept {
    constexpr dtype codes[] = {dtype::u8, dtype::s8};
    constexpr dtype outs[] = {dtype::u8, dtype::s8, dtype::u8, dtype::s8, dtype::s32, dtype::f32};
    d = {};
    conv_shape& s = d.shape;
    s.in_c = in_c;
    s.out_c = out_c;
    s.groups = groups;
    s.kernel_h = kernel_h;
    s.kernel_w = kernel_w;
    s.in_h = pick(1, 9);
    s.in_w = pick(1, 9);
    s.stride_h = pick(1, 2);
    s.stride_w = pick(1, 2);
    s.dilation_w = kernel_w == 2 ? 2 : 1;
    s.pad_top = pick(0, 1);
    s.pad_left = pick(0, 1);
    while (s.in_h + s.pad_top + s.pad_bottom < s.window_h()) ++s.pad_bottom;
    while (s.in_w + s.pad_left + s.pad_right < s.window_w()) ++s.pad_right;
    d.in = codes[random.below(2)];
    d.weights = codes[random.below(2)];
    d.out = outs[random.below(6)];
    d.in_zero_point = code_of(d.in);
    const int32_t any = code_of(d.weights), centre = d.weights == dtype::u8 ? 128 : 0;
    d.weight_zero_point = wide && random.below(2) == 0 ? any : centre;
    draw_epilogue();
    for (uint8_t& x : in) x = static_cast<uint8_t>(random.next() >> 24);
    for (uint8_t& x : weights) x = static_cast<uint8_t>(random.next() >> 24);
    for (uint8_t& x : residual) x = static_cast<uint8_t>(random.next() >> 24);
    return d;
  }

  // Plans, packs, runs, adds what came out. False: refused or too large, which no leaf may be.
  template <class Plan, class Pack, class Run>
  bool finish(const Plan& p, uint64_t workspace_bytes, Pack pack, Run run) noexcept {
    const conv_layout& l = p.layout;
    if (workspace_bytes > sizeof work || l.in_elements > sizeof in || l.weight_elements > sizeof weights ||
        l.out_elements > sizeof residual || pack(p, weights, bias, d.finish, packed, sizeof packed) != status::ok)
      return false;
    const bool second = l.residual.type != dtype::none;
    const conv_buffers b{
        in,  sizeof in,  packed, sizeof packed, second ? residual : nullptr, second ? sizeof residual : 0,
        out, sizeof out, work,   sizeof work};
    if (run(p, b, parallel_for{}) != status::ok) return false;
    const uint8_t* codes = reinterpret_cast<const uint8_t*>(out);
    uint32_t word = 0;  // codes enter four at a time
    for (uint64_t i = 0; i < l.out_elements; ++i) {
      word = is_code(d.out) ? word << 8 | codes[i] : out[i];
      if (!is_code(d.out) || i % 4 == 3 || i + 1 == l.out_elements) crc.add(word);
    }
    return true;
  }

 private:
  void draw_epilogue() noexcept {
    const bool to_codes = is_code(d.out);
    const int64_t depth = d.shape.kernel_h * d.shape.kernel_w * d.shape.group_in();
    const uint32_t smaller = depth > 40 ? 0x01800000u : 0;  // an eighth
    for (int64_t c = 0; c < d.shape.out_c; ++c) {
      ratios[c] = f32_of_bits(0x3a000000u - smaller + random.below(0x02000000u));  // 2^-11 .. 2^-7
      if (fixed_multiplier_of(ratios[c], multipliers[c]) != status::ok) multipliers[c] = {};
      bias[c] = static_cast<int32_t>(random.next()) >> (14 + random.below(18));
    }
    requantizer& q = d.finish.requant;
    q.rule = to_codes ? static_cast<contract>(random.below(5) % 3) : contract::fp32_rne;
    q.ratios = ratios;
    q.multipliers = multipliers;
    q.count = random.below(4) == 0 ? 1 : static_cast<size_t>(d.shape.out_c);
    q.zero_point = to_codes ? code_of(d.out) : 0;
    const bool relu = random.below(4) == 0;
    q.min = relu && to_codes ? q.zero_point : INT32_MIN;
    if (!to_codes || random.below(3) != 0) return;
    residual_input& r = d.finish.residual;
    r.type = random.below(2) == 0 ? dtype::u8 : dtype::s8;
    r.zero_point = code_of(r.type);
    r.ratio = f32_of_bits(0x3d000000u + random.below(0x03000000u));
    if (fixed_multiplier_of(r.ratio, r.multiplier) != status::ok) r.multiplier = {};
  }

  conv_desc d;
  int32_t bias[max_channels];
  float ratios[max_channels];
  fixed_multiplier multipliers[max_channels];
  uint8_t in[max_pixels * max_channels], weights[8192], residual[121 * max_channels];
  uint32_t out[121 * max_channels];
  alignas(64) uint8_t packed[packed_room];
  alignas(64) uint8_t work[workspace];
};

struct channels_and_kernel {
  int64_t in_c, out_c, groups, kernel_h, kernel_w;
};

}  // namespace detail

// 0: a layer was refused.
inline uint32_t selftest_conv(const gemm_leaf& leaf) noexcept {
  constexpr detail::channels_and_kernel layers[] = {{3, 17, 1, 3, 3},  {16, 16, 1, 1, 1}, {17, 33, 1, 1, 1},
                                                    {20, 6, 2, 3, 3},  {8, 8, 8, 3, 3},   {64, 40, 1, 1, 2},
                                                    {32, 20, 1, 3, 3}, {5, 9, 1, 1, 5},   {67, 1, 1, 2, 2}};
  detail::conv_selftest test;
  for (int32_t round = 0; round < 4; ++round) {
    for (const detail::channels_and_kernel& k : layers) {
      conv_plan p;
      const conv_desc& d = test.draw(k.in_c, k.out_c, k.groups, k.kernel_h, k.kernel_w, true);
      if (plan_conv(d, leaf, 1, p) != status::ok || !test.finish(p, conv_workspace_bytes(p, 1), pack_conv, run_conv))
        return 0;
    }
  }
  return test.crc.value();
}

inline uint32_t selftest_depthwise(const depthwise_leaf& leaf) noexcept {
  constexpr detail::channels_and_kernel layers[] = {{16, 16, 16, 3, 3}, {67, 67, 67, 3, 3}, {32, 32, 32, 5, 5},
                                                    {5, 15, 5, 3, 3},   {33, 33, 33, 2, 2}, {64, 64, 64, 3, 3},
                                                    {1, 4, 1, 7, 1},    {40, 40, 40, 3, 3}};
  detail::conv_selftest test;
  for (int32_t round = 0; round < 5; ++round) {
    for (const detail::channels_and_kernel& k : layers) {
      depthwise_plan p;
      const conv_desc& d = test.draw(k.in_c, k.out_c, k.groups, k.kernel_h, k.kernel_w, false);
      if (plan_depthwise(d, leaf, 1, p) != status::ok ||
          !test.finish(p, depthwise_workspace_bytes(p, 1), pack_depthwise, run_depthwise))
        return 0;
    }
  }
  return test.crc.value();
}

}  // namespace quantal
