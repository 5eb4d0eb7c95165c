#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <limits>

#include "calib/data.hpp"
#include "quantal/calib/method.hpp"
#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/elementwise.hpp"

using namespace quantal;
using namespace quantal::calib;
using quantal::calib::test::generator;

namespace {

const float inf = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();
const char* const exact_observers[] = {"min_max", "moments", "histogram"};

statistics seen(const char* observer, const std::vector<float>& x) {
  auto o = make_observer(observer);
  REQUIRE(o->observe(x.data(), x.size()));
  return o->stats();
}

std::vector<float> wild(generator& r, std::size_t n) {
  std::vector<float> x(n);
  for (float& v : x) v = r.wild();
  if (n > 4 && r.below(3) == 0) x[1] = not_a_number, x[2] = inf, x[3] = -inf;
  return x;
}

}  // namespace

TEST_CASE("wide: sums of extreme floats are exact") {
  const float big = std::numeric_limits<float>::max(), tiny = std::numeric_limits<float>::denorm_min();
  moments m;
  for (const float v : {big, tiny, -big, tiny, big, -big}) m.observe(&v, 1);
  REQUIRE(m.sum().to_double(-149) == 2 * static_cast<double>(tiny));
  REQUIRE(m.mean() == 2 * static_cast<double>(tiny) / 6);
  const auto back = moments::sum_type::from_hex(m.sum().hex());
  REQUIRE(back);
  REQUIRE(*back == m.sum());
  moments::sum_type negative;
  negative.add(0x123456789abcdefu, 77, true);
  REQUIRE(negative.hex()[0] == '-');
  REQUIRE(*moments::sum_type::from_hex(negative.hex()) == negative);
  REQUIRE(negative.to_double(0) == -std::ldexp(static_cast<double>(0x123456789abcdefu), 77));
  for (const char* bad :
       {"", "-", "0x1", "xyz", "1G",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0"})
    REQUIRE_FALSE(moments::sum_type::from_hex(bad));
}

TEST_CASE("wide: to_double rounds once, to nearest even") {
  generator r(5);
  for (int round = 0; round < 2000; ++round) {  // long double (64-bit significand) is exact for these two terms
    const std::uint64_t a = r.next() >> 1, b = r.next() >> 33;
    wide<12> w;
    w.add(a, 40, false);
    w.add(b, 8, false);
    wide<12> v;
    v.add(a, 200, false);
    REQUIRE(v.to_double(-200) == static_cast<double>(a));
    const auto whole = static_cast<unsigned long long>(a >> 12);
    wide<12> u;
    u.add(whole, 12, false);
    u.add(a & 4095u, 0, false);
    REQUIRE(u == [&] {
      wide<12> t;
      t.add(a, 0, false);
      return t;
    }());
    REQUIRE(w.to_double(0) >= std::ldexp(static_cast<double>(a), 39));
  }
  wide<12> half;  // 2^53 + 1 ties to even, a far smaller bit breaks the tie
  half.add((std::uint64_t{1} << 53) + 1, 100, false);
  REQUIRE(half.to_double(-100) == 0x1p53);
  half.add(1, 0, false);
  REQUIRE(half.to_double(-100) == 0x1p53 + 2);
}

TEST_CASE("merge: shards in any split and order equal one run bit for bit") {
  generator r(1);
  std::size_t inputs = 0;
  for (const char* name : exact_observers)
    for (int round = 0; round < 400; ++round, ++inputs) {
      std::vector<float> x = wild(r, 1 + r.below(3000));
      const statistics whole = seen(name, x);
      for (std::size_t i = x.size(); i > 1; --i) std::swap(x[i - 1], x[r.below(i)]);
      std::vector<std::unique_ptr<observer>> shard;
      for (int k = 0; k < 3; ++k) shard.push_back(make_observer(name));
      for (std::size_t i = 0; i < x.size();) {
        const std::size_t n = std::min(x.size() - i, 1 + r.below(700));
        REQUIRE(shard[r.below(3)]->observe(x.data() + i, n));
        i += n;
      }
      statistics left = shard[0]->stats(), right = shard[1]->stats();
      REQUIRE(left.merge(shard[1]->stats()));
      REQUIRE(left.merge(shard[2]->stats()));  // (a + b) + c
      REQUIRE(right.merge(shard[2]->stats()));
      REQUIRE(right.merge(shard[0]->stats()));  // (b + c) + a
      REQUIRE(left == right);
      REQUIRE(left == whole);
    }
  WARN(inputs << " generator inputs merged over " << std::size(exact_observers) << " observers");
}

TEST_CASE("merge: per-channel shards equal one run bit for bit") {
  generator r(2);
  for (const char* name : exact_observers)
    for (int round = 0; round < 30; ++round) {
      const std::size_t outer = 1 + r.below(4), channels = 1 + r.below(5), inner = 1 + r.below(300);
      const std::vector<float> x = wild(r, outer * channels * inner);
      auto whole = make_observer(name), a = make_observer(name), b = make_observer(name), flat = make_observer(name);
      REQUIRE(whole->observe(x.data(), outer, channels, inner));
      for (std::size_t o = 0; o < outer; ++o)
        REQUIRE((o % 2 ? a : b)->observe(x.data() + o * channels * inner, 1, channels, inner));
      REQUIRE(b->merge(*a));
      REQUIRE(b->stats() == whole->stats());
      REQUIRE(flat->observe(x.data(), x.size()));
      statistics without = whole->stats();
      without.channels.clear();
      REQUIRE(without == flat->stats());                      // the channels together are the tensor
      REQUIRE(b->observe(x.data(), outer, channels, inner));  // and it can go on after a merge
      REQUIRE(b->stats().count == 2 * whole->stats().count);
      if (channels > 1) REQUIRE(b->observe(x.data(), 1, channels + 1, 1).failure().code == status::count);
    }
}

TEST_CASE("merge: what cannot be merged says so and changes nothing") {
  const std::vector<float> x{1, 2, 3};
  statistics a = seen("moving_average", x), b = seen("min_max", x);
  const statistics before = a;
  REQUIRE(a.merge(a).failure().code == status::unsupported);
  REQUIRE(a.merge(b).failure().code == status::calibration);
  REQUIRE(a == before);
  method_options few, tool;
  few.bins = 64;
  tool.histogram_grid = grid::onnxruntime;
  auto h = make_observer("histogram"), other = make_observer("histogram", few),
       t = make_observer("tool_histogram", tool);
  REQUIRE(h->merge(*other).failure().code == status::calibration);
  REQUIRE(t->observe(x.data(), x.size()));
  REQUIRE(t->merge(*t).failure().code == status::unsupported);
}

TEST_CASE("histogram: bins hold what their edges say, memory is bounded") {
  generator r(3);
  for (int round = 0; round < 200; ++round) {
    const std::vector<float> x = wild(r, 1 + r.below(2000));
    method_options o;
    o.bins = 2 << r.below(10);
    auto observer = make_observer("histogram", o);
    REQUIRE(observer->observe(x.data(), x.size()));
    const statistics& s = observer->stats();
    if (s.count == 0) continue;
    const histogram& h = *s.bins;
    REQUIRE(h.total() == s.count);
    REQUIRE(h.counts.size() <= 2 * static_cast<std::size_t>(o.bins));
    for (std::size_t i = 0; i < h.counts.size(); ++i) {
      const double low = h.edge(i), high = h.edge(i + 1);
      const bool below_zero = high <= 0;
      const auto inside = std::count_if(x.begin(), x.end(), [&](float f) {
        const double v = static_cast<double>(f);
        if (!std::isfinite(v)) return false;
        if (below_zero) return v > low && v <= high && (v < 0);
        return v >= low && v < high;
      });
      // the bin that ends at zero does not hold zero
      REQUIRE(static_cast<std::uint64_t>(inside) == h.counts[i]);
    }
    const double amax = std::max(std::fabs(s.min), std::fabs(s.max));
    if (amax > 0) {
      REQUIRE(amax < o.bins * h.width());
      REQUIRE(amax >= o.bins / 2 * h.width());
    }
  }
}

TEST_CASE("moments: mean and deviation of values with a large offset do not cancel") {
  std::vector<float> x;
  for (int i = 0; i < 1000; ++i) x.push_back(1e7f + static_cast<float>(i % 2));
  const statistics s = seen("moments", x);
  REQUIRE(s.sums->mean() == 10000000.5);
  REQUIRE(s.sums->variance() == Approx(0.25 * 1000 / 999).epsilon(1e-15));
  REQUIRE(s.sums->mean_square() == Approx(1e14 + 1e7 + 0.5).epsilon(1e-15));
}

namespace {

// Arrays that try the windows of kernels/moments_simd.hpp: one magnitude to 277 binades, all of one sign, alternating,
// the largest significands, the ends of a window, denormals, zeros, not a number.
std::vector<float> adversary(generator& r, int kind) {
  std::vector<float> x(1 + r.below(5000));
  const int exponent = static_cast<int>(r.below(278)) - 149;
  const float big = std::nextafter(std::ldexp(1.0f, std::min(exponent, 127)), 0.0f);
  for (std::size_t i = 0; i < x.size(); ++i) {
    float& v = x[i];
    v = static_cast<float>(std::ldexp(r.uniform() - 0.5, exponent));
    switch (kind) {
      case 0: break;
      case 1: v = v > 0 ? v : 0; break;
      case 2: v = r.below(50) == 0 ? v * 1e-9f : v; break;
      case 3: v = std::bit_cast<float>(static_cast<std::uint32_t>(r.next())); break;  // NaN and infinities, too
      case 4: v = std::ldexp(v, -static_cast<int>(r.below(40))); break;
      case 5: v = i % 2 == 0 ? big : -big; break;
      case 6: v = r.below(3) == 0 ? big : std::ldexp(big, -17 - static_cast<int>(r.below(3))); break;
      case 7: v = std::bit_cast<float>(static_cast<std::uint32_t>(r.next()) & 0x807fffffu); break;
      case 8: v = i % 2 == 0 ? 0.0f : -0.0f; break;
      default: v = std::numeric_limits<float>::max(); break;
    }
  }
  return x;
}
constexpr int adversaries = 10;

moments one_by_one(const std::vector<float>& x) {
  moments m;
  for (const float& v : x) m.observe(&v, 1);
  return m;
}

}  // namespace

TEST_CASE("moments: P5 blocks equal values added one by one, whatever magnitudes and rounding mode") {
  generator r(31);
  int inputs = 0;
  for (const int mode : {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO})
    for (int round = 0; round < 100; ++round, ++inputs) {
      const std::vector<float> x = adversary(r, round % adversaries);
      moments block;
      std::fesetround(mode);
      block.observe(x.data(), x.size());
      std::fesetround(FE_TONEAREST);
      REQUIRE(block == one_by_one(x));
    }
  WARN(inputs << " arrays");
}

TEST_CASE("moments: P5 every kernel's sums equal those of values added one by one") {
  std::size_t count = 0, compared = 0;
  const isa_state* states = isa_states(count);
  for (std::size_t k = 0; k < count; ++k) {
    const moments_function kernel = moments_kernel_of(states[k].name);
    if (kernel == nullptr) continue;
    generator r(32);
    for (int round = 0; round < 300; ++round, ++compared) {
      const std::vector<float> x = adversary(r, round % adversaries);
      moments block;
      const std::size_t first = r.below(std::min<std::size_t>(x.size(), 9));  // any alignment
      block.observe(x.data(), first, kernel);
      block.observe(x.data() + first, x.size() - first, kernel);
      REQUIRE(block == one_by_one(x));
    }
  }
  CHECK(compared >= 300);
}

TEST_CASE("statistics and ranges do not depend on the host's rounding mode") {
  method_options aligned, tool;
  tool.histogram_grid = grid::onnxruntime;
  tool.bins = 300;
  std::vector<std::vector<float>> batches;
  generator r(5);
  for (int b = 0; b < 6; ++b) {
    batches.emplace_back();
    for (int i = 0; i < 800; ++i) batches.back().push_back(static_cast<float>((r.uniform() - 0.4) * (1 + b * b)));
  }
  const auto ranges = [&](int mode, std::vector<statistics>& kept) {
    std::vector<double> ends;
    bool ok = true;
    std::fesetround(mode);
    for (const method* m : methods())
      for (const method_options& o : {aligned, tool}) {
        const auto seen = m->make_observer(o);
        for (const auto& x : batches) ok = static_cast<bool>(seen->observe(x.data(), 1, 1, x.size())) && ok;
        kept.push_back(seen->stats().channels[0]);
        const auto clipped = m->clip(kept.back(), o);  // onnxruntime's grid has no answer for some
        ends.push_back(clipped ? clipped->min : 1);
        ends.push_back(clipped ? clipped->max : -1);
      }
    std::fesetround(FE_TONEAREST);
    REQUIRE(ok);
    return ends;
  };
  std::vector<statistics> nearest;
  const std::vector<double> wanted = ranges(FE_TONEAREST, nearest);
  for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO}) {
    std::vector<statistics> kept;
    CAPTURE(mode);
    CHECK((ranges(mode, kept) == wanted));
    CHECK((kept == nearest));
  }
}

