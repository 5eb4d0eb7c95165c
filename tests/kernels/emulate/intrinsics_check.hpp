// Compiled on its own, because the emulated intrinsics are macros over the compiler's names.
#pragma once

namespace quantal_emulate {

// The names of emulated intrinsics that do not give the values written down from the Intel Intrinsics Guide; "" if all
// do.
const char* wrong_intrinsics();

}  // namespace quantal_emulate
