// Peer: XNNPACK (Debian's libxnnpack-dev, C interface of 2022). Products run as 1x1 convolutions, because only
// convolutions take a scale per channel there; they use the same GEMM kernels. Signed codes only.
#include <xnnpack.h>

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
    return floats.empty() ? static_cast<double>(codes[i]) + shift : static_cast<double>(floats[i]);
  }

  xnn_operator_t op = nullptr;
  problem_ptr data;
  array<std::int8_t> input, codes;
  array<float> floats;
  double shift = 0;  // from our codes to s8
};

class xnnpack final : public peer {
 public:
  xnnpack() : ready_(xnn_initialize(nullptr) == xnn_status_success) {}
  std::string version() const override { return "XNNPACK of 2022-02-16 (Debian)"; }

  std::unique_ptr<peer_operation> make(const problem_ptr& p) override {
    if (!ready_) return nullptr;
    switch (p->what) {
      case kind::quantize: return quantize(p);
      case kind::dequantize: return dequantize(p);
      case kind::observe: return nullptr;
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
            u32(p->pad), u32(p->pad), u32(p->pad), u32(p->pad), u32(p->kernel), u32(p->kernel), u32(p->stride),
            u32(p->stride), 1, 1, u32(p->groups), size(p->in_channels / p->groups), size(p->out_channels / p->groups),
            size(p->in_channels), size(p->out_channels), static_cast<std::int8_t>(p->input_zero_point - shift), 1.0f,
            p->ratios.data(), p->weights.data(), p->bias.data(), static_cast<std::int8_t>(p->output_zero_point - shift),
            1.0f, -128, 127, 0, &o->op) != xnn_status_success ||
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

  bool ready_;
};

}  // namespace

extern "C" peer* quantal_bench_peer() {
  static xnnpack instance;
  return &instance;
}

}  // namespace bench
