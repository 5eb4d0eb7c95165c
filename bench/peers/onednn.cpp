// Peer: oneDNN, both of interface 2 (Debian's libdnnl-dev) and of interface 3 (a newer libdnnl.so.3, see get.sh);
// compiled once per version. Weights are reordered to the layout oneDNN prefers; a source zero point is given only
// where the problem has one, because it makes oneDNN choose slower kernels.
//
// Interface 2: output = scale * (sum + bias) + zero point; interface 3: scale * sum + bias.
#include <oneapi/dnnl/dnnl.hpp>

#include <unordered_map>
#include <vector>

#include "peer.hpp"

namespace bench {
namespace {

using dnnl::memory;
using type = memory::data_type;
using tag = memory::format_tag;

dnnl::engine& engine() {
  static dnnl::engine instance(dnnl::engine::kind::cpu, 0);
  return instance;
}
dnnl::stream& stream() {
  static dnnl::stream instance(engine());
  return instance;
}

class operation final : public peer_operation {
 public:
  void run(long calls) override {
    for (long i = 0; i < calls; ++i) primitive.execute(stream(), arguments);
  }
  double value(std::size_t i) const override {
    const void* out = arguments.at(DNNL_ARG_TO).get_data_handle();
    if (result == type::f32) return static_cast<double>(static_cast<const float*>(out)[i]);
    return result == type::u8 ? static_cast<double>(static_cast<const std::uint8_t*>(out)[i])
                              : static_cast<double>(static_cast<const std::int8_t*>(out)[i]);
  }

  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  type result = type::s8;
};

template <class T>
memory filled(const memory::desc& d, const T* from, std::size_t bytes) {
  memory m(d, engine());
  __builtin_memcpy(m.get_data_handle(), from, bytes);
  return m;
}

#if DNNL_VERSION_MAJOR >= 3
memory one_s32(std::int32_t value) {
  return filled(memory::desc({1}, type::s32, tag::x), &value, sizeof value);
}
#endif

// Scales per output channel (`mask`), zero points and their run-time arguments.
dnnl::primitive_attr attributes(const problem& p, int mask, operation& o) {
  dnnl::primitive_attr a;
#if DNNL_VERSION_MAJOR >= 3
  a.set_scales_mask(DNNL_ARG_WEIGHTS, mask);
  o.arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS] =
      filled(memory::desc({p.out_channels}, type::f32, tag::x), p.ratios.data(), p.ratios.size() * sizeof(float));
  if (p.input_zero_point != 0) {
    a.set_zero_points_mask(DNNL_ARG_SRC, 0);
    o.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_SRC] = one_s32(p.input_zero_point);
  }
  if (p.output_zero_point != 0) {
    a.set_zero_points_mask(DNNL_ARG_DST, 0);
    o.arguments[DNNL_ARG_ATTR_ZERO_POINTS | DNNL_ARG_DST] = one_s32(p.output_zero_point);
  }
#else
  (void)o;
  a.set_output_scales(mask, {p.ratios.begin(), p.ratios.end()});
  if (p.input_zero_point != 0) a.set_zero_points(DNNL_ARG_SRC, 0, {p.input_zero_point});
  if (p.output_zero_point != 0) a.set_zero_points(DNNL_ARG_DST, 0, {p.output_zero_point});
#endif
  return a;
}

#if DNNL_VERSION_MAJOR >= 3
constexpr type bias_type = type::f32;
std::vector<float> bias_of(const problem& p) {
  std::vector<float> b;
  for (std::size_t c = 0; c < p.bias.size(); ++c) b.push_back(static_cast<float>(p.bias[c]) * p.ratios[c]);
  return b;
}
#else
constexpr type bias_type = type::s32;
const array<std::int32_t>& bias_of(const problem& p) {
  return p.bias;
}
#endif

// Source, weights (reordered), bias and destination.
template <class Description>
void bind(operation& o, const problem& p, const Description& d, const memory::desc& plain_weights,
          const memory::desc& bias) {
  memory plain = filled(plain_weights, p.weights.data(), p.weights.size());
  memory packed(d.weights_desc(), engine());
  dnnl::reorder(plain, packed).execute(stream(), plain, packed);
  stream().wait();
  o.arguments[DNNL_ARG_SRC] = filled(d.src_desc(), p.input.data(), p.input.size());
  o.arguments[DNNL_ARG_WEIGHTS] = packed;
  o.arguments[DNNL_ARG_BIAS] = filled(bias, bias_of(p).data(), p.bias.size() * 4);
  o.arguments[DNNL_ARG_DST] = memory(d.dst_desc(), engine());
  o.note = d.impl_info_str();
}

class onednn final : public peer {
 public:
  std::string version() const override {
    const dnnl_version_t* v = dnnl_version();
    return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
  }

  std::unique_ptr<peer_operation> make(const problem_ptr& p) override {
    try {
      switch (p->what) {
        case kind::product: return product(*p);
        case kind::convolution:
        case kind::depthwise: return convolution(*p);
        case kind::quantize:
        case kind::dequantize: return reorder(p);
        default: return nullptr;
      }
    } catch (const dnnl::error&) {
      return nullptr;
    }
  }

