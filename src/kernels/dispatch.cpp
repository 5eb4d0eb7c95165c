#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/integer.hpp"
#include "quantal/kernels/ref/elementwise.hpp"
#include "quantal/kernels/ref/integer.hpp"

namespace quantal {

namespace kernels {
#if defined(QUANTAL_KERNELS_X86)
extern const elementwise_table sse41_elementwise, avx2_elementwise, avx512vnni_elementwise;
extern const integer_table sse41_integer, avx2_integer, avx512vnni_integer;
#endif
#if defined(QUANTAL_KERNELS_NEON)
extern const elementwise_table neon_elementwise;
extern const integer_table neon_integer;
#endif
}  // namespace kernels

namespace {

struct tables {
  const elementwise_table* elementwise = nullptr;
  const integer_table* integer = nullptr;
};

// The ISA's own tables, or null pointers.
tables own_tables(isa id) noexcept {
  switch (id) {
    case isa::ref: return {&kernels::ref::elementwise, &kernels::ref::integer};
#if defined(QUANTAL_KERNELS_X86)
    case isa::sse41: return {&kernels::sse41_elementwise, &kernels::sse41_integer};
    case isa::avx2: return {&kernels::avx2_elementwise, &kernels::avx2_integer};
    case isa::avx512vnni: return {&kernels::avx512vnni_elementwise, &kernels::avx512vnni_integer};
#endif
#if defined(QUANTAL_KERNELS_NEON)
    case isa::neon: return {&kernels::neon_elementwise, &kernels::neon_integer};
#endif
    default: return {};
  }
}

// Its own or its nearest ancestor's.
tables tables_for(isa id) noexcept {
  while (own_tables(id).elementwise == nullptr) id = isa_list[static_cast<size_t>(id)].parent;
  return own_tables(id);
}

tables tables_of(const char* isa_name) noexcept {
  isa id = isa::ref;
  if (isa_name == nullptr || !find_isa(isa_name, id) || !offers(features(), id)) return {};
  return own_tables(id);
}

}  // namespace

const elementwise_table& elementwise() noexcept {
  static const elementwise_table& table = *tables_for(selected_isa()).elementwise;
  return table;
}
const elementwise_table* elementwise_of(const char* isa_name) noexcept {
  return tables_of(isa_name).elementwise;
}

const integer_table& integer_kernels() noexcept {
  static const integer_table& table = *tables_for(selected_isa()).integer;
  return table;
}
const integer_table* integer_kernels_of(const char* isa_name) noexcept {
  return tables_of(isa_name).integer;
}

}  // namespace quantal
