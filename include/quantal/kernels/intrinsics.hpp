// The door to compiler intrinsics for ISA headers that also run emulated.
//
// Normally <immintrin.h> or <arm_neon.h>. A test that runs kernels on a CPU without their instructions defines
// QUANTAL_EMULATE as the header that supplies the same names (QUANTAL_EMULATE="emulate/x86.hpp"). Such a header reads
//
//   #include "quantal/kernels/copy.hpp"
//   #if defined(__AVXVNNI__) || defined(QUANTAL_EMULATE)
//   #include "quantal/kernels/intrinsics.hpp"
//   namespace quantal::avxvnni { inline namespace QUANTAL_KERNEL_COPY { ...
//
// and never includes the compiler's header itself. (sse41/, avx2/ and neon/vec.hpp do: they run on this CPU or under
// QEMU.) The emulated copy lives in a namespace of its own (copy.hpp), beside the native one. Freestanding where the
// compiler's headers are.
#pragma once
#if defined(QUANTAL_EMULATE)
#include QUANTAL_EMULATE
#elif defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