TEST_CASE("c6: the moving average is torch's") {
  method_options o;
  o.averaging_constant = 0.1;
  auto a = find_method("moving_average")->make_observer(o);
  const float batches[3][2] = {{-1, 1}, {-2, 3}, {0, 5}};
  for (const auto& b : batches) REQUIRE(a->observe(b, 2));
  const auto r = find_method("moving_average")->clip(a->stats(), o);
  REQUIRE(r);
  REQUIRE(r->min == Approx(-0.99).epsilon(1e-6));
  REQUIRE(r->max == Approx(1.58).epsilon(1e-6));
  REQUIRE((r->max - r->min) / 255 == Approx(0.010078432).epsilon(1e-6));
  REQUIRE(std::nearbyint(-r->min / ((r->max - r->min) / 255)) == 98);
  REQUIRE(find_method("moving_average")->clip(seen("min_max", {1, 2})).failure().code == status::calibration);
}

TEST_CASE("per channel, one call is one batch of the moving average") {
  const float x[8] = {1, 2, 30, 40, 5, 6, 70, 80};  // [outer 2, channels 2, inner 2]
  auto a = make_observer("moving_average");
  REQUIRE(a->observe(x, 2, 2, 2));
  CHECK(a->stats().channels[0].updates == 1);
  CHECK(a->stats().channels[0].max == 6);
  CHECK(a->stats().channels[1].min == 30);
  CHECK(a->stats().channels[1].max == 80);
}

