// The clip methods, in the order in which interfaces list them. To add one: its file, its two lines here.
#pragma once
#include "quantal/calib/clip/avgmax.hpp"
#include "quantal/calib/clip/entropy.hpp"
#include "quantal/calib/clip/entropy_onnxruntime.hpp"
#include "quantal/calib/clip/histogram.hpp"
#include "quantal/calib/clip/max.hpp"
#include "quantal/calib/clip/minmax.hpp"
#include "quantal/calib/clip/moving_average.hpp"
#include "quantal/calib/clip/mse.hpp"
#include "quantal/calib/clip/octav.hpp"
#include "quantal/calib/clip/percentile.hpp"
#include "quantal/calib/clip/qat_shift.hpp"
#include "quantal/calib/clip/scale.hpp"
#include "quantal/calib/clip/stddev.hpp"

namespace quantal::calib {

inline constexpr const method* method_table[] = {
    &minmax_method,     &moving_average_method,
    &percentile_method, &percentile_symmetric_method,
    &entropy_method,    &entropy_onnxruntime_method,
    &mse_method,        &histogram_method,
    &octav_method,      &avgmax_method,
    &stddev_method,     &scale_method,
    &max_method,        &qat_shift_method,
};

}  // namespace quantal::calib
