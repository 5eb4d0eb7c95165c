// Convolution on every leaf against its meaning (kernels/ref/conv.hpp), bit for bit, and what the plan refuses.
#include "quantal/kernels/conv.hpp"

#include <cstdio>

#include "conv_problem.hpp"

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

std::int64_t common_divisor(std::int64_t a, std::int64_t b) {
  return b == 0 ? a : common_divisor(b, a % b);
}

std::int64_t work_of(const conv_shape& s) {
  return s.batch * s.out_h() * s.out_w() * s.out_c * s.kernel_h * s.kernel_w * s.group_in();
}

}  // namespace

TEST_CASE("convolution equals the reference on every leaf") {
  std::size_t count = 0;
  const gemm_leaf* const* leaves = gemm_leaves(count);
  int cases = 0, ran = 0;
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
          ++ran;
          problem p = make(s, o);
          const std::vector<std::uint8_t> wanted = reference(p);
          for (std::size_t i = 0; i < count; ++i) {
            CAPTURE(leaves[i]->isa, in_c, out_c, kernel, size, s.groups, s.stride_h, s.dilation_w, s.pad_top);
            const std::size_t width = cases % 3 == 0 ? 3 : 1;
            CHECK(equals_reference(p, wanted, *leaves[i], width));
            if (cases % 4 == 0)
              CHECK(equals_reference(p, wanted, *leaves[i], width, {pick(1, 4), pick(1, 9), pick(1, 3)}));
          }
        }
  for (std::size_t i = 0; i < count; ++i) std::printf("%s: %d convolutions equal the reference\n", leaves[i]->isa, ran);
  CHECK(ran > 900);
}

TEST_CASE("large convolutions: weights and bands in several chunks") {
  std::size_t count = 0;
  const gemm_leaf* const* leaves = gemm_leaves(count);
  const auto check = [&](conv_shape s) {
    problem p = make(s, {});
    const std::vector<std::uint8_t> wanted = reference(p);
    for (std::size_t i = 0; i < count; ++i) {
      CAPTURE(leaves[i]->isa, s.in_h, s.in_w, s.in_c, s.out_c, s.kernel_h);
      CHECK(equals_reference(p, wanted, *leaves[i], 1));
      CHECK(equals_reference(p, wanted, *leaves[i], 2));
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