TEST_CASE("D1_nan_and_infinity are counted and enter nothing") {
  for (const char* name : exact_observers) {
    std::vector<float> x{1, not_a_number, -2, inf, inf, -inf, 0.5f}, finite{1, -2, 0.5f};
    for (int i = 0; i < 40; ++i) x.push_back(0.25f), finite.push_back(0.25f);  // past the vector path
    statistics s = seen(name, x);
    REQUIRE(s.nans == 1);
    REQUIRE(s.positive_infinities == 2);
    REQUIRE(s.negative_infinities == 1);
    s.nans = s.positive_infinities = s.negative_infinities = 0;
    REQUIRE(s == seen(name, finite));
  }
}

TEST_CASE("D2_constant_zero_single_and_empty data") {
  for (const method* m : methods()) {
    CAPTURE(m->name);
    auto o = m->make_observer();
    REQUIRE(m->clip(o->stats()).failure().code == status::calibration);
    const float zeros[3] = {0, -0.0f, 0};
    REQUIRE(o->observe(zeros, 3));
    auto r = m->clip(o->stats());
    REQUIRE(r);
    REQUIRE(r->degenerate);
    for (const float value : {5.0f, -3.0f, 1e-20f}) {
      auto c = m->make_observer();
      const std::vector<float> same(7, value);
      REQUIRE(c->observe(same.data(), same.size()));
      auto k = m->clip(c->stats());
      REQUIRE(k);
      REQUIRE(std::isfinite(k->min));
      REQUIRE(k->min <= k->max);
      REQUIRE_FALSE(k->degenerate);
    }
    auto n = m->make_observer();
    REQUIRE(n->observe(&not_a_number, 1));
    auto only_nan = m->clip(n->stats());
    REQUIRE(only_nan);
    REQUIRE(only_nan->degenerate);
  }
}

