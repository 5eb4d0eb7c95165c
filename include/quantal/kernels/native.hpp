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

// Is there one? GCC takes no comparison of an address with null for a constant under -fsanitize=undefined (or
// -fno-delete-null-pointer-checks); template arguments it compares.
template <auto pointer>
struct pointing {};
template <class A, class B>
inline constexpr bool same = false;
template <class A>
inline constexpr bool same<A, A> = true;
template <auto pointer>
inline constexpr bool given = !same<pointing<pointer>, pointing<decltype(pointer)(nullptr)>>;

struct native_row {
  isa_kernels own;
  bool elementwise, gemm, depthwise;
};
template <const isa_kernels& own>
inline constexpr native_row native_row_of{own, given<own.elementwise>, given<own.gemm>, given<own.depthwise>};

inline constexpr native_row native_rows[isa_count] = {native_row_of<kernels::ref::own>,
#define QUANTAL_ISA(architecture, name, parent, needs, answers) native_row_of<kernels::name::own>,
                                                      QUANTAL_ISA_ROWS(QUANTAL_ISA)
#undef QUANTAL_ISA
};

constexpr const native_row& native_row_at(isa id) noexcept {
  return native_rows[static_cast<size_t>(id)];
}

// The best row that has any kernel.
constexpr isa native_isa() noexcept {
  isa best = isa::ref;
  for (const isa_row& row : isa_list) {
    const native_row& native = native_row_at(row.id);
    if (row.id != isa::amx && (native.elementwise || native.gemm)) best = row.id;
  }
  return best;
}

constexpr const gemm_leaf* find_native_gemm() noexcept {
  isa id = native_isa();
  while (!native_row_at(id).gemm) id = parent_of(id);  // ends at ref
  return native_row_at(id).own.gemm;
}

constexpr const depthwise_leaf* find_native_depthwise(bool wide_weights) noexcept {
  for (isa id = native_isa();; id = parent_of(id)) {  // ends at ref
    const native_row& native = native_row_at(id);
    if (native.depthwise && (!wide_weights || native.own.depthwise->form == lhs_form::s16_centred))
      return native.own.depthwise;
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
