// Convolution on every leaf against its meaning (kernels/ref/conv.hpp), bit for bit, and what the plan refuses.
#include "quantal/kernels/conv.hpp"

#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include "conv_problem.hpp"
#include "kernels/emulate/leaves.hpp"

using namespace quantal;
using namespace conv_test;

namespace {

bool equals_reference(problem& p, const std::vector<std::uint8_t>& wanted, const gemm_leaf& leaf, std::size_t width,
                      const conv_tiling& tiling = {}) {
  conv_plan plan;
  REQUIRE(plan_conv(p.desc(), leaf, width, plan, nullptr, tiling) == status::ok);
  const std::uint64_t work_bytes = conv_workspace_bytes(plan, width);
  const memory packed = aligned(plan.packed_bytes), work = aligned(work_bytes);
  std::memset(work.get(), 0xa5, work_bytes);
  REQUIRE(pack_conv(plan, p.weights.data(), p.bias.data(), p.desc().finish, packed.get(), plan.packed_bytes) ==
          status::ok);
  std::vector<std::uint8_t> out(p.out_bytes() + 64, 0x55);
  REQUIRE(run_conv(plan, buffers(p, out, packed, plan.packed_bytes, work, work_bytes), lanes(width)) == status::ok);
  return out == wanted;
}

conv_shape shape_of(std::int64_t size, std::int64_t in_c, std::int64_t out_c, std::int64_t kh, std::int64_t kw) {
  conv_shape s;
  s.batch = pick(0, 5) == 0 ? 2 : 1;
  s.in_h = size;
  s.in_w = pick(0, 1) != 0 ? size : pick(1, 20);
  s.in_c = in_c;
  s.out_c = out_c;
  s.kernel_h = kh;
  s.kernel_w = kw;
  if (pick(0, 1) != 0) {
    s.stride_h = pick(1, 3);
    s.stride_w = pick(1, 3);
    s.dilation_h = pick(0, 2) == 0 ? pick(2, 3) : 1;
    s.dilation_w = pick(0, 2) == 0 ? pick(2, 3) : 1;
  }
  if (pick(0, 3) != 0) {
    s.pad_top = pick(0, 3);
    s.pad_bottom = pick(0, 3);
    s.pad_left = pick(0, 3);
    s.pad_right = pick(0, 3);
  }
  while (s.in_h + s.pad_top + s.pad_bottom < s.window_h()) ++s.pad_bottom;
  while (s.in_w + s.pad_left + s.pad_right < s.window_w()) ++s.pad_left;
  return s;
}

using leaf_row = std::pair<const gemm_leaf*, bool>;  // emulated?
std::vector<leaf_row> all_leaves() {
  std::vector<leaf_row> rows;
  std::size_t count = 0;
  const gemm_leaf* const* leaves = gemm_leaves(count);
  for (std::size_t i = 0; i < count; ++i) rows.emplace_back(leaves[i], false);
  leaves = quantal_test::emulated_leaves(count);
  for (std::size_t i = 0; i < count; ++i) rows.emplace_back(leaves[i], true);
  return rows;
}

std::int64_t common_divisor(std::int64_t a, std::int64_t b) {
  return b == 0 ? a : common_divisor(b, a % b);
}

std::int64_t work_of(const conv_shape& s) {
  return s.batch * s.out_h() * s.out_w() * s.out_c * s.kernel_h * s.kernel_w * s.group_in();
}

}  // namespace

TEST_CASE("convolution equals the reference on every leaf") {
  const std::vector<leaf_row> leaves = all_leaves();
  int cases = 0;
  std::map<std::pair<std::string, bool>, int> ran;
  for (const std::int64_t in_c : {1, 3, 4, 16, 17, 64, 130})
    for (const std::int64_t out_c : {1, 5, 8, 16, 33, 64})
      for (const std::int64_t kernel : {1, 2, 3, 5, 7})
        for (const std::int64_t size : {1, 2, 6, 11, 16}) {
          options o;
          o.extremes = cases % 5 == 0;
          o.strided = cases % 3 == 0;
          conv_shape s = shape_of(size, in_c, out_c, kernel, cases % 4 == 0 ? pick(1, 5) : kernel);
          if (cases % 11 == 0) {  // 1-D
            s.in_h = s.kernel_h = s.stride_h = s.dilation_h = 1;
            s.pad_top = s.pad_bottom = 0;
          }
          if (cases % 3 == 1) {
            const std::int64_t most = common_divisor(in_c, out_c);
            s.groups = most > 1 && pick(0, 1) != 0 ? most : most % 2 == 0 ? 2 : most;
          }
          ++cases;
          if (work_of(s) > 1500000) continue;
          problem p = make(s, o);
          const std::vector<std::uint8_t> wanted = reference(p);
          for (const auto& [leaf, emulated] : leaves) {
            if (emulated && (cases % 4 != 0 || work_of(s) > 300000)) continue;
            CAPTURE(leaf->isa, emulated, in_c, out_c, kernel, size, s.groups, s.stride_h, s.dilation_w, s.pad_top);
            const std::size_t width = cases % 3 == 0 ? 3 : 1;
            CHECK(equals_reference(p, wanted, *leaf, width));
            if (cases % 4 == 0) CHECK(equals_reference(p, wanted, *leaf, width, {pick(1, 4), pick(1, 9), pick(1, 3)}));
            ++ran[{leaf->isa, emulated}];
          }
        }
  for (const auto& [leaf, emulated] : leaves) {
    const int n = ran[{leaf->isa, emulated}];
    std::printf("conv %s%s: %d convolutions compared\n", leaf->isa, emulated ? " (emulated)" : "", n);
    CHECK(n > (emulated ? 150 : 900));
  }
}

