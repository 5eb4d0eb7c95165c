// Packed weights know what was packed into them: a plan runs on those of its own kind, and refuses all others with
// nothing written. Every plan of a list runs on the packed weights of every other: it says `plan`, or gives the very
// bytes that its own packed weights give. Beside that, it is said of each which of the two must happen.
#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "conv_problem.hpp"
#include "kernels/emulate/leaves.hpp"
#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"

using namespace quantal;
using conv_test::aligned;

namespace {

constexpr std::int32_t channels = 18;
float ratios[64];
fixed_multiplier multipliers[64];
std::int32_t bias[64], row_zeros[64];
std::uint8_t table[256], weights[1 << 14], in[1 << 14], residual[1 << 14];

void fill() {
  std::uint32_t state = 1;
  for (std::uint8_t* bytes : {weights, in, residual})
    for (int i = 0; i < 1 << 14; ++i)
      bytes[i] = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  for (int i = 0; i < 64; ++i) {
    ratios[i] = 0.002F + 0.0001F * static_cast<float>(i);
    REQUIRE(fixed_multiplier_of(ratios[i], multipliers[i]) == status::ok);
    bias[i] = 100 * i - 700;
    row_zeros[i] = i % 200;
  }
  for (int i = 0; i < 256; ++i) table[i] = static_cast<std::uint8_t>(255 - i / 2);
}

// What must happen between the packed weights of this plan and those of the first one.
enum class with_first { shared, foreign, foreign_if_folded, any };

template <class Desc>
struct variant {
  std::string name;
  with_first expected;
  Desc d;
};

template <class Desc>
using variants = std::vector<variant<Desc>>;

template <class Desc, class Change>
void add(variants<Desc>& list, const char* name, with_first expected, Change change) {
  variant<Desc> v{name, expected, list[0].d};
  change(v.d);
  list.push_back(v);
}

// The changes that all families know.
template <class Desc>
void add_finishes(variants<Desc>& list) {
  add(list, "s32", with_first::foreign, [](Desc& d) { d.out = dtype::s32; });
  add(list, "f32", with_first::foreign, [](Desc& d) { d.out = dtype::f32; });
  add(list, "fixed_double", with_first::foreign, [](Desc& d) { d.finish.requant.rule = contract::fixed_double; });
  add(list, "fixed_single", with_first::foreign, [](Desc& d) { d.finish.requant.rule = contract::fixed_single; });
  add(list, "table", with_first::foreign, [](Desc& d) { d.finish.table = table; });
  add(list, "s8", with_first::shared, [](Desc& d) { d.out = dtype::s8; });
  add(list, "zero point", with_first::shared, [](Desc& d) { d.finish.requant.zero_point = 99; });
  add(list, "clamp", with_first::shared, [](Desc& d) { d.finish.requant.min = 60; });
  add(list, "residual", with_first::shared, [](Desc& d) { d.finish.residual = {dtype::s8, 3, 0.37F, {}}; });
}

epilogue first_finish() {
  epilogue e;
  e.requant.ratios = ratios;
  e.requant.multipliers = multipliers;
  e.requant.count = 1;
  e.requant.zero_point = 7;
  return e;
}

struct products {
  using desc = gemm_desc;
  using plan = gemm_plan;
  using leaf = gemm_leaf;
  static status make(const desc& d, const leaf& l, plan& p) { return plan_gemm(d, l, 1, p); }
  static std::uint64_t workspace(const plan& p) { return gemm_workspace_bytes(p, 1); }
  static status pack(const plan& p, const epilogue& e, void* packed) {
    return pack_gemm(p, {weights, bias, nullptr, e}, packed, p.packed_bytes);
  }
  static status run(const plan& p, const void* packed, std::uint64_t packed_bytes, void* work, std::uint8_t* out) {
    gemm_buffers b;
    b.lhs = in;
    b.lhs_bytes = sizeof in;
    b.packed = packed;
    b.packed_bytes = packed_bytes;
    b.out = out;
    b.out_bytes = 1 << 14;
    b.workspace = work;
    b.workspace_bytes = workspace(p);
    b.residual = residual;
    b.residual_bytes = sizeof residual;
    b.row_zero_points = row_zeros;
    return run_gemm(p, b);
  }
  static bool folds(const leaf& l) { return l.form != lhs_form::s16_centred || l.few_rows != nullptr; }

