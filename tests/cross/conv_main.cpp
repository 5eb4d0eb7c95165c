// Convolution and depthwise convolution compiled as header-only consumers would, with whatever flags: every leaf that
// these flags allow equals the reference on random layers and gives the self-test's checksum. Small enough for QEMU.
// Exit code 1: one is wrong.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"
#include "quantal/kernels/native.hpp"
#include "quantal/kernels/selftest_conv.hpp"

using namespace quantal;

namespace {

detail::generator random_bits;
std::int64_t pick(std::int64_t low, std::int64_t high) {
  return low + static_cast<std::int64_t>(random_bits.below(static_cast<std::uint32_t>(high - low + 1)));
}

struct layer {
  conv_desc d;
  conv_layout l;
  std::vector<float> ratios;
  std::vector<std::int32_t> bias;
  std::vector<std::uint8_t> in, weights, wanted;
};

layer make_layer(bool depthwise) {
  layer p;
  conv_shape& s = p.d.shape;
  s.groups = depthwise ? pick(1, 70) : pick(1, 2);
  s.in_c = s.groups * (depthwise ? 1 : pick(1, 20));
  s.out_c = s.groups * (depthwise ? 1 : pick(1, 20));
  s.kernel_h = pick(1, 5);
  s.kernel_w = pick(1, 5);
  s.stride_h = pick(1, 2);
  s.stride_w = pick(1, 2);
  s.dilation_w = pick(1, 2);
  s.pad_top = s.pad_bottom = pick(0, 2);
  s.pad_left = pick(0, 2);
  s.in_h = s.window_h() + pick(0, 5);
  s.in_w = s.window_w() + pick(0, 9);
  p.d.in = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
  p.d.out = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
  p.d.in_zero_point = static_cast<std::int32_t>(pick(0, 127));
  p.d.finish.requant.zero_point = static_cast<std::int32_t>(pick(0, 127));
  for (std::int64_t c = 0; c < s.out_c; ++c) {
    p.ratios.push_back(f32_of_bits(0x39000000u + random_bits.below(0x02000000u)));
    p.bias.push_back(static_cast<std::int32_t>(random_bits.next()) >> 18);
  }
  p.d.finish.requant.ratios = p.ratios.data();
  p.d.finish.requant.count = p.ratios.size();
  if (check_conv(p.d, p.l) != status::ok) std::exit(2);
  p.in.resize(p.l.in_elements);
  p.weights.resize(p.l.weight_elements);
  p.wanted.resize(p.l.out_elements);
  for (std::uint8_t& x : p.in) x = static_cast<std::uint8_t>(random_bits.next() >> 24);
  for (std::uint8_t& x : p.weights) x = static_cast<std::uint8_t>(random_bits.next() >> 24);
  code_tensor w{p.weights.data(), dtype::s8, {}, 0};
  for (int i = 0; i < 4; ++i) w.strides[i] = p.l.weight_strides[i];
  const image_strides &i = p.l.in_strides, &o = p.l.out_strides;
  ref::conv(s, {p.in.data(), p.d.in, {i.image, i.row, i.pixel, 1}, p.d.in_zero_point}, w, p.bias.data(), p.d.finish, {},
            p.d.out, p.wanted.data(), {o.image, o.row, o.pixel, 1});
  return p;
}

struct aligned_bytes {
  explicit aligned_bytes(std::uint64_t bytes) : room(bytes + 64), size(bytes) {}
  std::uint8_t* data() { return room.data() + (64 - reinterpret_cast<std::uintptr_t>(room.data()) % 64) % 64; }
  std::vector<std::uint8_t> room;
  std::uint64_t size;
};

conv_buffers buffers(layer& p, aligned_bytes& packed, std::vector<std::uint8_t>& out, aligned_bytes& work) {
  return {p.in.data(), p.in.size(), packed.data(), packed.size, nullptr,
          0,           out.data(),  out.size(),    work.data(), work.size};
}

bool right(layer& p, const gemm_leaf& leaf) {
  conv_plan plan;
  if (plan_conv(p.d, leaf, 1, plan) != status::ok) return false;
  aligned_bytes packed(plan.packed_bytes), work(conv_workspace_bytes(plan, 1));
  std::vector<std::uint8_t> out(p.wanted.size());
  return pack_conv(plan, p.weights.data(), p.bias.data(), p.d.finish, packed.data(), packed.size) == status::ok &&
         run_conv(plan, buffers(p, packed, out, work)) == status::ok && out == p.wanted;
}

bool right(layer& p, const depthwise_leaf& leaf) {
  depthwise_plan plan;
  if (plan_depthwise(p.d, leaf, 1, plan) != status::ok) return false;
  aligned_bytes packed(plan.packed_bytes), work(depthwise_workspace_bytes(plan, 1));
  std::vector<std::uint8_t> out(p.wanted.size());
  return pack_depthwise(plan, p.weights.data(), p.bias.data(), p.d.finish, packed.data(), packed.size) == status::ok &&
         run_depthwise(plan, buffers(p, packed, out, work)) == status::ok && out == p.wanted;
}

int failures = 0;

std::uint32_t checksum(const gemm_leaf& leaf) {
  return selftest_conv(leaf);
}
std::uint32_t checksum(const depthwise_leaf& leaf) {
  return selftest_depthwise(leaf);
}

template <class Leaf>
void report(const char* what, const Leaf& leaf, bool depthwise) {
  const std::uint32_t sum = checksum(leaf);
  int wrong = sum == (depthwise ? selftest_depthwise_expected : selftest_conv_expected) ? 0 : 1;
  for (int i = 0; i < 60; ++i) {
    layer p = make_layer(depthwise);
    if (!right(p, leaf)) ++wrong;
  }
  failures += wrong;
  std::printf("%s %s %08x, 60 layers, %d wrong\n", leaf.isa, what, static_cast<unsigned>(sum), wrong);
}

}  // namespace

int main() {
  for (const isa_row& row : isa_list) {
    const detail::native_row& native = detail::native_row_at(row.id);
    if (row.id == isa::amx) continue;  // not without asking
    if (native.gemm) report("conv", *native.own.gemm, false);
    if (native.depthwise) report("depthwise", *native.own.depthwise, true);
  }
  return failures == 0 ? 0 : 1;
}
