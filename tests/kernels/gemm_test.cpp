// The planned matrix product against its meaning (kernels/ref/gemm.hpp), bit for bit, and what the plan refuses.
#include "quantal/kernels/gemm.hpp"

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "quantal/kernels/native.hpp"

using namespace quantal;

namespace {

struct release {
  void operator()(void* p) const { std::free(p); }
};
using block = std::unique_ptr<std::uint8_t, release>;
block aligned(std::uint64_t bytes) {
  return block(static_cast<std::uint8_t*>(std::aligned_alloc(64, round_up(bytes + 1, 64))));
}

std::mt19937 random_bits(1);
std::int32_t pick(std::int32_t low, std::int32_t high) {
  return low + static_cast<std::int32_t>(random_bits() % static_cast<std::uint32_t>(high - low + 1));
}

struct problem {
  gemm_desc d;
  std::vector<float> ratios;
  std::vector<fixed_multiplier> multipliers;
  std::vector<std::int32_t> bias;
  std::vector<std::uint8_t> lhs, rhs, residual, table;
  std::vector<std::int32_t> zeros;
  std::vector<float> scales;
};

problem make_problem(gemm_shape s, bool extremes) {
  problem p;
  p.d.shape = s;
  p.d.lhs = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
  p.d.rhs = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
  constexpr dtype outs[] = {dtype::s32, dtype::u8, dtype::s8, dtype::f32};
  p.d.out = outs[pick(0, 3)];
  p.d.lhs_zero_point = p.d.lhs == dtype::u8 ? pick(0, 255) : pick(-128, 127);
  p.d.rhs_zero_point = pick(0, 1) != 0 ? 0 : p.d.rhs == dtype::u8 ? pick(0, 255) : pick(-128, 127);
  for (std::int64_t j = 0; j < s.n; ++j) {
    p.ratios.push_back(1e-3F * static_cast<float>(pick(1, 3000)) / static_cast<float>(1 + s.k));
    p.multipliers.emplace_back();
    REQUIRE(fixed_multiplier_of(p.ratios.back(), p.multipliers.back()) == status::ok);
    p.bias.push_back(pick(-10000, 10000));
  }
  const contract rule = p.d.out == dtype::f32 ? contract::fp32_rne : static_cast<contract>(pick(0, 2));
  const bool to_codes = p.d.out == dtype::u8 || p.d.out == dtype::s8;
  p.d.finish.requant = {
      rule,      p.ratios.data(), p.multipliers.data(), static_cast<std::size_t>(s.n), p.d.out == dtype::u8 ? 128 : 3,
      INT32_MIN, INT32_MAX};
  if (p.d.out != dtype::s32 && pick(0, 3) == 0) p.d.finish.requant.min = p.d.finish.requant.zero_point;  // a fused ReLU
  if (to_codes && pick(0, 2) == 0) {
    residual_input& r = p.d.finish.residual;
    r.type = pick(0, 1) != 0 ? dtype::u8 : dtype::s8;
    r.zero_point = r.type == dtype::u8 ? pick(0, 255) : pick(-128, 127);
    r.ratio = 0.001F * static_cast<float>(pick(1, 4000));
    REQUIRE(fixed_multiplier_of(r.ratio, r.multiplier) == status::ok);
  }
  if (to_codes && pick(0, 3) == 0) {
    for (int i = 0; i < 256; ++i) p.table.push_back(static_cast<std::uint8_t>(random_bits()));
    p.d.finish.table = p.table.data();
  }
  p.d.dynamic_lhs = pick(0, 3) == 0;
  p.d.finish.row_scales = p.d.out == dtype::f32 && pick(0, 1) != 0;
  for (std::int64_t i = 0; i < s.m; ++i) {
    p.zeros.push_back(p.d.lhs == dtype::u8 ? pick(0, 255) : pick(-128, 127));
    p.scales.push_back(1e-3F * static_cast<float>(pick(1, 3000)));
  }
  p.residual.resize(static_cast<std::size_t>(s.m * s.n) + 1);
  for (std::uint8_t& x : p.residual) x = static_cast<std::uint8_t>(random_bits());
  p.lhs.resize(static_cast<std::size_t>(s.m * s.k) + 1);
  p.rhs.resize(static_cast<std::size_t>(s.k * s.n) + 1);
  for (std::uint8_t& x : p.lhs)
    x = extremes ? (pick(0, 1) != 0 ? 0x80 : 0x7f) : static_cast<std::uint8_t>(random_bits());
  for (std::uint8_t& x : p.rhs)
    x = extremes ? (pick(0, 1) != 0 ? 0x80 : 0x7f) : static_cast<std::uint8_t>(random_bits());
  return p;
}

// Tasks in reverse order on one thread: what is not independent shows.
void backwards(void*, std::size_t count, parallel_for::task_fn task, void* argument) {
  while (count-- > 0) task(argument, count);
}

bool equals_reference(const problem& p, const gemm_leaf& leaf, std::size_t width, const gemm_blocking& forced = {}) {
  const gemm_shape& s = p.d.shape;
  gemm_plan plan;
  REQUIRE(plan_gemm(p.d, leaf, width, plan, nullptr, forced) == status::ok);
  const block packed = aligned(plan.packed_bytes), work = aligned(gemm_workspace_bytes(plan, width));
  const bool real = p.d.out == dtype::f32;
  const gemm_weights weights{p.rhs.data(), p.bias.data(), real ? p.ratios.data() : nullptr, p.d.finish};
  REQUIRE(pack_gemm(plan, weights, packed.get(), plan.packed_bytes) == status::ok);
  const std::size_t bytes =
      static_cast<std::size_t>(s.m * s.n) * (p.d.out == dtype::s32 || p.d.out == dtype::f32 ? 4 : 1);
  std::vector<std::uint8_t> out(bytes + 64, 0x55), wanted(bytes + 64, 0x55);
  parallel_for lanes;
  if (width > 1) lanes = {nullptr, backwards, width};
  gemm_buffers b;
  b.lhs = p.lhs.data();
  b.lhs_bytes = static_cast<std::uint64_t>(s.m * s.k);
  b.packed = packed.get();
  b.packed_bytes = plan.packed_bytes;
  b.out = out.data();
  b.out_bytes = bytes;
  b.workspace = work.get();
  b.workspace_bytes = gemm_workspace_bytes(plan, width);
  b.residual = p.residual.data();
  b.residual_bytes = p.residual.size();
  b.row_zero_points = p.d.dynamic_lhs ? p.zeros.data() : nullptr;
  b.row_scales = p.d.finish.row_scales ? p.scales.data() : nullptr;
  std::vector<std::int32_t> sums;
  for (std::int64_t i = 0; i < s.m; ++i) {
    std::int32_t& sum = sums.emplace_back(0);
    for (std::int64_t d = 0; d < s.k; ++d) {
      const std::uint8_t code = p.lhs[static_cast<std::size_t>(i * s.k + d)];
      sum += p.d.lhs == dtype::u8 ? std::int32_t{code} : std::int32_t{static_cast<std::int8_t>(code)};
    }
  }
  if (s.k % 2 == 0) b.row_sums = sums.data();
  REQUIRE(run_gemm(plan, b, lanes) == status::ok);
  const ref::gemm_extras extras{p.bias.data(), weights.real_bias, b.row_zero_points, b.row_scales, b.residual, s.n};
  ref::gemm(s, {p.lhs.data(), p.d.lhs, s.k, 1, p.d.lhs_zero_point}, {p.rhs.data(), p.d.rhs, s.n, 1, p.d.rhs_zero_point},
            extras, p.d.finish, p.d.out, wanted.data(), s.n);
  return out == wanted;
}

}  // namespace

