// The checklist of bad input for planned kernels, K (calls) and Q (parameters), each ID a test that runs for the matrix
// product, convolution and depthwise convolution: the status, nothing written (outputs, plan and packed weights keep
// their 0x55), or, where the call is good, the reference's bytes on every leaf. What only the C ABI has (K3, K4) is in
// tests/capi/kernels_test.c; docs/kernels.md has the table.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <utility>

#include "kernels/checklist_layer.hpp"
#include "kernels/emulate/leaves.hpp"
#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/isa_list.hpp"

using namespace quantal;
using namespace quantal_test;

namespace {

#define EACH_FAMILY(name) TEMPLATE_TEST_CASE(name, "", gemm_family, conv_family, depthwise_family)

constexpr std::uint8_t canary = 0x55;

bool untouched(const std::uint8_t* at, std::uint64_t bytes) {
  for (std::uint64_t i = 0; i < bytes; ++i)
    if (at[i] != canary) return false;
  return true;
}

// The status of planning a layer after `change`; the plan's memory must be as before.
template <class Family, class Change>
status plan_after(Change&& change, std::size_t* bad = nullptr) {
  layer<Family> l;
  l.describe();
  change(l);
  alignas(typename Family::plan) std::uint8_t memory[sizeof(typename Family::plan)];
  std::memset(memory, canary, sizeof memory);
  const status s = Family::make(l.d, Family::best(), 1, *reinterpret_cast<typename Family::plan*>(memory), bad);
  CHECK((s == status::ok || untouched(memory, sizeof memory)));
  return s;
}

// The status of packing / running a good plan after `change`; outputs must be as before.
template <class Family, class Change>
status pack_after(Change&& change) {
  layer<Family> l;
  const prepared<Family> p(l, Family::best());
  aligned_bytes to(p.packed.size);
  to.fill(canary);
  struct {
    const void* weights;
    const std::int32_t* bias;
    epilogue finish;
    std::uint8_t* packed;
    std::uint64_t bytes;
  } a{l.weights.data(), l.bias.data(), l.describe().finish, to.data(), to.size};
  change(a);
  const status s = Family::pack(p.plan, a.weights, a.bias, a.finish, a.packed, a.bytes);
  CHECK((s == status::ok || untouched(to.data(), to.size + 64)));
  return s;
}
template <class Family, class Change>
status run_after(layer<Family>& l, Change&& change) {
  prepared<Family> p(l, Family::best());
  aligned_bytes out(l.out_bytes());
  out.fill(canary);
  conv_buffers b = p.buffers(l, out.data());
  change(b, p);
  const std::vector<std::uint8_t> packed(p.packed.data(), p.packed.data() + p.packed.size);
  const status s = Family::run(p.plan, b, {});
  CHECK((s == status::ok || untouched(out.data(), out.size + 64)));
  CHECK(std::memcmp(packed.data(), p.packed.data(), packed.size()) == 0);
  return s;
}
template <class Family, class Change>
status run_after(Change&& change) {
  layer<Family> l;
  return run_after(l, change);
}

template <class Family>
std::vector<std::uint8_t> run_on(layer<Family>& l, const typename Family::leaf& leaf) {
  const prepared<Family> p(l, leaf);
  std::vector<std::uint8_t> out(l.out_bytes());
  CHECK(Family::run(p.plan, p.buffers(l, out.data()), {}) == status::ok);
  return out;
}

// Every leaf makes the reference's bytes.
template <class Family>
void check_layer(layer<Family>& l) {
  const std::vector<std::uint8_t> wanted = l.reference();
  for (const auto& [leaf, emulated] : all_leaves<typename Family::leaf>()) {
    CAPTURE(leaf->isa, emulated);
    CHECK(run_on(l, *leaf) == wanted);
  }
}

// More work, so that plans for several threads have tasks for them on every ISA.
template <class Family>
void many_tasks(layer<Family>& l) {
  if constexpr (Family::product) {
    l.d.shape.n = 100;
    l.d.finish.requant.count = 1;
    l.bias.resize(100);
    l.out_elements = static_cast<std::uint64_t>(l.d.shape.m * l.d.shape.n);
  } else {
    l.d.shape.batch = 3;
    l.in_bytes *= 3;
    l.out_elements *= 3;
  }
}

template <class Family, class Change>
void works_after(Change&& change) {
  layer<Family> l;
  l.describe();
  change(l);
  check_layer(l);
}

}  // namespace

EACH_FAMILY("K1_null_pointers") {
  using F = TestType;
  CHECK(plan_after<F>([](auto& l) { l.d.finish.requant.ratios = nullptr; }) == status::null_pointer);
  CHECK(plan_after<F>([](auto& l) {
          l.d.finish.requant.rule = contract::fixed_single;
          l.d.finish.requant.multipliers = nullptr;
        }) == status::null_pointer);
  CHECK(pack_after<F>([](auto& a) { a.weights = nullptr; }) == status::null_pointer);
  CHECK(pack_after<F>([](auto& a) { a.packed = nullptr; }) == status::null_pointer);
  CHECK(pack_after<F>([](auto& a) { a.finish.requant.ratios = nullptr; }) == status::null_pointer);
  CHECK(run_after<F>([](auto& b, auto&) { b.in = nullptr; }) == status::null_pointer);
  CHECK(run_after<F>([](auto& b, auto&) { b.out = nullptr; }) == status::null_pointer);
  CHECK(run_after<F>([](auto& b, auto&) { b.packed = nullptr; }) == status::null_pointer);
  layer<F> l;
  l.add_residual();
  CHECK(run_after(l, [](auto& b, auto&) { b.residual = nullptr; }) == status::null_pointer);
}