TEST_CASE("D3_outlier of 1e38 gives a finite range") {
  generator r(4);
  for (const method* m : methods()) {
    CAPTURE(m->name);
    std::vector<float> x(5000);
    for (float& v : x) v = static_cast<float>(r.uniform() - 0.5);
    x[17] = 3e38f;
    x[18] = -3e38f;
    auto o = m->make_observer();
    REQUIRE(o->observe(x.data(), x.size()));
    const auto c = m->clip(o->stats());
    REQUIRE(c);
    REQUIRE(std::isfinite(c->max - c->min));
  }
}

TEST_CASE("D4_histogram edge cases: empty bins, percentile 0, 100, above, NaN, few bins") {
  const std::vector<float> far{-1000, -1000, 0.001f, 1000};
  for (const method* m : methods()) {
    CAPTURE(m->name);
    for (const std::int32_t bins : {2, 64, 2048}) {
      method_options o;
      o.bins = bins;
      o.quantized_bins = bins < 128 ? 2 : 128;
      auto observer = m->make_observer(o);
      REQUIRE(observer->observe(far.data(), far.size()));
      for (const dtype t : {dtype::u8, dtype::s8, dtype::u16, dtype::s4, dtype::s2})
        for (const bool symmetric : {false, true}) {
          const auto r = m->clip(observer->stats(), o, {t, symmetric, false});
          REQUIRE(r);
          REQUIRE(r->min <= r->max);
        }
    }
  }
  auto h = make_observer("histogram");
  REQUIRE(h->observe(far.data(), far.size()));
  const method* p = find_method("percentile");
  method_options o;
  o.percentile = 100;
  REQUIRE(p->clip(h->stats(), o)->max == 1000);
  REQUIRE(p->clip(h->stats(), o)->min == -1000);
  for (const double bad : {0.0, -1.0, 100.5, std::nan("")}) {
    o.percentile = bad;
    REQUIRE(p->clip(h->stats(), o).failure().code == status::argument);
  }
}