std::vector<const gemm_leaf*> runnable_leaves() {
  std::size_t count = 0;
  const gemm_leaf* const* leaves = gemm_leaves(count);
  std::vector<const gemm_leaf*> list(leaves, leaves + count);
  list.push_back(&native_gemm_leaf());
  return list;
}

TEST_CASE("every leaf equals the reference on every shape, sign, zero point, contract and epilogue") {
  for (const gemm_leaf* leaf : runnable_leaves()) {
    int cases = 0;
    constexpr std::int64_t sizes[] = {0, 1, 2, 5, 6, 7, 13, 16, 17, 31, 33, 97};
    for (const std::int64_t m : sizes)
      for (const std::int64_t n : sizes)
        for (const std::int64_t k : {0, 1, 2, 3, 16, 17, 64, 147, 1500}) {
          if (m * n * k > 150000) continue;
          const problem p = make_problem({m, n, k}, cases % 5 == 0);
          CAPTURE(leaf->isa, m, n, k);
          CHECK(equals_reference(p, *leaf, 1));
          if (cases++ % 7 == 0) CHECK(equals_reference(p, *leaf, 3));
        }
    std::printf("%s: %d products equal the reference\n", leaf->isa, cases);
    CHECK(cases > 900);
  }
}

TEST_CASE("blocking and threads change nothing") {
  for (const gemm_leaf* leaf : runnable_leaves()) {
    int cases = 0;
    for (const gemm_shape shape : {gemm_shape{37, 50, 301}, gemm_shape{14, 33, 64}, gemm_shape{3, 17, 129}}) {
      const problem p = make_problem(shape, false);
      for (const std::int64_t block_m : {0, 1, 7, 100})
        for (const std::int64_t panels : {0, 1, 2})
          for (const std::int64_t chunk : {0, 1, 5, 1000})
            for (const std::int32_t wide : {-1, 0, 1}) {
              CAPTURE(leaf->isa, block_m, panels, chunk, wide);
              CHECK(equals_reference(p, *leaf, cases++ % 2 == 0 ? 1 : 3, {block_m, panels, chunk, wide}));
            }
    }
    CHECK(cases == 432);
  }
}

