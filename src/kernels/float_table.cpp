// Chooses the float table once: what the CPU can do, capped by QUANTAL_ISA.
#include "quantal/kernels/float_table.hpp"

#include <cstdlib>
#include <string_view>

namespace quantal::kernels {

namespace float_base {
extern const float_table table;
}
#if defined(QUANTAL_FLOAT_X86)
namespace float_avx2 {
extern const float_table table;
}
namespace float_avx512 {
extern const float_table table;
}
#endif

namespace {

const float_table& choose() noexcept {
#if defined(QUANTAL_FLOAT_X86)
  const char* asked = std::getenv("QUANTAL_ISA");
  const std::string_view cap = asked == nullptr ? "" : asked;
  const bool allow_avx512 = cap.empty() || cap == "avx512vnni" || cap == "amx";
  const bool allow_avx2 = allow_avx512 || cap == "avx2" || cap == "avxvnni";
  __builtin_cpu_init();
  if (allow_avx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    return float_avx512::table;
  }
  if (allow_avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return float_avx2::table;
#endif
  return float_base::table;
}

}  // namespace

const float_table& floats() noexcept {
  static const float_table& chosen = choose();
  return chosen;
}

}  // namespace quantal::kernels
