// No kernel touches a byte outside its buffers: products and convolutions of sizes 1..200 between inaccessible pages,
// lhs, rhs, bias, scales, residual, packed weights, workspace and output each against one. A byte too many is a crash.
// Convolutions of emulated leaves and of unoptimised builds (sanitizers) end earlier: they take their time. Elementwise
// kernels: guard_elementwise_test.cpp.
#include "kernels/guarded.hpp"

#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>

#include "kernels/conv_problem.hpp"
#include "kernels/emulate/leaves.hpp"
#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"

using namespace quantal;
using quantal_test::all_leaves;
using quantal_test::any_kind;
using quantal_test::gemm_kind;
using quantal_test::gemm_problem;
using quantal_test::generator;
using quantal_test::guarded_memory;

namespace {

void check_product(const gemm_leaf& leaf, const gemm_shape& s, generator& random, guarded_memory& memory) {
  gemm_problem p(s, any_kind(random), random.next(), memory);
  const bool right = p.run(leaf) == p.reference();
  CAPTURE(leaf.isa, s.m, s.n, s.k);
  CHECK(right);
  CHECK(p.error == status::ok);
  CHECK(memory.intact());
  memory.reset();
}

// The largest size of convolutions.
std::int64_t last_size(bool emulated, std::int64_t short_of) {
#if defined(__OPTIMIZE__)
  return emulated ? short_of : 200;
#else
  static_cast<void>(emulated);
  return short_of;
#endif
}

// The calls of the two kinds of convolution.
struct dense_calls {
  using leaf = gemm_leaf;
  using plan = conv_plan;
  static status make(const conv_desc& d, const leaf& l, plan& p) { return plan_conv(d, l, 1, p); }
  static std::uint64_t workspace(const plan& p) { return conv_workspace_bytes(p, 1); }
  static status pack(const plan& p, const void* weights, const std::int32_t* bias, const epilogue& e, void* packed) {
    return pack_conv(p, weights, bias, e, packed, p.packed_bytes);
  }
  static status run(const plan& p, const conv_buffers& b) { return run_conv(p, b); }
};
struct depthwise_calls {
  using leaf = depthwise_leaf;
  using plan = depthwise_plan;
  static status make(const conv_desc& d, const leaf& l, plan& p) { return plan_depthwise(d, l, 1, p); }
  static std::uint64_t workspace(const plan& p) { return depthwise_workspace_bytes(p, 1); }
  static status pack(const plan& p, const void* weights, const std::int32_t* bias, const epilogue& e, void* packed) {
    return pack_depthwise(p, weights, bias, e, packed, p.packed_bytes);
  }
  static status run(const plan& p, const conv_buffers& b) { return run_depthwise(p, b); }
};

template <class Calls>
void check_convolution(const typename Calls::leaf& leaf, const conv_shape& s, guarded_memory& memory) {
  conv_test::problem p = conv_test::make(s, {false, leaf.form == lhs_form::s16_centred, false});
  const std::vector<std::uint8_t> wanted = conv_test::reference(p);
  typename Calls::plan plan;
  REQUIRE(Calls::make(p.desc(), leaf, plan) == status::ok);
  const auto copy = [&](const std::vector<std::uint8_t>& from, std::uint64_t bytes) {
    std::uint8_t* to = memory.take(bytes, 1);
    std::memcpy(to, from.data(), static_cast<std::size_t>(bytes));
    return to;
  };
  const std::uint64_t work_bytes = Calls::workspace(plan);
  std::uint8_t* packed = memory.take(plan.packed_bytes, 64);
  std::int32_t* bias = reinterpret_cast<std::int32_t*>(memory.take(p.bias.size() * 4, 4));
  std::memcpy(bias, p.bias.data(), p.bias.size() * 4);
  REQUIRE(Calls::pack(plan, copy(p.weights, p.layout.weight_elements), bias, p.desc().finish, packed) == status::ok);
  std::uint8_t* out = memory.take(p.out_bytes(), 4);
  std::memset(out, 0x55, p.out_bytes());
  const conv_buffers b{copy(p.in, p.layout.in_elements),
                       p.layout.in_elements,
                       packed,
                       plan.packed_bytes,
                       copy(p.residual, p.layout.residual_elements),
                       p.layout.residual_elements,
                       out,
                       p.out_bytes(),
                       memory.take(work_bytes, 64),
                       work_bytes};
  CAPTURE(leaf.isa, s.in_h, s.in_c, s.out_c, s.kernel_h);
  CHECK(Calls::run(plan, b) == status::ok);
  CHECK(std::memcmp(out, wanted.data(), p.out_bytes()) == 0);
  CHECK(memory.intact());
  memory.reset();
}

}  // namespace

