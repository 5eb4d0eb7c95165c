// Convolution on every leaf against its meaning (kernels/ref/conv.hpp), bit for bit. What is refused: checklist_test.cpp.
#include "quantal/kernels/conv.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include "conv_problem.hpp"
#include "kernels/emulate/leaves.hpp"
#include "quantal/kernels/selftest_conv.hpp"

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
  const auto leaves = quantal_test::all_leaves<gemm_leaf>();
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
  const auto leaves = quantal_test::all_leaves<gemm_leaf>();
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

namespace {

// The code farthest from the zero point.
std::uint8_t farthest(dtype type, std::int32_t zero_point) {
  const std::int32_t low = type == dtype::u8 ? 0 : -128, high = low + 255;
  return static_cast<std::uint8_t>(high - zero_point > zero_point - low ? high : low);
}

// 1 x 1, 3 x 3, one dimension, groups that share a panel, and one group of many taps.
std::vector<conv_shape> deep_shapes() {
  conv_shape point, square, line, shared, dense;
  point.in_w = 3;
  point.in_c = 33026;
  point.out_c = 5;
  square.in_h = 3;
  square.in_w = 4;
  square.in_c = 3700;
  square.out_c = 17;
  square.kernel_h = square.kernel_w = 3;
  square.pad_left = square.pad_bottom = 1;
  line.in_w = 40007;
  line.out_c = 3;
  line.kernel_w = 40000;
  line.pad_left = 2;
  shared.in_w = 2;
  shared.in_c = 140000;
  shared.out_c = shared.groups = 2;
  dense.in_h = dense.in_w = 190;
  dense.in_c = dense.out_c = dense.groups = 3;
  dense.kernel_h = dense.kernel_w = 189;
  return {point, square, line, shared, dense};
}

}  // namespace

TEST_CASE("K14_depth of convolutions beyond the s32 bound is summed exactly and saturated") {
  const auto leaves = quantal_test::all_leaves<gemm_leaf>();
  int saturated = 0;
  for (const conv_shape& s : deep_shapes()) {
    for (int i = 0; i < 6; ++i) {
      options o;
      o.extremes = i % 2 == 0;
      o.strided = i % 4 == 3;
      problem p = make(s, o);
      if (i % 4 == 0) {  // every product as large as it can be, and of one sign
        p.d.out = dtype::s32;
        p.d.weight_zero_point = p.d.weights == dtype::u8 ? 0 : 127;
        p.d.finish = {};
        p.table.clear();
        REQUIRE(check_conv(p.desc(), p.layout) == status::ok);
        std::fill(p.in.begin(), p.in.end(), farthest(p.d.in, p.d.in_zero_point));
        std::fill(p.weights.begin(), p.weights.end(), farthest(p.d.weights, p.d.weight_zero_point));
      }
      const std::vector<std::uint8_t> wanted = reference(p);
      if (i % 4 == 0) {
        std::vector<std::int32_t> sums(p.layout.out_elements);
        std::memcpy(sums.data(), wanted.data(), sums.size() * sizeof(std::int32_t));
        saturated += std::any_of(sums.begin(), sums.end(), [](auto x) { return x == INT32_MAX || x == INT32_MIN; });
      }
      for (const auto& [leaf, emulated] : leaves) {
        CAPTURE(leaf->isa, emulated, s.in_c, s.kernel_h, s.kernel_w, s.groups, i);
        CHECK(equals_reference(p, wanted, *leaf, i % 3 == 0 ? 2 : 1));
      }
    }
  }
  CHECK(saturated == 10);
}

TEST_CASE("blocks that are parts of a row, weights in chunks: emulated leaves too") {
  const std::int64_t shapes[][4] = {
      {14, 192, 33, 3}, {28, 130, 32, 3}, {20, 70, 40, 5}, {13, 832, 20, 1}, {17, 256, 7, 3}};
  for (const auto& [in_w, in_c, out_c, kernel] : shapes)
    for (int repeat = 0; repeat < 6; ++repeat) {
      conv_shape s;
      s.in_h = 3;
      s.in_w = in_w;
      s.in_c = in_c;
      s.out_c = out_c;
      s.kernel_h = s.kernel_w = kernel;
      s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = kernel / 2;
      problem p = make(s, {});
      const std::vector<std::uint8_t> wanted = reference(p);
      for (const auto& [leaf, emulated] : quantal_test::all_leaves<gemm_leaf>()) {
        CAPTURE(leaf->isa, emulated, in_w, in_c, repeat);
        CHECK(equals_reference(p, wanted, *leaf, 1));
      }
    }
}

// Three loads for two products, over all depths; sums are loaded again for every chunk but the first.
TEST_CASE("AMX: blocks of a convolution are parts of a row, and none is gathered") {
  conv_shape s;
  s.in_h = 4;
  s.in_w = 28;
  s.in_c = 128;
  s.out_c = 32;
  s.kernel_h = s.kernel_w = 3;
  s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = 1;
  problem p = make(s, {false, false, false});
  const std::vector<std::uint8_t> wanted = reference(p);
  for (const auto& [leaf, emulated] : quantal_test::all_leaves<gemm_leaf>()) {
    if (!emulated || std::string(leaf->isa) != "amx") continue;
    quantal_test::take_tile_work();
    CHECK(equals_reference(p, wanted, *leaf, 1));
    const quantal_test::tile_work work = quantal_test::take_tile_work();
    constexpr int blocks = 8, steps = 18, chunks = 2;  // merged taps: 3 rows of 6 steps
    CHECK(work.products == blocks * 2 * steps);
    CHECK(work.loads == blocks * (3 * steps + 2 * (chunks - 1)));
    CHECK(work.most_live == 4);
    CHECK(std::string(quantal_test::tile_complaint()) == "");
  }
}

TEST_CASE("a column of pixels is a row, strided or not") {
  for (const std::int64_t length : {2, 9, 150})
    for (const std::int64_t in_c : {1, 16, 20})
      for (const std::int64_t kernel : {1, 2, 9})
        for (const bool strided : {false, true}) {
          conv_shape s = shape_of(length, in_c, in_c == 16 ? 8 : 20, kernel, 1);
          s.in_w = s.dilation_w = 1;
          s.pad_left = s.pad_right = 0;
          s.groups = in_c == 1 ? 1 : 2;
          options o;
          o.strided = strided;
          problem p = make(s, o);
          const std::vector<std::uint8_t> wanted = reference(p);
          for (const auto& [leaf, emulated] : quantal_test::all_leaves<gemm_leaf>()) {
            CAPTURE(leaf->isa, emulated, length, in_c, kernel, strided, s.stride_h, s.stride_w, s.dilation_h);
            CHECK(equals_reference(p, wanted, *leaf, 1));
            CHECK(equals_reference(p, wanted, *leaf, 3, {pick(1, 4), pick(1, 9), pick(1, 3)}));
          }
        }
}

TEST_CASE("every leaf gives the self-test's checksum of convolution") {
  for (const auto& [leaf, emulated] : quantal_test::all_leaves<gemm_leaf>()) {
    CAPTURE(leaf->isa, emulated);
    CHECK(selftest_conv(*leaf) == selftest_conv_expected);
  }
  gemm_leaf broken = *quantal_test::all_leaves<gemm_leaf>()[0].leaf;
  broken.prepare = [](const void*, bool, std::int32_t, std::int64_t, std::int64_t, void*) noexcept {};
  CHECK(selftest_conv(broken) != selftest_conv_expected);
}