  static variants<desc> all() {
    desc first;
    first.shape = {9, channels, 37};
    first.out = dtype::u8;
    first.lhs_zero_point = 120;
    first.finish = first_finish();
    variants<desc> list{{"first", with_first::shared, first}};
    add_finishes(list);
    add(list, "u8 weights", with_first::foreign, [](desc& d) { d.rhs = dtype::u8, d.rhs_zero_point = 128; });
    add(list, "lhs zero point", with_first::foreign_if_folded, [](desc& d) { d.lhs_zero_point = 3; });
    add(list, "dynamic lhs", with_first::foreign_if_folded, [](desc& d) { d.dynamic_lhs = true; });
    add(list, "s8 lhs", with_first::any, [](desc& d) { d.lhs = dtype::s8; });
    add(list, "s8 lhs of the same form", with_first::any, [](desc& d) { d.lhs = dtype::s8, d.lhs_zero_point = -8; });
    add(list, "n", with_first::foreign, [](desc& d) { d.shape.n -= 1; });
    add(list, "k", with_first::foreign, [](desc& d) { d.shape.k -= 1; });
    add(list, "one row", with_first::shared, [](desc& d) { d.shape.m = 1; });
    add(list, "lhs stride", with_first::shared, [](desc& d) { d.lhs_stride = 50; });
    add(list, "rhs zero point", with_first::shared, [](desc& d) { d.rhs_zero_point = 4; });
    return list;
  }
};

conv_desc first_convolution() {
  conv_desc d;
  d.shape.in_h = 6;
  d.shape.in_w = 7;
  d.shape.kernel_h = 3;
  d.shape.kernel_w = 5;
  d.shape.pad_top = d.shape.pad_left = d.shape.pad_right = 1;
  d.shape.out_c = channels;
  d.out = dtype::u8;
  d.in_zero_point = 120;
  d.finish = first_finish();
  return d;
}
void add_convolutions(variants<conv_desc>& list) {
  using desc = conv_desc;
  add_finishes(list);
  add(list, "u8 weights", with_first::foreign, [](desc& d) { d.weights = dtype::u8, d.weight_zero_point = 128; });
  add(list, "kernel", with_first::foreign, [](desc& d) { d.shape.kernel_h = 5, d.shape.kernel_w = 3; });
  add(list, "in zero point", with_first::foreign_if_folded, [](desc& d) { d.in_zero_point = 3; });
  add(list, "s8 in", with_first::any, [](desc& d) { d.in = dtype::s8; });
  add(list, "s8 in of the same form", with_first::any, [](desc& d) { d.in = dtype::s8, d.in_zero_point = -8; });
  add(list, "image", with_first::shared, [](desc& d) { d.shape.in_h = 8, d.shape.batch = 2; });
  add(list, "stride", with_first::shared, [](desc& d) { d.shape.stride_h = d.shape.stride_w = 2; });
  add(list, "padding", with_first::shared, [](desc& d) { d.shape.pad_left = 2, d.shape.pad_top = 0; });
  add(list, "weight zero point", with_first::foreign, [](desc& d) { d.weight_zero_point = 4; });
  add(list, "another weight zero point", with_first::foreign, [](desc& d) { d.weight_zero_point = 5; });
}
conv_buffers convolution_buffers(const conv_layout& l, const void* packed, std::uint64_t packed_bytes, void* work,
                                 std::uint64_t work_bytes, std::uint8_t* out) {
  return {in, l.in_elements, packed, packed_bytes, residual, l.residual_elements, out, 1 << 14, work, work_bytes};
}

struct convolutions {
  using desc = conv_desc;
  using plan = conv_plan;
  using leaf = gemm_leaf;
  static status make(const desc& d, const leaf& l, plan& p) { return plan_conv(d, l, 1, p); }
  static std::uint64_t workspace(const plan& p) { return conv_workspace_bytes(p, 1); }
  static status pack(const plan& p, const epilogue& e, void* packed) {
    return pack_conv(p, weights, bias, e, packed, p.packed_bytes);
  }
  static status run(const plan& p, const void* packed, std::uint64_t packed_bytes, void* work, std::uint8_t* out) {
    return run_conv(p, convolution_buffers(p.layout, packed, packed_bytes, work, workspace(p), out));
  }
  static bool folds(const leaf& l) { return l.form != lhs_form::s16_centred; }

  static variants<desc> all() {
    variants<desc> list{{"first", with_first::shared, first_convolution()}};
    list[0].d.shape.in_c = 8;
    add_convolutions(list);
    add(list, "groups", with_first::foreign, [](desc& d) { d.shape.in_c = 16, d.shape.groups = 2; });
    add(list, "in_c", with_first::foreign, [](desc& d) { d.shape.in_c = 7; });
    add(list, "out_c", with_first::foreign, [](desc& d) { d.shape.out_c = channels - 1; });
    return list;
  }
};

struct depthwise_convolutions {
  using desc = conv_desc;
  using plan = depthwise_plan;
  using leaf = depthwise_leaf;
  static status make(const desc& d, const leaf& l, plan& p) { return plan_depthwise(d, l, 1, p); }
  static std::uint64_t workspace(const plan& p) { return depthwise_workspace_bytes(p, 1); }
  static status pack(const plan& p, const epilogue& e, void* packed) {
    return pack_depthwise(p, weights, bias, e, packed, p.packed_bytes);
  }
  static status run(const plan& p, const void* packed, std::uint64_t packed_bytes, void* work, std::uint8_t* out) {
    return run_depthwise(p, convolution_buffers(p.layout, packed, packed_bytes, work, workspace(p), out));
  }
  static bool folds(const leaf& l) { return l.form != lhs_form::s16_centred; }