TEST_CASE("K1_null_pointers of rows") {
  layer<gemm_family> l;
  l.d.dynamic_lhs = true;
  CHECK(run_after(l, [](auto&, auto&) {}) == status::null_pointer);
  l = {};
  l.d.out = dtype::f32;
  l.d.finish.row_scales = true;
  CHECK(run_after(l, [](auto&, auto&) {}) == status::null_pointer);
}

EACH_FAMILY("K2_no_bias_is_zero") {
  layer<TestType> l;
  l.bias.assign(l.bias.size(), 0);
  const std::vector<std::uint8_t> wanted = l.reference();
  prepared<TestType> p(l, TestType::best());
  REQUIRE(TestType::pack(p.plan, l.weights.data(), nullptr, l.describe().finish, p.packed.data(), p.packed.size) ==
          status::ok);
  std::vector<std::uint8_t> out(l.out_bytes());
  CHECK(TestType::run(p.plan, p.buffers(l, out.data()), {}) == status::ok);
  CHECK(out == wanted);
}

TEST_CASE("K5_shapes of products") {
  using F = gemm_family;
  CHECK(plan_after<F>([](auto& l) { l.d.shape.m = -1; }) == status::shape);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.n = -1; }) == status::shape);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.k = INT64_MIN; }) == status::shape);
  works_after<F>([](auto& l) { l.d.shape.m = 0, l.out_elements = 0; });
  works_after<F>([](auto& l) { l.d.shape.n = 0, l.d.finish.requant.count = 0, l.out_elements = 0; });
  works_after<F>([](auto& l) { l.d.shape.k = 0, l.in_bytes = 0; });  // the bias alone
}

TEMPLATE_TEST_CASE("K5_shapes of convolutions", "", conv_family, depthwise_family) {
  using F = TestType;
  constexpr std::int64_t conv_shape::*not_negative[] = {
      &conv_shape::batch,   &conv_shape::in_h,     &conv_shape::in_w,       &conv_shape::in_c,     &conv_shape::out_c,
      &conv_shape::pad_top, &conv_shape::pad_left, &conv_shape::pad_bottom, &conv_shape::pad_right};
  constexpr std::int64_t conv_shape::*positive[] = {
      &conv_shape::kernel_h,   &conv_shape::kernel_w,   &conv_shape::stride_h, &conv_shape::stride_w,
      &conv_shape::dilation_h, &conv_shape::dilation_w, &conv_shape::groups};
  for (const auto field : not_negative) CHECK(plan_after<F>([&](auto& l) { l.d.shape.*field = -1; }) == status::shape);
  for (const auto field : positive) {
    CHECK(plan_after<F>([&](auto& l) { l.d.shape.*field = 0; }) == status::shape);
    CHECK(plan_after<F>([&](auto& l) { l.d.shape.*field = INT64_MIN; }) == status::shape);
  }
  CHECK(plan_after<F>([](auto& l) { l.d.shape.groups = 7; }) == status::shape);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.kernel_h = 9; }) == status::shape);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.in_w = 0; }) == status::shape);  // smaller than the kernel
  if (F::depthwise) CHECK(plan_after<F>([](auto& l) { l.d.shape.groups = 10; }) == status::shape);
  works_after<F>([](auto& l) { l.d.shape.batch = 0, l.out_elements = 0; });
  works_after<F>([](auto& l) { l.d.shape.out_c = 0, l.d.finish.requant.count = 0, l.out_elements = 0; });
  if (!F::depthwise) works_after<F>([](auto& l) { l.d.shape.in_c = 0, l.in_bytes = 0; });  // the bias alone
}

TEST_CASE("K6_strides of products") {
  using F = gemm_family;
  CHECK(plan_after<F>([](auto& l) { l.d.lhs_stride = 36; }) == status::stride);
  CHECK(plan_after<F>([](auto& l) { l.d.lhs_stride = -37; }) == status::stride);
  CHECK(plan_after<F>([](auto& l) { l.d.out_stride = 18; }) == status::stride);
  CHECK(plan_after<F>([](auto& l) { l.d.residual_stride = 18; }) == status::stride);
  CHECK(plan_after<F>([](auto& l) { l.d.rhs_row_stride = -19, l.d.rhs_column_stride = 1; }) == status::stride);
  CHECK(plan_after<F>([](auto& l) { l.d.rhs_column_stride = -1; }) == status::stride);
  // That of a dimension of size 1 is not looked at.
  CHECK(plan_after<F>([](auto& l) { l.d.shape.m = l.d.lhs_stride = l.d.out_stride = 1; }) == status::ok);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.m = 1, l.d.lhs_stride = -37; }) == status::stride);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.k = 1, l.d.rhs_row_stride = INT64_MAX; }) == status::ok);
  CHECK(plan_after<F>([](auto& l) {
          l.d.shape.n = 1, l.d.finish.requant.count = 1, l.d.rhs_column_stride = INT64_MAX;
        }) == status::ok);
}

