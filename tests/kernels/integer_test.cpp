// The integer elementwise kernels of every ISA of this CPU against ref/, to the bit: lengths around the vector widths,
// all pairs of codes, extremes of sums, ratios over the whole range, floating-point modes of the host. What ref/ means
// is checked against ONNX Runtime in integer_oracle.py.
#include "quantal/kernels/integer.hpp"

#include <catch2/catch.hpp>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernels/tables.hpp"
#include "quantal/kernels/dynamic_rows.hpp"
#include "quantal/kernels/isa_list.hpp"
#include "quantal/kernels/pool.hpp"
#include "quantal/kernels/ref/elementwise.hpp"
#include "quantal/kernels/ref/integer.hpp"
#include "quantal/kernels/selftest_codes.hpp"

using namespace quantal;

namespace {

const integer_table& ref = kernels::ref::integer;

std::vector<const integer_table*> tables() {
  std::vector<const integer_table*> list = quantal_test::integer_tables();
  std::string names;
  for (const integer_table* t : list) names += std::string(" ") + t->isa;
  std::cout << "integer tables compared with ref:" << names << "\n";
  return list;
}

template <class Code>
std::vector<Code> codes_of(std::size_t n, std::mt19937& random) {
  std::vector<Code> x(n);
  for (Code& c : x) c = static_cast<Code>(random());
  return x;
}

template <class Code>
constexpr code_limits limits() {
  return Code(-1) < Code(0) ? code_limits{-128, 127} : code_limits{0, 255};
}

// Shifts of the whole range, the ends and those of usual ratios more often; multipliers at both ends, and none.
fixed_multiplier any_multiplier(int i, std::mt19937& random) {
  const auto below = [&](std::uint32_t n) { return static_cast<std::int32_t>(random() % n); };
  fixed_multiplier m{(1 << 30) + below(1u << 30), i % 3 == 0 ? -below(12) : i % 3 == 1 ? 30 - below(62) : 4 - below(8)};
  if (i % 7 == 0) m.multiplier = 1 << 30;
  if (i % 7 == 1) m.multiplier = std::numeric_limits<std::int32_t>::max();
  if (i % 31 == 2) m = {0, 0};
  return m;
}

// Runs for inputs In and outputs Out: ordinary and extreme ratios, zero points at the ends, a fused clamp.
template <class In, class Out>
std::vector<codes_run> runs(std::mt19937& random) {
  std::vector<codes_run> list;
  const code_limits in = limits<In>(), out = limits<Out>();
  for (const float ratio : {1.0f, 0.5f, 0.25f, 1.5f, 0.3f, 0x1p-126f, 0x1p100f, 1e-5f, 255.0f, 0x1.fffffep-1f}) {
    codes_run run;
    run.ratio = ratio;
    run.other_ratio = ratio * (ratio < 1 ? 3.0f : 0.4f);
    run.codes = out;
    run.a_zero_point = in.min;
    run.b_zero_point = in.max;
    run.zero_point = out.min;
    list.push_back(run);
    run.a_zero_point = in.max;
    run.b_zero_point = in.min + 100;
    run.zero_point = out.max;
    run.codes = {out.min + 1, out.max - 7};
    list.push_back(run);
  }
  for (int i = 0; i < 40; ++i) {
    codes_run run;
    run.ratio = f32_of_bits(0x3c000000u + static_cast<std::uint32_t>(random() % 0x04000000u));
    run.other_ratio = f32_of_bits(0x3c000000u + static_cast<std::uint32_t>(random() % 0x04000000u));
    run.a_zero_point = in.min + static_cast<std::int32_t>(random() % 256);
    run.b_zero_point = in.min + static_cast<std::int32_t>(random() % 256);
    run.zero_point = out.min + static_cast<std::int32_t>(random() % 256);
    run.codes = i % 2 == 0 ? out : code_limits{run.zero_point, out.max};  // a ReLU
    list.push_back(run);
    run.rule = i % 4 < 2 ? contract::fixed_double : contract::fixed_single;
    run.multiplier = any_multiplier(i, random);
    run.other_multiplier = any_multiplier(i + 1, random);
    list.push_back(run);
  }
  return list;
}

template <class In, class Out>
void compare_rescale(void (*f)(const In*, size_t, const codes_run&, Out*) noexcept,
                     void (*expected)(const In*, size_t, const codes_run&, Out*) noexcept, std::mt19937& random) {
  for (const codes_run& run : runs<In, Out>(random)) {
    REQUIRE(check_run(run, Out(-1) < Out(0) ? dtype::s8 : dtype::u8, Out(-1) < Out(0) ? dtype::s8 : dtype::u8, false) !=
            status::dtype);
    std::vector<In> a(256);
    for (std::size_t i = 0; i < 256; ++i) a[i] = static_cast<In>(i);
    for (const std::size_t n : {256, 0, 1, 15, 31, 33, 63, 65, 127, 129}) {
      std::vector<Out> x(300, Out(0x55)), y(300, Out(0x55));
      f(a.data(), n, run, x.data());
      expected(a.data(), n, run, y.data());
      REQUIRE(x == y);
    }
  }
}

template <class Code>
using binary_fn = void (*)(const Code*, const Code*, size_t, const codes_run&, Code*) noexcept;

// All 65,536 pairs of codes.
template <class Code>
void compare_binary(binary_fn<Code> f, binary_fn<Code> expected, std::mt19937& random) {
  std::vector<Code> a(65536), b(65536), x(65536), y(65536);
  for (std::size_t i = 0; i < 65536; ++i) {
    a[i] = static_cast<Code>(i & 255);
    b[i] = static_cast<Code>(i >> 8);
  }
  for (const codes_run& run : runs<Code, Code>(random)) {
    f(a.data(), b.data(), a.size(), run, x.data());
    expected(a.data(), b.data(), a.size(), run, y.data());
    INFO("ratio " << run.ratio << " other " << run.other_ratio);
    REQUIRE(x == y);
    for (std::size_t n = 0; n < 140; n += 3) {
      std::vector<Code> s(200, Code(0x55)), t(200, Code(0x55));
      f(a.data() + 5, b.data() + 900 + n, n, run, s.data() + 1);
      expected(a.data() + 5, b.data() + 900 + n, n, run, t.data() + 1);
      REQUIRE(s == t);
    }
  }
}

template <class Code>
void compare_requantize(void (*f)(const int32_t*, const int32_t*, size_t, size_t, const requantizer&, code_limits,
                                  Code*) noexcept,
                        void (*expected)(const int32_t*, const int32_t*, size_t, size_t, const requantizer&,
                                         code_limits, Code*) noexcept,
                        std::mt19937& random) {
  for (const std::size_t channels : {1, 3, 7, 16, 31, 32, 64, 67, 128, 130}) {
    for (const bool per_channel : {false, true}) {
      for (const bool with_bias : {false, true}) {
        const std::size_t rows = 5;
        std::vector<std::int32_t> sums(rows * channels), bias(channels);
        std::vector<float> ratios(per_channel ? channels : 1);
        for (std::int32_t& s : sums) s = static_cast<std::int32_t>(random()) >> (random() % 32);
        for (std::int32_t& s : bias) s = static_cast<std::int32_t>(random()) >> (random() % 32);
        sums[0] = std::numeric_limits<std::int32_t>::min();
        sums[sums.size() - 1] = std::numeric_limits<std::int32_t>::max();
        for (float& r : ratios) r = f32_of_bits(0x33000000u + static_cast<std::uint32_t>(random() % 0x10000000u));
        ratios[0] = per_channel ? 0x1p-126f : ratios[0];
        requantizer r;
        r.ratios = ratios.data();
        r.count = ratios.size();
        r.zero_point = limits<Code>().min + static_cast<std::int32_t>(random() % 256);
        std::vector<Code> x(sums.size() + 64, Code(0x55)), y(sums.size() + 64, Code(0x55));
        f(sums.data(), with_bias ? bias.data() : nullptr, rows, channels, r, limits<Code>(), x.data());
        expected(sums.data(), with_bias ? bias.data() : nullptr, rows, channels, r, limits<Code>(), y.data());
        REQUIRE(x == y);
        for (int i = 0; i < 12; ++i) {
          std::vector<fixed_multiplier> multipliers(ratios.size());
          for (fixed_multiplier& m : multipliers)
            m = any_multiplier(i < 6 ? 0 : static_cast<int>(random() % 100), random);
          r.rule = i % 2 == 0 ? contract::fixed_double : contract::fixed_single;
          r.multipliers = multipliers.data();
          f(sums.data(), with_bias ? bias.data() : nullptr, rows, channels, r, limits<Code>(), x.data());
          expected(sums.data(), with_bias ? bias.data() : nullptr, rows, channels, r, limits<Code>(), y.data());
          REQUIRE(x == y);
        }
      }
    }
  }
}

template <class Code>
void compare_pools(void (*max)(const window_taps<Code>&, Code*) noexcept,
                   void (*max_expected)(const window_taps<Code>&, Code*) noexcept,
                   void (*mean)(const window_taps<Code>&, const codes_run&, Code*) noexcept,
                   void (*mean_expected)(const window_taps<Code>&, const codes_run&, Code*) noexcept,
                   std::mt19937& random) {
  const std::vector<codes_run> list = runs<Code, Code>(random);
  for (const std::int64_t channels : {1, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 129}) {
    const std::vector<Code> image = codes_of<Code>(static_cast<std::size_t>(9 * 11 * channels), random);
    for (const std::int64_t size : {1, 2, 3, 5}) {
      window_taps<Code> taps{image.data() + channels, size, 11 * channels, size, 2 * channels, channels};
      std::vector<Code> x(600, Code(0x55)), y(600, Code(0x55));
      max(taps, x.data());
      max_expected(taps, y.data());
      REQUIRE(x == y);
      for (std::size_t i = 0; i < list.size(); i += 7) {
        mean(taps, list[i], x.data());
        mean_expected(taps, list[i], y.data());
        REQUIRE(x == y);
      }
      if (size == 1) {  // more taps than 16 bits hold sums of: the same pixels again and again
        for (const window_taps<Code>& many : {window_taps<Code>{image.data(), 300, 0, 3, channels, channels},
                                              window_taps<Code>{image.data(), 1, 0, 301, 0, channels}}) {
          codes_run run = list[0];
          run.ratio = 1.0f / static_cast<float>(many.rows * many.columns);
          mean(many, run, x.data());
          mean_expected(many, run, y.data());
          REQUIRE(x == y);
        }
      }
      taps.column_step = channels;  // runs of pixels, their windows 1, 2 or 3 columns apart
      taps.pixels = size == 1 ? 1 : 4;
      for (const std::int64_t stride : {1, 2, 3}) {
        taps.columns = stride == 3 ? 1 : 3;
        taps.pixel_step = stride * channels;
        if (taps.columns + 1 + stride * (taps.pixels - 1) > 11) continue;
        max(taps, x.data());
        max_expected(taps, y.data());
        REQUIRE(x == y);
        mean(taps, list[0], x.data());
        mean_expected(taps, list[0], y.data());
        REQUIRE(x == y);
      }
    }
  }
}

}  // namespace

