// octav: the clipping value with the least mean squared error under uniform rounding noise, by fixed-point (Newton)
// iteration.
//
//   symmetric:  c <- sum |x| [|x| > c]  /  ((1 - k) * #[|x| > c] + k * N),   k = 4^-b / 3
//   affine:     each end in turn, from d/d max of  clipping error + N (max - min)^2 / (12 steps^2):
//               max <- (sum x [x > max]  + k' N min) / (#[x > max] + k' N),   k' = 1 / (12 steps^2)
//
// Both start at the mean magnitude (of that side) and stop when nothing moves by more than 1e-9 of the range, at most
// 200 rounds. The density comes from the histogram (clip/density.hpp). Source: Sakr et al. 2022, "Optimal Clipping and
// Magnitude-aware Differentiation"; ai-edge-quantizer's OCTAV for the symmetric form. Rounding noise is assumed
// uniform: use mse for few levels. Memory: the density. Cost: O(rounds * log bins).
#pragma once
#include <cmath>

#include "quantal/calib/clip/clip.hpp"
#include "quantal/calib/clip/density.hpp"

namespace quantal::calib {

// The iteration over any "what lies above c" (so that a tensor in memory can be clipped without a histogram).
template <class Above>
double octav_threshold(const Above& above, double total, double start, double largest, int bits, std::int32_t& rounds) {
  const double k = std::ldexp(1.0, -2 * bits) / 3;
  double c = start;
  for (rounds = 0; rounds < 200; ++rounds) {
    const auto m = above(c);
    const double next = std::fmin(largest, m.sum / ((1 - k) * m.count + k * total));
    if (!(next > 0)) break;
    const bool done = std::fabs(next - c) <= 1e-9 * largest;
    c = next;
    if (done) break;
  }
  return c;
}

inline result<range> clip_octav(const statistics& s, const method_options&, const quant_target& target) {
  if (s.bins->kind != grid::aligned)
    return error{status::calibration, "octav needs the aligned histogram", {}, "calibrate with octav"};
  range r;
  if (target.symmetric) {
    const density d(s, true);
    const int bits = static_cast<int>(bits_of(target.type)) - (target.reduce_range ? 1 : 0);
    const double mean = d.above(0).sum / d.total();
    const double c =
        octav_threshold([&](double t) { return d.above(t); }, d.total(), mean, absmax(s), bits, r.candidates);
    r.min = -c, r.max = c;
    return r;
  }
  const density d(s);
  const double k = d.total() / (12 * target.steps() * target.steps());
  const double low = std::fmin(s.min, 0.0), high = std::fmax(s.max, 0.0);
  const auto mean = [](const density::mass& m) { return m.count > 0 ? m.sum / m.count : 0.0; };
  r.min = std::fmin(mean(d.below(0)), 0.0), r.max = std::fmax(mean(d.above(0)), 0.0);
  for (; r.candidates < 200; ++r.candidates) {
    const auto above = d.above(r.max), below = d.below(r.min);
    const double max = std::fmin(high, std::fmax(0.0, (above.sum + k * r.min) / (above.count + k)));
    const double min = std::fmax(low, std::fmin(0.0, (below.sum + k * r.max) / (below.count + k)));
    const bool done = std::fabs(max - r.max) + std::fabs(min - r.min) <= 1e-9 * (high - low);
    r.max = max, r.min = min;
    if (done) break;
  }
  return r;
}
inline constexpr method octav_method{"octav", "histogram", needs::bins, &clip_octav,
                                     "least squared error by Newton iteration"};

}  // namespace quantal::calib
