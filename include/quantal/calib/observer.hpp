// observer: sees batches, forgets them, keeps `statistics`. Streaming: memory does not grow with the data.
//
// One class per kind under calib/observers/; each says what it keeps, its memory and whether shards merge exactly.
// Values are f32 (other types are converted on the way in). An observer is not shared between threads: give each thread
// its own and merge. Every kind can also observe per channel: x is [outer, channels, inner], and each channel gets
// an observer of the same kind.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/calib/statistics.hpp"

namespace quantal::calib {

// What to observe and how to clip; a field belongs to the methods named beside it. One word each, the same in every
// interface.
struct method_options {
  std::int32_t bins = 0;                // histograms; 0: 2048
  std::int32_t quantized_bins = 128;    // entropy_onnxruntime
  double percentile = 99.999;           // percentile, percentile_symmetric: in (0, 100]
  double stddev = 2.0;                  // stddev: standard deviations around the mean
  double scale = 0.85;                  // scale: share of max|x|
  double averaging_constant = 0.01;     // moving_average: weight of a new batch
  double shift_quantile = 1.0;          // qat_shift: quantile of |x|
  grid histogram_grid = grid::aligned;  // the grid of another tool gives that tool's numbers, but does not merge
};

class observer {
 public:
  virtual ~observer() = default;

  // Adds `count` values in any order of memory.
  void observe(const float* x, std::size_t count) {
    if (count != 0) see(x, count);
  }

  // Adds x of shape [outer, channels, inner], dense and row-major, channel by channel. The number of channels is that
  // of the first call. Errors: count (another number of channels, or values observed per tensor before).
  result<void> observe(const float* x, std::size_t outer, std::size_t channels, std::size_t inner) {
    if (channels_.empty() && stats_.count + stats_.nans + stats_.positive_infinities + stats_.negative_infinities != 0)
      return error{
          status::count, "values were observed per tensor before, now per channel", {}, "use one observer for each"};
    if (channels_.empty())
      for (std::size_t c = 0; c < channels; ++c) channels_.push_back(clone_empty());
    if (channels_.size() != channels)
      return error{status::count,
                   "observed " + std::to_string(channels) + " channels after " + std::to_string(channels_.size()),
                   {},
                   {}};
    for (std::size_t o = 0; o < outer; ++o)
      for (std::size_t c = 0; c < channels; ++c) channels_[c]->observe(x + (o * channels + c) * inner, inner);
    collected_ = false;
    return {};
  }

  // Everything seen so far. Per channel: `channels`, and the whole tensor's figures where the kind merges.
  const statistics& stats() const {
    if (!channels_.empty() && !collected_) collect();
    return stats_;
  }

  // Adds what `other`, of the same kind and options, has seen. Errors: calibration, unsupported, count; then nothing
  // changed.
  result<void> merge(const observer& other) {
    statistics sum = stats();
    QUANTAL_CHECK(sum.merge(other.stats()));
    restore(sum);
    return {};
  }

  // Continues from saved statistics (of this kind).
  void restore(const statistics& saved) {
    stats_ = saved;
    channels_.clear();
    for (const statistics& s : saved.channels) {
      channels_.push_back(clone_empty());
      channels_.back()->restore(s);
    }
    collected_ = true;
  }

  const char* name() const noexcept { return stats_.observer.c_str(); }

 protected:
  explicit observer(const char* name) { stats_.observer = name; }
  observer(const observer&) = delete;
  observer& operator=(const observer&) = delete;
  virtual void see(const float* x, std::size_t count) = 0;
  virtual std::unique_ptr<observer> clone_empty() const = 0;

  mutable statistics stats_;

 private:
  void collect() const {
    statistics whole = clone_empty()->stats_;
    std::vector<statistics> parts;
    for (const auto& c : channels_) parts.push_back(c->stats());
    for (const statistics& s : parts)
      if (!whole.merge(s)) {  // kinds that do not merge: the union of the channels' ranges is still right
        whole.count += s.count;
        whole.nans += s.nans;
        whole.positive_infinities += s.positive_infinities;
        whole.negative_infinities += s.negative_infinities;
        whole.min = s.min < whole.min ? s.min : whole.min;
        whole.max = s.max > whole.max ? s.max : whole.max;
      }
    whole.channels = std::move(parts);
    stats_ = std::move(whole);
    collected_ = true;
  }

  std::vector<std::unique_ptr<observer>> channels_;
  mutable bool collected_ = true;
};

}  // namespace quantal::calib
