// histogram: counts of values over bins, on a grid that merges exactly or on the grid of another tool.
//
// The aligned grid (ours) has bins of width 2^exponent with an edge at zero:
//
//     ...  (-2w, -w]  (-w, 0)  [0, w)  [w, 2w)  ...
//     index   -2        -1       0        1
//
// The exponent is the smallest with max|x| < bins * w, so it depends on max|x| alone. When max|x| grows, w doubles and
// bins 2k and 2k + 1 become bin k: exactly what a run with the wider bins would have counted. Therefore shards merged
// in any order equal one run bit for bit. Resolution: max|x| spans more than bins / 2 and at most `bins` bins on its
// side. Memory: at most 2 * bins counters of 8 bytes, whatever the data. Mirroring makes the counts of -x the mirror of
// those of x.
//
// The other grids carry explicit float edges; a bin holds edge[i] <= x < edge[i + 1], the last one its upper edge too
// (numpy).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace quantal::calib {

enum class grid : std::int32_t { aligned, onnxruntime, onnxruntime_absolute, torch, torch_1 };

constexpr const char* name_of(grid g) noexcept {
  switch (g) {
    case grid::aligned: return "aligned";
    case grid::onnxruntime: return "onnxruntime";
    case grid::onnxruntime_absolute: return "onnxruntime_absolute";
    case grid::torch: return "torch";
    case grid::torch_1: return "torch_1";
  }
  return "?";
}

inline constexpr std::int32_t min_bins = 2, max_bins = 1 << 20;

struct histogram {
  grid kind = grid::aligned;
  std::int32_t bins = 2048;        // aligned: bins on each side of zero, a power of two; else bins of the first batch
  std::int32_t exponent = finest;  // aligned: bin width is 2^exponent
  std::int64_t first = 0;          // aligned: index of counts[0]
  std::vector<float> edges;        // other grids: counts.size() + 1 of them
  std::vector<std::uint64_t> counts;
  std::uint64_t dropped = 0;  // other grids: finite values that fell outside the edges

  static constexpr std::int32_t finest = -200;  // below any float's need: all zeros lie in bin 0

  bool operator==(const histogram&) const = default;

  double width() const noexcept { return std::ldexp(1.0, exponent); }  // of an aligned bin
  double edge(std::size_t i) const noexcept {
    if (kind == grid::aligned) return std::ldexp(static_cast<double>(first + static_cast<std::int64_t>(i)), exponent);
    return i < edges.size() ? static_cast<double>(edges[i]) : 0.0;
  }
  std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t c : counts) sum += c;
    return sum;
  }

  // The exponent that values up to `amax` need: the smallest with amax < bins * 2^exponent.
  std::int32_t exponent_for(double amax) const noexcept {
    if (!(amax > 0)) return finest;
    int e = 0;
    (void)std::frexp(amax, &e);  // amax < 2^e
    return e - log2_bins();
  }

  // Makes room for values in [low, high] on the aligned grid.
  void cover(double low, double high) {
    coarsen(exponent_for(std::max(std::fabs(low), std::fabs(high))));
    const double inverse = std::ldexp(1.0, -exponent);
    widen(index_of(low, inverse), index_of(high, inverse));
  }

  // Counts values on the aligned grid; NaN and infinities are skipped; all others are covered.
  void count(const float* x, std::size_t n) noexcept {
    const double inverse = std::ldexp(1.0, -exponent);
    std::uint64_t* base = counts.data();
    for (std::size_t i = 0; i < n; ++i) {
      if (!std::isfinite(x[i])) continue;
      base[index_of(static_cast<double>(x[i]), inverse) - first] += 1;
    }
  }

  // Adds the counts of another aligned histogram with as many bins.
  void merge(const histogram& other) {
    histogram rhs = other;
    const std::int32_t e = std::max(exponent, rhs.exponent);
    coarsen(e);
    rhs.coarsen(e);
    if (rhs.counts.empty()) return;
    widen(rhs.first, rhs.first + static_cast<std::int64_t>(rhs.counts.size()) - 1);
    for (std::size_t i = 0; i < rhs.counts.size(); ++i)
      counts[i + static_cast<std::size_t>(rhs.first - first)] += rhs.counts[i];
  }

  // The histogram of min(max(x, low), high) on the same aligned grid: what lies outside counts in the outermost bins.
  void confine(double low, double high) {
    if (kind != grid::aligned || counts.empty()) return;
    const double inverse = std::ldexp(1.0, -exponent);
    const std::int64_t last = first + static_cast<std::int64_t>(counts.size()) - 1;
    const std::int64_t from = edge(0) < low ? std::min(index_of(low, inverse), last) : first;
    const std::int64_t to = high < edge(counts.size()) ? std::max(index_of(high, inverse), from) : last;
    std::vector<std::uint64_t> inside(static_cast<std::size_t>(to - from + 1), 0);
    for (std::size_t i = 0; i < counts.size(); ++i)
      inside[static_cast<std::size_t>(std::clamp(first + static_cast<std::int64_t>(i), from, to) - from)] += counts[i];
    counts = std::move(inside);
    first = from;
  }

 private:
  int log2_bins() const noexcept {
    int b = 0;
    while ((1 << b) < bins) ++b;
    return b;
  }

  // Truncation mirrored at zero: -0.0 and 0.0 share bin 0, the first negative bin is -1. Exact: x * 2^k does not round
  // in double.
  static std::int64_t index_of(double x, double inverse) noexcept {
    const auto k = static_cast<std::int64_t>(static_cast<std::int32_t>(std::fabs(x) * inverse));
    return x < 0 ? -1 - k : k;
  }

  void coarsen(std::int32_t to) {
    if (to <= exponent) return;
    const std::int32_t shift = std::min(to - exponent, 62);
    exponent = to;
    if (counts.empty()) return;
    const std::int64_t low = first >> shift, high = (first + static_cast<std::int64_t>(counts.size()) - 1) >> shift;
    std::vector<std::uint64_t> merged(static_cast<std::size_t>(high - low + 1), 0);
    for (std::size_t i = 0; i < counts.size(); ++i)
      merged[static_cast<std::size_t>(((first + static_cast<std::int64_t>(i)) >> shift) - low)] += counts[i];
    counts = std::move(merged);
    first = low;
  }

  void widen(std::int64_t low, std::int64_t high) {
    if (counts.empty()) {
      first = low;
      counts.assign(static_cast<std::size_t>(high - low + 1), 0);
      return;
    }
    const std::int64_t last = first + static_cast<std::int64_t>(counts.size()) - 1;
    if (low < first) {
      counts.insert(counts.begin(), static_cast<std::size_t>(first - low), 0);
      first = low;
    }
    if (high > last) counts.insert(counts.end(), static_cast<std::size_t>(high - last), 0);
  }
};

// |x| folded: counts of [0, w), [w, 2w)... of an aligned histogram.
inline std::vector<std::uint64_t> folded(const histogram& h) {
  std::vector<std::uint64_t> out;
  for (std::size_t i = 0; i < h.counts.size(); ++i) {
    const std::int64_t index = h.first + static_cast<std::int64_t>(i);
    const auto k = static_cast<std::size_t>(index < 0 ? -1 - index : index);
    if (out.size() <= k) out.resize(k + 1, 0);
    out[k] += h.counts[i];
  }
  return out;
}

}  // namespace quantal::calib
