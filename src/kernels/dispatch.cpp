#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/ref/elementwise.hpp"

namespace quantal {

namespace kernels {
#if defined(QUANTAL_KERNELS_X86)
extern const elementwise_table sse41_elementwise, avx2_elementwise, avx512vnni_elementwise;
#endif
#if defined(QUANTAL_KERNELS_NEON)
extern const elementwise_table neon_elementwise;
#endif
}  // namespace kernels

namespace {

// The ISA's own table, or nullptr.
const elementwise_table* own_table(isa id) noexcept {
  switch (id) {
    case isa::ref: return &kernels::ref::elementwise;
#if defined(QUANTAL_KERNELS_X86)
    case isa::sse41: return &kernels::sse41_elementwise;
    case isa::avx2: return &kernels::avx2_elementwise;
    case isa::avx512vnni: return &kernels::avx512vnni_elementwise;
#endif
#if defined(QUANTAL_KERNELS_NEON)
    case isa::neon: return &kernels::neon_elementwise;
#endif
    default: return nullptr;
  }
}

// Its own or its nearest ancestor's.
const elementwise_table& table_for(isa id) noexcept {
  while (own_table(id) == nullptr) id = isa_list[static_cast<size_t>(id)].parent;
  return *own_table(id);
}

}  // namespace

const elementwise_table& elementwise() noexcept {
  static const elementwise_table& table = table_for(selected_isa());
  return table;
}

const elementwise_table* elementwise_of(const char* isa_name) noexcept {
  isa id = isa::ref;
  if (isa_name == nullptr || !find_isa(isa_name, id) || !offers(features(), id)) return nullptr;
  return own_table(id);
}

}  // namespace quantal
