// Peer: XNNPACK (Debian's libxnnpack-dev, C interface of 2022). Products run as 1x1 convolutions, because only
// convolutions take a scale per channel there; they use the same GEMM kernels. Signed codes only.
#include <xnnpack.h>

#include <cstring>
#include <vector>

#include "peer.hpp"

namespace bench {
namespace {

class operation final : public peer_operation {
 public:
  operation() = default;
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;
  ~operation() override {
    if (op != nullptr) xnn_delete_operator(op);
  }
  void run(long calls) override {
    for (long i = 0; i < calls; ++i) xnn_run_operator(op, nullptr);
  }
  double value(std::size_t i) const override {
    if (is_unsigned) return static_cast<double>(static_cast<std::uint8_t>(codes[i]));
    return floats.empty() ? static_cast<double>(codes[i]) + shift : static_cast<double>(floats[i]);
  }

  xnn_operator_t op = nullptr;
  problem_ptr data;
  array<std::int8_t> input, second, codes;
  array<float> floats;
  double shift = 0;          // from our codes to s8
  bool is_unsigned = false;  // codes are u8
};

class xnnpack final : public peer {
 public:
  xnnpack() : ready_(xnn_initialize(nullptr) == xnn_status_success) {}
  std::string version() const override { return "XNNPACK of 2022-02-16 (Debian)"; }

  bool offers(kind what) const override { return what != kind::observe && what != kind::requantize; }

  std::unique_ptr<peer_operation> make(const problem_ptr& p) override {
    if (!ready_) return nullptr;
    switch (p->what) {
      case kind::quantize: return quantize(p);
      case kind::dequantize: return dequantize(p);
      case kind::add:
      case kind::multiply: return binary(p);
      case kind::look_up: return look_up(p);
      case kind::max_pool: return max_pool(p);
      case kind::average_pool: return average_pool(p);
      case kind::observe:
      case kind::requantize: return nullptr;
      default: return convolution(p);
    }
  }

 private:
  static constexpr std::size_t slack = 64;  // XNNPACK reads up to 16 bytes past its input

  static std::unique_ptr<peer_operation> convolution(const problem_ptr& p) {
    auto o = std::make_unique<operation>();
    const int shift = p->unsigned_codes ? 128 : 0;
    o->shift = shift;
    o->input.resize(p->input.size() + slack);
    for (std::size_t i = 0; i < p->input.size(); ++i)
      o->input[i] = static_cast<std::int8_t>(p->input[i] ^ (p->unsigned_codes ? 0x80 : 0));
    o->codes.resize(p->outputs() + slack);
    const auto u32 = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    if (xnn_create_convolution2d_nhwc_qc8(
            u32(p->pad_h()), u32(p->pad), u32(p->pad_h()), u32(p->pad), u32(p->kernel_h()), u32(p->kernel),
            u32(p->stride), u32(p->stride), u32(p->dilation), u32(p->dilation), u32(p->groups),
            size(p->in_channels / p->groups), size(p->out_channels / p->groups), size(p->in_channels),
            size(p->out_channels), static_cast<std::int8_t>(p->input_zero_point - shift), 1.0f, p->ratios.data(),
            p->weights.data(), p->bias.data(), static_cast<std::int8_t>(p->output_zero_point - shift), 1.0f, -128, 127,
            0, &o->op) != xnn_status_success ||
        xnn_setup_convolution2d_nhwc_qc8(o->op, 1, size(p->height), size(p->width), o->input.data(), o->codes.data(),
                                         nullptr) != xnn_status_success)
      return nullptr;
    return o;
  }

  static std::unique_ptr<peer_operation> quantize(const problem_ptr& p) {
    auto o = std::make_unique<operation>();
    o->data = p;
    o->codes.resize(p->values.size() + slack);
    if (xnn_create_convert_nc_f32_qs8(1, 1, 1, p->scale, static_cast<std::int8_t>(p->output_zero_point), -128, 127, 0,
                                      &o->op) != xnn_status_success ||
        xnn_setup_convert_nc_f32_qs8(o->op, p->values.size(), p->values.data(), o->codes.data(), nullptr) !=
            xnn_status_success)
      return nullptr;
    return o;
  }

  static std::unique_ptr<peer_operation> dequantize(const problem_ptr& p) {
    auto o = std::make_unique<operation>();
    o->data = p;
    o->floats.resize(p->values.size() + slack);
    if (xnn_create_convert_nc_qs8_f32(1, 1, 1, p->scale, static_cast<std::int8_t>(p->output_zero_point), 0, &o->op) !=
            xnn_status_success ||
        xnn_setup_convert_nc_qs8_f32(o->op, p->values.size(), reinterpret_cast<const std::int8_t*>(p->input.data()),
                                     o->floats.data(), nullptr) != xnn_status_success)
      return nullptr;
    return o;
  }

