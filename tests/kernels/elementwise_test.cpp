// Every ISA of this CPU against ref/, to the bit: all lengths around the vector widths, every special value, ties, and
// the floating-point modes a host program may have set.
#include "quantal/kernels/elementwise.hpp"

#include <catch2/catch.hpp>
#include <cfenv>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/tables.hpp"
#include "quantal/kernels/isa_list.hpp"
#include "quantal/kernels/quantize_array.hpp"
#include "quantal/kernels/ref/elementwise.hpp"

using namespace quantal;

namespace {

const elementwise_table& ref = kernels::ref::elementwise;

std::vector<const elementwise_table*> tables() {
  std::vector<const elementwise_table*> list = quantal_test::elementwise_tables();
  std::string names;
  for (const elementwise_table* t : list) names += std::string(" ") + t->isa;
  std::cout << "elementwise tables compared with ref:" << names << "\n";
  return list;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

// Values around all codes and ties of `p`, specials, and noise.
std::vector<float> probes(quant_params p, std::mt19937& random) {
  std::vector<float> x = {0.0f,
                          -0.0f,
                          1e-45f,
                          -1e-45f,
                          1e-38f,
                          3.4e38f,
                          -3.4e38f,
                          1e30f,
                          -1e30f,
                          65536.5f,
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(),
                          f32_of_bits(0xffc01234u),
                          f32_of_bits(0x7f800001u)};
  for (int k = -300; k <= 300; ++k) {
    const float tie = (static_cast<float>(k) + 0.5f) * p.scale;
    x.push_back(tie);
    x.push_back(f32_of_bits(bits_of_f32(tie) + 1));
    x.push_back(f32_of_bits(bits_of_f32(tie) - 1));
    x.push_back(static_cast<float>(k) * p.scale);
  }
  std::normal_distribution<float> normal(0.0f, 60.0f);
  for (int k = 0; k < 500; ++k) x.push_back(normal(random) * p.scale);
  for (int k = 0; k < 500; ++k) x.push_back(f32_of_bits(static_cast<std::uint32_t>(random())));
  return x;
}

void compare_run(const elementwise_table& t, const std::vector<float>& x, const quantize_run& run) {
  const std::size_t n = x.size();
  const bool is_signed = run.codes.min < 0;
  std::vector<std::int8_t> s(n), s_ref(n);
  std::vector<std::uint8_t> u(n), u_ref(n);
  std::vector<float> y(n), y_ref(n);
  if (is_signed) {
    ref.quantize_s8(x.data(), n, run, s_ref.data());
    t.quantize_s8(x.data(), n, run, s.data());
    REQUIRE(same_bits(s, s_ref));
    ref.dequantize_s8(s.data(), n, run.params, y_ref.data());
    t.dequantize_s8(s.data(), n, run.params, y.data());
  } else {
    ref.quantize_u8(x.data(), n, run, u_ref.data());
    t.quantize_u8(x.data(), n, run, u.data());
    REQUIRE(same_bits(u, u_ref));
    ref.dequantize_u8(u.data(), n, run.params, y_ref.data());
    t.dequantize_u8(u.data(), n, run.params, y.data());
  }
  REQUIRE(same_bits(y, y_ref));
  ref.fake_quantize(x.data(), n, run, y_ref.data());
  t.fake_quantize(x.data(), n, run, y.data());
  REQUIRE(same_bits(y, y_ref));
}

std::vector<quantize_run> runs(std::mt19937& random) {
  std::vector<quantize_run> list;
  for (const float scale : {1.0f, 0.1f, 0.0078431377f, 1.0f / 127, 3e37f, 2e38f, 1.2e-38f, 0x1p-90f, 0x1p90f,
                            0x1.fffffep-90f, 0x1.fffffep90f, 0x1.fffffep-1f, 0x1.000002p0f}) {
    for (const bool lowest : {false, true}) {
      for (const bool reciprocal : {false, true}) {
        list.push_back({{scale, 3}, {-128, 127}, lowest, reciprocal});
        list.push_back({{scale, 0}, {-127, 127}, lowest, reciprocal});
        list.push_back({{scale, 127}, {-64, 64}, lowest, reciprocal});
        list.push_back({{scale, 255}, {0, 255}, lowest, reciprocal});
        list.push_back({{scale, 77}, {0, 127}, lowest, reciprocal});
      }
    }
  }
  for (int i = 0; i < 200; ++i) {
    const float scale = f32_of_bits(0x30000000u + static_cast<std::uint32_t>(random() % 0x10000000u));
    list.push_back({{scale, static_cast<std::int32_t>(random() % 256) - 128}, {-128, 127}, false, false});
  }
  return list;
}

}  // namespace

TEST_CASE("quantize, dequantize and fake-quantize equal the reference on every ISA") {
  std::mt19937 random(7);
  for (const elementwise_table* t : tables()) {
    INFO(t->isa);
    for (const quantize_run& run : runs(random)) {
      INFO("scale " << run.params.scale << " zero point " << run.params.zero_point << " reciprocal " << run.reciprocal);
      compare_run(*t, probes(run.params, random), run);
    }
  }
}

TEST_CASE("the corrected quotient equals the division for every mantissa") {
  std::mt19937 random(11);
  const elementwise_table& t = elementwise();
  for (int i = 0; i < 3; ++i) {
    const float scale =
        i == 0 ? 0x1.fffffep-1f : f32_of_bits(0x3f000000u + static_cast<std::uint32_t>(random() % 0x800000u));
    const quantize_run run{{scale, 0}, {-128, 127}, false, false};
    std::vector<float> x(1 << 16);
    std::vector<std::int8_t> q(x.size()), q_ref(x.size());
    for (std::uint32_t block = 0; block < (1u << 23); block += 1u << 16) {
      for (std::uint32_t k = 0; k < x.size(); ++k) x[k] = f32_of_bits(0x42000000u + block + k);  // [32, 64)
      t.quantize_s8(x.data(), x.size(), run, q.data());
      ref.quantize_s8(x.data(), x.size(), run, q_ref.data());
      REQUIRE(same_bits(q, q_ref));
    }
  }
}

TEST_CASE("K9_lengths_and_alignments_change_nothing") {
  std::mt19937 random(3);
  const quantize_run run{{0.05f, -4}, {-128, 127}, false, false};
  std::vector<float> x = probes(run.params, random);
  for (const elementwise_table* t : tables()) {
    for (std::size_t offset = 0; offset < 17; ++offset) {
      for (std::size_t n = 0; n < 140; ++n) {
        std::vector<std::int8_t> q(n + 64, 0x55), q_ref(n + 64, 0x55);
        std::vector<float> y(n + 64, 7.0f), y_ref(n + 64, 7.0f);
        t->quantize_s8(x.data() + offset, n, run, q.data() + offset);
        ref.quantize_s8(x.data() + offset, n, run, q_ref.data() + offset);
        REQUIRE(same_bits(q, q_ref));  // the bytes around, too
        t->dequantize_s8(q.data() + offset, n, run.params, y.data() + offset);
        ref.dequantize_s8(q.data() + offset, n, run.params, y_ref.data() + offset);
        REQUIRE(same_bits(y, y_ref));
        t->fake_quantize(x.data() + offset, n, run, y.data() + offset);
        ref.fake_quantize(x.data() + offset, n, run, y_ref.data() + offset);
        REQUIRE(same_bits(y, y_ref));
        const min_max a = t->min_max_of(x.data() + offset, n), b = ref.min_max_of(x.data() + offset, n);
        REQUIRE(bits_of_f32(a.min) == bits_of_f32(b.min));
        REQUIRE(bits_of_f32(a.max) == bits_of_f32(b.max));
        REQUIRE(a.nan_count == b.nan_count);
      }
    }
  }
}

TEST_CASE("min and max leave NaN out, count it, and have no negative zero") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x(10000, 1.0f);
  x[5000] = nan;
  x[9999] = nan;
  x[77] = -0.0f;
  x[9998] = 2.0f;
  for (const isa_row& row : isa_list) {
    const elementwise_table* t = elementwise_of(row.name);
    if (t == nullptr) continue;
    const min_max m = t->min_max_of(x.data(), x.size());
    CHECK(bits_of_f32(m.min) == 0u);
    CHECK(m.max == 2.0f);
    CHECK(m.nan_count == 2);
    const float all_nan[40] = {nan, nan, nan};
    CHECK(t->min_max_of(all_nan, 3).min == std::numeric_limits<float>::infinity());
    CHECK(t->min_max_of(all_nan, 3).nan_count == 3);
    CHECK(t->min_max_of(nullptr, 0).max == -std::numeric_limits<float>::infinity());
    const float denormal[2] = {-1e-45f, 1e-45f};
    CHECK(t->min_max_of(denormal, 2).min == -1e-45f);
  }
}

