// Depthwise convolution on every leaf against its meaning (kernels/ref/conv.hpp), bit for bit. What is refused:
// checklist_test.cpp.
#include "quantal/kernels/depthwise.hpp"

#include <cstdio>

#include "conv_problem.hpp"
#include "kernels/emulate/leaves.hpp"
#include "quantal/kernels/selftest_conv.hpp"

using namespace quantal;
using namespace conv_test;

namespace {

bool equals_reference(problem& p, const depthwise_leaf& leaf, std::size_t width, const conv_tiling& tiling = {}) {
  depthwise_plan plan;
  REQUIRE(plan_depthwise(p.desc(), leaf, width, plan, nullptr, tiling) == status::ok);
  const std::uint64_t work_bytes = depthwise_workspace_bytes(plan, width);
  const memory packed = aligned(plan.packed_bytes), work = aligned(work_bytes);
  std::memset(work.get(), 0xa5, work_bytes);
  REQUIRE(pack_depthwise(plan, p.weights.data(), p.bias.data(), p.desc().finish, packed.get(), plan.packed_bytes) ==
          status::ok);
  std::vector<std::uint8_t> out(p.out_bytes() + 64, 0x55);
  REQUIRE(run_depthwise(plan, buffers(p, out, packed, plan.packed_bytes, work, work_bytes), lanes(width)) ==
          status::ok);
  return out == reference(p);
}

conv_shape shape_of(std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t multiplier, std::int64_t kh,
                    std::int64_t kw) {
  conv_shape s;
  s.batch = pick(0, 5) == 0 ? 2 : 1;
  s.in_h = h;
  s.in_w = w;
  s.in_c = s.groups = c;
  s.out_c = c * multiplier;
  s.kernel_h = kh;
  s.kernel_w = kw;
  s.stride_h = pick(1, 3);
  s.stride_w = pick(1, 3);
  s.dilation_h = pick(0, 3) == 0 ? pick(2, 3) : 1;
  s.dilation_w = pick(0, 3) == 0 ? pick(2, 3) : 1;
  s.pad_top = pick(0, 3);
  s.pad_bottom = pick(0, 3);
  s.pad_left = pick(0, 3);
  s.pad_right = pick(0, 3);
  while (s.in_h + s.pad_top + s.pad_bottom < s.window_h()) ++s.pad_bottom;
  while (s.in_w + s.pad_left + s.pad_right < s.window_w()) ++s.pad_left;
  return s;
}

}  // namespace

TEST_CASE("depthwise convolution equals the reference on every leaf") {
  for (const auto& [leaf, emulated] : quantal_test::all_leaves<depthwise_leaf>()) {
    int cases = 0;
    for (const std::int64_t c : {1, 3, 8, 15, 16, 17, 31, 32, 33, 64, 67, 96})
      for (const std::int64_t kernel : {1, 2, 3, 4, 5, 7})
        for (const std::int64_t size : {1, 2, 5, 7, 14, 23}) {
          options o;
          o.extremes = cases % 5 == 0;
          o.strided = cases % 3 == 0;
          o.weight_zero_point = leaf->form == lhs_form::s16_centred;
          const std::int64_t other = cases % 4 == 0 ? pick(1, 5) : kernel;
          conv_shape s =
              shape_of(size, pick(0, 1) != 0 ? size : pick(1, 30), c, cases % 7 == 0 ? pick(2, 4) : 1, kernel, other);
          if (cases % 2 == 0) s.stride_h = s.stride_w = s.dilation_h = s.dilation_w = 1;
          problem p = make(s, o);
          CAPTURE(leaf->isa, c, kernel, other, size, s.stride_h, s.dilation_h, s.out_c, s.pad_top);
          const std::size_t width = cases % 3 == 0 ? 3 : 1;
          CHECK(equals_reference(p, *leaf, width));
          if (cases % 5 == 0) CHECK(equals_reference(p, *leaf, width, {pick(1, 4), pick(1, 9)}));
          ++cases;
        }
    std::printf("depthwise %s%s: %d convolutions compared\n", leaf->isa, emulated ? " (emulated)" : "", cases);
  }
}

TEST_CASE("windows of one row, and rows taken apart by their dilation") {
  for (const auto& [leaf, emulated] : quantal_test::all_leaves<depthwise_leaf>()) {
    options o;
    o.weight_zero_point = leaf->form == lhs_form::s16_centred;
    for (const std::int64_t c : {16, 24, 72})
      for (const std::int64_t kernel : {2, 5, 9, 31})
        for (const std::int64_t dilation : {1, 2, 5}) {
          conv_shape s = shape_of(pick(1, 3), pick(1, 60), c, pick(1, 3), 1, kernel);
          s.dilation_w = dilation;
          while (s.in_w + s.pad_left + s.pad_right < s.window_w()) ++s.pad_left;
          CAPTURE(leaf->isa, c, kernel, dilation, s.in_h, s.in_w, s.stride_w, s.pad_top, s.pad_left);
          problem row = make(s, o);
          CHECK(equals_reference(row, *leaf, 1));
          CHECK(equals_reference(row, *leaf, 3, {pick(1, 4), pick(1, 9)}));
          s = row.d.shape;  // the same as a column
          s.in_h = s.in_w, s.kernel_h = s.kernel_w, s.stride_h = s.stride_w, s.dilation_h = s.dilation_w;
          s.pad_top = s.pad_left, s.pad_bottom = s.pad_right;
          s.in_w = s.kernel_w = s.stride_w = s.dilation_w = 1;
          s.pad_left = s.pad_right = 0;
          o.strided = dilation == 2;
          problem column = make(s, o);
          CHECK(equals_reference(column, *leaf, 1));
          CHECK(equals_reference(column, *leaf, 3, {pick(1, 4), pick(1, 9)}));
          s = shape_of(pick(4, 40), pick(1, 20), c, pick(1, 3), kernel, pick(1, 5));
          s.dilation_h = dilation;
          s.stride_h = pick(0, 3) == 0 ? 2 : 1;
          while (s.in_h + s.pad_top + s.pad_bottom < s.window_h()) ++s.pad_top;
          problem dilated = make(s, o);
          CHECK(equals_reference(dilated, *leaf, 1));
          CHECK(equals_reference(dilated, *leaf, 3, {pick(1, 9), pick(1, 9)}));
        }
  }
}

TEST_CASE("every leaf gives the self-test's checksum of depthwise convolution") {
  for (const auto& [leaf, emulated] : quantal_test::all_leaves<depthwise_leaf>()) {
    CAPTURE(leaf->isa, emulated);
    CHECK(selftest_depthwise(*leaf) == selftest_depthwise_expected);
  }
  depthwise_leaf broken = *quantal_test::all_leaves<depthwise_leaf>()[0].leaf;
  broken.interleave = [](const interleave_args&) noexcept {};
  CHECK(selftest_depthwise(broken) != selftest_depthwise_expected);
}