TEMPLATE_TEST_CASE("K6_strides of convolutions", "", conv_family, depthwise_family) {
  using F = TestType;
  const std::int64_t c = F::describe().shape.in_c, o = F::describe().shape.out_c;
  CHECK(plan_after<F>([&](auto& l) { l.d.in_strides = {99999, 9999, c - 1}; }) == status::stride);
  CHECK(plan_after<F>([&](auto& l) { l.d.in_strides = {99999, 5 * c - 1, c}; }) == status::stride);
  CHECK(plan_after<F>([&](auto& l) {
          l.d.shape.batch = 2;
          l.d.in_strides = {30 * c - 1, 5 * c, c};
        }) == status::stride);
  CHECK(plan_after<F>([&](auto& l) { l.d.out_strides = {99999, -5 * o, o}; }) == status::stride);
  CHECK(plan_after<F>([&](auto& l) { l.d.residual_strides = {99999, 5 * o, -o}; }) == status::stride);
  for (int i = 0; i < 4; ++i) CHECK(plan_after<F>([&](auto& l) { l.d.weight_strides[i] = -1; }) == status::stride);
}

TEST_CASE("K7_overflow of products") {
  using F = gemm_family;
  CHECK(plan_after<F>([](auto& l) { l.d.shape.m = INT64_MAX; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.m = int64_t{1} << 59; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.lhs_stride = INT64_MAX / 2; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.out_stride = INT64_MAX / 2; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.rhs_column_stride = INT64_MAX / 2; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.n = INT64_MAX / 64, l.d.shape.k = 1; }) == status::overflow);
  // Beside an empty dimension, too.
  CHECK(plan_after<F>([](auto& l) { l.d.shape = {INT64_MAX, 0, 0}; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape = {0, INT64_MAX, 0}; }) == status::overflow);
  CHECK_FALSE(amx_pays({0, INT64_MAX, 64}));
  CHECK(amx_pays({INT64_MAX, INT64_MAX, 64}));
}

TEMPLATE_TEST_CASE("K7_overflow of convolutions", "", conv_family, depthwise_family) {
  using F = TestType;
  constexpr std::int64_t beyond = int64_t{1} << 32;  // would be 0 in 32 bits
  CHECK(plan_after<F>([](auto& l) { l.d.shape.batch = beyond; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.in_h = INT64_MAX; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.pad_left = beyond + 8; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.stride_w = beyond + 1; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.dilation_h = INT32_MAX; }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.shape.batch = l.d.shape.in_h = l.d.shape.in_w = INT32_MAX; }) ==
        status::overflow);
  CHECK(plan_after<F>([](auto& l) {
          l.d.shape.batch = 9;
          l.d.in_strides = {INT64_MAX / 2, 1000, 20};
        }) == status::overflow);
  CHECK(plan_after<F>([](auto& l) { l.d.weight_strides[0] = INT64_MAX / 2; }) == status::overflow);
}

EACH_FAMILY("K8_short_buffers") {
  using F = TestType;
  CHECK(pack_after<F>([](auto& a) { --a.bytes; }) == status::buffer);
  CHECK(run_after<F>([](auto& b, auto&) { --b.in_bytes; }) == status::buffer);
  CHECK(run_after<F>([](auto& b, auto&) { --b.out_bytes; }) == status::buffer);
  CHECK(run_after<F>([](auto& b, auto&) { --b.packed_bytes; }) == status::buffer);
  layer<F> l;
  l.add_residual();
  CHECK(run_after(l, [](auto& b, auto&) { --b.residual_bytes; }) == status::buffer);
  CHECK(run_after(l, [](auto&, auto&) {}) == status::ok);
  // With strides the last row ends where its last element does.
  layer<F> strided;
  if constexpr (F::product) {
    strided.d.lhs_stride = 50;
    strided.in_bytes = 4 * 50 + 37;
  } else {
    const std::int64_t c = strided.d.shape.in_c;
    strided.d.in_strides = {5000, 150, 25};
    strided.in_bytes = static_cast<std::uint64_t>(5 * 150 + 4 * 25 + c);
  }
  CHECK(run_after(strided, [](auto&, auto&) {}) == status::ok);
  CHECK(run_after(strided, [](auto& b, auto&) { --b.in_bytes; }) == status::buffer);
}

EACH_FAMILY("K9_misaligned_pointers give identical results at every offset") {
  using F = TestType;
  layer<F> l;
  l.add_residual();
  const std::vector<std::uint8_t> wanted = l.reference();
  aligned_bytes in(layer<F>::room), weights(layer<F>::room), residual(layer<F>::room), out(l.out_bytes());
  for (const auto& [leaf, emulated] : all_leaves<typename F::leaf>()) {
    const prepared<F> p(l, *leaf);
    for (std::size_t offset = 1; offset < 64; ++offset) {
      CAPTURE(leaf->isa, emulated, offset);
      std::memcpy(in.data() + offset, l.in.data(), l.in_bytes);
      std::memcpy(weights.data() + offset, l.weights.data(), layer<F>::room - 64);
      std::memcpy(residual.data() + (64 - offset), l.residual.data(), l.out_elements);
      aligned_bytes packed(p.packed.size);
      REQUIRE(F::pack(p.plan, weights.data() + offset, l.bias.data(), l.describe().finish, packed.data(),
                      packed.size) == status::ok);
      CHECK(std::memcmp(packed.data(), p.packed.data(), packed.size) == 0);
      out.fill(canary);
      conv_buffers b = p.buffers(l, out.data() + offset);
      b.in = in.data() + offset;
      b.packed = packed.data();
      b.residual = residual.data() + (64 - offset);
      CHECK(F::run(p.plan, b, {}) == status::ok);
      CHECK(std::memcmp(out.data() + offset, wanted.data(), wanted.size()) == 0);
      CHECK(untouched(out.data(), offset));
      CHECK(untouched(out.data() + offset + wanted.size(), 64 - offset));
    }
  }
}

