// No elementwise kernel touches a byte outside its buffers: 0..200 elements or channels between inaccessible pages, inputs,
// parameters and outputs each against one, by turns at its end and its start. A byte too many is a crash; guard_test.cpp
// shows that it is one. Pools and rows quantized by their own range are loops over these kernels and take part.
#include <catch2/catch.hpp>
#include <cstdio>
#include <random>

#include "kernels/guarded.hpp"
#include "kernels/tables.hpp"
#include "quantal/kernels/dynamic_rows.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#include "quantal/kernels/pool.hpp"
#include "quantal/kernels/ref/elementwise.hpp"
#include "quantal/kernels/ref/integer.hpp"

using namespace quantal;

namespace {

constexpr contract contracts[] = {contract::fp32_rne, contract::fixed_double, contract::fixed_single};

// Buffers of `n` elements for one call after another.
class guarded_calls {
 public:
  std::size_t n = 0;
  int calls = 0;

  template <class T>
  T* take(std::size_t count) {
    std::uint8_t* p = memory_.take(count * sizeof(T), alignof(T));
    for (std::size_t i = 0; i < count * sizeof(T); ++i) p[i] = static_cast<std::uint8_t>(random_());
    return reinterpret_cast<T*>(p);
  }
  template <class T>
  T* take() {
    return take<T>(n);
  }
  float* reals(std::size_t count) {
    float* x = take<float>(count);
    for (std::size_t i = 0; i < count; ++i)
      x[i] = static_cast<float>(static_cast<int>(random_() % 2000) - 1000) * 0.01f;
    if (count > 0) x[random_() % count] = random_() % 2 == 0 ? __builtin_nanf("") : 1e30f;
    return x;
  }
  float* reals() { return reals(n); }
  // After each call.
  void done() {
    ++calls;
    if (!memory_.intact()) FAIL("a byte beside a buffer has changed");
    memory_.reset();
    memory_.reset();  // the next call's against the same ends
  }
  void other_end() { memory_.reset(); }

