// minmax: the whole range, [min, max]. Nothing saturates; one outlier spends codes on empty space.
// Source: onnxruntime MinMaxCalibrater, torch MinMaxObserver. Memory: two numbers. Cost: none.
#pragma once
#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

inline result<range> clip_minmax(const statistics& s, const method_options&, const quant_target&) {
  return range{s.min, s.max, false, 0};
}
inline constexpr method minmax_method{"minmax", "min_max", needs::range, &clip_minmax, "smallest to largest value"};

}  // namespace quantal::calib