TEST_CASE("P5_rounding_mode_and_flush_to_zero_of_the_host_change_nothing") {
  std::mt19937 random(5);
  std::vector<const elementwise_table*> list = tables();
  list.push_back(&ref);
  for (const quantize_run& run : {quantize_run{{0.1f, 3}, {-128, 127}, false, false},
                                  {{1.2e-38f, 3}, {-128, 127}, false, false},
                                  {{0.1f, 3}, {-128, 127}, false, true}}) {
    const std::vector<float> x = probes(run.params, random);
    std::vector<std::int8_t> expected(x.size()), q(x.size());
    std::vector<float> y(x.size()), y_expected(x.size());
    ref.quantize_s8(x.data(), x.size(), run, expected.data());
    ref.fake_quantize(x.data(), x.size(), run, y_expected.data());
    for (const elementwise_table* t : list) {
      for (const int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
        std::fesetround(mode);
#if defined(__x86_64__)
        __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);  // FTZ, DAZ
#endif
        t->quantize_s8(x.data(), x.size(), run, q.data());
        t->fake_quantize(x.data(), x.size(), run, y.data());
#if defined(__x86_64__)
        __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~0x8040u);
#endif
        const bool kept = std::fegetround() == mode;
        std::fesetround(FE_TONEAREST);
        INFO(t->isa << " mode " << mode << " scale " << run.params.scale);
        CHECK(kept);
        CHECK(same_bits(q, expected));
        CHECK(same_bits(y, y_expected));
      }
    }
  }
}