EACH_FAMILY("K10_overlap") {
  using F = TestType;
  CHECK(run_after<F>([](auto& b, auto&) { b.in = b.out; }) == status::overlap);
  CHECK(run_after<F>([](auto& b, auto&) { b.in = static_cast<std::uint8_t*>(b.out) + 1; }) == status::overlap);
  CHECK(run_after<F>([](auto& b, auto& p) { b.out = p.work.data(); }) == status::overlap);
  CHECK(run_after<F>([](auto& b, auto& p) { b.out = p.packed.data(); }) == status::overlap);
  CHECK(run_after<F>([](auto& b, auto& p) { b.in = p.work.data(); }) == status::overlap);
  layer<F> l;
  l.add_residual();
  CHECK(run_after(l, [](auto& b, auto&) { b.residual = static_cast<std::uint8_t*>(b.out) + 1; }) == status::overlap);
  CHECK(run_after(l, [](auto& b, auto& p) { b.residual = p.work.data(); }) == status::overlap);
  // A residual may be the output itself.
  const std::vector<std::uint8_t> wanted = l.reference();
  for (const auto& [leaf, emulated] : all_leaves<typename F::leaf>()) {
    const prepared<F> p(l, *leaf);
    std::vector<std::uint8_t> out(l.residual.begin(), l.residual.begin() + static_cast<std::ptrdiff_t>(l.out_elements));
    conv_buffers b = p.buffers(l, out.data());
    b.residual = out.data();
    CAPTURE(leaf->isa, emulated);
    CHECK(F::run(p.plan, b, {}) == status::ok);
    CHECK(out == wanted);
  }
}

TEST_CASE("K10_overlap of workspace and packed weights") {
  layer<gemm_family> g;
  CHECK(run_after(g, [](auto& b, auto& p) { b.workspace = p.packed.data(), b.workspace_bytes = 1u << 30; }) ==
        status::overlap);
  layer<conv_family> c;
  CHECK(run_after(c, [](auto& b, auto& p) { b.workspace = p.packed.data(), b.workspace_bytes = 1u << 30; }) ==
        status::overlap);
  layer<depthwise_family> d;
  CHECK(run_after(d, [](auto& b, auto& p) { b.workspace = p.packed.data(), b.workspace_bytes = 1u << 30; }) ==
        status::overlap);
}

EACH_FAMILY("K10_overlap of packed weights with what packing reads") {
  using F = TestType;
  CHECK(pack_after<F>([](auto& a) { a.weights = a.packed; }) == status::overlap);
  CHECK(pack_after<F>([](auto& a) { a.weights = a.packed + a.bytes - 1; }) == status::overlap);
  CHECK(pack_after<F>([](auto& a) { a.bias = reinterpret_cast<const std::int32_t*>(a.packed + 64); }) ==
        status::overlap);
  // What is checked before it is packed over: ratios, multipliers and a table inside.
  for (const contract rule : {contract::fp32_rne, contract::fixed_single}) {
    layer<F> l;
    l.d.finish.requant.rule = rule;
    l.d.finish.table = l.residual.data();
    const prepared<F> p(l, F::best());
    aligned_bytes to(p.packed.size);
    const std::size_t n = l.ratios.size();
    std::memcpy(to.data() + 64, l.ratios.data(), 4 * n);
    std::memcpy(to.data() + 256, l.multipliers.data(), 8 * n);
    std::memcpy(to.data() + 512, l.residual.data(), 256);
    const std::vector<std::uint8_t> before(to.data(), to.data() + to.size);
    const auto packs = [&](auto change) {
      epilogue e = l.describe().finish;
      change(e);
      const status s = F::pack(p.plan, l.weights.data(), l.bias.data(), e, to.data(), to.size);
      CHECK(std::memcmp(to.data(), before.data(), before.size()) == 0);
      return s;
    };
    if (rule == contract::fp32_rne)
      CHECK(packs([&](epilogue& e) { e.requant.ratios = reinterpret_cast<const float*>(to.data() + 64); }) ==
            status::overlap);
    else
      CHECK(packs([&](epilogue& e) {
              e.requant.multipliers = reinterpret_cast<const fixed_multiplier*>(to.data() + 256);
            }) == status::overlap);
    CHECK(packs([&](epilogue& e) { e.table = to.data() + 512; }) == status::overlap);
  }
}

EACH_FAMILY("K9_a_misaligned_bias is refused") {
  alignas(4) static std::uint8_t room[1024];
  CHECK(pack_after<TestType>([](auto& a) { a.bias = reinterpret_cast<const std::int32_t*>(room + 1); }) ==
        status::argument);
}

EACH_FAMILY("K11_scratch") {
  using F = TestType;
  CHECK(run_after<F>([](auto& b, auto&) { b.workspace = nullptr; }) == status::scratch);
  CHECK(run_after<F>([](auto& b, auto&) { --b.workspace_bytes; }) == status::scratch);
  CHECK(run_after<F>([](auto& b, auto&) { b.workspace = static_cast<std::uint8_t*>(b.workspace) + 32; }) ==
        status::scratch);
  CHECK(run_after<F>([](auto& b, auto&) { b.packed = static_cast<const std::uint8_t*>(b.packed) + 8; }) ==
        status::scratch);
  CHECK(pack_after<F>([](auto& a) { a.packed += 8; }) == status::scratch);
}

