// One small layer of each planned family (gemm, conv, depthwise) behind one interface, for the checklist of bad input
// (checklist_test.cpp) and for runs on many threads (threads_main.cpp): describe, plan, pack, run, and what the
// reference makes of it. u8 input, s8 weights, u8 output, one ratio per channel unless a test changes it.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"
#include "quantal/kernels/gemm.hpp"
#include "quantal/kernels/ref/conv.hpp"

namespace quantal_test {

using namespace quantal;

struct release_bytes {
  void operator()(void* p) const { std::free(p); }
};
// Zeroed, 64-byte aligned, with 64 bytes more than asked for.
struct aligned_bytes {
  explicit aligned_bytes(std::uint64_t bytes)
      : size(bytes), room(static_cast<std::uint8_t*>(std::aligned_alloc(64, (bytes + 191) / 64 * 64))) {
    fill(0);
  }
  void fill(int value) { std::memset(room.get(), value, static_cast<std::size_t>(size + 64)); }
  std::uint8_t* data() const { return room.get(); }
  std::uint64_t size;
  std::unique_ptr<std::uint8_t, release_bytes> room;
};

// What differs between the families. Buffers of a run are conv_buffers for all.
struct gemm_family {
  static constexpr bool product = true;
  using desc = gemm_desc;
  using leaf = gemm_leaf;
  using plan = gemm_plan;
  static gemm_desc describe() {
    gemm_desc d;
    d.shape = {5, 19, 37};
    d.out = dtype::u8;
    d.lhs_zero_point = 120;
    return d;
  }
  static const leaf& best() { return best_gemm_leaf(); }
  static const leaf* of(const char* isa) { return gemm_leaf_of(isa); }
  static std::size_t channels(const desc& d) { return static_cast<std::size_t>(d.shape.n); }
  static status make(const desc& d, const leaf& l, std::size_t width, plan& p, std::size_t* bad = nullptr) {
    return plan_gemm(d, l, width, p, bad);
  }
  static status pack(const plan& p, const void* weights, const std::int32_t* bias, const epilogue& e, void* packed,
                     std::uint64_t bytes) {
    return pack_gemm(p, {weights, bias, nullptr, e}, packed, bytes);
  }
  static status run(const plan& p, const conv_buffers& b, const parallel_for& parallel) {
    return run_gemm(p,
                    {b.in, b.in_bytes, b.packed, b.packed_bytes, b.out, b.out_bytes, b.workspace, b.workspace_bytes,
                     b.residual, b.residual_bytes},
                    parallel);
  }
  static std::uint64_t workspace(const plan& p, std::size_t width) { return gemm_workspace_bytes(p, width); }
  static void reference(const desc& d, const void* in, const void* weights, const std::int32_t* bias,
                        const void* residual, void* out) {
    const gemm_shape& s = d.shape;
    ref::gemm(s, {in, d.lhs, s.k, 1, d.lhs_zero_point}, {weights, d.rhs, s.n, 1, d.rhs_zero_point},
              {bias, nullptr, nullptr, nullptr, residual, s.n}, d.finish, d.out, out, s.n);
  }
  static dtype& in_type(desc& d) { return d.lhs; }
  static dtype& weight_type(desc& d) { return d.rhs; }
  static std::int32_t& in_zero_point(desc& d) { return d.lhs_zero_point; }
  static std::int32_t& weight_zero_point(desc& d) { return d.rhs_zero_point; }
};

template <bool Depthwise>
struct convolution {
  static constexpr bool product = false;
  static constexpr bool depthwise = Depthwise;
  using desc = conv_desc;
  static conv_desc describe() {
    conv_desc d;
    conv_shape& s = d.shape;
    s.in_h = 6;
    s.in_w = 5;
    s.in_c = Depthwise ? 20 : 8;
    s.out_c = Depthwise ? 20 : 18;
    s.groups = Depthwise ? 20 : 1;
    s.kernel_h = s.kernel_w = 3;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1;
    d.out = dtype::u8;
    d.in_zero_point = 120;
    return d;
  }
  static std::size_t channels(const desc& d) { return static_cast<std::size_t>(d.shape.out_c); }
  static void reference(const desc& d, const void* in, const void* weights, const std::int32_t* bias,
                        const void* residual, void* out) {
    conv_layout l;
    if (check_conv(d, l) != status::ok) std::abort();
    const auto tensor = [](const void* data, dtype type, const image_strides& s, std::int32_t zero_point) {
      return code_tensor{data, type, {s.image, s.row, s.pixel, 1}, zero_point};
    };
    code_tensor w{weights, d.weights, {}, d.weight_zero_point};
    for (int i = 0; i < 4; ++i) w.strides[i] = l.weight_strides[i];
    const residual_input& r = d.finish.residual;
    ref::conv(d.shape, tensor(in, d.in, l.in_strides, d.in_zero_point), w, bias, d.finish,
              tensor(residual, r.type, l.residual_strides, r.zero_point), d.out, out,
              {l.out_strides.image, l.out_strides.row, l.out_strides.pixel, 1});
  }
  static dtype& in_type(desc& d) { return d.in; }
  static dtype& weight_type(desc& d) { return d.weights; }
  static std::int32_t& in_zero_point(desc& d) { return d.in_zero_point; }
  static std::int32_t& weight_zero_point(desc& d) { return d.weight_zero_point; }
};

struct conv_family : convolution<false> {
  using leaf = gemm_leaf;
  using plan = conv_plan;
  static const leaf& best() { return best_gemm_leaf(); }
  static const leaf* of(const char* isa) { return gemm_leaf_of(isa); }
  static status make(const desc& d, const leaf& l, std::size_t width, plan& p, std::size_t* bad = nullptr) {
    return plan_conv(d, l, width, p, bad);
  }
  static status pack(const plan& p, const void* weights, const std::int32_t* bias, const epilogue& e, void* packed,
                     std::uint64_t bytes) {
    return pack_conv(p, weights, bias, e, packed, bytes);
  }
  static status run(const plan& p, const conv_buffers& b, const parallel_for& parallel) {
    return run_conv(p, b, parallel);
  }
  static std::uint64_t workspace(const plan& p, std::size_t width) { return conv_workspace_bytes(p, width); }
};

struct depthwise_family : convolution<true> {
  using leaf = depthwise_leaf;
  using plan = depthwise_plan;
  static const leaf& best() { return best_depthwise_leaf(); }
  static const leaf* of(const char* isa) { return depthwise_leaf_of(isa); }
  static status make(const desc& d, const leaf& l, std::size_t width, plan& p, std::size_t* bad = nullptr) {
    return plan_depthwise(d, l, width, p, bad);
  }
  static status pack(const plan& p, const void* weights, const std::int32_t* bias, const epilogue& e, void* packed,
                     std::uint64_t bytes) {
    return pack_depthwise(p, weights, bias, e, packed, bytes);
  }
  static status run(const plan& p, const conv_buffers& b, const parallel_for& parallel) {
    return run_depthwise(p, b, parallel);
  }
  static std::uint64_t workspace(const plan& p, std::size_t width) { return depthwise_workspace_bytes(p, width); }
};

// A layer with its data. Change `d` and the arrays, then describe() gives the description that points at them.
template <class Family>
struct layer {
  static constexpr std::size_t room = 4096;
  typename Family::desc d = Family::describe();
  std::vector<float> ratios;
  std::vector<fixed_multiplier> multipliers;
  std::vector<std::int32_t> bias;
  std::vector<std::uint8_t> in, weights, residual;
  std::uint64_t in_bytes, out_elements;

