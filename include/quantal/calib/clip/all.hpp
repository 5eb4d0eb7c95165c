// The clip methods, in the order in which interfaces list them. To add one: its file, its two lines here.
#pragma once
#include "quantal/calib/clip/max.hpp"
#include "quantal/calib/clip/minmax.hpp"
#include "quantal/calib/clip/moving_average.hpp"

namespace quantal::calib {

inline constexpr const method* method_table[] = {
    &minmax_method,
    &moving_average_method,
    &max_method,
};

}  // namespace quantal::calib
