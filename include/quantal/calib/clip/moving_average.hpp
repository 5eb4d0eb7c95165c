// moving_average: the averaged extremes of the batches (observers/moving_average.hpp), as torch's
// MovingAverageMinMaxObserver. On statistics of another observer it would silently be minmax, so that is an error.
// Memory: two numbers. Cost: none.
#pragma once
#include "quantal/calib/clip/clip.hpp"

namespace quantal::calib {

inline result<range> clip_moving_average(const statistics& s, const method_options&, const quant_target&) {
  if (s.observer != "moving_average")
    return error{status::calibration,
                 "moving_average needs batches in order, which the observer " + s.observer + " does not keep",
                 {},
                 "calibrate with moving_average"};
  return range{s.min, s.max, false, 0};
}
inline constexpr method moving_average_method{"moving_average", "moving_average", needs::range, &clip_moving_average,
                                              "exponential average of each batch's extremes (depends on order)"};

}  // namespace quantal::calib
