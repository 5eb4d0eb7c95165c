// statistics: what an observer remembers of the values it saw. A clip method (calib/clip/) turns it into a range.
//
// A plain value: copied, compared, written to a cache, merged. The parts beyond min and max are there if the observer
// keeps them: a saved calibration can be clipped again by every method whose parts it holds, without data.
//
// NaN never enter a figure; they are counted. Infinities are counted too and enter neither min/max nor sums nor
// histogram: quantization clamps them to the ends of the range (an infinite range would quantize everything else to
// zero). Merging is exact: counts and long accumulators are integers, min and max are picked, bins merge by doubling
// (calib/histogram.hpp). Only the moving average and the grids of other tools depend on order; merging those is an
// error.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/calib/histogram.hpp"
#include "quantal/calib/moments.hpp"

namespace quantal::calib {

struct statistics {
  std::string observer;     // name of the observer that made it (calib/observers/)
  std::uint64_t count = 0;  // finite values seen
  std::uint64_t nans = 0;
  std::uint64_t positive_infinities = 0, negative_infinities = 0;
  double min = std::numeric_limits<double>::infinity();  // of finite values; count == 0: +inf, -inf
  double max = -std::numeric_limits<double>::infinity();
  std::optional<moments> sums;
  std::optional<histogram> bins;
  std::uint64_t updates = 0;         // moving_average: how many batches were averaged
  std::vector<statistics> channels;  // per-channel observation: one per channel, parts as above

  bool operator==(const statistics&) const = default;

  // Adds what another observer of the same kind saw of other data. On error nothing has changed.
  result<void> merge(const statistics& other) {
    QUANTAL_CHECK(mergeable(other));
    add(other);
    return {};
  }

 private:
  result<void> mergeable(const statistics& other) const {
    if (observer != other.observer)
      return error{status::calibration,
                   "cannot merge statistics of observer " + other.observer + " into " + observer,
                   {},
                   "calibrate all shards with the same observer"};
    if (observer == "moving_average")
      return error{status::unsupported,
                   "a moving average depends on the order of the batches and cannot be merged",
                   {},
                   "calibrate in one run, or use minmax"};
    if (bins.has_value() != other.bins.has_value() || sums.has_value() != other.sums.has_value())
      return error{status::calibration,
                   "statistics to merge do not hold the same parts",
                   {},
                   "calibrate all shards with the same options"};
    if (bins && (bins->kind != grid::aligned || other.bins->kind != grid::aligned))
      return error{status::unsupported,
                   std::string("a histogram on the grid ") + name_of(bins->kind) +
                       " depends on the order of the batches and cannot be merged",
                   {},
                   "observe with `histogram`, whose grid merges exactly"};
    if (bins && bins->bins != other.bins->bins)
      return error{status::calibration,
                   "histograms of " + std::to_string(bins->bins) + " and " + std::to_string(other.bins->bins) +
                       " bins cannot be merged",
                   {},
                   "calibrate all shards with the same --bins"};
    if (!channels.empty() && !other.channels.empty() && channels.size() != other.channels.size())
      return error{status::count,
                   "statistics of " + std::to_string(channels.size()) + " and " +
                       std::to_string(other.channels.size()) + " channels cannot be merged",
                   {},
                   {}};
    if ((channels.empty() && count + nans != 0 && !other.channels.empty()) ||
        (other.channels.empty() && other.count + other.nans != 0 && !channels.empty()))
      return error{status::count, "per-channel and per-tensor statistics cannot be merged", {}, {}};
    if (!channels.empty())
      for (std::size_t i = 0; i < other.channels.size(); ++i) QUANTAL_CHECK(channels[i].mergeable(other.channels[i]));
    return {};
  }

  void add(const statistics& other) {
    count += other.count;
    nans += other.nans;
    positive_infinities += other.positive_infinities;
    negative_infinities += other.negative_infinities;
    min = other.min < min ? other.min : min;
    max = other.max > max ? other.max : max;
    if (sums) sums->merge(*other.sums);
    if (bins) bins->merge(*other.bins);
    if (channels.empty())
      channels = other.channels;
    else
      for (std::size_t i = 0; i < other.channels.size(); ++i) channels[i].add(other.channels[i]);
  }
};

// The statistics of min(max(x, low), high): for a tensor whose every reader saturates there, so that no method spends
// range on differences that nobody sees. Sums stay as they are; a tensor that lies outside altogether too.
inline statistics confined(statistics s, double low, double high) {
  if (s.count == 0 || s.max < low || s.min > high) return s;
  s.min = std::max(s.min, low);
  s.max = std::min(s.max, high);
  if (s.bins) s.bins->confine(low, high);
  for (statistics& channel : s.channels) channel = confined(std::move(channel), low, high);
  return s;
}

}  // namespace quantal::calib