TEST_CASE("rescale, add and multiply equal the reference on every ISA, for all codes") {
  std::mt19937 random(7);
  for (const integer_table* t : tables()) {
    INFO(t->isa);
    compare_rescale(t->rescale_s8_s8, ref.rescale_s8_s8, random);
    compare_rescale(t->rescale_s8_u8, ref.rescale_s8_u8, random);
    compare_rescale(t->rescale_u8_s8, ref.rescale_u8_s8, random);
    compare_rescale(t->rescale_u8_u8, ref.rescale_u8_u8, random);
    compare_binary(t->add_s8, ref.add_s8, random);
    compare_binary(t->add_u8, ref.add_u8, random);
    compare_binary(t->multiply_s8, ref.multiply_s8, random);
    compare_binary(t->multiply_u8, ref.multiply_u8, random);
  }
}

TEST_CASE("requantize, lookup, pools and sums equal the reference on every ISA") {
  std::mt19937 random(8);
  for (const integer_table* t : tables()) {
    INFO(t->isa);
    compare_requantize(t->requantize_s8, ref.requantize_s8, random);
    compare_requantize(t->requantize_u8, ref.requantize_u8, random);
    compare_pools(t->max_s8, ref.max_s8, t->mean_s8, ref.mean_s8, random);
    compare_pools(t->max_u8, ref.max_u8, t->mean_u8, ref.mean_u8, random);
    const std::vector<std::uint8_t> table = codes_of<std::uint8_t>(256, random);
    const std::vector<std::uint8_t> x = codes_of<std::uint8_t>(1000, random);
    for (std::size_t n = 0; n < 300; ++n) {
      std::vector<std::uint8_t> a(400, 0x55), b(400, 0x55);
      t->look_up(x.data() + n, n, table.data(), a.data());
      ref.look_up(x.data() + n, n, table.data(), b.data());
      REQUIRE(a == b);
      REQUIRE(t->sum_u8(x.data() + n, n) == ref.sum_u8(x.data() + n, n));
      const auto* s = reinterpret_cast<const std::int8_t*>(x.data());
      REQUIRE(t->sum_s8(s + n, n) == ref.sum_s8(s + n, n));
    }
  }
}

