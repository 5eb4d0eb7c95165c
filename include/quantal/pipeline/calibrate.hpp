// calibrate: runs a float model over samples and remembers, per tensor, what a range needs: statistics, not values.
//
//   for each feed: session.run(feed) -> observer[tensor].observe(values)        then forget the feed
//
// Memory: the session's arena, the feeds read ahead, and O(bins) per observed tensor; it does not grow with the number
// of samples. Every sample counts: nothing is sampled or averaged away, so an outlier in the last one is in the range.
// Repeats that fill a fixed batch are seen (harmless to a range) but not counted as samples. The statistics can be
// saved and clipped again by another method (quantal calibrate, calib/method.hpp).
#pragma once
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "quantal/calib/observer.hpp"
#include "quantal/calib/statistics.hpp"
#include "quantal/data/linter.hpp"
#include "quantal/pipeline/quantize.hpp"

namespace quantal::pipeline {

struct calibration {
  std::string method;                                // how its ranges are clipped by default
  std::map<std::string, calib::statistics> tensors;  // by name, sorted: caches are deterministic
  std::int64_t samples = 0;
  std::int64_t feeds = 0;
  data::data_facts facts;  // of the samples, for the linter
  std::unordered_map<std::string, std::int64_t>
      macs;                                        // of weighted nodes, by first output, for the first feed's shapes
  std::map<std::string, calib::statistics> means;  // per channel, of inputs of nodes whose bias can be corrected: the
                                                   // mean of each sample's channel is one value, summed exactly
};

// In a calibration cache the means of tensor x stand beside its statistics under the name x + means_suffix.
inline constexpr std::string_view means_suffix = "#channel_means";

calib::method_options method_options_of(const quantize_config& config);

// Observes `tensors` of `m` over all feeds of `samples`. Errors: data_missing (no feed), calibration (unknown observer,
// a tensor without one finite value), cancelled, and what data and session report.
result<calibration> calibrate(std::shared_ptr<const ir::model> m, const std::vector<std::string>& tensors,
                              data::source& samples, const quantize_config& config, const progress_fn& progress = {});

// Multiply-adds of a weighted node from concrete shapes; 0 for other nodes.
std::int64_t macs_of(const ir::node& n, const shape& data, const shape& weight, const shape& output) noexcept;

}  // namespace quantal::pipeline
