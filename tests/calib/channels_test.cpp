// Observation per channel: a channel sees what an observer of its own would see of its values, batch by batch, wherever
// the channels lie in the tensor; and the two ways of observing do not mix.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "calib/data.hpp"
#include "quantal/calib/method.hpp"

using namespace quantal;
using namespace quantal::calib;

namespace {

constexpr const char* kinds[] = {"min_max", "moving_average", "moments", "histogram", "tool_histogram"};

// Channel c of x [outer, channels, inner].
std::vector<float> channel(const std::vector<float>& x, std::size_t c, std::size_t channels, std::size_t inner) {
  std::vector<float> out;
  for (std::size_t i = 0; i < x.size(); ++i)
    if (i / inner % channels == c) out.push_back(x[i]);
  return out;
}

std::vector<float> batch(std::size_t count, float scale) {
  std::vector<float> x;
  for (std::size_t i = 0; i < count; ++i)
    x.push_back(scale * static_cast<float>((i * 7919 + i / 13) % 2001) - scale * 900);
  return x;
}

}  // namespace

TEST_CASE("per channel: one call is one batch for every channel") {
  method_options o;
  o.histogram_grid = grid::onnxruntime;
  struct layout {
    std::size_t outer, channels, inner;
  };
  for (const char* kind : kinds)
    for (const layout& l : {layout{1, 3, 5}, layout{4, 3, 5}, layout{6, 37, 1}, layout{3, 2, 40}, layout{5, 1, 4},
                            layout{2, 17, 16}, layout{0, 3, 2}}) {
      CAPTURE(kind, l.outer, l.channels, l.inner);
      const auto together = make_observer(kind, o);
      std::vector<std::unique_ptr<observer>> alone;
      for (std::size_t c = 0; c < l.channels; ++c) alone.push_back(make_observer(kind, o));
      for (const float scale : {0.01F, 0.03F, 0.02F}) {
        const std::vector<float> x = batch(l.outer * l.channels * l.inner, scale);
        REQUIRE(together->observe(x.data(), l.outer, l.channels, l.inner));
        for (std::size_t c = 0; c < l.channels; ++c) {
          const std::vector<float> own = channel(x, c, l.channels, l.inner);
          REQUIRE(alone[c]->observe(own.data(), own.size()));
        }
      }
      REQUIRE(together->stats().channels.size() == l.channels);
      for (std::size_t c = 0; c < l.channels; ++c) CHECK(together->stats().channels[c] == alone[c]->stats());
    }
}

TEST_CASE("per channel: the moving average of [N, C, W] is one update, as torch's per-channel observer makes it") {
  method_options o;
  o.averaging_constant = 0.5;
  const auto seen = make_observer("moving_average", o);
  const float first[2][2][2] = {{{0, 1}, {10, 20}}, {{2, 3}, {-10, 0}}},
              second[2][2][2] = {{{4, 4}, {0, 0}}, {{8, 6}, {40, 0}}};
  REQUIRE(seen->observe(&first[0][0][0], 2, 2, 2));
  REQUIRE(seen->observe(&second[0][0][0], 2, 2, 2));
  const std::vector<statistics>& c = seen->stats().channels;
  CHECK(c[0].updates == 2);
  CHECK(c[0].min == 2);    // 0 + (4 - 0) / 2
  CHECK(c[0].max == 5.5);  // 3 + (8 - 3) / 2
  CHECK(c[1].min == -5);   // -10 + (0 + 10) / 2
  CHECK(c[1].max == 30);   // 20 + (40 - 20) / 2
}

TEST_CASE("per tensor after per channel is refused, and the other way round, with nothing changed") {
  const float x[4] = {1, 2, 3, 4};
  for (const char* kind : kinds) {
    method_options o;
    o.histogram_grid = grid::torch;
    const auto channels = make_observer(kind, o), whole = make_observer(kind, o);
    REQUIRE(channels->observe(x, 1, 2, 2));
    const statistics before = channels->stats();
    CHECK(channels->observe(x, 4).failure().code == status::count);
    CHECK(channels->stats() == before);
    REQUIRE(whole->observe(x, 4));
    CHECK(whole->observe(x, 1, 2, 2).failure().code == status::count);
  }
}

TEST_CASE("a tool's grid per channel has no histogram of the whole, and says so") {
  method_options o;
  o.histogram_grid = grid::onnxruntime;
  const method& percentile = *find_method("percentile");
  const auto seen = percentile.make_observer(o);
  const std::vector<float> x = batch(2000, 0.01F);
  REQUIRE(seen->observe(x.data(), 1, 2, 1000));
  const auto whole = percentile.clip(seen->stats(), o);
  REQUIRE_FALSE(whole);
  CHECK(whole.failure().code == status::calibration);
  CHECK(percentile.clip_channels(seen->stats(), o));
  CHECK(find_method("minmax")->clip(seen->stats(), o));
}

TEST_CASE("qat_shift with a quantile observes what it needs") {
  method_options o;
  const method& shift = *find_method("qat_shift");
  CHECK(std::string(shift.make_observer(o)->name()) == "min_max");
  o.shift_quantile = 0.9;
  const auto seen = shift.make_observer(o);
  std::vector<float> x(100, 0.2F);
  x[7] = 5;
  REQUIRE(seen->observe(x.data(), x.size()));
  const auto r = shift.clip(seen->stats(), o, {dtype::s8, true, false});
  REQUIRE(r);
  CHECK(r->max == 0.25);  // the power of two above 0.2; with all values 8
  o.shift_quantile = 1;
  CHECK(shift.clip(seen->stats(), o, {dtype::s8, true, false})->max == 8);
}
