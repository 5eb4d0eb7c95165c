// Chooses the float table once, by the same facts as the integer kernels (kernels/cpu.hpp): CPU, system, QUANTAL_ISA.
#include "quantal/kernels/float_table.hpp"

#include <string_view>

#include "quantal/kernels/cpu.hpp"

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
  const auto usable = [](std::string_view name) {
    std::size_t count = 0;
    const isa_state* states = isa_states(count);
    for (std::size_t i = 0; i < count; ++i) {
      if (name == states[i].name) return states[i].available && states[i].allowed;
    }
    return false;
  };
  if (usable("avx512vnni")) return float_avx512::table;
  if (usable("avx2")) return float_avx2::table;
#endif
  return float_base::table;
}

}  // namespace

const float_table& floats() noexcept {
  static const float_table& chosen = choose();
  return chosen;
}

}  // namespace quantal::kernels
