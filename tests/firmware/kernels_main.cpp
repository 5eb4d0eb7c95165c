// K16 on an emulated Cortex-M4 whose FPU stays off, as in an interrupt handler of a system that does not save its state:
// a product, a convolution and a depthwise convolution are planned, packed and run under each contract; one
// floating-point instruction would be a fault. Outputs equal the reference. Returns the number of the first check that
// fails; 0: all passed.
#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"
#include "quantal/kernels/gemm.hpp"

using namespace quantal;

extern "C" {
extern const gemm_leaf device_gemm_leaf;
extern const depthwise_leaf device_depthwise_leaf;
int32_t device_gemm(const gemm_plan* p, const gemm_buffers* b);
int32_t device_conv(const conv_plan* p, const conv_buffers* b);
int32_t device_depthwise(const depthwise_plan* p, const conv_buffers* b);
void print(const char* text);
}

namespace {

constexpr int32_t channels = 5;
const float ratios[channels] = {0.001f, 0.002f, 0.003f, 0.004f, 0.005f};
fixed_multiplier multipliers[channels];
const int32_t bias[channels] = {-700, 0, 300, 12345, -9};
uint8_t in[128], weights[256], out[128], wanted[128];
alignas(64) uint8_t packed[4096];
alignas(64) uint8_t work[4096];

void fill() {
  uint32_t state = 1;
  for (uint8_t& x : in) x = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  for (uint8_t& x : weights) x = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  for (int32_t i = 0; i < channels; ++i) fixed_multiplier_of(static_cast<double>(ratios[i]), multipliers[i]);
}

bool same(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (out[i] != wanted[i]) return false;
  }
  return true;
}

epilogue finish(contract rule) {
  epilogue e;
  e.requant = {rule, ratios, multipliers, channels, 7, INT32_MIN, INT32_MAX};
  return e;
}

int product(contract rule) {
  gemm_desc d;
  d.shape = {4, channels, 20};
  d.out = dtype::u8;
  d.lhs_zero_point = 120;
  d.finish = finish(rule);
  gemm_plan p;
  if (plan_gemm(d, device_gemm_leaf, 1, p) != status::ok || gemm_workspace_bytes(p, 1) > sizeof work) return 1;
  if (pack_gemm(p, {weights, bias, nullptr, d.finish}, packed, sizeof packed) != status::ok) return 2;
  const gemm_buffers b{in, 80, packed, sizeof packed, out, 20, work, sizeof work};
  ref::gemm(d.shape, {in, d.lhs, 20, 1, 120}, {weights, d.rhs, channels, 1, 0}, {bias}, d.finish, d.out, wanted,
            channels);
  const int32_t s = device_gemm(&p, &b);
  return s != 0 ? 3 : same(20) ? 0 : 4;
}

template <class Plan, class Leaf, class Make, class Pack, class Run>
int convolution(contract rule, bool depthwise, const Leaf& leaf, Make make, Pack pack, Run run) {
  conv_desc d;
  conv_shape& s = d.shape;
  s.in_h = s.in_w = 4;
  s.in_c = channels;
  s.out_c = channels;
  s.groups = depthwise ? channels : 1;
  s.kernel_h = s.kernel_w = 3;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1;
  d.in = dtype::u8;
  d.out = dtype::u8;
  d.in_zero_point = 120;
  d.finish = finish(rule);
  Plan p;
  if (make(d, leaf, 1, p, nullptr, conv_tiling{}) != status::ok) return 1;
  if (p.task_workspace > sizeof work || pack(p, weights, bias, d.finish, packed, sizeof packed) != status::ok) return 2;
  const conv_buffers b{in, 80, packed, sizeof packed, nullptr, 0, out, 80, work, sizeof work};
  const conv_layout& l = p.layout;
  code_tensor w{weights, dtype::s8, {}, 0};
  for (int32_t i = 0; i < 4; ++i) w.strides[i] = l.weight_strides[i];
  ref::conv(s, {in, dtype::u8, {80, 20, 5, 1}, 120}, w, bias, d.finish, {}, dtype::u8, wanted, {80, 20, 5, 1});
  const int32_t code = run(&p, &b);
  return code != 0 ? 3 : same(80) ? 0 : 4;
}

}  // namespace

extern "C" int firmware_main() {
  fill();
  for (int32_t i = 0; i < 3; ++i) {
    const contract rule = static_cast<contract>(i);
    if (const int e = product(rule); e != 0) return 10 + e;
    if (const int e = convolution<conv_plan>(rule, false, device_gemm_leaf, plan_conv, pack_conv, device_conv); e != 0)
      return 20 + e;
    if (const int e = convolution<depthwise_plan>(rule, true, device_depthwise_leaf, plan_depthwise, pack_depthwise,
                                                  device_depthwise);
        e != 0)
      return 30 + e;
  }
  print("quantal: K16 passed with the FPU off\n");
  return 0;
}