TEST_CASE("every table has the checksum of the self-test") {
  CHECK(selftest_codes(ref) == selftest_codes_expected);
  for (const integer_table* t : tables()) CHECK(selftest_codes(*t) == selftest_codes_expected);
}

TEST_CASE("P5_rounding_mode_and_flush_to_zero_change_no_integer_kernel") {
  std::mt19937 random(5);
  std::vector<const integer_table*> list = tables();
  list.push_back(&ref);
  const std::vector<std::uint8_t> a = codes_of<std::uint8_t>(333, random), b = codes_of<std::uint8_t>(333, random);
  codes_run run;
  run.ratio = 0.37f;
  run.other_ratio = 0.5f;
  run.a_zero_point = 128;
  run.codes = {0, 255};
  std::vector<std::uint8_t> expected(333), out(333);
  ref.add_u8(a.data(), b.data(), 333, run, expected.data());
  for (const integer_table* t : list) {
    for (const int mode : {FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO}) {
      std::fesetround(mode);
      t->add_u8(a.data(), b.data(), 333, run, out.data());
      std::fesetround(FE_TONEAREST);
      INFO(t->isa);
      CHECK(out == expected);
    }
  }
}

TEST_CASE("add is two rounded products and one rounded sum; ties go to the even code") {
  codes_run run;
  run.codes = {-128, 127};
  run.ratio = 0.5f;
  run.other_ratio = 0.25f;
  run.zero_point = 3;
  const std::int8_t a[4] = {1, 3, -1, 127}, b[4] = {0, 0, 0, 127};
  for (const isa_row& row : isa_list) {
    const integer_table* t = integer_kernels_of(row.name);
    if (t == nullptr) continue;
    std::int8_t out[4];
    t->add_s8(a, b, 4, run, out);
    CHECK(out[0] == 3);  // 0.5 -> 0
    CHECK(out[1] == 5);  // 1.5 -> 2
    CHECK(out[2] == 3);
    CHECK(out[3] == 98);  // 63.5 + 31.75 = 95.25
  }
  run.rule = contract::fixed_double;  // each product rounds, ties away from zero
  REQUIRE(fixed_multiplier_of(0.5, run.multiplier) == status::ok);
  REQUIRE(fixed_multiplier_of(0.25, run.other_multiplier) == status::ok);
  std::int8_t out[4];
  ref.add_s8(a, b, 4, run, out);
  CHECK(out[0] == 4);
  CHECK(out[3] == 99);  // 64 + 32
}