// A plan made for four lanes runs on any number of them, each time with the workspace of so many and not with a byte less.
EACH_FAMILY("K11_scratch of lanes") {
  using F = TestType;
  layer<F> l;
  many_tasks(l);
  const std::vector<std::uint8_t> wanted = l.reference();
  const prepared<F> p(l, F::best(), 4);
  REQUIRE(p.plan.tasks > 1);
  REQUIRE(F::workspace(p.plan, 1) < F::workspace(p.plan, 4));
  const auto serial = [](void*, std::size_t count, parallel_for::task_fn task, void* argument) {
    for (std::size_t i = 0; i < count; ++i) task(argument, i);
  };
  for (const std::size_t lanes : {1, 2, 3, 4, 7, 64}) {
    CAPTURE(lanes);
    const aligned_bytes work(F::workspace(p.plan, lanes));
    std::vector<std::uint8_t> out(l.out_bytes(), canary);
    conv_buffers b = p.buffers(l, out.data());
    b.workspace = work.data();
    b.workspace_bytes = work.size - 1;
    CHECK(F::run(p.plan, b, {nullptr, serial, lanes}) == status::scratch);
    CHECK(untouched(out.data(), out.size()));
    b.workspace_bytes = work.size;
    CHECK(F::run(p.plan, b, {nullptr, serial, lanes}) == status::ok);
    CHECK(out == wanted);
  }
}

EACH_FAMILY("K12_plans_and_packed_weights that are not this plan's") {
  using F = TestType;
  layer<F> l;
  const std::vector<std::uint8_t> wanted = l.reference();
  prepared<F> p(l, F::best());
  std::vector<std::uint8_t> out(l.out_bytes(), canary);
  const auto runs = [&](const typename F::plan& plan, const void* packed) {
    conv_buffers b = p.buffers(l, out.data());
    b.packed = packed;
    return F::run(plan, b, {});
  };
  typename F::plan broken = p.plan;
  broken.magic ^= 1;
  CHECK(runs(broken, p.packed.data()) == status::plan);
  broken = p.plan;
  broken.leaf = nullptr;
  CHECK(runs(broken, p.packed.data()) == status::plan);
  CHECK(F::pack(broken, l.weights.data(), nullptr, l.describe().finish, p.packed.data(), p.packed.size) ==
        status::plan);
  for (std::size_t i = 0; i < 32; ++i) {  // magic, version, layout, what is stored, channels, depth
    p.packed.data()[i] ^= 0x41;
    CAPTURE(i);
    CHECK(runs(p.plan, p.packed.data()) == status::plan);
    p.packed.data()[i] ^= 0x41;
  }
  // Of other plans: packed_test.cpp.
  CHECK(untouched(out.data(), out.size()));
  // Both may move.
  aligned_bytes moved(p.packed.size);
  std::memcpy(moved.data(), p.packed.data(), p.packed.size);
  const typename F::plan copy = p.plan;
  p.packed.fill(canary);
  CHECK(runs(copy, moved.data()) == status::ok);
  CHECK(out == wanted);
}

EACH_FAMILY("K13_call_order") {
  using F = TestType;
  layer<F> l;
  prepared<F> p(l, F::best());
  std::vector<std::uint8_t> out(l.out_bytes(), canary);
  const conv_buffers b = p.buffers(l, out.data());
  CHECK(F::run({}, b, {}) == status::plan);  // before it was planned
  CHECK(F::pack({}, l.weights.data(), nullptr, l.describe().finish, p.packed.data(), p.packed.size) == status::plan);
  p.packed.fill(0);
  CHECK(F::run(p.plan, b, {}) == status::plan);  // before it was packed
  CHECK(untouched(out.data(), out.size()));
  REQUIRE(p.pack(l, p.packed.data()) == status::ok);
  CHECK(F::make(l.describe(), F::best(), 1, p.plan) == status::ok);  // planned twice
  l.ratios[0] = 0;
  CHECK(F::make(l.describe(), F::best(), 1, p.plan) == status::scale);  // a failure leaves the plan
  l.ratios[0] = 0.001F;
  CHECK(F::run(p.plan, b, {}) == status::ok);
  CHECK(out == l.reference());
}

TEST_CASE("K10_overlap of what rows bring") {
  layer<gemm_family> l;
  l.d.dynamic_lhs = true;
  const prepared<gemm_family> p(l, best_gemm_leaf());
  std::vector<std::uint8_t> out(l.out_bytes(), canary);
  conv_buffers b = p.buffers(l, out.data());
  const auto runs = [&](const void* zero_points) {
    return run_gemm(p.plan, {b.in, b.in_bytes, b.packed, b.packed_bytes, b.out, b.out_bytes, b.workspace,
                             b.workspace_bytes, nullptr, 0, static_cast<const std::int32_t*>(zero_points), nullptr});
  };
  CHECK(runs(out.data()) == status::overlap);
  CHECK(runs(p.work.data()) == status::overlap);
  CHECK(untouched(out.data(), out.size()));
}

TEST_CASE("K14_depths that no sum in s32 holds are refused, or split (gemm_test.cpp, conv_test.cpp)") {
  CHECK(plan_after<gemm_family>([](auto& l) { l.d.shape.k = max_long_depth + 1; }) == status::shape);
  CHECK(plan_after<gemm_family>([](auto& l) { l.d.shape.k = max_gemm_depth + 1; }) == status::ok);
  CHECK(plan_after<conv_family>([](auto& l) { l.d.shape.in_c = max_long_depth / 9 + 1; }) == status::shape);
  CHECK(plan_after<conv_family>([](auto& l) { l.d.shape.in_c = max_gemm_depth / 9 + 1; }) == status::ok);
  CHECK(plan_after<depthwise_family>([](auto& l) {
          l.d.shape.kernel_w = 40000;
          l.d.shape.pad_left = 80000;
        }) == status::shape);
}

