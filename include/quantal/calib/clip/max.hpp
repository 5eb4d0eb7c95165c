// max: [-a, a] with a = max|x|, the symmetric form of minmax.
// Source: ai8x quantize.py --clip-method MAX (saturation max|W|). Memory: two numbers. Cost: none.
#pragma once
#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

inline result<range> clip_max(const statistics& s, const method_options&, const quant_target&) {
  return range{-absmax(s), absmax(s), false, 0};
}
inline constexpr method max_method{"max", "min_max", needs::range, &clip_max, "symmetric, up to the largest magnitude"};

}  // namespace quantal::calib
