// native_gemm_leaf(): the best leaf that the compiler's flags allow, for users of the headers alone (-march=native,
// -mavx2...). The library's best_gemm_leaf() asks the CPU instead. Same bits. Freestanding.
//
// AMX is not among them: Linux kills a program that uses tiles unasked. Who has asked (arch_prctl) takes
// kernels::amx::gemm.
#pragma once
#include "quantal/kernels/avx2/gemm.hpp"
#include "quantal/kernels/avx512vnni/gemm.hpp"
#include "quantal/kernels/avxvnni/gemm.hpp"
#include "quantal/kernels/dotprod/gemm.hpp"
#include "quantal/kernels/neon/gemm.hpp"
#include "quantal/kernels/ref/gemm_leaf.hpp"

namespace quantal {

inline const gemm_leaf& native_gemm_leaf() noexcept {
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
  return kernels::avx512vnni::gemm;
#elif defined(__AVXVNNI__)
  return kernels::avxvnni::gemm;
#elif defined(__AVX2__)
  return kernels::avx2::gemm;
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
  return kernels::dotprod::gemm;
#elif defined(__aarch64__)
  return kernels::neon::gemm;
#else
  return kernels::ref::gemm;
#endif
}

}  // namespace quantal
