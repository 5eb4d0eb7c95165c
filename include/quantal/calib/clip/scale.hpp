// scale: a fixed share of the largest magnitude: [-a, a] with a = S max|x|, S = --scale (0.85).
//
// ai8x quantize.py --clip-method SCALE uses the factor 2^(b-1) * S without looking at the weights, right for weights
// trained inside [-1, 1] (calib/ai8x.hpp gives that factor); as a range for any tensor the share of max|x| is what it
// means. Memory: two numbers. Cost: none.
#pragma once
#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

inline result<range> clip_scale(const statistics& s, const method_options& o, const quant_target&) {
  const double a = o.scale * absmax(s);
  return range{-a, a, false, 0};
}
inline constexpr method scale_method{"scale", "min_max", needs::range, &clip_scale,
                                     "a share of the largest magnitude (ai8x, --scale)"};

}  // namespace quantal::calib