TEST_CASE("K14_depth beyond the s32 bound is summed exactly and saturated") {
  for (const gemm_leaf* leaf : runnable_leaves()) {
    for (const std::int64_t k : {33025, 33026, 70001}) {
      for (int i = 0; i < 12; ++i) {
        const problem p = make_problem({i % 2 == 0 ? 1 : 3, 5, k}, i % 3 != 0);
        CAPTURE(leaf->isa, k, i);
        CHECK(equals_reference(p, *leaf, 1));
      }
    }
  }
}

TEST_CASE("K6_K9 rhs of any strides packs to the same bytes, and at any alignment") {
  for (const gemm_leaf* leaf : runnable_leaves()) {
    for (const gemm_shape s : {gemm_shape{5, 70, 100}, gemm_shape{1, 16, 16}, gemm_shape{4, 33, 147}}) {
      problem p = make_problem(s, false);
      gemm_plan plan;
      REQUIRE(plan_gemm(p.d, *leaf, 1, plan) == status::ok);
      const block dense = aligned(plan.packed_bytes), other = aligned(plan.packed_bytes);
      const std::size_t bytes = static_cast<std::size_t>(plan.packed_bytes);
      std::memset(dense.get(), 0xff, bytes);
      const gemm_weights weights{p.rhs.data(), p.bias.data(), nullptr, p.d.finish};
      REQUIRE(pack_gemm(plan, weights, dense.get(), plan.packed_bytes) == status::ok);
      // Transposed, with gaps of three, and rows with gaps, each at an odd address.
      for (const auto& [row, column] : {std::pair<std::int64_t, std::int64_t>{1, s.k}, {3, 3 * s.k}, {s.n + 5, 1}}) {
        std::vector<std::uint8_t> rhs(static_cast<std::size_t>(s.k * row + s.n * column) + 1);
        for (std::int64_t d = 0; d < s.k; ++d)
          for (std::int64_t c = 0; c < s.n; ++c)
            rhs[static_cast<std::size_t>(1 + d * row + c * column)] = p.rhs[static_cast<std::size_t>(d * s.n + c)];
        gemm_desc d = p.d;
        d.rhs_row_stride = row;
        d.rhs_column_stride = column;
        gemm_plan strided;
        REQUIRE(plan_gemm(d, *leaf, 1, strided) == status::ok);
        std::memset(other.get(), 0x55, bytes);
        const gemm_weights again{rhs.data() + 1, p.bias.data(), nullptr, p.d.finish};
        REQUIRE(pack_gemm(strided, again, other.get(), strided.packed_bytes) == status::ok);
        CAPTURE(leaf->isa, s.n, s.k, row, column);
        CHECK(std::memcmp(dense.get(), other.get(), bytes) == 0);
      }
    }
  }
}

