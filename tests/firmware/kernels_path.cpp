// What an integer network's layers call on a device at run time: planned products, convolutions and depthwise
// convolutions on the portable kernels. Compiled alone, so that its instructions can be looked at (K16).
#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"
#include "quantal/kernels/gemm.hpp"
#include "quantal/kernels/ref/depthwise_leaf.hpp"
#include "quantal/kernels/ref/gemm_leaf.hpp"

using namespace quantal;

extern "C" {

extern const gemm_leaf device_gemm_leaf;
const gemm_leaf device_gemm_leaf = kernels::ref::gemm;
extern const depthwise_leaf device_depthwise_leaf;
const depthwise_leaf device_depthwise_leaf = kernels::ref::depthwise;

int32_t device_gemm(const gemm_plan* p, const gemm_buffers* b) {
  return static_cast<int32_t>(run_gemm(*p, *b));
}
int32_t device_conv(const conv_plan* p, const conv_buffers* b) {
  return static_cast<int32_t>(run_conv(*p, *b));
}
int32_t device_depthwise(const depthwise_plan* p, const conv_buffers* b) {
  return static_cast<int32_t>(run_depthwise(*p, *b));
}
}
