// Depthwise convolutions, NHWC, batch 1, u8 x s8: depthwise/<isa>/<n>x<h>x<w>x<c>-<c>-k<k>s<s>[-p<p>]-g<c>.
#include "quantal/kernels/depthwise.hpp"

#include "families.hpp"
#include "peers/peers.hpp"
#include "planned.hpp"

namespace bench {
namespace {

using namespace quantal;

struct depthwise {
  using leaf = depthwise_leaf;
  using plan = depthwise_plan;
  static status make(const conv_desc& d, const leaf& l, plan& out) { return plan_depthwise(d, l, 1, out); }
  static status pack(const plan& p, const problem& q, const epilogue& e, void* to) {
    return pack_depthwise(p, q.weights.data(), q.bias.data(), e, to, p.packed_bytes);
  }
  static std::uint64_t workspace(const plan& p) { return depthwise_workspace_bytes(p, 1); }
  static status run(const plan& p, const conv_buffers& b) { return run_depthwise(p, b); }
};

}  // namespace

void add_depthwise_rows(const std::string& family, const std::string& isa, const std::string& shape) {
  const auto make = [shape] { return make_convolution(shape, true, 0); };
  const std::string name = family + "/" + isa + "/" + shape;
  if (const depthwise_leaf* leaf = depthwise_leaf_of(isa.c_str()))
    add_row(name, [make, leaf] { return prepare_planned<depthwise>(make(), *leaf); });
  add_peer_rows(name, kind::depthwise, make);
}

}  // namespace bench
