// ai8x: the weight factors of ai8x-synthesis quantize.py and the line its -v prints.
//
//   clip methods   factor = 2^(b-1) * f,     f: MAX max|W|, AVGMAX (clip/avgmax), STDDEV (clip/stddev), SCALE constant
//   QAT            factor = 2^(b-1) * 2^k,   k of clip/qat_shift over weights and bias together
//   code           clamp(floor(factor * w + 0.5), -2^(b-1), 2^(b-1) - 1)            (ties toward +infinity)
//
// The trap: with a clip method the tool MULTIPLIES by the statistic, so a larger maximum gives a larger factor; that is
// right only for weights trained inside [-1, 1]. The methods max, avgmax, stddev and scale of calib/clip/ give ranges
// instead, right for any tensor; the functions here give the tool's numbers. All arithmetic on the factor is float32,
// as there.
#pragma once
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "quantal/base/bits.hpp"
#include "quantal/calib/clip/avgmax.hpp"
#include "quantal/calib/clip/qat_shift.hpp"
#include "quantal/calib/clip/stddev.hpp"

namespace quantal::calib {

enum class ai8x_clip { max, avgmax, stddev, scale };

// Statistics of weights [channels, per_channel] (a bias: channels = 1), with moments and channels. Each element of a
// bias is a channel to the tool, so its AVGMAX is |mean|.
inline statistics ai8x_statistics(const float* w, std::size_t channels, std::size_t per_channel) {
  moments_observer seen;
  if (channels > 1)
    (void)seen.observe(w, 1, channels, per_channel);
  else
    (void)seen.observe(w, channels * per_channel);
  return seen.stats();
}

inline float ai8x_saturation(const statistics& s, ai8x_clip clip, const method_options& o = {}) noexcept {
  double f = 0;
  switch (clip) {
    case ai8x_clip::max: f = absmax(s); break;
    case ai8x_clip::avgmax: f = s.channels.empty() ? std::fabs(s.sums->mean()) : average_maximum(s); break;
    case ai8x_clip::stddev: f = deviation_saturation(s, o.stddev); break;
    case ai8x_clip::scale: f = o.scale; break;
  }
  return static_cast<float>(f);
}

inline float ai8x_factor(float saturation, int bits) noexcept {
  return std::ldexp(saturation, bits - 1);
}
// t: the quantile of the magnitudes of weights and bias. An all-zero layer gets the largest shift.
inline float ai8x_qat_factor(float t, int bits) noexcept {
  return std::ldexp(1.0f, bits - 1 + shift_exponent(t, bits));
}

// The linearly interpolated quantile of |x| (numpy, torch), over values in memory.
inline float quantile_of_magnitudes(std::vector<float> x, double q) {
  if (x.empty()) return 0;
  for (float& v : x) v = std::fabs(v);
  const double position = fence(q * static_cast<double>(x.size() - 1));
  const auto i = static_cast<std::ptrdiff_t>(position);
  std::nth_element(x.begin(), x.begin() + i, x.end());
  const float low = x[static_cast<std::size_t>(i)];
  if (position == std::floor(position)) return low;
  const float high = *std::min_element(x.begin() + i + 1, x.end());
  return low + fence(static_cast<float>(position - std::floor(position)) * (high - low));
}

inline std::int32_t ai8x_code(float w, float factor, int bits) noexcept {
  const float limit = std::ldexp(1.0f, bits - 1), q = std::floor(fence(factor * w) + 0.5f);
  return static_cast<std::int32_t>(std::min(std::max(q, -limit), limit - 1));
}

// A bias as the tool stores it in QAT mode: its code at the layer's shift k, in units of 8-bit weights times 7-bit
// activations: clamp(floor(2^(b-1) 2^k bias + 0.5)) * 2^(b-8) * 128. (With a clip method upstream fails on any bias
// since 2021; pass that factor.)
inline float ai8x_bias(float bias, float factor, int bits) noexcept {
  return std::ldexp(static_cast<float>(ai8x_code(bias, factor, bits)), bits - 8 + 7);
}

// numpy's str of a float32: the shortest digits that read back; scientific below 1e-4 and from 1e16.
inline std::string numpy_text(float x) {
  char text[64];
  const float a = std::fabs(x);
  const bool scientific = a != 0 && (a < 1e-4f || a >= 1e16f);
  const auto end =
      std::to_chars(text, text + sizeof text, x, scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string out(text, end.ptr);
  if (!scientific && out.find('.') == std::string::npos) out += ".0";
  return out;
}

// "conv1.op.weight avg_max: 0.19581217 max: 0.25818345 mean: -0.0010339859 factor: [256.] bits: 8"; QAT mode prints the
// factor as a vector of one, the clip methods as a number.
inline std::string ai8x_line(const std::string& key, float avg_max, float max, float mean, float factor, bool qat,
                             int bits) {
  std::string f = numpy_text(factor);
  if (qat) f = "[" + (f.ends_with(".0") ? f.substr(0, f.size() - 1) : f) + "]";
  return key + " avg_max: " + numpy_text(avg_max) + " max: " + numpy_text(max) + " mean: " + numpy_text(mean) +
         " factor: " + f + " bits: " + std::to_string(bits);
}

}  // namespace quantal::calib