TEST_CASE("Q_code_runs_are_checked: zero points, ratios, clamps, contracts, types") {
  codes_run run;
  run.codes = {-128, 127};
  CHECK(check_run(run, dtype::s8, dtype::s8, true) == status::ok);
  const auto with = [&](auto change) {
    codes_run r = run;
    change(r);
    return check_run(r, dtype::s8, dtype::s8, true);
  };
  CHECK(with([](codes_run& r) { r.ratio = 0.0f; }) == status::scale);
  CHECK(with([](codes_run& r) { r.other_ratio = -1.0f; }) == status::scale);
  CHECK(with([](codes_run& r) { r.ratio = std::nanf(""); }) == status::scale);
  CHECK(with([](codes_run& r) { r.ratio = 1e-45f; }) == status::scale);
  CHECK(with([](codes_run& r) { r.ratio = 3e38f; }) == status::range);
  CHECK(with([](codes_run& r) { r.a_zero_point = 128; }) == status::zero_point);
  CHECK(with([](codes_run& r) { r.b_zero_point = -129; }) == status::zero_point);
  CHECK(with([](codes_run& r) { r.zero_point = 200; }) == status::zero_point);
  CHECK(with([](codes_run& r) { r.codes = {5, 4}; }) == status::range);
  CHECK(with([](codes_run& r) { r.codes = {-129, 4}; }) == status::range);
  CHECK(with([](codes_run& r) { r.rule = static_cast<contract>(9); }) == status::contract);
  CHECK(with([](codes_run& r) {
          r.rule = contract::fixed_single;
          r.multiplier = {5, 0};
        }) == status::range);
  CHECK(check_run(run, dtype::s16, dtype::s8, false) == status::dtype);
}

