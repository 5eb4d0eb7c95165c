// native_gemm_leaf(), native_depthwise_leaf(): the best that the compiler's flags allow, for users of the headers alone
// (-march=native, -mavx2...). The library's best_gemm_leaf() and best_depthwise_leaf() ask the CPU instead. Same bits.
//
// AMX is not among them: Linux kills a program that uses tiles unasked. Who has asked (arch_prctl) takes
// kernels::amx::gemm. The choice is made by the compiler: nothing but the chosen kernel gets into the program.
// Freestanding.
#pragma once
#include "quantal/kernels/isa_kernels.hpp"
#define QUANTAL_ISA_HEADERS
#include "quantal/kernels/isa_list.hpp"
#undef QUANTAL_ISA_HEADERS

namespace quantal {

namespace detail {

inline constexpr isa_kernels native_kernels[isa_count] = {kernels::ref::own,
#define QUANTAL_ISA(architecture, name, parent, needs, answers) kernels::name::own,
                                                          QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
};

// The best row that has any kernel.
constexpr isa native_isa() noexcept {
  isa best = isa::ref;
  for (const isa_row& row : isa_list) {
    const isa_kernels& own = native_kernels[static_cast<size_t>(row.id)];
    if (row.id != isa::amx && (own.elementwise != nullptr || own.gemm != nullptr)) best = row.id;
  }
  return best;
}

constexpr const gemm_leaf* find_native_gemm() noexcept {
  isa id = native_isa();
  while (native_kernels[static_cast<size_t>(id)].gemm == nullptr) id = parent_of(id);  // ends at ref
  return native_kernels[static_cast<size_t>(id)].gemm;
}

constexpr const depthwise_leaf* find_native_depthwise(bool wide_weights) noexcept {
  for (isa id = native_isa();; id = parent_of(id)) {  // ends at ref
    const depthwise_leaf* leaf = native_kernels[static_cast<size_t>(id)].depthwise;
    if (leaf != nullptr && (!wide_weights || leaf->form == lhs_form::s16_centred)) return leaf;
  }
}

}  // namespace detail

inline const gemm_leaf& native_gemm_leaf() noexcept {
  constexpr const gemm_leaf* leaf = detail::find_native_gemm();
  return *leaf;
}

// `wide_weights`: one that holds weights of any zero point.
inline const depthwise_leaf& native_depthwise_leaf(bool wide_weights = false) noexcept {
  constexpr const depthwise_leaf *any = detail::find_native_depthwise(false),
                                 *wide = detail::find_native_depthwise(true);
  return wide_weights ? *wide : *any;
}

}  // namespace quantal
