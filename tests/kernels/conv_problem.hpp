// Random convolutions for the tests of kernels/conv.hpp and kernels/depthwise.hpp: data, epilogue, and what the
// reference makes of them.
#pragma once
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "quantal/kernels/conv_desc.hpp"

namespace conv_test {

using namespace quantal;

struct release {
  void operator()(void* p) const { std::free(p); }
};
using memory = std::unique_ptr<std::uint8_t, release>;
inline memory aligned(std::uint64_t bytes) {
  return memory(static_cast<std::uint8_t*>(std::aligned_alloc(64, (bytes + 127) / 64 * 64)));
}

inline std::mt19937 random_bits(1);
inline std::int32_t pick(std::int32_t low, std::int32_t high) {
  return low + static_cast<std::int32_t>(random_bits() % static_cast<std::uint32_t>(high - low + 1));
}

struct problem {
  conv_desc d;
  std::vector<float> ratios;
  std::vector<fixed_multiplier> multipliers;
  std::vector<std::int32_t> bias;
  std::vector<std::uint8_t> in, weights, residual, table;
  conv_layout layout;

  std::size_t out_bytes() const { return layout.out_elements * (d.out == dtype::s32 || d.out == dtype::f32 ? 4 : 1); }
  // The arrays move with the problem: point the description at them.
  const conv_desc& desc() {
    d.finish.requant.ratios = ratios.data();
    d.finish.requant.multipliers = multipliers.data();
    d.finish.table = table.empty() ? nullptr : table.data();
    return d;
  }
};

inline void fill(std::vector<std::uint8_t>& codes, std::uint64_t count, bool extremes) {
  codes.resize(count + 1);
  for (std::uint8_t& x : codes) {
    const std::uint32_t r = static_cast<std::uint32_t>(random_bits());
    x = static_cast<std::uint8_t>(extremes ? (r & 1 ? (r & 2 ? 0x80 : 0x7f) : (r & 2 ? 0xff : 0)) : r);
  }
}

struct options {
  bool extremes = false;
  bool weight_zero_point = true;  // may differ from 0 (s8) and 128 (u8)
  bool strided = false;
};

inline problem make(const conv_shape& s, const options& o = {}) {
  problem p;
  conv_desc& d = p.d;
  d.shape = s;
  d.in = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
  d.weights = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
  constexpr dtype outs[] = {dtype::u8, dtype::s8, dtype::u8, dtype::s32, dtype::f32};
  d.out = outs[pick(0, 4)];
  d.in_zero_point = d.in == dtype::u8 ? pick(0, 255) : pick(-128, 127);
  if (o.extremes) d.in_zero_point = (pick(0, 1) != 0 ? 255 : 0) - (d.in == dtype::u8 ? 0 : 128);
  d.weight_zero_point = d.weights == dtype::u8 ? 128 : 0;
  if (o.weight_zero_point && pick(0, 2) == 0)
    d.weight_zero_point = d.weights == dtype::u8 ? pick(0, 255) : pick(-128, 127);
  const bool codes = d.out == dtype::u8 || d.out == dtype::s8;
  const std::int64_t depth = s.kernel_h * s.kernel_w * s.group_in();
  for (std::int64_t c = 0; c < s.out_c; ++c) {
    p.ratios.push_back(static_cast<float>(pick(1, 3000)) / (50.0F + 40.0F * static_cast<float>(depth)) * 0.05F);
    if (pick(0, 40) == 0) p.ratios.back() = static_cast<float>(pick(1, 100000));
    p.multipliers.emplace_back();
    REQUIRE(fixed_multiplier_of(p.ratios.back(), p.multipliers.back()) == status::ok);
    p.bias.push_back(pick(0, 30) == 0 ? pick(0, 1) * -1 + INT32_MAX - 5 : pick(-10000, 10000));
  }
  requantizer& q = d.finish.requant;
  q.rule = codes && pick(0, 2) == 0 ? static_cast<contract>(pick(1, 2)) : contract::fp32_rne;
  q.count = pick(0, 3) == 0 && s.out_c > 0 ? 1 : static_cast<std::size_t>(s.out_c);
  if (d.out == dtype::f32 && pick(0, 1) == 0) {
    q.min = pick(0, 2) == 0 ? INT32_MIN : pick(-1, 0);
    q.max = pick(0, 2) == 0 ? INT32_MAX : pick(0, 6);
  }
  if (codes) {
    q.zero_point = d.out == dtype::u8 ? pick(0, 255) : pick(-128, 127);
    if (pick(0, 2) == 0) {
      q.min = d.out == dtype::u8 ? pick(0, 100) : pick(-128, 0);
      q.max = q.min + pick(0, 127);
    }
    if (pick(0, 4) == 0) {
      d.finish.residual = {pick(0, 1) != 0 ? dtype::u8 : dtype::s8, pick(0, 127), 0.37F, {}};
      REQUIRE(fixed_multiplier_of(0.37F, d.finish.residual.multiplier) == status::ok);
    }
    if (pick(0, 4) == 0) fill(p.table, 255, false);
  }
  if (o.strided) {
    d.in_strides.pixel = s.in_c + pick(0, 3);
    d.in_strides.row = s.in_w * d.in_strides.pixel + pick(0, 5);
    d.in_strides.image = s.in_h * d.in_strides.row + pick(0, 7);
    d.out_strides.pixel = s.out_c + pick(0, 3);
    d.out_strides.row = s.out_w() * d.out_strides.pixel + pick(0, 5);
    d.out_strides.image = s.out_h() * d.out_strides.row + pick(0, 7);
    // [kh][kw][ic][oc], as TensorFlow keeps them
    d.weight_strides[0] = 1;
    d.weight_strides[3] = s.out_c;
    d.weight_strides[2] = s.out_c * s.group_in();
    d.weight_strides[1] = s.out_c * s.group_in() * s.kernel_w;
  }
  REQUIRE(check_conv(p.desc(), p.layout) == status::ok);
  fill(p.in, p.layout.in_elements, o.extremes);
  fill(p.weights, p.layout.weight_elements, o.extremes);
  fill(p.residual, p.layout.residual_elements, false);
  return p;
}

inline std::vector<std::uint8_t> reference(problem& p) {
  std::vector<std::uint8_t> out(p.out_bytes() + 64, 0x55);
  const conv_layout& l = p.layout;
  const auto tensor = [](const void* data, dtype type, const image_strides& s, std::int32_t zero_point) {
    return code_tensor{data, type, {s.image, s.row, s.pixel, 1}, zero_point};
  };
  code_tensor weights{p.weights.data(), p.d.weights, {}, p.d.weight_zero_point};
  for (int i = 0; i < 4; ++i) weights.strides[i] = l.weight_strides[i];
  ref::conv(p.d.shape, tensor(p.in.data(), p.d.in, l.in_strides, p.d.in_zero_point), weights, p.bias.data(),
            p.desc().finish,
            tensor(p.residual.data(), p.d.finish.residual.type, l.residual_strides, p.d.finish.residual.zero_point),
            p.d.out, out.data(), {l.out_strides.image, l.out_strides.row, l.out_strides.pixel, 1});
  return out;
}

inline conv_buffers buffers(problem& p, std::vector<std::uint8_t>& out, const memory& packed,
                            std::uint64_t packed_bytes, const memory& work, std::uint64_t work_bytes) {
  return {p.in.data(), p.layout.in_elements, packed.get(), packed_bytes, p.residual.data(), p.layout.residual_elements,
          out.data(),  p.out_bytes(),        work.get(),   work_bytes};
}

// Tasks in reverse order on one thread: what is not independent shows.
inline void backwards(void*, std::size_t count, parallel_for::task_fn task, void* argument) {
  while (count-- > 0) task(argument, count);
}
inline parallel_for lanes(std::size_t width) {
  return width > 1 ? parallel_for{nullptr, backwards, width} : parallel_for{};
}

}  // namespace conv_test