TEST_CASE("P12_quantize_array_equals_quantize_for_any_granularity_and_number_of_tasks") {
  std::mt19937 random(9);
  std::vector<float> x(3 * 7 * 40);
  std::normal_distribution<float> normal(0.0f, 2.0f);
  for (float& v : x) v = normal(random);
  x[5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> scales(300);
  std::vector<std::int32_t> points(300);
  for (std::size_t i = 0; i < scales.size(); ++i) {
    scales[i] = 0.01f + 0.001f * static_cast<float>(i);
    points[i] = static_cast<std::int32_t>(i % 16);
  }
  const shape dims(3, 7, 40);
  // A hook that runs the tasks backwards.
  const parallel_for backwards{nullptr,
                               [](void*, std::size_t count, parallel_for::task_fn task, void* argument) {
                                 for (std::size_t i = count; i-- > 0;) task(argument, i);
                               },
                               4};
  for (const dtype type : {dtype::s8, dtype::u8, dtype::s16, dtype::u4}) {
    for (const affine_params& p : {affine_params{scales.data(), points.data(), 1, -1, 0},
                                   {scales.data(), points.data(), 3, 0, 0},
                                   {scales.data(), points.data(), 7, 1, 0},
                                   {scales.data(), points.data(), 40, 2, 0},
                                   {scales.data(), points.data(), 3 * 7 * 3, 2, 16}}) {
      std::vector<std::uint8_t> a(x.size() * 2), b(x.size() * 2);
      std::vector<float> y(x.size()), z(x.size());
      REQUIRE(quantize(x.data(), dims, p, type, a.data()) == status::ok);
      REQUIRE(quantize_array(x.data(), dims, p, type, b.data(), {}, nullptr, backwards) == status::ok);
      REQUIRE(a == b);
      REQUIRE(dequantize(a.data(), dims, p, type, y.data()) == status::ok);
      REQUIRE(dequantize_array(a.data(), dims, p, type, z.data(), nullptr, backwards) == status::ok);
      REQUIRE(same_bits(y, z));
    }
  }
  // Errors are those of quantize().
  std::vector<std::int8_t> q(x.size(), 0x55);
  size_t bad = 0;
  quantize_options strict;
  strict.nan = nan_policy::error;
  CHECK(quantize_array(x.data(), dims, {scales.data(), nullptr, 1, -1, 0}, dtype::s8, q.data(), strict, &bad) ==
        status::nan_value);
  CHECK(bad == 5);
  CHECK(quantize_array(x.data(), dims, {scales.data(), nullptr, 2, 0, 0}, dtype::s8, q.data()) == status::count);
  scales[1] = 0;
  CHECK(quantize_array(x.data(), dims, {scales.data(), nullptr, 3, 0, 0}, dtype::s8, q.data(), {}, &bad) ==
        status::scale);
  CHECK(bad == 1);
  CHECK(quantize_array(nullptr, dims, {scales.data(), nullptr, 1, -1, 0}, dtype::s8, q.data()) == status::null_pointer);
  CHECK(q[0] == 0x55);
}

// Long runs may leave out the correction (two products) where a search over the ties allows it, and look at the CPU's
// flag instead of the numbers. Inputs beside every tie; every other round with NaN, infinities and values far outside.
TEST_CASE("quantize of long runs equals the reference beside every tie of many scales") {
  std::mt19937 random(13);
  std::vector<float> x(4096 + 16);
  std::vector<std::int8_t> q(x.size()), q_ref(x.size());
  std::vector<std::uint8_t> u(x.size()), u_ref(x.size());
  for (const elementwise_table* t : tables()) {
    INFO(t->isa);
    for (int round = 0; round < 1500; ++round) {
      const std::uint32_t mask = round % 3 == 0 ? 0xfffff000u : 0xffffffffu;
      const quant_params p{f32_of_bits((0x3c000000u + static_cast<std::uint32_t>(random() % 0x02000000u)) & mask),
                           static_cast<std::int32_t>(random() % 256) - 128};
      quantize_run run{p, round % 2 == 0 ? code_limits{-128, 127} : code_limits{-127, 127}, false, false};
      std::size_t n = 0;
      for (int k = 0; n + 10 <= 4096 && k <= 260; ++k) {
        const float tie = static_cast<float>((k + 0.5) * double{p.scale});
        for (std::uint32_t d = 0; d < 5; ++d) {
          x[n] = f32_of_bits(bits_of_f32(tie) + d - 2);
          x[n + 1] = -x[n];
          n += 2;
        }
      }
      while (n < x.size()) x[n++] = 130.0f * p.scale;
      x[300] = 40000 * p.scale;  // beyond 16 bits, which needs no care
      x[400] = -40000 * p.scale;
      if (round % 4 >= 2) {
        x[7] = std::numeric_limits<float>::infinity();
        x[100] = std::numeric_limits<float>::quiet_NaN();
        x[200] = -std::numeric_limits<float>::infinity();
        x[3000] = 3e38f;
      }
      t->quantize_s8(x.data(), n, run, q.data());
      ref.quantize_s8(x.data(), n, run, q_ref.data());
      REQUIRE(same_bits(q, q_ref));
      run.params.zero_point += 128;
      run.codes = round % 2 == 0 ? code_limits{0, 255} : code_limits{1, 255};
      t->quantize_u8(x.data(), n, run, u.data());
      ref.quantize_u8(x.data(), n, run, u_ref.data());
      REQUIRE(same_bits(u, u_ref));
    }
  }
}

// One number that needs care, in each place of a run of several blocks and a tail: before, after and at a block's end.
TEST_CASE("D1_one_nan_in_a_long_run_is_found_wherever_it_is") {
  constexpr std::size_t block = 1 << 14, n = 2 * block + 100;
  const float specials[] = {std::numeric_limits<float>::quiet_NaN(), f32_of_bits(0x7f800001u),
                            std::numeric_limits<float>::infinity(), 3e38f, -3e38f};
  std::vector<std::int8_t> q(n), q_ref(n);
  for (const elementwise_table* t : tables()) {
    INFO(t->isa);
    for (const bool reciprocal : {false, true}) {
      for (const float scale : {0.02f, 0.25f, 0x1p-100f}) {
        const quantize_run run{{scale, 5}, {-128, 127}, false, reciprocal};
        for (const float special : specials) {
          for (const std::size_t at : {std::size_t{0}, block - 1, block, 2 * block - 1, 2 * block, n - 1}) {
            std::vector<float> x(n, 7.5f * scale);
            x[at] = special;
            t->quantize_s8(x.data(), n, run, q.data());
            ref.quantize_s8(x.data(), n, run, q_ref.data());
            REQUIRE(same_bits(q, q_ref));
          }
        }
      }
    }
  }
}
