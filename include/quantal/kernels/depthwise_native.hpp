// native_depthwise_leaf(): the best leaf that the compiler's flags allow, for users of the headers alone. The library's
// best_depthwise_leaf() asks the CPU instead. Same bits. Freestanding.
#pragma once
#include "quantal/kernels/avx2/depthwise.hpp"
#include "quantal/kernels/avx512vnni/depthwise.hpp"
#include "quantal/kernels/avxvnni/depthwise.hpp"
#include "quantal/kernels/dotprod/depthwise.hpp"
#include "quantal/kernels/ref/depthwise_leaf.hpp"

namespace quantal {

// `wide_weights`: one that holds weights of any zero point.
inline const depthwise_leaf& native_depthwise_leaf(bool wide_weights = false) noexcept {
#if defined(__AVX512VNNI__) && defined(__AVX512BW__)
  if (!wide_weights) return kernels::avx512vnni::depthwise;
#elif defined(__AVXVNNI__)
  if (!wide_weights) return kernels::avxvnni::depthwise;
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
  if (!wide_weights) return kernels::dotprod::depthwise;
#else
  static_cast<void>(wide_weights);
#endif
#if defined(__AVX2__)
  return kernels::avx2::depthwise;
#else
  return kernels::ref::depthwise;
#endif
}

}  // namespace quantal