 private:
  static std::unique_ptr<peer_operation> product(const problem& p) {
    auto o = std::make_unique<operation>();
    const type codes = p.unsigned_codes ? type::u8 : type::s8;
    o->result = codes;
    const std::int64_t m = p.width, n = p.out_channels, k = p.in_channels;
    const memory::desc source({m, k}, codes, tag::ab), weights({k, n}, type::s8, tag::any), out({m, n}, codes, tag::ab),
        bias({1, n}, bias_type, tag::ab);
    const dnnl::primitive_attr a = attributes(p, 1 << 1, *o);
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc d(engine(), source, weights, bias, out, a);
#else
    const dnnl::matmul::primitive_desc d({source, weights, bias, out}, a, engine());
#endif
    bind(*o, p, d, memory::desc({k, n}, type::s8, memory::dims{1, k}), bias);
    o->primitive = dnnl::matmul(d);
    return o;
  }

  static std::unique_ptr<peer_operation> convolution(const problem& p) {
    auto o = std::make_unique<operation>();
    const type codes = p.unsigned_codes ? type::u8 : type::s8;
    o->result = codes;
    const std::int64_t depth = p.in_channels / p.groups, kh = p.kernel_h(), k = p.kernel;
    memory::dims dims{p.out_channels, depth, kh, k}, strides{kh * k * depth, 1, k * depth, depth};
    if (p.groups > 1) {
      dims = {p.groups, p.out_channels / p.groups, depth, kh, k};
      strides.insert(strides.begin(), p.out_channels / p.groups * kh * k * depth);
    }
    const memory::desc source({1, p.in_channels, p.height, p.width}, codes, tag::nhwc),
        weights(dims, type::s8, tag::any), bias({p.out_channels}, bias_type, tag::x),
        out({1, p.out_channels, p.out_height, p.out_width}, codes, tag::nhwc);
    const memory::dims stride{p.stride, p.stride}, before{p.pad_h(), p.pad}, skipped{p.dilation - 1, p.dilation - 1};
    // What lies right and below: so much that exactly out_height x out_width outputs are covered.
    const memory::dims after{(p.out_height - 1) * p.stride + p.window_h() - p.height - p.pad_h(),
                             (p.out_width - 1) * p.stride + p.window() - p.width - p.pad};
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::primitive_attr a = attributes(p, p.groups > 1 ? 3 : 1, *o);
    const dnnl::convolution_forward::primitive_desc d(engine(), dnnl::prop_kind::forward_inference,
                                                      dnnl::algorithm::convolution_direct, source, weights, bias, out,
                                                      stride, skipped, before, after, a);
#else
    const dnnl::primitive_attr a = attributes(p, 1 << 1, *o);
    const dnnl::convolution_forward::primitive_desc d(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source, weights, bias, out, stride,
         skipped, before, after},
        a, engine());
#endif
    bind(*o, p, d, memory::desc(dims, type::s8, strides), bias);
    o->primitive = dnnl::convolution_forward(d);
    return o;
  }

  static std::unique_ptr<peer_operation> reorder(const problem_ptr& p) {
    auto o = std::make_unique<operation>();
    const bool quantize = p->what == kind::quantize;
    const memory::dims dims{static_cast<std::int64_t>(p->values.size())};
    const memory::desc floats(dims, type::f32, tag::x), codes(dims, type::s8, tag::x);
    o->result = quantize ? type::s8 : type::f32;
    dnnl::primitive_attr a;
    const int side = quantize ? DNNL_ARG_DST : DNNL_ARG_SRC;
#if DNNL_VERSION_MAJOR >= 3
    a.set_scales_mask(side, 0);
    a.set_zero_points_mask(side, 0);
    o->arguments[DNNL_ARG_ATTR_SCALES | side] = filled(memory::desc({1}, type::f32, tag::x), &p->scale, sizeof(float));
    o->arguments[DNNL_ARG_ATTR_ZERO_POINTS | side] = one_s32(p->output_zero_point);
#else
    a.set_output_scales(0, {quantize ? 1.0f / p->scale : p->scale});
    a.set_zero_points(side, 0, {p->output_zero_point});
#endif
    memory from = quantize ? filled(floats, p->values.data(), p->values.size() * sizeof(float))
                           : filled(codes, p->input.data(), p->input.size());
    memory to(quantize ? codes : floats, engine());
    const dnnl::reorder::primitive_desc d(engine(), from.get_desc(), engine(), to.get_desc(), a);
    o->note = d.impl_info_str();
    o->primitive = dnnl::reorder(d);
    o->arguments[DNNL_ARG_FROM] = from;
    o->arguments[DNNL_ARG_TO] = to;
    return o;
  }
};

}  // namespace

extern "C" peer* quantal_bench_peer() {
  static onednn instance;
  return &instance;
}

}  // namespace bench
