// What an instruction set brings: one table per family of kernels, null where its parent's are as good. Each folder
// kernels/<isa>/ ends in a kernels.hpp that defines kernels::<isa>::own, empty where the compiler's flags do not allow
// the ISA. Freestanding, apart from compiled_kernels().
#pragma once
#include "quantal/kernels/depthwise_leaf.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/gemm_leaf.hpp"
#include "quantal/kernels/integer.hpp"
#include "quantal/kernels/isa_list.hpp"
#include "quantal/kernels/moments.hpp"

namespace quantal {

struct isa_kernels {
  const elementwise_table* elementwise = nullptr;
  const integer_table* integer = nullptr;  // both tables or neither
  const gemm_leaf* gemm = nullptr;
  const depthwise_leaf* depthwise = nullptr;
  moments_function moments = nullptr;
};

// Those of the library's build, whether or not this CPU can run them; null: the ISA is not compiled. Host only.
const isa_kernels* compiled_kernels(isa id) noexcept;

}  // namespace quantal
