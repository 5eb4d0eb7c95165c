// Products: gemm_u8s8/<isa>/<m>x<n>x<k>, gemm_s8s8/..., gemv/... (u8s8, few rows), overhead/... (the same call at a
// size where only its own cost shows), pack/... (packing the weights: GB of weights per second). Weights are packed
// before, per-channel requantization to codes is fused; so it is for every peer.
#include <stdexcept>

#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/kernels/gemm.hpp"
#include "rows.hpp"

namespace bench {
namespace {

using namespace quantal;

using block = std::shared_ptr<std::uint8_t>;
block aligned_block(std::uint64_t bytes) {
  const std::size_t size = static_cast<std::size_t>((bytes + 4095) / 4096 * 4096 + 4096);
  return block(static_cast<std::uint8_t*>(std::aligned_alloc(4096, size)), std::free);
}

struct product {
  problem_ptr data;
  gemm_plan plan;
  epilogue finish;
  block packed, work;
  array<std::uint8_t> out;

  product(const problem_ptr& p, const gemm_leaf& leaf) : data(p) {
    gemm_desc d;
    d.shape = {p->width, p->out_channels, p->in_channels};
    d.lhs = d.out = p->unsigned_codes ? dtype::u8 : dtype::s8;
    d.rhs_row_stride = 1;
    d.rhs_column_stride = p->in_channels;
    d.lhs_zero_point = p->input_zero_point;
    finish.requant.ratios = p->ratios.data();
    finish.requant.count = p->ratios.size();
    finish.requant.zero_point = p->output_zero_point;
    d.finish = finish;
    if (plan_gemm(d, leaf, 1, plan) != status::ok) throw std::runtime_error("plan_gemm refused " + p->name);
    packed = aligned_block(plan.packed_bytes);
    work = aligned_block(gemm_workspace_bytes(plan, 1));
    out.resize(p->outputs());
    pack();
  }
  void pack() const {
    const gemm_weights w{data->weights.data(), data->bias.data(), nullptr, finish};
    if (pack_gemm(plan, w, packed.get(), plan.packed_bytes) != status::ok)
      throw std::runtime_error("pack_gemm refused " + data->name);
  }
  status run() {
    gemm_buffers b;
    b.lhs = data->input.data();
    b.lhs_bytes = data->input.size();
    b.packed = packed.get();
    b.packed_bytes = plan.packed_bytes;
    b.out = out.data();
    b.out_bytes = out.size();
    b.workspace = work.get();
    b.workspace_bytes = gemm_workspace_bytes(plan, 1);
    return run_gemm(plan, b);
  }
};

prepared prepare(const problem_ptr& p, const gemm_leaf& leaf, bool packing) {
  const auto w = std::make_shared<product>(p, leaf);
  prepared r;
  r.note = leaf.isa;
  if (packing) {
    r.bytes = static_cast<double>(p->weights.size());
    r.time = repeat([w] { w->pack(); });
    return r;
  }
  if (w->run() != status::ok) throw std::runtime_error("run_gemm refused " + p->name);
  const check_result c = check(*p, [&](std::size_t i) {
    return p->unsigned_codes ? static_cast<double>(w->out[i])
                             : static_cast<double>(static_cast<std::int8_t>(w->out[i]));
  });
  r.wrong = c.wrong;
  r.checked = c.checked;
  r.operations = p->operations();
  r.time = repeat([w] { (void)w->run(); });
  return r;
}

}  // namespace

void add_gemm_rows(const std::string& family, const std::string& isa, const std::string& shape) {
  const auto make = [shape, is_unsigned = family != "gemm_s8s8"] { return make_product(shape, is_unsigned); };
  const std::string name = family + "/" + isa + "/" + shape;
  if (const gemm_leaf* leaf = gemm_leaf_of(isa.c_str()))
    add_row(name, [make, leaf, packing = family == "pack"] { return prepare(make(), *leaf, packing); });
  if (family != "pack") add_peer_rows(name, kind::product, make);
}

}  // namespace bench