TEST_CASE("D5_denormal-only tensors are defined") {
  const float tiny = std::numeric_limits<float>::denorm_min();
  for (const method* m : methods()) {
    CAPTURE(m->name);
    auto o = m->make_observer();
    const float x[5] = {tiny, 3 * tiny, -2 * tiny, 0, 7 * tiny};
    for (int i = 0; i < 100; ++i) REQUIRE(o->observe(x, 5));
    const auto r = m->clip(o->stats());
    REQUIRE(r);
    REQUIRE(std::isfinite(r->min));
    REQUIRE(r->min <= r->max);
  }
}

TEST_CASE("D6_counters above 2^31 elements do not overflow") {
  std::vector<float> x(1 << 16, 1.5f);
  x[0] = -0.5f;
  statistics s = seen("histogram", x);
  for (int i = 0; i < 24; ++i) REQUIRE(s.merge(statistics(s)));  // doubles each time: 2^40 values
  REQUIRE(s.count == std::uint64_t{1} << 40);
  REQUIRE(s.bins->total() == s.count);
  REQUIRE(s.sums->count() == s.count);
  REQUIRE(s.sums->mean() == (1.5 * 65535 - 0.5) / 65536);
  REQUIRE(find_method("percentile")->clip(s));
}

TEST_CASE("D7_order of batches does not matter where it says so") {
  generator r(6);
  std::vector<float> x = wild(r, 5000);
  for (const char* name : exact_observers) {
    const statistics first = seen(name, x);
    std::reverse(x.begin(), x.end());
    REQUIRE(seen(name, x) == first);
  }
}

TEST_CASE("D7_every kernel gives the same statistics") {
  generator r(7);
  std::size_t count = 0, compared = 0;
  const isa_state* states = isa_states(count);
  for (std::size_t k = 0; k < count; ++k) {
    const elementwise_table* table = elementwise_of(states[k].name);
    if (table == nullptr) continue;
    for (int round = 0; round < 200; ++round) {
      const std::vector<float> x = wild(r, r.below(200));
      for (const char* name : {"min_max", "moments", "histogram", "moving_average"}) {
        method_options fast;
        fast.min_max_of = table->min_max_of;
        fast.moments_of = moments_kernel_of(states[k].name);
        const auto a = make_observer(name), b = make_observer(name, fast);
        REQUIRE(a->observe(x.data(), x.size()));
        REQUIRE(b->observe(x.data(), x.size()));
        REQUIRE(a->stats() == b->stats());
        REQUIRE(std::signbit(a->stats().min) == std::signbit(b->stats().min));
        ++compared;
      }
    }
  }
  CHECK(compared >= 800);
}

