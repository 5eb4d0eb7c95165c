// Integer convolution, planned: describe once, check once, pack the weights once, then run without checks, allocation
// or branches on parameters.
//
//   conv_desc ── plan_conv ──> conv_plan          conv_desc.hpp, conv_plan.hpp
//   weights   ── pack_conv ──> packed weights     conv_pack.hpp: relocatable bytes with a layout id
//                run_conv(plan, buffers, parallel)          conv_run.hpp: noexcept, re-entrant
//
// 1-D and 2-D, any kernel, stride, dilation, groups and padding, [N, H, W, C]; exact on every ISA (the meaning is
// ref/conv.hpp). Depthwise convolutions run here too, but far faster in depthwise.hpp. Freestanding.
#pragma once
#include "quantal/kernels/conv_run.hpp"
