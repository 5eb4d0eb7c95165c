// tool_histogram: histograms on the grids of onnxruntime and torch, for those tools' numbers to the bit.
//
//   onnxruntime            bins on [-T, T], T = max|x| of the first batch; a larger batch, T', adds
//                          floor((T' - T) / stride) + 1 bins on each side at unchanged stride
//                          (calibrate.py: collect_value, merge_histogram)
//   onnxruntime_absolute   |x| on [min|x|, max|x|] of the first batch; grown at the right by whole bins
//                          (collect_absolute_value)
//   torch                  [min, max] of the first batch (HistogramObserver); grown by whole bins at both ends, which
//                          is not torch's re-binning: use it for one batch
//   torch_1                as torch, with the defect of torch 1.x: counted on [int(min), int(max)], so that values
//                          outside are dropped, but read as if on [min, max]
//
// Edges and bin choice follow numpy.histogram / torch.histc in float32. The result depends on the order of the batches
// and does not merge; one call of observe is one batch. Growth is unbounded in the tools; here it stops at 2^20 bins
// and what lies beyond is counted in `dropped`. numpy also drops what lies below the first edge of
// onnxruntime_absolute. Memory: 12 bytes per bin.
#pragma once
#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "quantal/base/bits.hpp"
#include "quantal/calib/observer.hpp"
#include "quantal/calib/observers/extremes.hpp"

namespace quantal::calib {

class tool_histogram_observer final : public observer {
 public:
  explicit tool_histogram_observer(const method_options& options) : observer("tool_histogram"), options_(options) {
    histogram& h = stats_.bins.emplace();
    h.kind = options.histogram_grid;
    h.bins = options.bins == 0 ? 2048 : std::clamp(options.bins, min_bins, max_bins);
  }

 private:
  void see(const float* x, std::size_t count) override {
    const extremes e = extremes::of(x, count, options_.min_max_of);
    const bool only_zeros = stats_.min == 0 && stats_.max == 0;
    const float threshold = stats_.bins->counts.empty() || only_zeros ? 0.0f : stats_.bins->edges.back();
    e.add_to(stats_, count);
    if (!e.any()) return;
    std::vector<float> values;
    values.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      if (std::isfinite(x[i]))
        values.push_back(stats_.bins->kind == grid::onnxruntime_absolute ? std::fabs(x[i]) : x[i]);
    switch (stats_.bins->kind) {
      case grid::onnxruntime: return see_symmetric(values, threshold, std::fmax(std::fabs(e.min), std::fabs(e.max)));
      case grid::onnxruntime_absolute: return see_absolute(values);
      default: return see_torch(values, e.min, e.max);
    }
  }
  std::unique_ptr<observer> clone_empty() const override { return std::make_unique<tool_histogram_observer>(options_); }

  // numpy.linspace in float32, as numpy 2 computes it (numpy 1 rounded from double: edges may differ in the last bit).
  static std::vector<float> linspace(float low, float high, std::size_t bins) {
    if (low == high) low -= 0.5f, high += 0.5f;
    std::vector<float> edges(bins + 1);
    const float step = (high - low) / static_cast<float>(bins);
    for (std::size_t i = 0; i < bins; ++i) edges[i] = fence(static_cast<float>(i) * step) + low;
    edges[bins] = high;
    return edges;
  }

  // numpy.histogram with a number of bins: computed index, corrected by one against the edges.
  static void count_uniform(const std::vector<float>& x, const std::vector<float>& edges,
                            std::vector<std::uint64_t>& counts, std::uint64_t& dropped) {
    const std::size_t bins = edges.size() - 1;
    const float low = edges.front(), high = edges.back(), span = high - low, n = static_cast<float>(bins);
    for (const float v : x) {
      if (!(v >= low && v <= high)) {
        ++dropped;
        continue;
      }
      auto i = static_cast<std::size_t>((v - low) / span * n);
      if (i >= bins) i = bins - 1;
      if (i > 0 && v < edges[i])
        --i;
      else if (i + 1 < bins && v >= edges[i + 1])
        ++i;
      ++counts[i];
    }
  }

  // `before`: the threshold T so far, 0 while there is none; `now`: that of this batch.
  void see_symmetric(const std::vector<float>& x, float before, float now) {
    histogram& h = stats_.bins.value();
    std::size_t pad = 0;
    const auto old = h.counts;
    if (old.empty() || (before == 0 && now > 0)) {
      h.edges = linspace(-now, now, static_cast<std::size_t>(h.bins));
    } else if (now > before) {
      const float stride = 2.0f * before / static_cast<float>(old.size());
      const double added = static_cast<double>(floor_divide(now - before, stride)) + 1.0;
      const double room = (static_cast<double>(max_bins) - static_cast<double>(old.size())) / 2;
      pad = static_cast<std::size_t>(std::fmax(0.0, std::fmin(added, room)));
      const float threshold = fence(static_cast<float>(pad) * stride) + before;
      if (pad != 0) h.edges = linspace(-threshold, threshold, old.size() + 2 * pad);
    }
    h.counts.assign(h.edges.size() - 1, 0);
    count_uniform(x, h.edges, h.counts, h.dropped);
    for (std::size_t i = 0; i < old.size(); ++i) h.counts[i + pad] += old[i];
  }

