// clip: what a clip method is. It turns statistics into the range that will be quantized; it never sees data.
//
// A method is a row: its public name, the observer that gathers what it needs, the parts it needs, and its function.
// The range is that of real values to represent, not widened to contain zero: choosing scale and zero point does that
// (quant/choose), because presets differ there. Symmetric methods return [-a, a].
#pragma once
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "quantal/base/fp_env.hpp"
#include "quantal/base/result.hpp"
#include "quantal/calib/observers/all.hpp"
#include "quantal/calib/statistics.hpp"
#include "quantal/tensor/dtype.hpp"

namespace quantal::calib {

struct range {
  double min = 0, max = 0;
  bool degenerate = false;      // nothing but zeros (or nothing finite) was seen: any scale does
  std::int32_t candidates = 0;  // ranges that were tried; 0: the method does not search
};

// What the range will be quantized to.
struct quant_target {
  dtype type = dtype::u8;
  bool symmetric = false;
  bool reduce_range = false;

  // Steps between the lowest and the highest code: 255 for u8 affine, 254 for s8 symmetric, 127 with reduced range.
  double steps() const noexcept {
    const int bits = static_cast<int>(bits_of(type)) - (reduce_range ? 1 : 0);
    const double levels = std::ldexp(1.0, bits < 1 ? 1 : bits);
    return symmetric && levels > 2 ? levels - 2 : levels - 1;
  }
};

// Parts of statistics that a method needs besides min and max.
enum class needs : std::int32_t { range, sums, bins };

struct method {
  using clip_fn = result<range> (*)(const statistics&, const method_options&, const quant_target&);

  const char* name;
  const char* observer_name;
  needs part;
  clip_fn function;
  const char* summary;
  bool (*needs_histogram)(const method_options&) = nullptr;  // with these options; null: never (beyond `part`)

  // The observer that gathers what this method needs.
  std::unique_ptr<observer> make_observer(const method_options& options = {}) const {
    const bool tool = part == needs::bins && options.histogram_grid != grid::aligned;
    const bool wider = needs_histogram != nullptr && needs_histogram(options);
    return calib::make_observer(tool ? "tool_histogram" : wider ? "histogram" : observer_name, options);
  }

  // The range for a whole tensor. Errors: calibration (nothing was observed; the statistics lack a part), argument (an
  // option).
  result<range> clip(const statistics& s, const method_options& options = {}, const quant_target& target = {}) const {
    QUANTAL_CHECK(check(options));
    if (s.count == 0 && s.nans + s.positive_infinities + s.negative_infinities == 0)
      return error{status::calibration,
                   "nothing was observed",
                   {},
                   "calibrate with at least one sample that reaches this tensor"};
    if (s.count == 0) return range{0, 0, true, 0};
    QUANTAL_CHECK(has_part(s));
    if (bits_of(target.type) == 0 || bits_of(target.type) > 32)
      return error{status::dtype,
                   std::string("a range cannot be chosen for the type ") + name_of(target.type),
                   {},
                   "choose an integer type"};
    if (s.min == 0 && s.max == 0) return range{0, 0, true, 0};
    QUANTAL_TRY(r, call_in_default_env(s, options, target));
    if (!std::isfinite(r.min) || !std::isfinite(r.max) || r.min > r.max)
      return error{
          status::internal, std::string(name) + " produced no usable range", {}, "report this, with the statistics"};
    r.degenerate = r.min == 0 && r.max == 0;
    return r;
  }

  // One range per channel of per-channel statistics.
  result<std::vector<range>> clip_channels(const statistics& s, const method_options& options = {},
                                           const quant_target& target = {}) const {
    if (s.channels.empty())
      return error{status::calibration, "the statistics hold no channels", {}, "observe per channel"};
    std::vector<range> out;
    for (std::size_t c = 0; c < s.channels.size(); ++c) {
      auto r = clip(s.channels[c], options, target);
      if (!r) return std::move(r).failure().at("channel " + std::to_string(c));
      out.push_back(*r);
    }
    return out;
  }

  // Errors: argument, naming the option.
  static result<void> check(const method_options& o) {
    if (o.bins != 0 && (o.bins < min_bins || o.bins > max_bins))
      return bad_option("bins", "give 2 to 1048576, or 0 for the default");
    if (o.quantized_bins < 2 || o.quantized_bins > max_bins) return bad_option("quantized_bins", "give 2 to 1048576");
    if (!(o.percentile > 0 && o.percentile <= 100)) return bad_option("percentile", "give more than 0 and at most 100");
    if (!(o.stddev > 0 && o.stddev <= 1e6))
      return bad_option("stddev", "give a positive number of standard deviations");
    if (!(o.scale > 0 && o.scale <= 1e6)) return bad_option("scale", "give a positive factor");
    if (!(o.averaging_constant > 0 && o.averaging_constant <= 1))
      return bad_option("averaging_constant", "give more than 0 and at most 1");
    if (!(o.shift_quantile > 0 && o.shift_quantile <= 1))
      return bad_option("shift_quantile", "give more than 0 and at most 1");
    return {};
  }

 private:
  // Not inlined: no arithmetic moves out of the standard rounding mode.
  result<range> call_in_default_env(const statistics& s, const method_options& o, const quant_target& t) const {
    const default_fp_env env;
    return call(s, o, t);
  }
  [[gnu::noinline]] result<range> call(const statistics& s, const method_options& o, const quant_target& t) const {
    return function(s, o, t);
  }
  static error bad_option(const char* option, const char* advice) {
    return {status::argument, "value out of range", std::string("option ") + option, advice};
  }
  result<void> has_part(const statistics& s) const {
    const bool there = part == needs::range || (part == needs::sums && s.sums) || (part == needs::bins && s.bins);
    if (there) return {};
    const char* what = part == needs::sums ? "moments" : "a histogram";
    return error{status::calibration,
                 std::string(name) + " needs " + what + ", which the observer " + s.observer + " does not keep",
                 {},
                 "calibrate with the observer histogram"};
  }
};

// The largest magnitude seen.
inline double absmax(const statistics& s) noexcept {
  return std::fmax(std::fabs(s.min), std::fabs(s.max));
}

// [min, max] cut to what was seen.
inline range within(const statistics& s, double min, double max) noexcept {
  return {std::fmin(std::fmax(min, s.min), s.max), std::fmax(std::fmin(max, s.max), s.min), false, 0};
}

}  // namespace quantal::calib
