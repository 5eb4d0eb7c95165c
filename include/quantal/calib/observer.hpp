// observer: sees batches, forgets them, keeps `statistics`. Streaming: memory does not grow with the data.
//
// One class per kind under calib/observers/; each says what it keeps, its memory and whether shards merge exactly.
// Values are f32; tensor views of f16, bf16 and f64, strided too, are converted on the way in. An observer is not
// shared between threads: give each thread its own and merge. Every kind can also observe per channel: x is [outer,
// channels, inner], and each channel gets an observer of the same kind. One call is one batch, per channel too: a
// channel's values are gathered first, in a copy of a few channels of the batch.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "quantal/base/fp_env.hpp"
#include "quantal/base/result.hpp"
#include "quantal/calib/statistics.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/moments.hpp"
#include "quantal/num/float16.hpp"
#include "quantal/tensor/view.hpp"

namespace quantal::calib {

// What to observe and how to clip; a field belongs to the methods named beside it. One word each, the same in every
// interface.
struct method_options {
  std::int32_t bins = 0;                  // histograms; 0: 2048
  std::int32_t quantized_bins = 128;      // entropy_onnxruntime
  double percentile = 99.999;             // percentile, percentile_symmetric: in (0, 100]
  double stddev = 2.0;                    // stddev: standard deviations around the mean
  double scale = 0.85;                    // scale: share of max|x|
  double averaging_constant = 0.01;       // moving_average: weight of a new batch
  double shift_quantile = 1.0;            // qat_shift: quantile of |x|
  grid histogram_grid = grid::aligned;    // the grid of another tool gives that tool's numbers, but does not merge
  min_max_function min_max_of = nullptr;  // a faster kernel of the same result (elementwise().min_max_of); may be null
  moments_function moments_of = nullptr;  // likewise (moments_kernel())
};

class observer {
 public:
  virtual ~observer() = default;

  // Adds `count` values in any order of memory, as one batch. Errors: count (values observed per channel before).
  result<void> observe(const float* x, std::size_t count) {
    if (!channels_.empty())
      return error{
          status::count, "values were observed per channel before, now per tensor", {}, "use one observer for each"};
    if (count != 0) see_in_default_env(x, count);
    return {};
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
    collected_ = false;
    if (outer == 1) {
      for (std::size_t c = 0; c < channels; ++c) QUANTAL_CHECK(channels_[c]->observe(x + c * inner, inner));
      return {};
    }
    return observe_gathered(x, outer, channels, inner);
  }

  // Adds a tensor of f32, f16, bf16 or f64, whole or (axis >= 0) per index of an axis. A dense f32 tensor is read in
  // place, others through an f32 copy: f64 is rounded (beyond f32's range it counts as an infinity). Errors: dtype,
  // shape (no such axis), count, and those of check_view.
  result<void> observe(const tensor_view& v, std::int32_t axis = -1) {
    if (v.type != dtype::f32 && v.type != dtype::f16 && v.type != dtype::bf16 && v.type != dtype::f64)
      return error{status::dtype,
                   std::string("values of type ") + name_of(v.type) + " cannot be observed",
                   {},
                   "observe f32, f16, bf16 or f64"};
    if (const status bad = check_view(v, UINT64_MAX, UINT64_MAX); bad != status::ok)
      return error{bad, "a tensor that cannot be read", {}, {}};
    if (axis < -1 || axis >= v.dims.rank)
      return error{status::shape,
                   "axis " + std::to_string(axis) + " of a tensor of rank " + std::to_string(v.dims.rank),
                   {},
                   "give -1 for the whole tensor, or an axis"};
    std::vector<float> copy;
    const float* x = static_cast<const float*>(v.data);
    if (v.type != dtype::f32 || !v.is_dense()) {
      copy = floats_of(v);
      x = copy.data();
    }
    if (axis >= 0)
      return observe(x, static_cast<std::size_t>(v.dims.elements(0, axis)), static_cast<std::size_t>(v.dims[axis]),
                     static_cast<std::size_t>(v.dims.elements(axis + 1, v.dims.rank)));
    return observe(x, static_cast<std::size_t>(v.elements()));
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
  // Not inlined: no arithmetic moves out of the standard rounding mode.
  void see_in_default_env(const float* x, std::size_t count) {
    const default_fp_env env;
    see_all(x, count);
  }
  [[gnu::noinline]] void see_all(const float* x, std::size_t count) { see(x, count); }

  static std::vector<float> floats_of(const tensor_view& v) {
    const auto count = static_cast<std::size_t>(v.elements());
    std::vector<std::uint64_t> dense((count * bits_of(v.type) / 8 + 7) / 8);
    (void)copy_dense(v, dense.data());
    const auto* bytes = reinterpret_cast<const unsigned char*>(dense.data());
    const auto element = [bytes](std::size_t i, auto zero) {
      decltype(zero) value;
      __builtin_memcpy(&value, bytes + i * sizeof value, sizeof value);
      return value;
    };
    std::vector<float> out(count);
    for (std::size_t i = 0; i < count; ++i) {
      switch (v.type) {
        case dtype::f16: out[i] = f16_to_f32(element(i, std::uint16_t{})); break;
        case dtype::bf16: out[i] = bf16_to_f32(element(i, std::uint16_t{})); break;
        case dtype::f64: out[i] = static_cast<float>(element(i, double{})); break;
        default: out[i] = element(i, float{}); break;
      }
    }
    return out;
  }

  // Short runs share cache lines: as many channels as one line holds are gathered in one pass.
  result<void> observe_gathered(const float* x, std::size_t outer, std::size_t channels, std::size_t inner) {
    const std::size_t most = inner >= 16 ? 1 : 16, count = outer * inner;
    std::vector<float> values(std::min(most, channels) * count);
    for (std::size_t first = 0; first < channels; first += most) {
      const std::size_t together = std::min(most, channels - first);
      for (std::size_t o = 0; o < outer; ++o) {
        const float* from = x + (o * channels + first) * inner;
        float* to = values.data() + o * inner;
        for (std::size_t i = 0; i < inner; ++i)
          for (std::size_t c = 0; c < together; ++c) to[c * count + i] = from[c * inner + i];
      }
      for (std::size_t c = 0; c < together; ++c)
        QUANTAL_CHECK(channels_[first + c]->observe(values.data() + c * count, count));
    }
    return {};
  }

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
        whole.bins.reset();  // an empty histogram would pass for the whole tensor's
      }
    whole.channels = std::move(parts);
    stats_ = std::move(whole);
    collected_ = true;
  }

  std::vector<std::unique_ptr<observer>> channels_;
  mutable bool collected_ = true;
};

}  // namespace quantal::calib
