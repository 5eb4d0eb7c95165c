// The C ABI's view of this machine.
#include "quantal/pipeline/machine.hpp"
#include "guard.hpp"

extern "C" int32_t quantal_cpu(char** json) {
  if (json == nullptr) return QUANTAL_E_NULL;
  return quantal::capi::fenced(nullptr, [&]() -> std::int32_t {
    char* copy = quantal::capi::copy_out(quantal::pipeline::cpu_json());
    if (copy == nullptr) return QUANTAL_E_OUT_OF_MEMORY;
    *json = copy;
    return QUANTAL_OK;
  });
}