TEST_CASE("fill_table dequantizes, applies and quantizes every code") {
  std::uint8_t table[256];
  const quant_params from{0.05f, 120}, to{1.0f / 256, 0};
  REQUIRE(fill_table(
              dtype::u8, from, dtype::u8, to, [](float x) { return 1.0f / (1.0f + std::exp(-x)); }, table) ==
          status::ok);
  for (int q = 0; q < 256; ++q) {
    const double x = (q - 120) * 0.05, y = 256.0 / (1.0 + std::exp(-x));
    CHECK(std::abs(static_cast<double>(table[q]) - std::min(y, 255.0)) <= 0.501);
  }
  CHECK(fill_table(
            dtype::u8, {0.0f, 0}, dtype::u8, to, [](float x) { return x; }, table) == status::scale);
}

TEST_CASE("pools equal the direct formula for any window, padding, dilation and rounding of sizes") {
  std::mt19937 random(21);
  int done = 0;
  for (int round = 0; round < 300; ++round) {
    const auto pick = [&](int low, int high) {
      return static_cast<std::int64_t>(low + static_cast<int>(random() % static_cast<unsigned>(high - low + 1)));
    };
    pool_desc d;
    d.batch = pick(1, 2);
    d.in_h = pick(1, 9);
    d.in_w = pick(1, 9);
    d.channels = pick(1, 40);
    d.kernel_h = pick(1, 4);
    d.kernel_w = pick(1, 4);
    d.stride_h = pick(1, 3);
    d.stride_w = pick(1, 3);
    d.dilation_h = pick(1, 4);
    d.dilation_w = pick(1, 4);
    d.pad_top = pick(0, static_cast<int>(d.kernel_h) - 1);
    d.pad_left = pick(0, static_cast<int>(d.kernel_w) - 1);
    d.pad_bottom = pick(0, static_cast<int>(d.kernel_h) - 1);
    d.pad_right = pick(0, static_cast<int>(d.kernel_w) - 1);
    d.ceil = pick(0, 1) != 0;
    d.count_padding = pick(0, 1) != 0;
    d.type = dtype::s8;
    d.in = {0.1f, static_cast<std::int32_t>(pick(-128, 127))};
    d.out = {0.07f, static_cast<std::int32_t>(pick(-128, 127))};
    pool_plan p, q;
    if (plan_pool(d, false, p) != status::ok) continue;
    REQUIRE(plan_pool(d, true, q) == status::ok);
    ++done;
    const std::vector<std::int8_t> in = codes_of<std::int8_t>(p.in_elements, random);
    std::vector<std::int8_t> largest(p.out_elements), mean(p.out_elements);
    REQUIRE(run_pool(p, integer_kernels(), in.data(), largest.data()) == status::ok);
    REQUIRE(run_pool(q, integer_kernels(), in.data(), mean.data()) == status::ok);
    std::size_t at = 0;
    for (std::int64_t n = 0; n < d.batch; ++n) {
      for (std::int64_t y = 0; y < p.out_h; ++y) {
        for (std::int64_t x = 0; x < p.out_w; ++x) {
          for (std::int64_t c = 0; c < d.channels; ++c, ++at) {
            int best = -1000, sum = 0, count = 0, padded = 0;
            for (std::int64_t ky = 0; ky < d.kernel_h; ++ky) {
              for (std::int64_t kx = 0; kx < d.kernel_w; ++kx) {
                const std::int64_t iy = y * d.stride_h - d.pad_top + ky * d.dilation_h;
                const std::int64_t ix = x * d.stride_w - d.pad_left + kx * d.dilation_w;
                if (iy < d.in_h + d.pad_bottom && ix < d.in_w + d.pad_right) ++padded;
                if (iy < 0 || ix < 0 || iy >= d.in_h || ix >= d.in_w) continue;
                const int code = in[static_cast<std::size_t>(((n * d.in_h + iy) * d.in_w + ix) * d.channels + c)];
                best = std::max(best, code);
                sum += code - d.in.zero_point;
                ++count;
              }
            }
            REQUIRE(largest[at] == best);
            const double real = sum * (double{d.in.scale} / (double{d.out.scale} * (d.count_padding ? padded : count)));
            const double code = std::nearbyint(real) + d.out.zero_point;
            // The ratio is rounded to f32: exact ties of the real number may go either way.
            const double off = std::abs(std::min(127.0, std::max(-128.0, code)) - mean[at]);
            REQUIRE((off == 0 || (off == 1 && std::abs(std::abs(real - std::floor(real)) - 0.5) < 1e-4)));
          }
        }
      }
    }
  }
  CHECK(done > 150);
}