TEST_CASE("sums of rows that the caller has are not added up again") {
  gemm_desc d;
  d.shape = {2, 3, 4};
  d.lhs = dtype::u8;
  d.rhs_zero_point = 3;
  d.out = dtype::s32;
  const std::vector<std::uint8_t> lhs(8, 1), rhs(12, 5);
  const std::vector<std::int32_t> none_and_five{0, 5};
  std::vector<std::int32_t> out(6);
  gemm_plan plan;
  REQUIRE(plan_gemm(d, native_gemm_leaf(), 1, plan) == status::ok);
  const block packed = aligned(plan.packed_bytes), work = aligned(gemm_workspace_bytes(plan, 1));
  REQUIRE(pack_gemm(plan, {rhs.data(), nullptr, nullptr, {}}, packed.get(), plan.packed_bytes) == status::ok);
  gemm_buffers b;
  b.lhs = lhs.data();
  b.lhs_bytes = 8;
  b.packed = packed.get();
  b.packed_bytes = plan.packed_bytes;
  b.out = out.data();
  b.out_bytes = 24;
  b.workspace = work.get();
  b.workspace_bytes = gemm_workspace_bytes(plan, 1);
  REQUIRE(run_gemm(plan, b) == status::ok);
  CHECK(out == std::vector<std::int32_t>(6, 4 * (5 - 3)));
  b.row_sums = none_and_five.data();  // not those of the rows: what they say is what is subtracted
  REQUIRE(run_gemm(plan, b) == status::ok);
  CHECK(out == std::vector<std::int32_t>{20, 20, 20, 5, 5, 5});
}

