// Depthwise convolution, planned like convolution (kernels/conv.hpp), from the same description with groups = in_c.
//
//   conv_desc ── plan_depthwise ──> depthwise_plan      conv_desc.hpp, depthwise_plan.hpp
//   weights   ── pack_depthwise ──> packed weights      depthwise_pack.hpp
//                run_depthwise(plan, buffers, parallel)          depthwise_run.hpp
//
// Any kernel, stride, dilation, padding and channel multiplier; 3 x 3 and 5 x 5 are fast. Exact on every ISA (the
// meaning is ref/conv.hpp). Freestanding.
#pragma once
#include "quantal/kernels/depthwise_run.hpp"
