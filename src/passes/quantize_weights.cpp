#include "quantal/passes/quantize_weights.hpp"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <string_view>

namespace quantal::passes {

namespace {

struct channel_layout {
  std::int64_t outer = 1, channels = 1, inner = 1;
  std::size_t channel(std::int64_t i) const { return static_cast<std::size_t>(i / inner % channels); }
};

channel_layout layout_of(const shape& s, std::int32_t axis) {
  if (axis < 0) return {1, 1, std::max<std::int64_t>(1, s.elements())};
  return {s.elements(0, axis), s[axis], s.elements(axis + 1, s.rank)};
}

float scale_for(double absmax, double q_max, float floor) {
  const float scale = static_cast<float>(absmax / q_max);
  if (!(scale >= FLT_MIN)) return std::max(floor, absmax == 0 && floor > 0 ? floor : 1.0F);
  return std::max(scale, floor);
}

double code(double w, double scale, double q_max) {
  return std::clamp(std::nearbyint(w / scale), -q_max, q_max);
}

// Tries to clip: of 40 shares of max|w| the one with the least squared error of this channel.
double best_absmax(const float* w, const channel_layout& l, std::size_t c, double absmax, double q_max) {
  double best = absmax, least = HUGE_VAL;
  for (int step = 0; step < 40; ++step) {
    const double candidate = absmax * (1.0 - 0.02 * step), scale = candidate / q_max;
    double total = 0;
    for (std::int64_t o = 0; o < l.outer && total < least; ++o) {
      const float* row = w + (o * l.channels + static_cast<std::int64_t>(c)) * l.inner;
      for (std::int64_t i = 0; i < l.inner; ++i) {
        const double error = static_cast<double>(row[i]) - code(static_cast<double>(row[i]), scale, q_max) * scale;
        total += error * error;
      }
    }
    if (total < least) {
      least = total;
      best = candidate;
    }
  }
  return best;
}

// The magnitude that q_max stands for, per channel, as the method has it. A channel that it finds degenerate keeps its
// largest value.
result<std::vector<double>> bounds_of(const float* w, const channel_layout& l, const std::vector<double>& absmax,
                                      double q_max, const weight_options& options) {
  const calib::method* method = options.range.method;
  std::vector<double> bounds = absmax;
  if (method == nullptr || std::string_view(method->name) == "minmax") return bounds;
  if (std::string_view(method->name) == "mse") {
    for (std::size_t c = 0; c < bounds.size(); ++c)
      if (absmax[c] > 0) bounds[c] = best_absmax(w, l, c, absmax[c], q_max);
    return bounds;
  }
  const auto seen = method->make_observer(options.range.options);
  QUANTAL_CHECK(seen->observe(w, static_cast<std::size_t>(l.outer), static_cast<std::size_t>(l.channels),
                              static_cast<std::size_t>(l.inner)));
  const calib::statistics& stats = seen->stats();
  for (std::size_t c = 0; c < bounds.size(); ++c) {
    if (absmax[c] == 0) continue;
    QUANTAL_TRY(r, method->clip(stats.channels[c], options.range.options, {dtype::s8, true, options.reduce_range}));
    const double bound = std::max(std::fabs(r.min), std::fabs(r.max));
    if (bound > 0) bounds[c] = bound;
  }
  return bounds;
}

}  // namespace

result<quantized_weight> quantize_weights(const tensor_buffer& weight, const weight_options& options) {
  const channel_layout l = layout_of(weight.dims(), options.axis);
  const double q_max = options.reduce_range ? 64 : 127;
  const float* w = weight.as<float>();
  const std::int64_t count = weight.elements();
  std::vector<double> absmax(static_cast<std::size_t>(l.channels), 0.0);
  for (std::int64_t i = 0; i < count; ++i) {
    if (!std::isfinite(w[i]))
      return error{status::nan_value, "the weight holds NaN or an infinity", "element " + std::to_string(i), ""};
    double& a = absmax[l.channel(i)];
    a = std::max(a, std::fabs(static_cast<double>(w[i])));
  }
  QUANTAL_TRY(bounds, bounds_of(w, l, absmax, q_max, options));
  quantized_weight q;
  for (std::size_t c = 0; c < absmax.size(); ++c) {
    const float floor = options.floors.empty() ? 0.0F : options.floors[options.floors.size() == 1 ? 0 : c];
    q.scales.push_back(scale_for(bounds[c], q_max, floor));
  }
  QUANTAL_TRY(values, tensor_buffer::make(dtype::s8, weight.dims()));
  auto* out = values.mutable_as<std::int8_t>();
  for (std::int64_t i = 0; i < count; ++i)
    out[i] =
        static_cast<std::int8_t>(code(static_cast<double>(w[i]), static_cast<double>(q.scales[l.channel(i)]), q_max));
  q.values = values;
  return q;
}

std::vector<float> bias_guard(std::span<const float> bias, float input_scale, std::span<const float> weight_scales) {
  std::vector<float> floors(weight_scales.size(), 0.0F);
  bool needed = false;
  for (std::size_t c = 0; c < bias.size(); ++c) {
    const std::size_t k = weight_scales.size() == 1 ? 0 : c;
    const double smallest =
        std::fabs(static_cast<double>(bias[c])) / (static_cast<double>(input_scale) * largest_bias_code);
    if (smallest > static_cast<double>(weight_scales[k])) {
      floors[k] = std::max(floors[k], static_cast<float>(smallest * 1.000001));
      needed = true;
    }
  }
  return needed ? floors : std::vector<float>{};
}

tensor_buffer quantize_bias(std::span<const float> bias, float input_scale, std::span<const float> weight_scales) {
  std::vector<std::int32_t> codes(bias.size());
  for (std::size_t c = 0; c < bias.size(); ++c) {
    // The accumulator's scale as a runtime multiplies it: in f32.
    const float scale = input_scale * weight_scales[weight_scales.size() == 1 ? 0 : c];
    const double q = std::nearbyint(static_cast<double>(bias[c]) / static_cast<double>(scale));
    codes[c] = static_cast<std::int32_t>(std::clamp(q, -2147483647.0, 2147483647.0));
  }
  return tensor_buffer::of<std::int32_t>(shape(static_cast<std::int64_t>(codes.size())), codes);
}

}  // namespace quantal::passes