  // Codes in, codes out; the output's scale is 1, so an input's is its ratio.
  static std::unique_ptr<operation> start_codes(const problem_ptr& p) {
    auto o = std::make_unique<operation>();
    o->data = p;
    o->input.resize(p->input.size() + slack);
    std::memcpy(o->input.data(), p->input.data(), p->input.size());
    o->second.resize(p->second.size() + slack);
    if (!p->second.empty()) std::memcpy(o->second.data(), p->second.data(), p->second.size());
    o->codes.resize(p->outputs() + slack);
    o->is_unsigned = p->unsigned_codes;
    return o;
  }
  static std::int8_t s8(std::int32_t x) { return static_cast<std::int8_t>(x); }

  static std::unique_ptr<peer_operation> binary(const problem_ptr& p) {
    auto o = start_codes(p);
    const std::size_t n = p->outputs();
    const std::int8_t a = s8(p->input_zero_point), b = s8(p->second_zero_point), to = s8(p->output_zero_point);
    const bool add = p->what == kind::add;
    const xnn_status made =
        add ? xnn_create_add_nd_qs8(a, p->ratios[0], b, p->ratios[1], to, 1.0f, -128, 127, 0, &o->op)
            : xnn_create_multiply_nd_qs8(a, p->ratios[0], b, 1.0f, to, 1.0f, -128, 127, 0, &o->op);
    if (made != xnn_status_success) return nullptr;
    const auto setup = add ? xnn_setup_add_nd_qs8 : xnn_setup_multiply_nd_qs8;
    if (setup(o->op, 1, &n, 1, &n, o->input.data(), o->second.data(), o->codes.data(), nullptr) != xnn_status_success)
      return nullptr;
    return o;
  }

  static std::unique_ptr<peer_operation> look_up(const problem_ptr& p) {
    auto o = start_codes(p);
    if (xnn_create_sigmoid_nc_qs8(1, 1, 1, s8(p->input_zero_point), p->ratios[0], -128, 1.0f / 256, -128, 127, 0,
                                  &o->op) != xnn_status_success ||
        xnn_setup_sigmoid_nc_qs8(o->op, p->outputs(), o->input.data(), o->codes.data(), nullptr) != xnn_status_success)
      return nullptr;
    return o;
  }

  static std::unique_ptr<peer_operation> max_pool(const problem_ptr& p) {
    auto o = start_codes(p);
    const auto u32 = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    const std::size_t channels = size(p->in_channels);
    if (xnn_create_max_pooling2d_nhwc_s8(u32(p->pad), u32(p->pad), u32(p->pad), u32(p->pad), u32(p->kernel),
                                         u32(p->kernel), u32(p->stride), u32(p->stride), 1, 1, channels, channels,
                                         channels, -128, 127, 0, &o->op) != xnn_status_success ||
        xnn_setup_max_pooling2d_nhwc_s8(o->op, 1, size(p->height), size(p->width), o->input.data(), o->codes.data(),
                                        nullptr) != xnn_status_success)
      return nullptr;
    return o;
  }

  static std::unique_ptr<peer_operation> average_pool(const problem_ptr& p) {
    auto o = start_codes(p);
    const auto u32 = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    const std::size_t channels = size(p->in_channels);
    if (!p->unsigned_codes) {  // the whole image
      if (xnn_create_global_average_pooling_nwc_qs8(channels, channels, channels, s8(p->input_zero_point), p->ratios[0],
                                                    s8(p->output_zero_point), 1.0f, -128, 127, 0,
                                                    &o->op) != xnn_status_success ||
          xnn_setup_global_average_pooling_nwc_qs8(o->op, 1, size(p->height * p->width), o->input.data(),
                                                   o->codes.data(), nullptr) != xnn_status_success)
        return nullptr;
      return o;
    }
    const auto u8 = [](std::int32_t x) { return static_cast<std::uint8_t>(x); };
    if (xnn_create_average_pooling2d_nhwc_qu8(u32(p->pad), u32(p->pad), u32(p->pad), u32(p->pad), u32(p->kernel),
                                              u32(p->kernel), u32(p->stride), u32(p->stride), channels, channels,
                                              channels, u8(p->input_zero_point), p->ratios[0], u8(p->output_zero_point),
                                              1.0f, 0, 255, 0, &o->op) != xnn_status_success ||
        xnn_setup_average_pooling2d_nhwc_qu8(
            o->op, 1, size(p->height), size(p->width), reinterpret_cast<const std::uint8_t*>(o->input.data()),
            reinterpret_cast<std::uint8_t*>(o->codes.data()), nullptr) != xnn_status_success)
      return nullptr;
    return o;
  }

  bool ready_;
};

}  // namespace

extern "C" peer* quantal_bench_peer() {
  static xnnpack instance;
  return &instance;
}

}  // namespace bench
