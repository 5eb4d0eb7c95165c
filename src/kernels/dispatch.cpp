// Which kernels are in this build, and which elementwise tables this CPU should use.
#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#include "quantal/kernels/ref/kernels.hpp"

namespace quantal {

namespace kernels {
#if defined(QUANTAL_KERNELS_X86)
#define QUANTAL_DECLARE_x86(name) extern const isa_kernels name##_kernels;
#define QUANTAL_TABLE_x86(name) &kernels::name##_kernels
#else
#define QUANTAL_DECLARE_x86(name)
#define QUANTAL_TABLE_x86(name) nullptr
#endif
#if defined(QUANTAL_KERNELS_AARCH64)
#define QUANTAL_DECLARE_aarch64(name) extern const isa_kernels name##_kernels;
#define QUANTAL_TABLE_aarch64(name) &kernels::name##_kernels
#else
#define QUANTAL_DECLARE_aarch64(name)
#define QUANTAL_TABLE_aarch64(name) nullptr
#endif
#define QUANTAL_ISA(architecture, name, parent, needs, answers) QUANTAL_DECLARE_##architecture(name)
QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
}  // namespace kernels

const isa_kernels* compiled_kernels(isa id) noexcept {
  static constexpr const isa_kernels* tables[isa_count] = {&kernels::ref::own,
#define QUANTAL_ISA(architecture, name, parent, needs, answers) QUANTAL_TABLE_##architecture(name),
                                                           QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
  };
  return tables[static_cast<size_t>(id)];
}

namespace {

// The ISA's own tables, or nullptr.
const isa_kernels* own_tables(isa id) noexcept {
  const isa_kernels* own = compiled_kernels(id);
  return own != nullptr && own->elementwise != nullptr ? own : nullptr;
}

// Its own or its nearest ancestor's.
const isa_kernels& tables_for(isa id) noexcept {
  while (own_tables(id) == nullptr) id = parent_of(id);  // ends at ref
  return *own_tables(id);
}

const isa_kernels* tables_of(const char* isa_name) noexcept {
  isa id = isa::ref;
  return isa_name != nullptr && find_isa(isa_name, id) && offers(features(), id) ? own_tables(id) : nullptr;
}

}  // namespace

const elementwise_table& elementwise() noexcept {
  static const elementwise_table& table = *tables_for(selected_isa()).elementwise;
  return table;
}
const elementwise_table* elementwise_of(const char* isa_name) noexcept {
  const isa_kernels* own = tables_of(isa_name);
  return own == nullptr ? nullptr : own->elementwise;
}

const integer_table& integer_kernels() noexcept {
  static const integer_table& table = *tables_for(selected_isa()).integer;
  return table;
}
const integer_table* integer_kernels_of(const char* isa_name) noexcept {
  const isa_kernels* own = tables_of(isa_name);
  return own == nullptr ? nullptr : own->integer;
}

moments_function moments_kernel() noexcept {
  static const moments_function kernel = [] {
    isa id = selected_isa();
    while (compiled_kernels(id) == nullptr || compiled_kernels(id)->moments == nullptr) id = parent_of(id);
    return compiled_kernels(id)->moments;  // ends at ref
  }();
  return kernel;
}
moments_function moments_kernel_of(const char* isa_name) noexcept {
  const isa_kernels* own = tables_of(isa_name);
  return own == nullptr ? nullptr : own->moments;
}

}  // namespace quantal