  layer() : in(room), weights(room), residual(room) {
    std::uint32_t state = 1;
    for (std::size_t i = 0; i < room; ++i) {
      state = state * 1664525u + 1013904223u;
      in[i] = static_cast<std::uint8_t>(state >> 24);
      weights[i] = static_cast<std::uint8_t>(state >> 16);
      residual[i] = static_cast<std::uint8_t>(state >> 8);
    }
    const std::size_t n = Family::channels(d);
    for (std::size_t i = 0; i < n; ++i) {
      ratios.push_back(0.001F + 0.0001F * static_cast<float>(i));
      multipliers.emplace_back();
      if (fixed_multiplier_of(ratios.back(), multipliers.back()) != status::ok) std::abort();
      bias.push_back(static_cast<std::int32_t>(i) * 100 - 700);
    }
    d.finish.requant.count = n;
    d.finish.requant.zero_point = 7;
    if constexpr (Family::product) {
      in_bytes = static_cast<std::uint64_t>(d.shape.m * d.shape.k);
      out_elements = static_cast<std::uint64_t>(d.shape.m * d.shape.n);
    } else {
      in_bytes = static_cast<std::uint64_t>(d.shape.in_h * d.shape.in_w * d.shape.in_c);
      out_elements = static_cast<std::uint64_t>(d.shape.out_h() * d.shape.out_w() * d.shape.out_c);
    }
  }

  const typename Family::desc& describe() {
    d.finish.requant.ratios = ratios.data();
    d.finish.requant.multipliers = multipliers.data();
    return d;
  }
  void add_residual() {
    d.finish.residual = {dtype::u8, 100, 0.5F, {}};
    if (fixed_multiplier_of(0.5, d.finish.residual.multiplier) != status::ok) std::abort();
  }
  std::uint64_t out_bytes() const { return out_elements * (d.out == dtype::u8 || d.out == dtype::s8 ? 1 : 4); }

  std::vector<std::uint8_t> reference() {
    std::vector<std::uint8_t> out(out_bytes());
    Family::reference(describe(), in.data(), weights.data(), bias.data(), residual.data(), out.data());
    return out;
  }
};

// A layer that is planned and packed: what runs need.
template <class Family>
struct prepared {
  typename Family::plan plan;
  aligned_bytes packed, work;

  prepared(layer<Family>& l, const typename Family::leaf& leaf, std::size_t width = 1)
      : plan(planned(l, leaf, width)), packed(plan.packed_bytes), work(Family::workspace(plan, width)) {
    if (pack(l, packed.data()) != status::ok) std::abort();
  }
  static typename Family::plan planned(layer<Family>& l, const typename Family::leaf& leaf, std::size_t width) {
    typename Family::plan p;
    if (Family::make(l.describe(), leaf, width, p) != status::ok) std::abort();
    return p;
  }
  status pack(layer<Family>& l, void* to) const {
    return Family::pack(plan, l.weights.data(), l.bias.data(), l.describe().finish, to, plan.packed_bytes);
  }
  conv_buffers buffers(layer<Family>& l, void* out) const {
    const bool residual = l.d.finish.residual.type != dtype::none;
    return {l.in.data(),
            l.in_bytes,
            packed.data(),
            packed.size,
            residual ? l.residual.data() : nullptr,
            residual ? l.out_elements : 0,
            out,
            l.out_bytes(),
            work.data(),
            work.size};
  }
};

}  // namespace quantal_test