EACH_FAMILY("K15_one_plan_on_many_threads") {
  using F = TestType;
  layer<F> l;
  const std::vector<std::uint8_t> wanted = l.reference();
  for (const auto& [leaf, emulated] : all_leaves<typename F::leaf>()) {
    const prepared<F> p(l, *leaf);
    std::vector<std::vector<std::uint8_t>> outs(4, std::vector<std::uint8_t>(l.out_bytes()));
    std::vector<std::thread> team;
    for (std::vector<std::uint8_t>& out : outs)
      team.emplace_back([&] {
        const aligned_bytes own(p.work.size);
        conv_buffers b = p.buffers(l, out.data());
        b.workspace = own.data();
        for (int i = 0; i < 20; ++i) F::run(p.plan, b, {});
      });
    for (std::thread& t : team) t.join();
    CAPTURE(leaf->isa, emulated);
    for (const std::vector<std::uint8_t>& out : outs) CHECK(out == wanted);
  }
}

// A hook of no lanes runs as one lane; a width beyond all sense is a hint like any other.
EACH_FAMILY("K15_no_lanes_is_one") {
  using F = TestType;
  const auto serial = [](void*, std::size_t count, parallel_for::task_fn task, void* argument) {
    for (std::size_t i = 0; i < count; ++i) task(argument, i);
  };
  for (const std::size_t planned : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{1} << 62, SIZE_MAX}) {
    CAPTURE(planned);
    layer<F> l;
    const prepared<F> p(l, F::best(), planned);
    for (const std::size_t width : {std::size_t{0}, std::size_t{1}}) {
      std::vector<std::uint8_t> out(l.out_bytes(), canary);
      CHECK(F::run(p.plan, p.buffers(l, out.data()), {nullptr, serial, width}) == status::ok);
      CHECK(out == l.reference());
    }
  }
}

EACH_FAMILY("K17_kernels_by_name") {
  for (const char* unknown : {"", "avx9", "AVX2 ", "avx2\n"}) CHECK(TestType::of(unknown) == nullptr);
  CHECK(TestType::of(nullptr) == nullptr);
  int ran = 0;
  for (const isa_row& row : isa_list) {
    const auto* leaf = TestType::of(row.name);
    if (leaf == nullptr) continue;  // not compiled, or not on this CPU: never run
    isa own = isa::ref;
    REQUIRE(find_isa(leaf->isa, own));
    CHECK(within(own, row.id));  // its own or its nearest ancestor's
    layer<TestType> l;
    CHECK(run_on(l, *leaf) == l.reference());
    CHECK(kernel_name(prepared<TestType>(l, *leaf).plan) == std::string(leaf->isa));
    ++ran;
  }
  CHECK(ran >= 1);
  std::size_t count = 0;
  const isa_state* states = isa_states(count);  // every ISA that is here can be named, whatever it brings itself
  for (std::size_t i = 0; i < count; ++i)
    if (states[i].id != isa::amx)
      CHECK((TestType::of(states[i].name) != nullptr) == (states[i].available && states[i].compiled));
}

EACH_FAMILY("K18_contents_of_scratch_and_packed_do_not_matter") {
  using F = TestType;
  layer<F> l;
  const std::vector<std::uint8_t> wanted = l.reference();
  for (const auto& [leaf, emulated] : all_leaves<typename F::leaf>()) {
    prepared<F> p(l, *leaf);
    const std::vector<std::uint8_t> first(p.packed.data(), p.packed.data() + p.packed.size);
    for (const int fill : {0x00, 0xff, 0xa5}) {
      CAPTURE(leaf->isa, emulated, fill);
      p.packed.fill(fill);
      p.work.fill(fill);
      REQUIRE(p.pack(l, p.packed.data()) == status::ok);
      CHECK(std::memcmp(first.data(), p.packed.data(), first.size()) == 0);
      std::vector<std::uint8_t> out(l.out_bytes(), static_cast<std::uint8_t>(fill));
      CHECK(F::run(p.plan, p.buffers(l, out.data()), {}) == status::ok);
      CHECK(out == wanted);
    }
  }
}

EACH_FAMILY("Q1_Q2_Q3_Q4_scales") {
  using limits = std::numeric_limits<float>;
  for (const float bad : {0.0F, -0.0F, -1.0F, limits::quiet_NaN(), limits::infinity(), -limits::infinity(), 1e-45F}) {
    std::size_t channel = 99;
    CHECK(plan_after<TestType>([&](auto& l) { l.ratios[4] = bad; }, &channel) == status::scale);
    CHECK(channel == 4);
    CHECK(plan_after<TestType>([&](auto& l) {
            l.add_residual();
            l.d.finish.residual.ratio = bad;
          }) == status::scale);
    CHECK(plan_after<TestType>([&](auto& l) { l.d.out = dtype::f32, l.ratios[4] = bad; }) == status::scale);
  }
  float zero = 0;
  CHECK(pack_after<TestType>([&](auto& a) { a.finish.requant.ratios = &zero, a.finish.requant.count = 1; }) ==
        status::scale);
}

EACH_FAMILY("Q5_ratios_out_of_range") {
  CHECK(plan_after<TestType>([&](auto& l) {
          l.add_residual();
          l.d.finish.residual.ratio = 0x1p100F;
        }) == status::range);
  // As f32 even the extremes are defined: everything saturates, or is the zero point.
  for (const float ratio : {1e30F, 3e38F, 0x1p-126F, 0x1p-32F})
    works_after<TestType>([&](auto& l) { l.ratios.assign(l.ratios.size(), ratio); });
}