TEST_CASE("large convolutions: weights and bands in several chunks") {
  const std::vector<leaf_row> leaves = all_leaves();
  const auto check = [&](conv_shape s) {
    problem p = make(s, {});
    const std::vector<std::uint8_t> wanted = reference(p);
    for (const auto& [leaf, emulated] : leaves) {
      if (emulated) continue;
      CAPTURE(leaf->isa, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h);
      CHECK(equals_reference(p, wanted, *leaf, 1));
      CHECK(equals_reference(p, wanted, *leaf, 2));
    }
  };
  conv_shape s;
  s.in_h = s.in_w = 9;
  s.in_c = 512;
  s.out_c = 20;
  s.kernel_h = s.kernel_w = 3;
  s.pad_top = s.pad_left = 1;
  check(s);
  s.in_c = 1024;
  s.kernel_h = s.kernel_w = 1;
  s.stride_h = s.stride_w = 2;
  check(s);
  s = {};
  s.in_w = 30000;  // 1-D: tiles of columns
  s.in_c = 10;
  s.out_c = 3;
  s.kernel_w = 11;
  s.pad_right = 4;
  s.dilation_w = 2;
  check(s);
  s = {};
  s.in_h = s.in_w = 70;
  s.in_c = 40;
  s.out_c = 17;
  s.kernel_h = s.kernel_w = 3;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1;
  check(s);
}

TEST_CASE("K5_K6_K7_K14_Q1_Q3_Q8_Q9_Q10_Q12 descriptions that no convolution has are refused, each with its status") {
  conv_shape s;
  s.in_h = s.in_w = 8;
  s.in_c = 4;
  s.out_c = 6;
  s.kernel_h = s.kernel_w = 3;
  problem p = make(s);
  p.d.in = p.d.out = dtype::u8;
  p.d.weights = dtype::s8;
  p.d.in_zero_point = 7;
  p.d.weight_zero_point = 0;
  p.d.finish = {};
  p.d.finish.requant.count = 6;
  p.table.clear();
  const gemm_leaf& leaf = best_gemm_leaf();
  conv_plan good;
  REQUIRE(plan_conv(p.desc(), leaf, 1, good) == status::ok);
  const auto refuses = [&](auto change, status expected) {
    problem q = p;
    q.desc();
    change(q);
    conv_plan untouched;
    CHECK(plan_conv(q.d, leaf, 1, untouched) == expected);
    CHECK(untouched.magic == 0);
  };
  refuses([](problem& q) { q.d.shape.in_c = -4; }, status::shape);
  refuses([](problem& q) { q.d.shape.batch = -1; }, status::shape);
  refuses([](problem& q) { q.d.shape.stride_h = 0; }, status::shape);
  refuses([](problem& q) { q.d.shape.kernel_w = 0; }, status::shape);
  refuses([](problem& q) { q.d.shape.dilation_w = 0; }, status::shape);
  refuses([](problem& q) { q.d.shape.pad_left = -1; }, status::shape);
  refuses([](problem& q) { q.d.shape.groups = 3; }, status::shape);
  refuses([](problem& q) { q.d.shape.groups = 0; }, status::shape);
  refuses([](problem& q) { q.d.shape.kernel_h = 9; }, status::shape);
  refuses([](problem& q) { q.d.shape.in_c = 7400; }, status::shape);  // K14: 9 * 7400 * 255 * 128 > 2^31
  refuses([](problem& q) { q.d.shape.in_h = int64_t{1} << 40; }, status::overflow);
  refuses([](problem& q) { q.d.shape.in_h = q.d.shape.in_w = q.d.shape.batch = INT32_MAX; }, status::overflow);
  refuses([](problem& q) { q.d.in_strides = {256, 32, 3}; }, status::stride);
  refuses([](problem& q) { q.d.in_strides = {256, 31, 4}; }, status::stride);
  refuses([](problem& q) { q.d.out_strides = {216, -36, 6}; }, status::stride);
  refuses([](problem& q) { q.d.weight_strides[1] = -1; }, status::stride);
  refuses([](problem& q) { q.d.in_strides = {INT64_MAX / 2, INT64_MAX / 4, INT64_MAX / 8}; }, status::overflow);
  refuses([](problem& q) { q.d.in_zero_point = 256; }, status::zero_point);
  refuses([](problem& q) { q.d.weight_zero_point = 128; }, status::zero_point);
  refuses([](problem& q) { q.d.finish.requant.zero_point = -1; }, status::zero_point);
  refuses([](problem& q) { q.ratios[3] = 0; }, status::scale);
  refuses([](problem& q) { q.ratios[5] = -1; }, status::scale);
  refuses([](problem& q) { q.ratios[0] = 1e-42F; }, status::scale);
  refuses([](problem& q) { q.ratios[0] = HUGE_VALF; }, status::scale);
  refuses([](problem& q) { q.d.finish.requant.count = 5; }, status::count);
  refuses([](problem& q) { q.d.finish.requant.ratios = nullptr; }, status::null_pointer);
  refuses([](problem& q) { q.d.finish.requant.min = 9, q.d.finish.requant.max = 8; }, status::range);
  refuses([](problem& q) { q.d.finish.requant.rule = static_cast<contract>(7); }, status::contract);
  refuses([](problem& q) { q.d.finish.row_scales = true; }, status::unsupported);
  refuses([](problem& q) { q.d.in = dtype::f32; }, status::dtype);
  refuses([](problem& q) { q.d.out = dtype::s16; }, status::dtype);
  std::size_t channel = 99;
  p.ratios[4] = 0;
  CHECK(plan_conv(p.desc(), leaf, 1, good, &channel) == status::scale);
  CHECK(channel == 4);
}