  // numpy's floor_divide of positive floats.
  static float floor_divide(float a, float b) noexcept {
    const float quotient = (a - std::fmod(a, b)) / b, whole = std::floor(quotient);
    return quotient - whole > 0.5f ? whole + 1.0f : whole;
  }

  void see_absolute(const std::vector<float>& x) {
    histogram& h = stats_.bins.value();
    const auto [low, high] = std::minmax_element(x.begin(), x.end());
    if (h.counts.empty()) {
      h.edges = linspace(*low, *high, static_cast<std::size_t>(h.bins));
      h.counts.assign(h.edges.size() - 1, 0);
      return count_uniform(x, h.edges, h.counts, h.dropped);
    }
    std::vector<double> edges(h.edges.begin(), h.edges.end());
    if (*high > h.edges.back()) grow_right(edges, *high);
    h.counts.resize(edges.size() - 1, 0);
    for (const float f : x) {  // numpy.histogram with given edges: binary search
      const auto v = static_cast<double>(f);
      const auto at = std::upper_bound(edges.begin(), edges.end(), v);
      if (at == edges.begin() || v > edges.back())
        ++h.dropped;
      else
        ++h.counts[std::min(static_cast<std::size_t>(at - edges.begin()) - 1, h.counts.size() - 1)];
    }
    h.edges.clear();
    for (const double e : edges) h.edges.push_back(static_cast<float>(e));
  }

  // numpy.arange(last + width, high + width, width) appended: the limits are float32, the steps between them double,
  // so this batch is counted on double edges, and only then are they rounded.
  static void grow_right(std::vector<double>& edges, float high) {
    const float width = static_cast<float>(edges[1]) - static_cast<float>(edges[0]);
    const float start = static_cast<float>(edges.back()) + width, stop = high + width, second = start + width;
    const double wanted = std::ceil(static_cast<double>((stop - start) / width));
    const double room = static_cast<double>(max_bins) + 1 - static_cast<double>(edges.size());
    const auto n = static_cast<std::size_t>(std::fmax(0.0, std::fmin(wanted, room)));
    const double delta = static_cast<double>(second) - static_cast<double>(start);
    for (std::size_t i = 0; i < n; ++i)
      edges.push_back(static_cast<double>(start) + fence(static_cast<double>(i) * delta));
  }

  void see_torch(const std::vector<float>& x, float low, float high) {
    histogram& h = stats_.bins.value();
    if (h.counts.empty()) {
      h.edges = linspace(low, high, static_cast<std::size_t>(h.bins));
      h.counts.assign(h.edges.size() - 1, 0);
    } else {
      extend_torch(h, low, high);
    }
    float first = h.edges.front(), last = h.edges.back();
    const float n = static_cast<float>(h.counts.size());
    if (h.kind == grid::torch_1 && std::trunc(first) != std::trunc(last))
      first = std::trunc(first), last = std::trunc(last);
    for (const float v : x) {
      if (!(v >= first && v <= last)) {
        ++h.dropped;
        continue;
      }
      const auto i = static_cast<std::size_t>((v - first) * n / (last - first));
      ++h.counts[std::min(i, h.counts.size() - 1)];
    }
  }

  static void extend_torch(histogram& h, float low, float high) {
    const float first = h.edges.front(), last = h.edges.back();
    const double width =
        (static_cast<double>(last) - static_cast<double>(first)) / static_cast<double>(h.counts.size());
    const double room = static_cast<double>(max_bins) - static_cast<double>(h.counts.size());
    const double left =
        std::fmin(room, low < first ? std::ceil((static_cast<double>(first) - static_cast<double>(low)) / width) : 0.0);
    const double right = std::fmin(
        room - left, high > last ? std::ceil((static_cast<double>(high) - static_cast<double>(last)) / width) : 0.0);
    if (left + right == 0) return;
    h.counts.insert(h.counts.begin(), static_cast<std::size_t>(left), 0);
    h.counts.resize(h.counts.size() + static_cast<std::size_t>(right), 0);
    h.edges = linspace(static_cast<float>(static_cast<double>(first) - fence(left * width)),
                       static_cast<float>(static_cast<double>(last) + fence(right * width)), h.counts.size());
  }

  method_options options_;
};

}  // namespace quantal::calib