TEST_CASE("K5_pool_shapes_are_checked_at_plan_time") {
  pool_desc d;
  d.in_h = d.in_w = 4;
  d.channels = 3;
  d.kernel_h = d.kernel_w = 2;
  pool_plan p;
  CHECK(plan_pool(d, false, p) == status::ok);
  const auto with = [&](auto change) {
    pool_desc e = d;
    change(e);
    return plan_pool(e, true, p);
  };
  CHECK(with([](pool_desc& e) { e.kernel_h = 0; }) == status::shape);
  CHECK(with([](pool_desc& e) { e.stride_w = -1; }) == status::shape);
  CHECK(with([](pool_desc& e) { e.kernel_h = 5; }) == status::shape);
  CHECK(with([](pool_desc& e) { e.pad_top = 2; }) == status::shape);
  CHECK(with([](pool_desc& e) { e.in_h = std::int64_t{1} << 40; }) == status::overflow);
  CHECK(with([](pool_desc& e) {
          e.batch = e.in_h = e.in_w = std::numeric_limits<std::int32_t>::max();
          e.channels = 1000;
        }) == status::overflow);
  CHECK(with([](pool_desc& e) { e.type = dtype::s16; }) == status::dtype);
  CHECK(with([](pool_desc& e) { e.in.scale = 0; }) == status::scale);
  CHECK(with([](pool_desc& e) { e.out.zero_point = -1; }) == status::zero_point);
  CHECK(with([](pool_desc& e) { e.channels = 0; }) == status::ok);
}

TEST_CASE("K7_pools of the largest sizes are planned at once") {
  pool_desc d;
  d.in_h = std::numeric_limits<std::int32_t>::max();
  d.in_w = d.channels = d.stride_h = 1;
  d.kernel_h = 1000;
  d.dilation_h = 2;
  pool_plan p;
  REQUIRE(plan_pool(d, false, p) == status::ok);  // 2^41 taps, which nobody counts one by one
  CHECK(p.out_h == d.in_h - 1998);
  d.in_h = 1;  // every window straddles the image but those with a tap on it
  d.kernel_h = 1 << 23;
  d.pad_top = d.pad_bottom = d.kernel_h - 1;
  CHECK(plan_pool(d, false, p) == status::shape);
}

