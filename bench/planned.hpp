// Convolution and depthwise have one description (conv_desc), the same buffers and the same four steps: plan, pack,
// workspace, run. This prepares a row of either; `Form` names the step functions:
//
//   struct Form { using leaf; using plan; static status make(desc, leaf, plan&), pack(...), run(...); workspace(plan) }
//
// Weights are packed before and per-channel requantization is fused, for us and for every peer.
#pragma once
#include <stdexcept>

#include "problem.hpp"
#include "quantal/kernels/conv_desc.hpp"
#include "rows.hpp"

namespace bench {

inline quantal::conv_desc describe(const problem& p) {
  quantal::conv_desc d;
  quantal::conv_shape& s = d.shape;
  s.batch = 1;
  s.in_h = p.height;
  s.in_w = p.width;
  s.in_c = p.in_channels;
  s.out_c = p.out_channels;
  s.kernel_h = p.kernel_h();
  s.kernel_w = p.kernel;
  s.stride_h = s.stride_w = p.stride;
  s.dilation_h = s.dilation_w = p.dilation;
  s.pad_top = s.pad_bottom = p.pad_h();
  s.pad_left = s.pad_right = p.pad;
  s.groups = p.groups;
  d.in = d.out = p.unsigned_codes ? quantal::dtype::u8 : quantal::dtype::s8;
  d.in_zero_point = p.input_zero_point;
  d.finish.requant.ratios = p.ratios.data();
  d.finish.requant.count = p.ratios.size();
  d.finish.requant.zero_point = p.output_zero_point;
  return d;
}

inline void expect(quantal::status s, const char* what, const problem& p) {
  if (s != quantal::status::ok) throw std::runtime_error(std::string(what) + " refused " + p.name);
}

template <class Form>
prepared prepare_planned(const problem_ptr& p, const typename Form::leaf& leaf) {
  struct state {
    problem_ptr data;
    typename Form::plan plan;
    array<std::uint8_t> packed, work, out;
    quantal::conv_buffers buffers;
  };
  const auto s = std::make_shared<state>();
  s->data = p;
  const quantal::conv_desc d = describe(*p);
  expect(Form::make(d, leaf, s->plan), "plan", *p);
  s->packed.resize(s->plan.packed_bytes);
  s->work.resize(Form::workspace(s->plan) + 64);
  s->out.resize(p->outputs());
  expect(Form::pack(s->plan, *p, d.finish, s->packed.data()), "pack", *p);
  quantal::conv_buffers& b = s->buffers;
  b.in = p->input.data();
  b.in_bytes = p->input.size();
  b.packed = s->packed.data();
  b.packed_bytes = s->packed.size();
  b.out = s->out.data();
  b.out_bytes = s->out.size();
  b.workspace = s->work.data();
  b.workspace_bytes = s->work.size();
  expect(Form::run(s->plan, b), "run", *p);
  const check_result c = check(*p, [&](std::size_t i) {
    return p->unsigned_codes ? static_cast<double>(s->out[i])
                             : static_cast<double>(static_cast<std::int8_t>(s->out[i]));
  });
  prepared r;
  r.note = leaf.isa;
  r.wrong = c.wrong;
  r.checked = c.checked;
  r.operations = p->operations();
  r.time = repeat([s] { (void)Form::run(s->plan, s->buffers); });
  return r;
}

}  // namespace bench