  static variants<desc> all() {
    variants<desc> list{{"first", with_first::shared, first_convolution()}};
    list[0].d.shape.in_c = list[0].d.shape.groups = channels;
    add_convolutions(list);
    add(list, "multiplier", with_first::foreign, [](desc& d) { d.shape.in_c = d.shape.groups = channels / 2; });
    add(list, "out_c", with_first::foreign,
        [](desc& d) { d.shape.in_c = d.shape.groups = d.shape.out_c = channels - 1; });
    add(list, "dilation", with_first::any, [](desc& d) { d.shape.dilation_h = 2, d.shape.in_h = 12; });
    return list;
  }
};

struct packed_plan_base {
  std::string name;
  with_first expected;
  conv_test::memory packed;
  std::vector<std::uint8_t> own;  // the output of its own packed weights
};

template <class Family>
void check_family(const typename Family::leaf& leaf) {
  struct packed_plan : packed_plan_base {
    typename Family::plan plan;
  };
  const std::vector<std::uint8_t> untouched(1 << 14, 0x55);
  const conv_test::memory work = aligned(1 << 20);
  const auto run = [&](const packed_plan& on, const packed_plan& with, std::vector<std::uint8_t>& out) {
    out = untouched;
    return Family::run(on.plan, with.packed.get(), 1 << 18, work.get(), out.data());
  };
  std::vector<packed_plan> list;
  for (const auto& v : Family::all()) {
    packed_plan p{{v.name, v.expected, aligned(1 << 18), {}}, {}};
    const status planned = Family::make(v.d, leaf, p.plan);
    if (planned == status::unsupported) continue;  // 8-bit depthwise leaves: weights with a zero point
    CAPTURE(leaf.isa, v.name);
    REQUIRE(planned == status::ok);
    REQUIRE(p.plan.packed_bytes <= 1 << 18);
    REQUIRE(Family::workspace(p.plan) <= 1 << 20);
    REQUIRE(Family::pack(p.plan, v.d.finish, p.packed.get()) == status::ok);
    REQUIRE(run(p, p, p.own) == status::ok);
    list.push_back(std::move(p));
  }
  int shared = 0, foreign = 0;
  std::vector<std::uint8_t> out;
  for (const packed_plan& on : list)
    for (const packed_plan& with : list) {
      CAPTURE(leaf.isa, on.name, with.name);
      const status s = run(on, with, out);
      CHECK(((s == status::ok && out == on.own) || (s == status::plan && out == untouched)));
      s == status::ok ? ++shared : ++foreign;
      if (&on != &list[0] && &with != &list[0]) continue;
      const with_first expected = &on == &list[0] ? with.expected : on.expected;
      if (expected == with_first::shared) CHECK(s == status::ok);
      if (expected == with_first::foreign || (expected == with_first::foreign_if_folded && Family::folds(leaf)))
        CHECK(s == status::plan);
    }
  std::printf("packed weights, %s: %zu plans, %d pairs shared, %d refused\n", leaf.isa, list.size(), shared, foreign);
}

template <class Family>
void check_refused_finishes() {
  const variants<typename Family::desc> list = Family::all();
  typename Family::plan plain, tabled;
  const typename Family::leaf& leaf = *quantal_test::all_leaves<typename Family::leaf>()[0].leaf;
  typename Family::desc d = list[0].d;
  REQUIRE(Family::make(d, leaf, plain) == status::ok);
  d.finish.table = table;
  REQUIRE(Family::make(d, leaf, tabled) == status::ok);
  const conv_test::memory packed = aligned(plain.packed_bytes);
  const auto refuses = [&](const typename Family::plan& p, auto change, status expected) {
    epilogue e = first_finish();
    change(e);
    std::memset(packed.get(), 0x55, plain.packed_bytes);
    CHECK(Family::pack(p, e, packed.get()) == expected);
    for (std::uint64_t i = 0; i < plain.packed_bytes; ++i) REQUIRE(packed.get()[i] == 0x55);
  };
  refuses(
      tabled, [](epilogue&) {}, status::plan);
  refuses(
      plain, [](epilogue& e) { e.table = table; }, status::plan);
  refuses(
      plain, [](epilogue& e) { e.requant.rule = contract::fixed_double; }, status::plan);
  refuses(
      plain, [](epilogue& e) { e.requant.ratios = nullptr; }, status::null_pointer);
  refuses(
      plain, [](epilogue& e) { e.requant.count = 3; }, status::count);
}

template <class Family>
void check_all() {
  fill();
  for (const auto& row : quantal_test::all_leaves<typename Family::leaf>()) check_family<Family>(*row.leaf);
  check_refused_finishes<Family>();
}

}  // namespace

TEST_CASE("K12 products run on packed weights of their kind only") {
  check_all<products>();
}
TEST_CASE("K12 convolutions run on packed weights of their kind only") {
  check_all<convolutions>();
}
TEST_CASE("K12 depthwise convolutions run on packed weights of their kind only") {
  check_all<depthwise_convolutions>();
}
