// Convolutions, NHWC, batch 1: conv_u8s8/<isa>/<n>x<h>x<w>x<ic>-<oc>-k<k>s<s>[-p<p>][-g<groups>], conv_s8s8/... and
// conv_u8s8_zp/... (the same with a source zero point, which makes some peers choose slower kernels). Depthwise has a
// file of its own.
#include "quantal/kernels/conv.hpp"
#include "families.hpp"
#include "peers/peers.hpp"
#include "planned.hpp"

namespace bench {
namespace {

using namespace quantal;

struct dense {
  using leaf = gemm_leaf;
  using plan = conv_plan;
  static status make(const conv_desc& d, const leaf& l, plan& out) { return plan_conv(d, l, 1, out); }
  static status pack(const plan& p, const problem& q, const epilogue& e, void* to) {
    return pack_conv(p, q.weights.data(), q.bias.data(), e, to, p.packed_bytes);
  }
  static std::uint64_t workspace(const plan& p) { return conv_workspace_bytes(p, 1); }
  static status run(const plan& p, const conv_buffers& b) { return run_conv(p, b); }
};

}  // namespace

void add_conv_rows(const std::string& family, const std::string& isa, const std::string& shape) {
  const auto make = [shape, is_unsigned = family != "conv_s8s8", zero = family == "conv_u8s8_zp" ? 7 : 0] {
    return make_convolution(shape, is_unsigned, zero);
  };
  const std::string name = family + "/" + isa + "/" + shape;
  if (const gemm_leaf* leaf = gemm_leaf_of(isa.c_str()))
    add_row(name, [make, leaf] { return prepare_planned<dense>(make(), *leaf); });
  add_peer_rows(name, kind::convolution, make);
}

}  // namespace bench
