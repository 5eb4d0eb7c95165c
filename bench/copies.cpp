// The loop adds 1 to floats: that keeps the compiler from calling memcpy, which is slow on some CPUs (string
// instructions), and costs nothing beside loads and stores.
#include "copies.hpp"

#include <cstring>

#include "quantal/kernels/cpu.hpp"
#include "rows.hpp"

namespace bench {
namespace {

[[gnu::always_inline]] inline void add_one(const float* x, float* y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = x[i] + 1.0f;
  asm volatile("" ::"r"(y) : "memory");
}
using loop = void(const float* x, float* y, std::size_t n);
void copy_loop(const float* x, float* y, std::size_t n) {
  add_one(x, y, n);
}
#if defined(__x86_64__)
[[gnu::target("avx2")]] void wide_copy_loop(const float* x, float* y, std::size_t n) {
  add_one(x, y, n);
}
loop* best_loop() {
  return quantal::features().avx2 ? wide_copy_loop : copy_loop;
}
#else
loop* best_loop() {
  return copy_loop;
}
#endif

prepared prepare_copy(std::size_t bytes, bool library) {
  prepared r;
  const std::size_t n = bytes / 2 / sizeof(float);
  r.bytes = static_cast<double>(bytes);
  const auto from = std::make_shared<array<float>>(n, 1.0f), to = std::make_shared<array<float>>(n);
  if (library) {
    r.time = repeat([from, to, n] {
      std::memcpy(to->data(), from->data(), n * sizeof(float));
      asm volatile("" ::"r"(to->data()) : "memory");
    });
  } else {
    r.time = repeat([from, to, n, copy = best_loop()] { copy(from->data(), to->data(), n); });
  }
  return r;
}

}  // namespace

void add_copies(const std::string& memcpy_name, const std::string& loop_name, std::size_t bytes) {
  add_row(memcpy_name, [bytes] { return prepare_copy(bytes, true); });
  add_row(loop_name, [bytes] { return prepare_copy(bytes, false); });
}

}  // namespace bench