EACH_FAMILY("Q6_Q7_multipliers_and_shifts") {
  constexpr fixed_multiplier bad[] = {
      {-1, 0},       {1, 0},         {(1 << 30) - 1, 0}, {INT32_MIN, 0},       {1 << 30, 31},
      {1 << 30, 40}, {1 << 30, -32}, {1 << 30, -40},     {1 << 30, INT32_MIN}, {1 << 30, INT32_MAX}};
  for (const contract rule : {contract::fixed_double, contract::fixed_single}) {
    for (const fixed_multiplier& m : bad) {
      std::size_t channel = 99;
      CAPTURE(m.multiplier, m.shift);
      CHECK(plan_after<TestType>([&](auto& l) { l.d.finish.requant.rule = rule, l.multipliers[2] = m; }, &channel) ==
            status::range);
      CHECK(channel == 2);
      CHECK(plan_after<TestType>([&](auto& l) {
              l.add_residual();
              l.d.finish.requant.rule = rule;
              l.d.finish.residual.multiplier = m;
            }) == status::range);
    }
    works_after<TestType>([&](auto& l) {  // 0: the zero point
      l.d.finish.requant.rule = rule;
      l.multipliers.assign(l.multipliers.size(), {0, 0});
    });
  }
}

EACH_FAMILY("Q8_zero_points") {
  using F = TestType;
  const auto in = [](dtype type, std::int32_t z) {
    return plan_after<F>([&](auto& l) { F::in_type(l.d) = type, F::in_zero_point(l.d) = z; });
  };
  const auto weights = [](dtype type, std::int32_t z) {
    return plan_after<F>([&](auto& l) { F::weight_type(l.d) = type, F::weight_zero_point(l.d) = z; });
  };
  const auto out = [](dtype type, std::int32_t z) {
    return plan_after<F>([&](auto& l) { l.d.out = type, l.d.finish.requant.zero_point = z; });
  };
  const auto residual = [](dtype type, std::int32_t z) {
    return plan_after<F>(
        [&](auto& l) { l.add_residual(), l.d.finish.residual.type = type, l.d.finish.residual.zero_point = z; });
  };
  for (const std::int32_t z : {-1, 256, INT32_MIN, INT32_MAX}) {
    CHECK(in(dtype::u8, z) == status::zero_point);
    CHECK(weights(dtype::u8, z) == status::zero_point);
    CHECK(out(dtype::u8, z) == status::zero_point);
    CHECK(residual(dtype::u8, z) == status::zero_point);
  }
  for (const std::int32_t z : {-129, 128}) {
    CHECK(in(dtype::s8, z) == status::zero_point);
    CHECK(weights(dtype::s8, z) == status::zero_point);
    CHECK(out(dtype::s8, z) == status::zero_point);
    CHECK(residual(dtype::s8, z) == status::zero_point);
  }
}

TEST_CASE("Q8_weights of any zero point need a depthwise leaf that holds them") {
  for (const auto& [leaf, emulated] : all_leaves<depthwise_leaf>()) {
    layer<depthwise_family> l;
    l.d.weight_zero_point = 1;
    depthwise_plan p;
    const status wanted = leaf->form == lhs_form::s16_centred ? status::ok : status::unsupported;
    CHECK(depthwise_family::make(l.describe(), *leaf, 1, p) == wanted);
  }
  CHECK(best_depthwise_leaf(true).form == lhs_form::s16_centred);
}

EACH_FAMILY("Q9_counts") {
  for (const std::size_t n : {std::size_t{0}, std::size_t{2}, std::size_t{17}, std::size_t{21}, SIZE_MAX}) {
    CHECK(plan_after<TestType>([&](auto& l) { l.d.finish.requant.count = n; }) == status::count);
    CHECK(pack_after<TestType>([&](auto& a) { a.finish.requant.count = n; }) == status::count);
  }
  works_after<TestType>([](auto& l) { l.d.finish.requant.count = 1; });
}

EACH_FAMILY("Q10_clamps") {
  const auto plans = [](std::int32_t min, std::int32_t max) {
    return plan_after<TestType>([&](auto& l) { l.d.finish.requant.min = min, l.d.finish.requant.max = max; });
  };
  CHECK(plans(9, 8) == status::range);
  CHECK(plans(-1, 8) == status::range);
  CHECK(plans(0, 256) == status::range);
  CHECK(plans(256, INT32_MAX) == status::range);
  works_after<TestType>([](auto& l) { l.d.finish.requant.min = 7, l.d.finish.requant.max = 7; });
  works_after<TestType>([](auto& l) { l.d.finish.requant.min = 7, l.d.finish.requant.max = 100; });
  // f32: real numbers. s32 has no clamp.
  const auto plans_as = [](dtype out, std::int32_t min, std::int32_t max) {
    return plan_after<TestType>(
        [&](auto& l) { l.d.out = out, l.d.finish.requant.min = min, l.d.finish.requant.max = max; });
  };
  CHECK(plans_as(dtype::f32, 6, 0) == status::range);
  CHECK(plans_as(dtype::s32, 0, INT32_MAX) == status::unsupported);
  CHECK(plans_as(dtype::s32, INT32_MIN, 6) == status::unsupported);
  for (const auto& [min, max] : {std::pair{0, 6}, {0, INT32_MAX}, {INT32_MIN, 2}, {-1, -1}}) {
    layer<TestType> l;
    l.d.out = dtype::f32;
    l.d.finish.requant.min = min;
    l.d.finish.requant.max = max;
    check_layer(l);
    const std::vector<std::uint8_t> bytes = l.reference();
    std::vector<float> reals(l.out_elements);
    std::memcpy(reals.data(), bytes.data(), bytes.size());
    for (const float x : reals) REQUIRE((x >= static_cast<float>(min) && x <= static_cast<float>(max)));
    CHECK(std::count(reals.begin(), reals.end(), reals[0]) < static_cast<std::ptrdiff_t>(reals.size() + (min == max)));
  }
}

