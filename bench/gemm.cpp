// Products: gemm_u8s8/<isa>/<m>x<n>x<k>, gemm_s8s8/..., gemv/... (u8s8, few rows), overhead/... (the same call at a
// size where only its own cost shows), pack/... (packing the weights: GB of weights per second; pack_rows/... from
// row-major ones, the layout of a dense description, the others from column-major). Weights are packed
// before, per-channel requantization to codes is fused; so it is for every peer.
//
// Two more ways to end, u8s8: gemm_fixed/... under fixed_double, beside /peer:fp32_rne, and gemm_residual/... with a
// residual added before the one rounding, beside /peer:two_steps, the product and then an addition of codes.
#include <stdexcept>

#include "families.hpp"
#include "peers/peers.hpp"
#include "quantal/kernels/gemm.hpp"
#include "quantal/kernels/integer.hpp"
#include "rows.hpp"

namespace bench {
namespace {

using namespace quantal;

using block = std::shared_ptr<std::uint8_t>;
block aligned_block(std::uint64_t bytes) {
  const std::size_t size = static_cast<std::size_t>((bytes + 4095) / 4096 * 4096 + 4096);
  return block(static_cast<std::uint8_t*>(std::aligned_alloc(4096, size)), std::free);
}

enum class ending { codes, fixed, residual, two_steps };

struct product {
  problem_ptr data;
  ending end;
  std::vector<fixed_multiplier> multipliers;
  gemm_plan plan;
  epilogue finish;
  block packed, work;
  array<std::uint8_t> out;
  gemm_buffers run_buffers;  // told once, as to every peer

  product(const problem_ptr& p, const gemm_leaf& leaf, ending e, bool row_major = false) : data(p), end(e) {
    gemm_desc d;
    d.shape = {p->width, p->out_channels, p->in_channels};
    d.lhs = d.out = p->unsigned_codes ? dtype::u8 : dtype::s8;
    if (!row_major) {
      d.rhs_row_stride = 1;
      d.rhs_column_stride = p->in_channels;
    }
    d.lhs_zero_point = p->input_zero_point;
    finish.requant.ratios = p->ratios.data();
    finish.requant.count = p->ratios.size();
    finish.requant.zero_point = p->output_zero_point;
    if (end == ending::fixed) {
      for (const float ratio : p->ratios)
        if (fixed_multiplier_of(ratio, multipliers.emplace_back()) != status::ok) throw std::runtime_error("ratio");
      finish.requant.rule = contract::fixed_double;
      finish.requant.multipliers = multipliers.data();
    }
    if (end == ending::residual)
      finish.residual = {d.out, p->second_zero_point, static_cast<float>(residual_ratio), {}};
    d.finish = finish;
    if (plan_gemm(d, leaf, 1, plan) != status::ok) throw std::runtime_error("plan_gemm refused " + p->name);
    packed = aligned_block(plan.packed_bytes);
    work = aligned_block(gemm_workspace_bytes(plan, 1));
    out.resize(p->outputs());
    run_buffers = buffers();
    pack();
  }
  void pack() const {
    const gemm_weights w{data->weights.data(), data->bias.data(), nullptr, finish};
    if (pack_gemm(plan, w, packed.get(), plan.packed_bytes) != status::ok)
      throw std::runtime_error("pack_gemm refused " + data->name);
  }
  gemm_buffers buffers() {
    gemm_buffers b;
    b.lhs = data->input.data();
    b.lhs_bytes = data->input.size();
    b.packed = packed.get();
    b.packed_bytes = plan.packed_bytes;
    b.out = out.data();
    b.out_bytes = out.size();
    b.workspace = work.get();
    b.workspace_bytes = gemm_workspace_bytes(plan, 1);
    if (end == ending::residual) {
      b.residual = data->second.data();
      b.residual_bytes = data->second.size();
    }
    return b;
  }
  status run() {
    const status s = run_gemm(plan, run_buffers);
    if (end == ending::two_steps) add();
    return s;
  }
  void add() {
    codes_run r;
    r.a_zero_point = r.zero_point = data->output_zero_point;
    r.b_zero_point = data->second_zero_point;
    r.other_ratio = static_cast<float>(residual_ratio);
    r.codes = {0, 255};
    integer_kernels().add_u8(out.data(), data->second.data(), out.size(), r, out.data());
  }
};

enum class measures { run, pack, pack_rows };

prepared prepare(const problem_ptr& p, const gemm_leaf& leaf, measures what, ending end) {
  const auto w = std::make_shared<product>(p, leaf, end, what == measures::pack_rows);
  prepared r;
  r.note = leaf.isa;
  if (what != measures::run) {
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
  const std::string name = family + "/" + isa + "/" + shape;
  const gemm_leaf* leaf = gemm_leaf_of(isa.c_str());
  const bool residual = family == "gemm_residual", fixed = family == "gemm_fixed";
  const measures what = family == "pack" ? measures::pack : family == "pack_rows" ? measures::pack_rows : measures::run;
  const auto make = [shape, residual, is_unsigned = family != "gemm_s8s8"] {
    return make_product(shape, is_unsigned, residual);
  };
  const auto add = [&](const std::string& row, ending end) {
    if (leaf != nullptr) add_row(row, [make, leaf, end, what] { return prepare(make(), *leaf, what, end); });
  };
  add(name, residual ? ending::residual : fixed ? ending::fixed : ending::codes);
  if (residual)
    add(name + "/peer:two_steps", ending::two_steps);
  else if (fixed)
    add(name + "/peer:fp32_rne", ending::codes);
  else if (what == measures::run)
    add_peer_rows(name, kind::product, make);
}

}  // namespace bench
