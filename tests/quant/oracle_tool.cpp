// The core as a filter, for oracles.py: reads binary records on stdin, writes binary results on stdout.
//
//   encode FORMAT SATURATE         f32 -> u16 code           decode FORMAT      u16 code -> f32
//   encode64 FORMAT                f64 -> u16 code
//   choose PRESET TYPE SYMMETRIC REDUCE     f64 min, f64 max -> i32 status, f32 scale, i32 zero point
//   quantize PRESET TYPE           f32 x, f32 scale, i32 zero point -> i32 code
//   dequantize                     i32 code, f32 scale, i32 zero point -> f32
//   nbits K BLOCK                  per row of K: u4 codes packed, f32 scales, u4 zero points packed -> f32 [K]
//   small FORMAT                   f32 x, f32 scale, i32 -> i32 code of a small float, saturating
//   requant CONTRACT TYPE          i32 acc, f32 input, f32 weight, f32 output scale, i32 zero point -> i32 code
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "quantal/num/float16.hpp"
#include "quantal/num/float8.hpp"
#include "quantal/num/int4.hpp"
#include "quantal/quant/choose.hpp"
#include "quantal/quant/requant_plan.hpp"
#include "quantal/quant/view.hpp"

using namespace quantal;

namespace {

template <class Record, class Body>
int filter(Body&& body) {
  Record record;
  while (std::fread(&record, sizeof(record), 1, stdin) == 1) {
    const auto result = body(record);
    if (std::fwrite(&result, sizeof(result), 1, stdout) != 1) return 1;
  }
  return 0;
}

dtype type_named(const std::string& name) {
  for (std::int32_t i = 0; i < 40; ++i) {
    if (name == name_of(static_cast<dtype>(i))) return static_cast<dtype>(i);
  }
  return dtype::none;
}

std::uint16_t encode(dtype t, float x, bool saturate) {
  switch (t) {
    case dtype::f16: return f32_to_f16(x);
    case dtype::bf16: return f32_to_bf16(x);
    case dtype::f8e4m3fn: return f32_to_f8e4m3fn(x, saturate);
    case dtype::f8e4m3fnuz: return f32_to_f8e4m3fnuz(x, saturate);
    case dtype::f8e5m2: return f32_to_f8e5m2(x, saturate);
    case dtype::f8e5m2fnuz: return f32_to_f8e5m2fnuz(x, saturate);
    case dtype::f4e2m1: return f32_to_f4e2m1(x);
    case dtype::f8e8m0: return f32_to_f8e8m0(x, scale_rounding::nearest, saturate);
    default: return 0xdead;
  }
}

float decode(dtype t, std::uint16_t code) {
  const std::uint8_t byte = static_cast<std::uint8_t>(code);
  switch (t) {
    case dtype::f16: return f16_to_f32(code);
    case dtype::bf16: return bf16_to_f32(code);
    case dtype::f8e4m3fn: return f8e4m3fn_to_f32(byte);
    case dtype::f8e4m3fnuz: return f8e4m3fnuz_to_f32(byte);
    case dtype::f8e5m2: return f8e5m2_to_f32(byte);
    case dtype::f8e5m2fnuz: return f8e5m2fnuz_to_f32(byte);
    case dtype::f4e2m1: return f4e2m1_to_f32(byte);
    case dtype::f8e8m0: return f8e8m0_to_f32(byte);
    default: return -12345.0f;
  }
}

struct range {
  double min, max;
};
struct chosen {
  std::int32_t code;
  float scale;
  std::int32_t zero_point;
};
struct value {
  float x, scale;
  std::int32_t zero_point;
};
struct coded {
  std::int32_t q;
  float scale;
  std::int32_t zero_point;
};
struct accumulator {
  std::int32_t acc;
  float input, weight, output;
  std::int32_t zero_point;
};

std::int32_t requantized(const accumulator& a, contract rule, dtype type) {
  requant_request request;
  request.input_scale = a.input;
  request.weight_scale = a.weight;
  request.output_scale = a.output;
  request.arithmetic = precision::f32;
  request.allow_zero = true;
  requant_plan plan;
  if (plan_requant(request, plan) != status::ok) return INT32_MIN;
  requantizer r;
  r.rule = rule;
  r.ratios = &plan.ratio;
  r.multipliers = &plan.multiplier;
  r.count = 1;
  r.zero_point = a.zero_point;
  std::int32_t code = 0;
  std::uint8_t bytes[4] = {};
  if (requantize(&a.acc, nullptr, 1, 1, r, type, bytes) != status::ok) return INT32_MIN;
  code = load_code(type, bytes, 0);
  return code;
}

// MatMulNBits' weights: blocks along K, low nibble first.
int nbits(std::size_t depth, std::size_t block) {
  const std::size_t blocks = (depth + block - 1) / block, row = blocks * block;
  std::vector<std::uint8_t> codes(row / 2), packed(packed_bytes(blocks, 4));
  std::vector<float> scales(blocks), w(depth);
  std::vector<std::int32_t> zeros(blocks);
  while (std::fread(codes.data(), 1, codes.size(), stdin) == codes.size()) {
    if (std::fread(scales.data(), sizeof(float), blocks, stdin) != blocks) return 1;
    if (std::fread(packed.data(), 1, packed.size(), stdin) != packed.size()) return 1;
    for (std::size_t b = 0; b < blocks; ++b) zeros[b] = packed_get(packed.data(), b, 4);
    const affine_params p{scales.data(), zeros.data(), blocks, 0, static_cast<std::int64_t>(block)};
    if (dequantize(codes.data(), shape{static_cast<std::int64_t>(depth)}, p, dtype::u4, w.data()) != status::ok)
      return 1;
    if (std::fwrite(w.data(), sizeof(float), depth, stdout) != depth) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const auto word = [&](int i) { return std::string(i < argc ? argv[i] : ""); };
  const dtype type = type_named(word(verb == "choose" || verb == "quantize" || verb == "requant" ? 3 : 2));
  const preset_row* preset = find_preset(word(2).c_str());
  if (verb == "encode") {
    const bool saturate = word(3) == "1";
    return filter<float>([&](float x) { return encode(type, x, saturate); });
  }
  if (verb == "encode64")
    return filter<double>([&](double x) { return type == dtype::f16 ? f64_to_f16(x) : f64_to_bf16(x); });
  if (verb == "decode") return filter<std::uint16_t>([&](std::uint16_t c) { return decode(type, c); });
  if (verb == "choose") {
    choose_options options;
    options.preset = preset;
    options.type = type;
    options.symmetric = word(4) == "1";
    options.reduce_range = word(5) == "1";
    return filter<range>([&](const range& r) {
      quant_params p;
      const status s = choose_params(r.min, r.max, options, p);
      return chosen{static_cast<std::int32_t>(s), p.scale, p.zero_point};
    });
  }
  if (verb == "quantize") {
    const quantize_options options = quantize_options_of(*preset);
    return filter<value>([&](const value& v) {
      std::int32_t word32 = 0;
      if (quantize(&v.x, 1, {v.scale, v.zero_point}, type, &word32, options) != status::ok) return INT32_MIN;
      return load_code(type, &word32, 0);
    });
  }
  if (verb == "dequantize") {
    return filter<coded>([](const coded& c) { return dequantize_value(c.q, {c.scale, c.zero_point}); });
  }
  if (verb == "small") {
    return filter<value>([&](const value& v) {
      tensor_view from, to;
      float x = v.x, scale = v.scale;
      std::uint8_t code = 0;
      const bool made = make_view(dtype::f32, shape{1}, &x, sizeof x, from) == status::ok &&
                        make_view(type, shape{1}, &code, 1, to) == status::ok;
      if (!made || quantize(from, to, {&scale, nullptr, 1, -1, 0}) != status::ok) return INT32_MIN;
      return std::int32_t{code};
    });
  }
  if (verb == "nbits") return nbits(std::strtoul(argv[2], nullptr, 10), std::strtoul(argv[3], nullptr, 10));
  if (verb == "requant") {
    contract rule = contract::fp32_rne;
    for (const contract c : {contract::fp32_rne, contract::fixed_double, contract::fixed_single}) {
      if (word(2) == name_of(c)) rule = c;
    }
    return filter<accumulator>([&](const accumulator& a) { return requantized(a, rule, type); });
  }
  std::fprintf(stderr, "usage: see the top of oracle_tool.cpp\n");
  return 2;
}
