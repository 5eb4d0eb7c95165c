// Which leaves of depthwise convolution this program has and this CPU can run.
#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/isa_kernels.hpp"

namespace quantal {

namespace {

// The ISA's own leaf that this CPU can run, or nullptr.
const depthwise_leaf* leaf_on(isa id) noexcept {
  const isa_kernels* own = compiled_kernels(id);
  return own != nullptr && offers(features(), id) ? own->depthwise : nullptr;
}

struct leaf_list {
  const depthwise_leaf* leaves[isa_count] = {};
  size_t count = 0;
};

leaf_list list_leaves() noexcept {
  leaf_list list;
  for (const isa_row& row : isa_list)
    if (const depthwise_leaf* leaf = leaf_on(row.id); leaf != nullptr) list.leaves[list.count++] = leaf;
  return list;
}

}  // namespace

const depthwise_leaf* const* depthwise_leaves(size_t& count) noexcept {
  static const leaf_list list = list_leaves();
  count = list.count;
  return list.leaves;
}

const depthwise_leaf* depthwise_leaf_of(const char* name) noexcept {
  isa id = isa::ref;
  if (name == nullptr || !find_isa(name, id) || compiled_kernels(id) == nullptr || !offers(features(), id))
    return nullptr;
  while (leaf_on(id) == nullptr) id = parent_of(id);  // ends at ref
  return leaf_on(id);
}

const depthwise_leaf& best_depthwise_leaf(bool wide_weights) noexcept {
  for (isa id = selected_isa();; id = parent_of(id)) {
    const depthwise_leaf* leaf = leaf_on(id);
    if (leaf != nullptr && (!wide_weights || leaf->form == lhs_form::s16_centred)) return *leaf;  // ref at the latest
  }
}

}  // namespace quantal
