// native_gemm_leaf(): the best leaf that the compiler's flags allow, for users of the headers alone (-march=native,
// -mavx2...). The library's best_gemm_leaf() asks the CPU instead. Same bits. Freestanding.
#pragma once
#include "quantal/kernels/avx2/gemm.hpp"
#include "quantal/kernels/ref/gemm_leaf.hpp"

namespace quantal {

inline const gemm_leaf& native_gemm_leaf() noexcept {
#if defined(__AVX2__)
  return kernels::avx2::gemm;
#else
  return kernels::ref::gemm;
#endif
}

}  // namespace quantal
