// Runs cases from stdin through the methods, for tests/calib/peers_test.py to compare with the tools themselves.
//
// Input, little-endian: per case a 32-byte method name, s32 grid, bins, quantized_bins, symmetric, channels, batches,
// f64 percentile, averaging_constant, stddev; per batch u32 n and n floats. channels > 0: the batches are [1, channels,
// n / channels]. Output: one line per case: min max candidates bins dropped weighted-sum-of-counts mean deviation
// avg_max | channel mins and maxs. The name "moments" gives: sums count x x2.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <vector>

#include "quantal/calib/ai8x.hpp"
#include "quantal/calib/method.hpp"

using namespace quantal;
using namespace quantal::calib;

namespace {

template <class T>
bool take(T& value) {
  return std::fread(&value, sizeof value, 1, stdin) == 1;
}

struct header {
  char name[32];
  std::int32_t grid_kind, bins, quantized_bins, symmetric, channels, batches;
  double percentile, averaging_constant, stddev;
};

// TensorRT's own search: the method entropy leaves out candidates that cost more squared error than the whole range.
int run_entropy(const statistics& s) {
  const auto whole = folded(*s.bins);
  const std::vector<double> counts(whole.begin(), whole.end());
  const std::size_t kept = counts.size() < 128 ? counts.size() : choose_entropy(counts, 128).bins;
  const range r = within(s, -std::ldexp(static_cast<double>(kept), s.bins->exponent),
                         std::ldexp(static_cast<double>(kept), s.bins->exponent));
  std::printf("%.17g %.17g 0 0 0 0 0 0 0 |\n", r.min, r.max);
  return 0;
}

// The exact sums, for Python's integers to check.
int run_moments(const statistics& s) {
  std::printf("sums %llu %s %s\n", static_cast<unsigned long long>(s.sums->count()), s.sums->sum().hex().c_str(),
              s.sums->squares().hex().c_str());
  return 0;
}

int run(const header& h) {
  const bool sums_only = h.name == std::string_view("moments");
  const method* m = find_method(sums_only ? "stddev" : h.name);
  if (m == nullptr) return 1;
  method_options o;
  o.histogram_grid = static_cast<grid>(h.grid_kind);
  o.bins = h.bins;
  o.quantized_bins = h.quantized_bins;
  o.percentile = h.percentile;
  o.averaging_constant = h.averaging_constant;
  o.stddev = h.stddev;
  auto seen = h.channels < 0 ? make_observer("moments") : m->make_observer(o);
  std::vector<float> x;
  const auto channels = static_cast<std::size_t>(h.channels < 0 ? -h.channels : h.channels);
  for (std::int32_t b = 0; b < h.batches; ++b) {
    std::uint32_t n = 0;
    if (!take(n)) return 1;
    x.resize(n);
    if (n != 0 && std::fread(x.data(), sizeof(float), n, stdin) != n) return 1;
    if (channels != 0) {
      if (!seen->observe(x.data(), 1, channels, n / channels)) return 1;
    } else {
      if (!seen->observe(x.data(), n)) return 1;
    }
  }
  const statistics& s = seen->stats();
  if (sums_only) return run_moments(s);
  if (h.name == std::string_view("entropy")) return run_entropy(s);
  const auto r = m->clip(s, o, {h.symmetric != 0 ? dtype::s8 : dtype::u8, h.symmetric != 0, false});
  if (!r) {
    std::printf("error %s\n", r.failure().message().c_str());
    return 0;
  }
  unsigned long long weighted = 0, bins = 0, dropped = 0;
  if (s.bins) {
    bins = s.bins->counts.size();
    dropped = s.bins->dropped;
    for (std::size_t i = 0; i < s.bins->counts.size(); ++i) weighted += (i + 1) * s.bins->counts[i];
  }
  const double avg = h.channels < 0 ? static_cast<double>(ai8x_saturation(s, ai8x_clip::avgmax)) : 0;
  std::printf("%.17g %.17g %d %llu %llu %llu %.17g %.17g %.17g |", r->min, r->max, r->candidates, bins, dropped,
              weighted, s.sums ? s.sums->mean() : 0.0, s.sums ? s.sums->standard_deviation() : 0.0, avg);
  for (const statistics& c : s.channels) std::printf(" %.17g %.17g", c.min, c.max);
  std::printf("\n");
  return 0;
}

}  // namespace

int main() {
  header h;
  while (take(h)) {
    h.name[31] = 0;
    if (run(h) != 0) {
      std::fprintf(stderr, "bad case %s\n", h.name);
      return 1;
    }
  }
  return 0;
}
