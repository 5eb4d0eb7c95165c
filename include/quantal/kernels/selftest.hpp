// selftest: one checksum over everything the core computes, the same on every CPU, compiler, byte order and instruction
// set.
//
// Four parts, so that a difference says where to look: integer (the three requantization contracts), numbers
// (conversions of the small floats), params (choose_params with every preset) and elementwise (quantize, dequantize,
// fake-quantize, min/max by the given table of kernels). Inputs come from a fixed generator and include ties, specials
// and extremes; values enter the CRC as 32-bit numbers, low byte first. `quantal selftest` prints it. Freestanding;
// about a millisecond on a desktop.
#pragma once
#include "quantal/kernels/elementwise.hpp"
#include "quantal/num/float16.hpp"
#include "quantal/num/float8.hpp"
#include "quantal/quant/choose.hpp"
#include "quantal/quant/requant.hpp"

namespace quantal {

struct selftest_sums {
  uint32_t integer = 0, numbers = 0, params = 0, elementwise = 0;
};

// What every machine must find.
inline constexpr selftest_sums selftest_expected{0x4fee34e7u, 0xecf0ea93u, 0xdae37665u, 0xd52fa358u};

constexpr bool operator==(const selftest_sums& a, const selftest_sums& b) noexcept {
  return a.integer == b.integer && a.numbers == b.numbers && a.params == b.params && a.elementwise == b.elementwise;
}

namespace detail {

// CRC-32 (IEEE 802.3, reflected), bit by bit.
class crc32 {
 public:
  void add(uint32_t word) noexcept {
    for (int32_t byte = 0; byte < 4; ++byte) {
      state_ ^= (word >> (8 * byte)) & 0xffu;
      for (int32_t bit = 0; bit < 8; ++bit) state_ = (state_ >> 1) ^ ((state_ & 1u) != 0 ? 0xedb88320u : 0u);
    }
  }
  void add(int32_t word) noexcept { add(static_cast<uint32_t>(word)); }
  uint32_t value() const noexcept { return ~state_; }

 private:
  uint32_t state_ = 0xffffffffu;
};

// xorshift32 (Marsaglia).
class generator {
 public:
  uint32_t next() noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }
  uint32_t below(uint32_t n) noexcept { return static_cast<uint32_t>((uint64_t{next()} * n) >> 32); }

 private:
  uint32_t state_ = 0x2545f491u;
};

// NaN payloads differ between machines; that it is NaN does not.
constexpr uint32_t canonical(float x) noexcept {
  return is_nan(x) ? 0x7fc00000u : bits_of_f32(x);
}

}  // namespace detail

inline uint32_t selftest_integer() noexcept {
  detail::crc32 crc;
  detail::generator random;
  const int32_t extremes[] = {INT32_MIN, INT32_MIN + 1, -16777217, -3, -2, -1, 0, 1, 2, 3, 16777217, INT32_MAX};
  for (int32_t round = 0; round < 40; ++round) {
    const float ratio = f32_of_bits(0x2f800000u + random.below(0x11000000u));
    fixed_multiplier multiplier;
    crc.add(static_cast<int32_t>(fixed_multiplier_of(ratio, multiplier)));
    crc.add(multiplier.multiplier);
    crc.add(multiplier.shift);
    requantizer r;
    r.ratios = &ratio;
    r.multipliers = &multiplier;
    r.count = 1;
    r.zero_point = static_cast<int32_t>(random.below(256)) - 128;
    for (int32_t rule = 0; rule < 3; ++rule) {
      r.rule = static_cast<contract>(rule);
      for (const int32_t acc : extremes) crc.add(requantize_value(acc, 0, r, 0, {-128, 127}));
      for (int32_t i = 0; i < 12; ++i) {
        const int32_t acc = static_cast<int32_t>(random.next()) >> random.below(32);
        crc.add(requantize_value(acc, static_cast<int32_t>(random.below(1000)), r, 0, {-128, 127}));
        crc.add(multiply(acc, r, 0));
      }
    }
  }
  return crc.value();
}