 private:
  quantal_test::guarded_memory memory_{8, 1 << 16};
  std::mt19937 random_{1};
};

template <class Code>
constexpr bool is_signed = Code(-1) < Code(0);
template <class Code>
constexpr code_limits all_codes = is_signed<Code> ? code_limits{-128, 127} : code_limits{0, 255};

template <class Code>
void check_reals(const elementwise_table& t, guarded_calls& g) {
  const quantize_run run{{0.05f, 4}, all_codes<Code>, false, false};
  const float* x = g.reals();
  if constexpr (is_signed<Code>)
    t.quantize_s8(x, g.n, run, g.take<Code>());
  else
    t.quantize_u8(x, g.n, run, g.take<Code>());
  g.done();
  const Code* q = g.take<Code>();
  if constexpr (is_signed<Code>)
    t.dequantize_s8(q, g.n, run.params, g.take<float>());
  else
    t.dequantize_u8(q, g.n, run.params, g.take<float>());
  g.done();
  x = g.reals();
  t.fake_quantize(x, g.n, run, g.take<float>());
  g.done();
  x = g.reals();
  t.min_max_of(x, g.n);
  g.done();
}

codes_run codes_run_of(contract rule, code_limits codes) {
  codes_run run;
  run.rule = rule;
  run.ratio = 0.3f;
  run.other_ratio = 0.7f;
  fixed_multiplier_of(0.3, run.multiplier);
  fixed_multiplier_of(0.7, run.other_multiplier);
  run.a_zero_point = 3;
  run.b_zero_point = 5;
  run.zero_point = 2;
  run.codes = codes;
  return run;
}

template <class Code>
void check_sums(const integer_table& t, contract rule, guarded_calls& g) {
  for (const std::size_t rows : {std::size_t{1}, std::size_t{3}})
    for (const std::size_t count : {std::size_t{1}, g.n}) {
      if (g.n == 0) continue;
      requantizer r;
      r.rule = rule;
      r.count = count;
      float* ratios = g.take<float>(count);
      fixed_multiplier* multipliers = g.take<fixed_multiplier>(count);
      for (std::size_t c = 0; c < count; ++c) {
        ratios[c] = 1e-8f;
        fixed_multiplier_of(1e-8, multipliers[c]);
      }
      r.ratios = ratios;
      r.multipliers = multipliers;
      const std::int32_t *sums = g.take<std::int32_t>(rows * g.n), *bias = rows == 1 ? nullptr : g.take<std::int32_t>();
      Code* out = g.take<Code>(rows * g.n);
      if constexpr (is_signed<Code>)
        t.requantize_s8(sums, bias, rows, g.n, r, all_codes<Code>, out);
      else
        t.requantize_u8(sums, bias, rows, g.n, r, all_codes<Code>, out);
      g.done();
    }
}

template <class Code>
void check_codes(const integer_table& t, contract rule, guarded_calls& g) {
  const codes_run run = codes_run_of(rule, all_codes<Code>);
  const Code *a = g.take<Code>(), *b = g.take<Code>();
  if constexpr (is_signed<Code>)
    t.add_s8(a, b, g.n, run, g.take<Code>());
  else
    t.add_u8(a, b, g.n, run, g.take<Code>());
  g.done();
  a = g.take<Code>(), b = g.take<Code>();
  if constexpr (is_signed<Code>)
    t.multiply_s8(a, b, g.n, run, g.take<Code>());
  else
    t.multiply_u8(a, b, g.n, run, g.take<Code>());
  g.done();
  a = g.take<Code>();
  if constexpr (is_signed<Code>)
    t.rescale_s8_s8(a, g.n, run, g.take<Code>());
  else
    t.rescale_u8_u8(a, g.n, run, g.take<Code>());
  g.done();
  a = g.take<Code>();
  if constexpr (is_signed<Code>)
    t.rescale_s8_u8(a, g.n, codes_run_of(rule, {0, 255}), g.take<std::uint8_t>());
  else
    t.rescale_u8_s8(a, g.n, codes_run_of(rule, {-128, 127}), g.take<std::int8_t>());
  g.done();
  check_sums<Code>(t, rule, g);
}

// `g.n` channels: windows of 2 x 2 within images of 3 x 1 to 3 x 9, padded and not.
template <class Code>
void check_pools(const integer_table& t, guarded_calls& g) {
  for (const bool average : {false, true}) {
    pool_desc d;
    d.in_h = 3;
    d.in_w = 1 + static_cast<std::int64_t>(g.n) % 9;
    d.channels = static_cast<std::int64_t>(g.n);
    d.kernel_h = 2;
    d.kernel_w = d.in_w > 1 ? 2 : 1;
    d.stride_w = 1 + d.channels % 2;
    d.pad_top = d.channels % 3 % 2;
    d.pad_left = d.kernel_w > 1 ? d.pad_top : 0;
    d.type = is_signed<Code> ? dtype::s8 : dtype::u8;
    d.in = {0.1f, 3};
    d.out = {0.2f, 1};
    d.rule = contracts[g.n % 3];
    pool_plan p;
    REQUIRE(plan_pool(d, average, p) == status::ok);
    const Code* in = g.take<Code>(static_cast<std::size_t>(p.in_elements));
    if (run_pool(p, t, in, g.take<Code>(static_cast<std::size_t>(p.out_elements))) != status::ok) FAIL("run_pool");
    g.done();
  }
}

template <class Code>
void check_rows(const elementwise_table& reals, guarded_calls& g) {
  constexpr std::size_t rows = 3;
  const std::int64_t k = static_cast<std::int64_t>(g.n);
  const float* x = g.reals(rows * g.n);
  Code* codes = g.take<Code>(rows * g.n);
  quant_params* params = g.take<quant_params>(rows);
  std::int32_t* sums = g.take<std::int32_t>(rows);
  const dtype type = is_signed<Code> ? dtype::s8 : dtype::u8;
  if (quantize_rows(reals, x, rows, k, k, type, codes, k, params, sums) != status::ok) FAIL("quantize_rows");
  g.done();
}

template <class Code>
void check_all(const elementwise_table& reals, const integer_table& t, guarded_calls& g) {
  check_reals<Code>(reals, g);
  for (const contract rule : contracts) check_codes<Code>(t, rule, g);
  const Code* x = g.take<Code>();
  if constexpr (is_signed<Code>)
    t.sum_s8(x, g.n);
  else
    t.sum_u8(x, g.n);
  g.done();
  check_pools<Code>(t, g);
  check_rows<Code>(reals, g);
}

// Unoptimised builds (sanitizers) take every eleventh size.
#if defined(__OPTIMIZE__)
constexpr std::size_t step = 1;
#else
constexpr std::size_t step = 11;
#endif

}  // namespace

TEST_CASE("elementwise kernels touch no byte outside their buffers") {
  std::vector<const elementwise_table*> reals = quantal_test::elementwise_tables();
  std::vector<const integer_table*> integers = quantal_test::integer_tables();
  reals.push_back(&kernels::ref::elementwise);
  integers.push_back(&kernels::ref::integer);
  REQUIRE(reals.size() == integers.size());
  for (std::size_t i = 0; i < reals.size(); ++i) {
    const elementwise_table& r = *reals[i];
    const integer_table& t = *integers[i];
    const moments_function moments = moments_kernel_of(r.isa);  // null: none of its own, or emulated
    guarded_calls g;
    for (g.n = 0; g.n <= 200; g.n += step)
      for (int turn = 0; turn < 2; ++turn) {  // against both ends
        CAPTURE(r.isa, g.n);
        check_all<std::int8_t>(r, t, g);
        check_all<std::uint8_t>(r, t, g);
        const std::uint8_t *codes = g.take<std::uint8_t>(), *table = g.take<std::uint8_t>(256);
        t.look_up(codes, g.n, table, g.take<std::uint8_t>());
        g.done();
        if (moments != nullptr) {
          const float* x = g.reals();
          block_moments m;
          moments(x, g.n, m);
          g.done();
        }
        g.other_end();
      }
    CHECK(g.calls > 20000 / static_cast<int>(step));
    std::printf("guard pages, elementwise: %s, %d calls\n", r.isa, g.calls);
  }
}