TEST_CASE("quantize_rows follows DynamicQuantizeLinear, sums its codes, and defines every input") {
  std::mt19937 random(31);
  std::normal_distribution<float> normal(0.3f, 2.0f);
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const std::int64_t k = GENERATE(77, 32, 5000), rows = 8, stride = k + 3;
  const float sign = GENERATE(1.0f, -1.0f);
  std::vector<float> x(static_cast<std::size_t>(rows * k));
  for (float& v : x) v = normal(random);
  for (std::int64_t i = 0; i < k; ++i) {
    x[static_cast<std::size_t>(2 * k + i)] = 0;
    x[static_cast<std::size_t>(3 * k + i)] = nan;
    x[static_cast<std::size_t>(6 * k + i)] = i == 3 ? 1e-44f : 0.0f;
  }
  for (std::int64_t i = 0; i < k; ++i) {  // one sign
    float& v = x[static_cast<std::size_t>(7 * k + i)];
    v = sign * std::abs(v);
  }
  x[static_cast<std::size_t>(4 * k + 5)] = inf;
  x[static_cast<std::size_t>(5 * k + 5)] = std::numeric_limits<float>::max();
  x[static_cast<std::size_t>(5 * k + 6)] = -std::numeric_limits<float>::max();
  for (const dtype type : {dtype::u8, dtype::s8}) {
    std::vector<quant_params> first(static_cast<std::size_t>(rows));
    std::vector<std::uint8_t> codes_first;
    std::vector<const elementwise_table*> list = quantal_test::elementwise_tables();
    list.insert(list.begin(), &kernels::ref::elementwise);
    for (const elementwise_table* e : list) {
      INFO(e->isa << ", rows of " << k);
      std::vector<std::uint8_t> codes(static_cast<std::size_t>(rows * stride), 0x55);
      std::vector<quant_params> params(static_cast<std::size_t>(rows));
      std::vector<std::int32_t> sums(static_cast<std::size_t>(rows));
      REQUIRE(quantize_rows(*e, x.data(), rows, k, k, type, codes.data(), stride, params.data(), sums.data()) ==
              status::ok);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::size_t at = static_cast<std::size_t>(r);
        REQUIRE(check_params(params[at], type) == status::ok);
        std::int64_t sum = 0;
        for (std::size_t i = 0; i < static_cast<std::size_t>(stride); ++i) {
          const std::uint8_t byte = codes[at * static_cast<std::size_t>(stride) + i];
          if (i >= static_cast<std::size_t>(k))
            REQUIRE(byte == 0x55);
          else
            sum += type == dtype::u8 ? int{byte} : int{static_cast<std::int8_t>(byte)};
        }
        REQUIRE(sums[at] == sum);
      }
      CHECK(params[2].scale == 1.0f);
      CHECK(params[3].scale == 1.0f);
      CHECK(params[6].scale == 0x1p-126f);
      if (codes_first.empty()) {
        codes_first = codes;
        first = params;
      }
      CHECK(codes == codes_first);
      CHECK(std::memcmp(first.data(), params.data(), first.size() * sizeof first[0]) == 0);
    }
  }
  quant_params params[8];
  std::uint8_t codes[8];
  const auto& e = kernels::ref::elementwise;
  CHECK(quantize_rows(e, x.data(), 1, 4, 3, dtype::u8, codes, 4, params, nullptr) == status::stride);
  CHECK(quantize_rows(e, x.data(), 1, -4, 3, dtype::u8, codes, 4, params, nullptr) == status::shape);
  CHECK(quantize_rows(e, x.data(), 1, 4, 4, dtype::s16, codes, 4, params, nullptr) == status::dtype);
  CHECK(quantize_rows(e, nullptr, 1, 4, 4, dtype::u8, codes, 4, params, nullptr) == status::null_pointer);
}
