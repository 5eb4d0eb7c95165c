// Which leaves of the matrix product this program has and this CPU can run.
#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/gemm_plan.hpp"
#include "quantal/kernels/isa_kernels.hpp"

namespace quantal {

namespace {

// The ISA's own leaf, or nullptr.
const gemm_leaf* own_leaf(isa id) noexcept {
  const isa_kernels* own = compiled_kernels(id);
  return own == nullptr ? nullptr : own->gemm;
}

bool can_run(isa id) noexcept {
  return own_leaf(id) != nullptr && offers(features(), id) && (id != isa::amx || request_amx());
}

struct leaf_list {
  const gemm_leaf* leaves[isa_count] = {};
  size_t count = 0;
};

leaf_list list_leaves() noexcept {
  leaf_list list;
  size_t count = 0;
  const isa_state* states = isa_states(count);
  for (size_t i = 0; i < count; ++i) {
    const isa_state& s = states[i];
    if ((s.allowed || s.id != isa::amx) && can_run(s.id)) list.leaves[list.count++] = own_leaf(s.id);
  }
  return list;
}

const gemm_leaf& choose_leaf(isa id) noexcept {
  while (!can_run(id)) id = parent_of(id);  // ends at ref
  return *own_leaf(id);
}

}  // namespace

const gemm_leaf* const* gemm_leaves(size_t& count) noexcept {
  static const leaf_list list = list_leaves();
  count = list.count;
  return list.leaves;
}

const gemm_leaf* gemm_leaf_of(const char* name) noexcept {
  isa id = isa::ref;
  if (name == nullptr || !find_isa(name, id) || compiled_kernels(id) == nullptr || !offers(features(), id))
    return nullptr;
  if (own_leaf(id) != nullptr) return can_run(id) ? own_leaf(id) : nullptr;  // AMX: or refused by the system
  return &choose_leaf(id);
}

const gemm_leaf& best_gemm_leaf() noexcept {
  static const gemm_leaf& leaf = choose_leaf(selected_isa());
  return leaf;
}

// In f64: the shape has not been checked.
bool amx_pays(const gemm_shape& s) noexcept {
  const double products = static_cast<double>(s.m) * static_cast<double>(s.n) * static_cast<double>(s.k);
  return s.m > 6 && s.k >= 64 && products >= 64 * 64 * 64;
}

const gemm_leaf& best_gemm_leaf(const gemm_shape& s) noexcept {
  if (selected_isa() != isa::amx || amx_pays(s)) return best_gemm_leaf();
  static const gemm_leaf& leaf = choose_leaf(parent_of(isa::amx));
  return leaf;
}

}  // namespace quantal