TEST_CASE("K1_K2_K8_K10_K11_K12_K18 runs with bad buffers change nothing") {
  conv_shape s;
  s.in_h = s.in_w = 6;
  s.in_c = 4;
  s.out_c = 6;
  s.kernel_h = s.kernel_w = 3;
  problem p = make(s);
  p.d.out = dtype::u8;
  p.d.finish = {};
  p.d.finish.requant.count = 6;
  p.table.clear();
  REQUIRE(check_conv(p.desc(), p.layout) == status::ok);
  conv_plan plan;
  REQUIRE(plan_conv(p.desc(), best_gemm_leaf(), 1, plan) == status::ok);
  CHECK(std::string(kernel_name(plan)) == best_gemm_leaf().isa);
  const std::uint64_t work_bytes = conv_workspace_bytes(plan, 1);
  const memory packed = aligned(plan.packed_bytes), work = aligned(work_bytes + 64), moved = aligned(plan.packed_bytes);
  const epilogue& e = p.d.finish;
  CHECK(pack_conv(conv_plan{}, p.weights.data(), nullptr, e, packed.get(), plan.packed_bytes) == status::plan);
  CHECK(pack_conv(plan, nullptr, nullptr, e, packed.get(), plan.packed_bytes) == status::null_pointer);
  CHECK(pack_conv(plan, p.weights.data(), nullptr, e, packed.get(), plan.packed_bytes - 1) == status::buffer);
  CHECK(pack_conv(plan, p.weights.data(), nullptr, e, packed.get() + 1, plan.packed_bytes) == status::scratch);
  REQUIRE(pack_conv(plan, p.weights.data(), nullptr, e, packed.get(), plan.packed_bytes) == status::ok);  // K2
  std::vector<std::uint8_t> out(p.out_bytes(), 0x55);
  const auto refuses = [&](auto change, status expected) {
    conv_buffers b = buffers(p, out, packed, plan.packed_bytes, work, work_bytes);
    change(b);
    CHECK(run_conv(plan, b) == expected);
  };
  refuses([](conv_buffers& b) { b.in = nullptr; }, status::null_pointer);
  refuses([](conv_buffers& b) { b.out = nullptr; }, status::null_pointer);
  refuses([](conv_buffers& b) { b.workspace = nullptr; }, status::null_pointer);
  refuses([](conv_buffers& b) { --b.in_bytes; }, status::buffer);
  refuses([](conv_buffers& b) { --b.out_bytes; }, status::buffer);
  refuses([](conv_buffers& b) { --b.packed_bytes; }, status::buffer);
  refuses([](conv_buffers& b) { --b.workspace_bytes; }, status::scratch);
  refuses([](conv_buffers& b) { b.workspace = static_cast<std::uint8_t*>(b.workspace) + 1; }, status::scratch);
  refuses([](conv_buffers& b) { b.in = b.out; }, status::overlap);
  refuses([](conv_buffers& b) { b.out = b.workspace; }, status::overlap);
  refuses([](conv_buffers& b) { b.packed = b.workspace; }, status::overlap);
  refuses([&](conv_buffers& b) { b.packed = moved.get() + 1; }, status::scratch);
  packed.get()[8] ^= 1;
  refuses([](conv_buffers&) {}, status::plan);
  packed.get()[8] ^= 1;
  CHECK(out == std::vector<std::uint8_t>(p.out_bytes(), 0x55));
  std::memcpy(moved.get(), packed.get(), plan.packed_bytes);  // K12: packed weights may move
  refuses([&](conv_buffers& b) { b.packed = moved.get(); }, status::ok);
  p.bias.assign(p.bias.size(), 0);
  std::vector<std::uint8_t> wanted = reference(p);
  wanted.resize(out.size());
  CHECK(out == wanted);
}