inline uint32_t selftest_numbers() noexcept {
  detail::crc32 crc;
  detail::generator random;
  for (uint32_t c = 0; c < 256; ++c) {
    const uint8_t code = static_cast<uint8_t>(c);
    crc.add(detail::canonical(f8e4m3fn_to_f32(code)));
    crc.add(detail::canonical(f8e4m3fnuz_to_f32(code)));
    crc.add(detail::canonical(f8e5m2_to_f32(code)));
    crc.add(detail::canonical(f8e5m2fnuz_to_f32(code)));
    crc.add(detail::canonical(f8e8m0_to_f32(code)));
    crc.add(detail::canonical(f4e2m1_to_f32(code)));
    crc.add(detail::canonical(f16_to_f32(static_cast<uint16_t>(c * 257))));
  }
  for (int32_t i = 0; i < 400; ++i) {
    const float any = f32_of_bits(random.next());
    const float middling = f32_of_bits((random.next() & 0x807fffffu) | (random.below(40) + 107) << 23);
    const float xs[2] = {any, middling};
    for (const float x : xs) {
      crc.add(uint32_t{f32_to_f16(x)});
      crc.add(uint32_t{f32_to_bf16(x)});
      for (int32_t saturate = 0; saturate < 2; ++saturate) {
        crc.add(uint32_t{f32_to_f8e4m3fn(x, saturate != 0)});
        crc.add(uint32_t{f32_to_f8e4m3fnuz(x, saturate != 0)});
        crc.add(uint32_t{f32_to_f8e5m2(x, saturate != 0)});
        crc.add(uint32_t{f32_to_f8e5m2fnuz(x, saturate != 0)});
      }
      crc.add(uint32_t{f32_to_f8e8m0(x)});
      crc.add(uint32_t{f32_to_f4e2m1(x)});
    }
  }
  return crc.value();
}

inline uint32_t selftest_params() noexcept {
  detail::crc32 crc;
  detail::generator random;
  const dtype types[] = {dtype::u8, dtype::s8, dtype::s16, dtype::u16, dtype::s4, dtype::u4};
  for (const preset_row& row : presets) {
    for (const dtype type : types) {
      for (int32_t i = 0; i < 24; ++i) {
        choose_options options;
        options.preset = &row;
        options.type = type;
        options.symmetric = (i & 1) != 0;
        options.reduce_range = (i & 2) != 0;
        options.power_of_two = (i & 4) != 0;
        const float low = f32_of_bits((random.next() & 0x807fffffu) | (random.below(20) + 117) << 23);
        const float width = f32_of_bits((random.next() & 0x007fffffu) | (random.below(20) + 117) << 23);
        quant_params p;
        crc.add(static_cast<int32_t>(choose_params(double{low}, double{low} + double{width}, options, p)));
        crc.add(bits_of_f32(p.scale));
        crc.add(p.zero_point);
      }
    }
  }
  return crc.value();
}

inline uint32_t selftest_elementwise(const elementwise_table& table) noexcept {
  constexpr size_t n = 203;  // full vectors and a tail on every ISA
  float x[n], y[n];
  int8_t s[n];
  uint8_t u[n];
  detail::crc32 crc;
  detail::generator random;
  const uint32_t specials[] = {0u, 0x80000000u, 1u, 0x80000001u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 0x7f7fffffu};
  for (int32_t round = 0; round < 24; ++round) {
    quantize_run run;
    run.params.scale = f32_of_bits(0x3a000000u + random.below(0x08000000u));
    if (round == 22) run.params.scale = 0x1p-100f;
    if (round == 23) run.params.scale = 0x1p+120f;
    run.nan_is_lowest = (round & 1) != 0;
    run.reciprocal = (round & 2) != 0;
    for (size_t i = 0; i < n; ++i) {
      const int32_t half_steps = static_cast<int32_t>(random.below(700)) - 350;
      const float tie = fence(static_cast<float>(half_steps) * (run.params.scale * 0.5f));
      x[i] = i < 8 ? f32_of_bits(specials[i]) : f32_of_bits(bits_of_f32(tie) + random.below(3) - 1u);
    }
    run.params.zero_point = static_cast<int32_t>(random.below(256)) - 128;
    run.codes = (round & 4) != 0 ? code_limits{-127, 127} : code_limits{-128, 127};
    table.quantize_s8(x, n, run, s);
    table.dequantize_s8(s, n, run.params, y);
    for (size_t i = 0; i < n; ++i) crc.add(int32_t{s[i]});
    for (size_t i = 0; i < n; ++i) crc.add(bits_of_f32(y[i]));
    run.params.zero_point += 128;
    run.codes = {0, 255};
    table.quantize_u8(x, n, run, u);
    table.dequantize_u8(u, n, run.params, y);
    for (size_t i = 0; i < n; ++i) crc.add(uint32_t{u[i]});
    for (size_t i = 0; i < n; ++i) crc.add(bits_of_f32(y[i]));
    table.fake_quantize(x, n, run, y);
    for (size_t i = 0; i < n; ++i) crc.add(bits_of_f32(y[i]));
    const min_max m = table.min_max_of(x, n);
    crc.add(bits_of_f32(m.min));
    crc.add(bits_of_f32(m.max));
    crc.add(static_cast<uint32_t>(m.nan_count));
  }
  return crc.value();
}

inline selftest_sums selftest(const elementwise_table& table) noexcept {
  return {selftest_integer(), selftest_numbers(), selftest_params(), selftest_elementwise(table)};
}

}  // namespace quantal
