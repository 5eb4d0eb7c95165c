// Integer matrix product, planned: describe once, check once, pack the weights once, then run without checks on values,
// allocation or branches on parameters.
//
//   gemm_desc ── plan_gemm ──> gemm_plan                        all parameters checked; kernel chosen; sizes known
//                    │
//   gemm_weights ── pack_gemm ──> packed weights                relocatable bytes with a layout id
//                    │
//   gemm_buffers ── run_gemm(plan, buffers, parallel_for)       noexcept, re-entrant, allocates nothing
//
// The kernel is a leaf (gemm_leaf.hpp): best_gemm_leaf() of the library picks it for this CPU, gemm_leaf_of(name)
// forces one, native_gemm_leaf() (native.hpp) is the one that -march allows. Whichever it is, results equal
// kernels/ref/gemm.hpp to the bit. Freestanding.
#pragma once
#include "quantal/kernels/gemm_run.hpp"
