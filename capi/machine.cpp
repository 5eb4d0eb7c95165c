// The C ABI's view of this machine.
#include "quantal/pipeline/machine.hpp"
#include "guard.hpp"

using namespace quantal;

extern "C" {

int32_t quantal_cpu(char** json) {
  if (json == nullptr) return QUANTAL_E_NULL;
  return capi::fenced(nullptr, [&]() -> std::int32_t {
    char* copy = capi::copy_out(pipeline::cpu_json());
    if (copy == nullptr) return QUANTAL_E_OUT_OF_MEMORY;
    *json = copy;
    return QUANTAL_OK;
  });
}

int32_t quantal_selftest(char** json) {
  return capi::fenced(nullptr, [&]() -> std::int32_t {
    const auto rows = pipeline::selftest();
    if (json != nullptr) {
      char* copy = capi::copy_out(pipeline::selftest_json(rows));
      if (copy == nullptr) return QUANTAL_E_OUT_OF_MEMORY;
      *json = copy;
    }
    return pipeline::passed(rows) ? QUANTAL_OK : QUANTAL_E_INTERNAL;
  });
}

}  // extern "C"