EACH_FAMILY("Q11_Q13_Q14_extreme biases, sums and zero points are defined") {
  for (const contract rule : {contract::fp32_rne, contract::fixed_double, contract::fixed_single}) {
    for (const std::int32_t bias : {INT32_MIN, INT32_MIN + 1, INT32_MAX}) {
      for (const std::int32_t zero_point : {0, 255}) {
        works_after<TestType>([&](auto& l) {
          l.d.finish.requant.rule = rule;
          l.d.finish.requant.zero_point = zero_point;
          l.bias.assign(l.bias.size(), bias);
          l.multipliers[1] = {INT32_MAX, 30};
          l.ratios[1] = 3e38F;
          // Some sums are the bias alone: the lowest of all, or wrap around.
          std::memset(l.in.data(), 120, l.in.size() / 2);
        });
      }
    }
  }
}

EACH_FAMILY("Q12_contracts") {
  for (const int rule : {-1, 3, 7}) {
    CHECK(plan_after<TestType>([&](auto& l) { l.d.finish.requant.rule = static_cast<contract>(rule); }) ==
          status::contract);
    CHECK(pack_after<TestType>([&](auto& a) { a.finish.requant.rule = static_cast<contract>(rule); }) == status::plan);
  }
  // Packing must follow the plan.
  CHECK(pack_after<TestType>([](auto& a) { a.finish.requant.rule = contract::fixed_single; }) == status::plan);
  for (const contract rule : {contract::fixed_double, contract::fixed_single})
    works_after<TestType>([&](auto& l) { l.d.finish.requant.rule = rule; });
}

EACH_FAMILY("Q12_packing_takes_the_epilogue_of_its_plan") {
  using F = TestType;
  CHECK(pack_after<F>([](auto& a) { a.finish.requant.zero_point = 8; }) == status::plan);
  CHECK(pack_after<F>([](auto& a) { a.finish.requant.min = 7; }) == status::plan);
  CHECK(pack_after<F>([](auto& a) { a.finish.requant.max = 254; }) == status::plan);
  CHECK(pack_after<F>([](auto& a) { a.finish.requant.count = 1; }) == status::plan);
  CHECK(pack_after<F>([](auto& a) { a.finish.residual = {dtype::u8, 0, 0.5F, {}}; }) == status::plan);
  std::vector<float> ratios(64, 0.5F);
  CHECK(pack_after<F>([&](auto& a) { a.finish.requant.ratios = ratios.data(); }) == status::plan);
  // Equal ones may lie elsewhere.
  layer<F> l;
  const prepared<F> p(l, F::best());
  const std::vector<float> copy = l.ratios;
  epilogue moved = l.describe().finish;
  moved.requant.ratios = copy.data();
  aligned_bytes to(p.packed.size);
  CHECK(F::pack(p.plan, l.weights.data(), l.bias.data(), moved, to.data(), to.size) == status::ok);
  CHECK(std::memcmp(to.data(), p.packed.data(), p.packed.size) == 0);
}

EACH_FAMILY("Q12_a_table_that_packing_forgets is refused") {
  layer<TestType> l;
  std::vector<std::uint8_t> table(256, 9);
  l.d.finish.table = table.data();
  const prepared<TestType> p(l, TestType::best());
  epilogue without = l.describe().finish;
  without.table = nullptr;
  aligned_bytes to(p.packed.size);
  to.fill(canary);
  CHECK(TestType::pack(p.plan, l.weights.data(), nullptr, without, to.data(), to.size) == status::plan);
  CHECK(untouched(to.data(), to.size));
  CHECK(pack_after<TestType>([&](auto& a) { a.finish.table = table.data(); }) == status::plan);
}

EACH_FAMILY("Q15_a_ratio_as_float_or_double_gives_the_same_codes") {
  layer<TestType> l;
  l.d.finish.requant.rule = contract::fixed_double;
  const std::vector<std::uint8_t> wanted = l.reference();
  for (std::size_t i = 0; i < l.ratios.size(); ++i)
    REQUIRE(fixed_multiplier_of(double{l.ratios[i]}, l.multipliers[i]) == status::ok);
  CHECK(run_on(l, TestType::best()) == wanted);
}

EACH_FAMILY("Q16_Q17_types_that_no_kernel_takes") {
  using F = TestType;
  for (const dtype t : {dtype::none, dtype::s4, dtype::u4, dtype::s16, dtype::f32, static_cast<dtype>(99)}) {
    CHECK(plan_after<F>([&](auto& l) { F::in_type(l.d) = t; }) == status::dtype);
    CHECK(plan_after<F>([&](auto& l) { F::weight_type(l.d) = t; }) == status::dtype);
    if (t != dtype::f32) CHECK(plan_after<F>([&](auto& l) { l.d.out = t; }) == status::dtype);
    if (t == dtype::none) continue;
    CHECK(plan_after<F>([&](auto& l) {
            l.add_residual();
            l.d.finish.residual.type = t;
          }) == status::dtype);
  }
  // Codes read as the other sign, with the zero point of the first: valid only if it is one of the type's.
  CHECK(plan_after<F>([&](auto& l) { F::in_type(l.d) = dtype::s8, F::in_zero_point(l.d) = 128; }) ==
        status::zero_point);
}
