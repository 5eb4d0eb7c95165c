// The self-test of the integer elementwise kernels: one checksum, the same for every table on every CPU. See
// selftest.hpp. Freestanding; half a millisecond on a desktop.
#pragma once
#include "quantal/kernels/integer.hpp"
#include "quantal/kernels/selftest.hpp"

namespace quantal {

inline constexpr uint32_t selftest_codes_expected = 0x012eab48u;

namespace detail {

// A run with everything but the output's range drawn at random; `low` is the lowest code of the type.
inline codes_run draw_codes_run(generator& random, int32_t low) noexcept {
  codes_run run;
  run.ratio = f32_of_bits(0x3c000000u + random.below(0x05000000u));  // 2^-7 .. 2^3
  run.other_ratio = f32_of_bits(0x3c000000u + random.below(0x05000000u));
  run.a_zero_point = low + static_cast<int32_t>(random.below(256));
  run.b_zero_point = low + static_cast<int32_t>(random.below(256));
  run.zero_point = low + static_cast<int32_t>(random.below(256));
  run.codes = {random.below(2) == 0 ? run.zero_point : low, low + 255};
  return run;
}

}  // namespace detail

inline uint32_t selftest_codes(const integer_table& table) noexcept {
  constexpr size_t n = 203;  // full vectors and a tail on every ISA
  uint8_t a[2 * n], b[n], out[n], entries[256];
  int32_t sums[n];
  float ratios[n];
  detail::crc32 crc;
  detail::generator random;
  const auto as_signed = [](const uint8_t* p) { return reinterpret_cast<const int8_t*>(p); };
  const auto add = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) crc.add(uint32_t{out[i]});
  };
  int8_t* const signed_out = reinterpret_cast<int8_t*>(out);
  for (int32_t round = 0; round < 16; ++round) {
    for (uint8_t& x : a) x = static_cast<uint8_t>(random.next() >> 24);
    for (uint8_t& x : b) x = static_cast<uint8_t>(random.next() >> 24);
    for (uint8_t& x : entries) x = static_cast<uint8_t>(random.next() >> 24);
    for (size_t i = 0; i < n; ++i) {
      sums[i] = static_cast<int32_t>(random.next()) >> random.below(32);
      ratios[i] = f32_of_bits(0x33000000u + random.below(0x0c000000u));
    }
    const codes_run u = detail::draw_codes_run(random, 0), s = detail::draw_codes_run(random, -128);
    table.add_u8(a, b, n, u, out), add(n);
    table.multiply_u8(a, b, n, u, out), add(n);
    table.rescale_u8_u8(a, n, u, out), add(n);
    table.add_s8(as_signed(a), as_signed(b), n, s, signed_out), add(n);
    table.multiply_s8(as_signed(a), as_signed(b), n, s, signed_out), add(n);
    table.rescale_s8_s8(as_signed(a), n, s, signed_out), add(n);
    requantizer r;
    r.ratios = ratios;
    r.count = n;
    r.zero_point = u.zero_point;
    table.requantize_u8(sums, sums, 1, n, r, {0, 255}, out), add(n);
    r.count = 1;
    r.zero_point = s.zero_point;
    table.requantize_s8(sums, nullptr, 1, n, r, {-128, 127}, signed_out), add(n);
    table.look_up(a, n, entries, out), add(n);
    const window_taps<uint8_t> taps{a, 2, 101, 3, 33, 67};
    const window_taps<int8_t> signed_taps{as_signed(a), 2, 101, 3, 33, 67};
    table.max_u8(taps, out), add(67);
    table.max_s8(signed_taps, signed_out), add(67);
    table.mean_u8(taps, u, out), add(67);
    table.mean_s8(signed_taps, s, signed_out), add(67);
    crc.add(static_cast<int32_t>(table.sum_u8(a, n)));
    crc.add(static_cast<int32_t>(table.sum_s8(as_signed(a), n)));
  }
  return crc.value();
}

}  // namespace quantal