TEST_CASE("D8_f16_bf16_and_f64 tensors are observed as their f32 values") {
  // f16: its largest number, an overflow that became infinity, a denormal; every other element of a strided view
  const std::uint16_t halves[8] = {0x7bff, 0xdead, 0x7c00, 0xdead, 0x0001, 0xdead, 0xc000, 0xdead};
  tensor_view v;
  REQUIRE(make_view(dtype::f16, shape{8}, const_cast<std::uint16_t*>(halves), sizeof halves, v) == status::ok);
  v.dims = shape{4};
  v.strides[0] = 2;
  auto seen = make_observer("histogram");
  REQUIRE(seen->observe(v));
  CHECK(seen->stats().max == 65504);
  CHECK(seen->stats().min == -2);
  CHECK(seen->stats().count == 3);
  CHECK(seen->stats().positive_infinities == 1);
  CHECK(seen->stats().sums->mean() == Approx((65504 + 0x1p-24 - 2) / 3));

  // a reversed bf16 matrix per column equals the f32 one
  const std::uint16_t brains[6] = {0x3f80, 0xc000, 0x4040, 0x4080, 0xc0a0, 0x40c0};  // 1 -2 3 / 4 -5 6
  REQUIRE(make_view(dtype::bf16, shape{2, 3}, const_cast<std::uint16_t*>(brains + 5), 2, v) == status::buffer);
  REQUIRE(make_view(dtype::bf16, shape{2, 3}, const_cast<std::uint16_t*>(brains), sizeof brains, v) == status::ok);
  v.data = const_cast<std::uint16_t*>(brains + 5);
  v.strides[0] = -3, v.strides[1] = -1;
  auto columns = make_observer("min_max"), expected = make_observer("min_max");
  REQUIRE(columns->observe(v, 1));
  const float reversed[6] = {6, -5, 4, 3, -2, 1};
  REQUIRE(expected->observe(reversed, 2, 3, 1));
  CHECK(columns->stats() == expected->stats());
  CHECK(columns->stats().channels[1].min == -5);

  const double wide[3] = {1e300, 0.5, -1e-300};  // beyond f32: an infinity, and nothing
  REQUIRE(make_view(dtype::f64, shape{3}, const_cast<double*>(wide), sizeof wide, v) == status::ok);
  auto doubles = make_observer("min_max");
  REQUIRE(doubles->observe(v));
  CHECK(doubles->stats().positive_infinities == 1);
  CHECK(doubles->stats().max == 0.5);
  CHECK(doubles->stats().min == 0);

  const statistics before = doubles->stats();
  CHECK(doubles->observe(v, 1).failure().code == status::shape);
  v.type = dtype::s8;
  CHECK(doubles->observe(v).failure().code == status::dtype);
  CHECK(columns->observe(tensor_view{}).failure().code == status::dtype);
  CHECK(doubles->stats() == before);
}

TEST_CASE("methods are found whatever the case, and unknown ones are not") {
  for (const char* name :
       {"minmax", "moving_average", "percentile", "percentile_symmetric", "entropy", "entropy_onnxruntime", "mse",
        "histogram", "octav", "avgmax", "stddev", "scale", "max", "qat_shift"})
    REQUIRE(find_method(name) != nullptr);
  REQUIRE(find_method("MinMax") == find_method("minmax"));
  REQUIRE(find_method("AVGMAX") == find_method("avgmax"));
  REQUIRE(find_method("min") == nullptr);
  REQUIRE(find_method("") == nullptr);
  REQUIRE(methods().size() == 14);
}

TEST_CASE("a saved calibration is clipped again by every method without data") {
  const statistics s = seen("histogram", test::laplace());
  for (const method* m : methods())
    if (std::string(m->name) != "moving_average") REQUIRE(m->clip(s));
  const statistics range_only = seen("min_max", {1, 2});
  REQUIRE(find_method("entropy")->clip(range_only).failure().code == status::calibration);
  REQUIRE(find_method("stddev")->clip(range_only).failure().code == status::calibration);
}
