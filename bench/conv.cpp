// Convolutions, NHWC, batch 1: conv_u8s8/<isa>/<n>x<h>x<w>x<ic>-<oc>-k<k>s<s>[-p<p>][-g<groups>], conv_s8s8/...,
// conv_u8s8_zp/... (the same with a source zero point, which makes some peers choose slower kernels) and depthwise/...
// (u8s8). Weights are packed before and per-channel requantization is fused, for us and for every peer.
#include <cstdlib>
#include <stdexcept>

#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/kernels/conv.hpp"
#include "quantal/kernels/depthwise.hpp"
#include "rows.hpp"

namespace bench {
namespace {

using namespace quantal;

conv_desc describe(const problem& p) {
  conv_desc d;
  conv_shape& s = d.shape;
  s.batch = 1;
  s.in_h = p.height;
  s.in_w = p.width;
  s.in_c = p.in_channels;
  s.out_c = p.out_channels;
  s.kernel_h = s.kernel_w = p.kernel;
  s.stride_h = s.stride_w = p.stride;
  s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = p.pad;
  s.groups = p.groups;
  d.in = d.out = p.unsigned_codes ? dtype::u8 : dtype::s8;
  d.in_zero_point = p.input_zero_point;
  d.finish.requant.ratios = p.ratios.data();
  d.finish.requant.count = p.ratios.size();
  d.finish.requant.zero_point = p.output_zero_point;
  return d;
}

// The two planned forms under one name.
status plan(const conv_desc& d, const gemm_leaf& leaf, conv_plan& out) {
  return plan_conv(d, leaf, 1, out);
}
status plan(const conv_desc& d, const depthwise_leaf& leaf, depthwise_plan& out) {
  return plan_depthwise(d, leaf, 1, out);
}
status pack(const conv_plan& p, const problem& q, const epilogue& e, void* to) {
  return pack_conv(p, q.weights.data(), q.bias.data(), e, to, p.packed_bytes);
}
status pack(const depthwise_plan& p, const problem& q, const epilogue& e, void* to) {
  return pack_depthwise(p, q.weights.data(), q.bias.data(), e, to, p.packed_bytes);
}
std::uint64_t workspace(const conv_plan& p) {
  return conv_workspace_bytes(p, 1);
}
std::uint64_t workspace(const depthwise_plan& p) {
  return depthwise_workspace_bytes(p, 1);
}
status run(const conv_plan& p, const conv_buffers& b) {
  return run_conv(p, b);
}
status run(const depthwise_plan& p, const conv_buffers& b) {
  return run_depthwise(p, b);
}

void expect(status s, const char* what, const problem& p) {
  if (s != status::ok) throw std::runtime_error(std::string(what) + " refused " + p.name);
}

template <class Plan, class Leaf>
prepared prepare(const problem_ptr& p, const Leaf& leaf) {
  struct state {
    problem_ptr data;
    Plan plan;
    array<std::uint8_t> packed, work, out;
    conv_buffers buffers;
  };
  const auto s = std::make_shared<state>();
  s->data = p;
  const conv_desc d = describe(*p);
  expect(plan(d, leaf, s->plan), "plan", *p);
  s->packed.resize(s->plan.packed_bytes);
  s->work.resize(workspace(s->plan) + 64);
  s->out.resize(p->outputs());
  expect(pack(s->plan, *p, d.finish, s->packed.data()), "pack", *p);
  conv_buffers& b = s->buffers;
  b.in = p->input.data();
  b.in_bytes = p->input.size();
  b.packed = s->packed.data();
  b.packed_bytes = s->packed.size();
  b.out = s->out.data();
  b.out_bytes = s->out.size();
  b.workspace = s->work.data();
  b.workspace_bytes = s->work.size();
  expect(run(s->plan, b), "run", *p);
  const check_result c = check(*p, [&](std::size_t i) {
    return p->unsigned_codes ? static_cast<double>(s->out[i])
                             : static_cast<double>(static_cast<std::int8_t>(s->out[i]));
  });
  prepared r;
  r.note = leaf.isa;
  r.wrong = c.wrong;
  r.checked = c.checked;
  r.operations = p->operations();
  r.time = repeat([s] { (void)run(s->plan, s->buffers); });
  return r;
}

}  // namespace

void add_conv_rows(const std::string& family, const std::string& isa, const std::string& shape) {
  const bool depthwise = family == "depthwise";
  const auto make = [shape, is_unsigned = family != "conv_s8s8", zero = family == "conv_u8s8_zp" ? 7 : 0] {
    return make_convolution(shape, is_unsigned, zero);
  };
  const std::string name = family + "/" + isa + "/" + shape;
  if (const depthwise_leaf* leaf = depthwise_leaf_of(isa.c_str()); depthwise && leaf != nullptr)
    add_row(name, [make, leaf] { return prepare<depthwise_plan>(make(), *leaf); });
  if (const gemm_leaf* leaf = gemm_leaf_of(isa.c_str()); !depthwise && leaf != nullptr)
    add_row(name, [make, leaf] { return prepare<conv_plan>(make(), *leaf); });
  add_peer_rows(name, depthwise ? kind::depthwise : kind::convolution, make);
}

}  // namespace bench