TEST_CASE("products touch no byte outside their buffers") {
  guarded_memory memory(16, 1 << 20);
  for (const auto& [leaf, emulated] : all_leaves<gemm_leaf>()) {
    generator random(3);
    for (std::int64_t size = 1; size <= 200; ++size) {
      const std::int64_t other = 1 + size * 7 % 19, third = 1 + size * 5 % 43;
      for (int turn = 0; turn < 2; ++turn) {  // against both ends
        check_product(*leaf, {size, other, third}, random, memory);
        check_product(*leaf, {other, size, third}, random, memory);
        check_product(*leaf, {other, third, size}, random, memory);
      }
    }
    std::printf("guard pages, gemm: %s, 1200 products\n", leaf->isa);
  }
}

TEST_CASE("convolutions touch no byte outside their buffers") {
  guarded_memory memory(16, 1 << 20);
  for (const auto& [leaf, emulated] : all_leaves<gemm_leaf>()) {
    int count = 0;
    for (std::int64_t size = 1; size <= last_size(emulated, 24); ++size) {
      const std::int64_t other = 1 + size * 7 % 19, third = 1 + size * 5 % 43;
      const std::int64_t shapes[][3] = {{size, other, third}, {other, size, third}, {other, third, size}};
      for (const auto& [width, in_c, out_c] : shapes)
        for (const std::int64_t kernel : {1, 3}) {
          conv_shape s;
          s.in_h = 1 + size % 4;
          s.in_w = width;
          s.in_c = in_c;
          s.out_c = out_c;
          s.kernel_h = s.kernel_w = kernel;
          s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = kernel / 2;
          for (int turn = 0; turn < 2; ++turn, ++count) check_convolution<dense_calls>(*leaf, s, memory);
        }
    }
    std::printf("guard pages, conv: %s, %d convolutions\n", leaf->isa, count);
  }
}

TEST_CASE("depthwise convolutions touch no byte outside their buffers") {
  guarded_memory memory(16, 1 << 20);
  for (const auto& [leaf, emulated] : all_leaves<depthwise_leaf>()) {
    int count = 0;
    for (std::int64_t channels = 1; channels <= last_size(emulated, 70); ++channels) {
      conv_shape s;
      s.in_h = 1 + channels % 5;
      s.in_w = 1 + channels * 3 % 11;
      s.in_c = s.groups = channels;
      s.out_c = channels * (channels % 9 == 0 ? 2 : 1);
      s.kernel_h = s.kernel_w = channels % 4 == 0 ? 5 : 3;
      s.stride_w = 1 + channels % 2;
      s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = s.kernel_h / 2;
      for (int turn = 0; turn < 2; ++turn, ++count) check_convolution<depthwise_calls>(*leaf, s, memory);
    }
    std::printf("guard pages, depthwise: %s, %d convolutions\n", leaf->isa, count);
  }
}

TEST_CASE("the guard notices a pattern that changed") {
  guarded_memory memory(2, 4096);
  std::uint8_t* p = memory.take(100, 64);
  CHECK(memory.intact());
  p[100] = 0;
  CHECK_FALSE(memory.intact());
  memory.reset();
  p = memory.take(100, 1);
  p[100] = 0;
  CHECK_FALSE(memory.intact());
}

TEST_CASE("one byte past either end is a crash") {
  guarded_memory memory(1, 4096);
  const auto dies = [](const volatile std::uint8_t* p) {
    const pid_t child = fork();
    if (child == 0) {
      std::signal(SIGSEGV, SIG_DFL);
      _exit(*p == 0 ? 0 : 1);
    }
    int how = 0;
    waitpid(child, &how, 0);
    return WIFSIGNALED(how) && WTERMSIG(how) == SIGSEGV;
  };
  std::uint8_t* at_end = memory.take(100, 1);
  CHECK_FALSE(dies(at_end + 99));
  CHECK(dies(at_end + 100));
  memory.reset();
  std::uint8_t* at_start = memory.take(100, 64);
  CHECK_FALSE(dies(at_start));
  CHECK(dies(at_start - 1));
}