TEST_CASE("K1_K5_K6_K7_K8_K10_K11_K12_K13_K14_K17_K18_Q1_Q8_Q9 bad descriptions are refused, and nothing is written") {
  problem p = make_problem({4, 8, 16}, false);
  p.d.out = dtype::u8;
  p.d.finish.residual = {};
  p.d.finish.table = nullptr;
  p.d.finish.row_scales = false;
  p.d.dynamic_lhs = false;
  p.d.finish.requant.min = INT32_MIN;
  p.d.finish.requant.rule = contract::fp32_rne;
  p.d.finish.requant.zero_point = 128;
  gemm_plan plan;
  REQUIRE(plan_gemm(p.d, native_gemm_leaf(), 1, plan) == status::ok);
  const auto refuses = [&](auto change, status expected) {
    problem q = p;
    q.d.finish.requant.ratios = q.ratios.data();
    change(q);
    gemm_plan untouched;
    CHECK(plan_gemm(q.d, native_gemm_leaf(), 1, untouched) == expected);
    CHECK(untouched.magic == 0);
  };
  refuses([](problem& q) { q.d.shape.m = -1; }, status::shape);
  refuses([](problem& q) { q.d.shape.k = max_long_depth + 1; }, status::shape);
  refuses([](problem& q) { q.d.lhs_stride = 15; }, status::stride);
  refuses([](problem& q) { q.d.out_stride = 7; }, status::stride);
  refuses([](problem& q) { q.d.lhs_stride = INT64_MAX / 2; }, status::overflow);
  refuses([](problem& q) { q.ratios[3] = 0; }, status::scale);
  refuses([](problem& q) { q.d.lhs_zero_point = 300; }, status::zero_point);
  refuses([](problem& q) { q.d.finish.requant.count = 3; }, status::count);
  refuses([](problem& q) { q.d.rhs = dtype::f32; }, status::dtype);

  const block packed = aligned(plan.packed_bytes), work = aligned(gemm_workspace_bytes(plan, 1));
  REQUIRE(pack_gemm(plan, {p.rhs.data(), nullptr, nullptr, p.d.finish}, packed.get(), plan.packed_bytes) == status::ok);
  std::vector<std::uint8_t> out(32, 0x55);
  const auto runs = [&](std::uint64_t lhs_bytes, std::uint64_t out_bytes, std::uint64_t work_bytes, std::size_t skew) {
    gemm_buffers b;
    b.lhs = p.lhs.data();
    b.lhs_bytes = lhs_bytes;
    b.packed = packed.get();
    b.packed_bytes = plan.packed_bytes;
    b.out = out.data();
    b.out_bytes = out_bytes;
    b.workspace = work.get() + skew;
    b.workspace_bytes = work_bytes;
    return run_gemm(plan, b);
  };
  const std::uint64_t enough = gemm_workspace_bytes(plan, 1);
  CHECK(runs(63, 32, enough, 0) == status::buffer);
  CHECK(runs(64, 31, enough, 0) == status::buffer);
  CHECK(runs(64, 32, enough - 1, 0) == status::scratch);
  CHECK(runs(64, 32, enough, 1) == status::scratch);
  gemm_buffers b;
  b.lhs = out.data() + 8;  // K10: overlaps the output
  b.lhs_bytes = 64;
  b.packed = packed.get();
  b.packed_bytes = plan.packed_bytes;
  b.out = out.data();
  b.out_bytes = 32;
  b.workspace = work.get();
  b.workspace_bytes = enough;
  CHECK(run_gemm(plan, b) == status::overlap);
  // K10: so does what the workspace would overwrite: a residual, row zero points, row scales.
  const auto reads_workspace = [&](auto change) {
    problem q = p;
    q.d.finish.requant.ratios = q.ratios.data();
    std::vector<float> reals(32);
    gemm_buffers c = b;
    c.lhs = q.lhs.data();
    c.out = reals.data();
    c.out_bytes = 128;
    change(q.d, c);
    gemm_plan other;
    REQUIRE(plan_gemm(q.d, native_gemm_leaf(), 1, other) == status::ok);
    const block bytes = aligned(other.packed_bytes), space = aligned(gemm_workspace_bytes(other, 1) + 64);
    REQUIRE(pack_gemm(other, {q.rhs.data(), nullptr, nullptr, q.d.finish}, bytes.get(), other.packed_bytes) ==
            status::ok);
    std::memset(space.get(), 1, static_cast<std::size_t>(gemm_workspace_bytes(other, 1)));
    c.packed = bytes.get();
    c.packed_bytes = other.packed_bytes;
    c.workspace_bytes = gemm_workspace_bytes(other, 1);
    c.workspace = space.get();
    if (c.residual != nullptr) c.residual = space.get();
    if (c.row_zero_points != nullptr) c.row_zero_points = reinterpret_cast<const std::int32_t*>(space.get());
    if (c.row_scales != nullptr) c.row_scales = reinterpret_cast<const float*>(space.get());
    if (c.row_sums != nullptr) c.row_sums = reinterpret_cast<const std::int32_t*>(space.get());
    CHECK(run_gemm(other, c) == status::overlap);
    CHECK(reals == std::vector<float>(32));
  };
  reads_workspace([&](gemm_desc& d, gemm_buffers& c) {
    d.finish.residual = {dtype::u8, 0, 1.0F, {}};
    c.residual = out.data();
    c.residual_bytes = 32;
  });
  reads_workspace([&](gemm_desc& d, gemm_buffers& c) {
    d.dynamic_lhs = true;
    c.row_zero_points = p.zeros.data();
  });
  reads_workspace([&](gemm_desc& d, gemm_buffers& c) {
    d.out = dtype::f32;
    d.finish.row_scales = true;
    c.row_scales = p.scales.data();
  });
  reads_workspace([&](gemm_desc& d, gemm_buffers& c) {
    d.rhs_zero_point = 3;
    c.row_sums = p.zeros.data();
  });
  b.lhs = nullptr;
  CHECK(run_gemm(plan, b) == status::null_pointer);  // K1
  CHECK(run_gemm(gemm_plan{}, b) == status::plan);   // K12, K13
  CHECK(gemm_leaf_of("avx9") == nullptr);            // K17
  packed.get()[0] ^= 1;
  CHECK(runs(64, 32, enough, 0) == status::plan);
  CHECK(out == std::vector<std::uint8_t>(32, 0x55));
}
