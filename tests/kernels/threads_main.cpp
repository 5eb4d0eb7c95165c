// One plan, one packed blob, many threads: concurrent runs, and one run spread over threads. threads.sh builds it with
// ThreadSanitizer. With any argument it races on purpose. Leaves: portable, the one these flags allow, and the emulated
// ones. Exit code 1: an output differs.
#include <atomic>
#include <cstdio>
#include <thread>

#include "kernels/emulate/leaves.hpp"
#include "kernels/gemm_problem.hpp"
#include "quantal/kernels/native.hpp"

using namespace quantal;
using namespace quantal_test;

namespace {

constexpr std::size_t threads = 4;
bool plant = false;  // a race, which ThreadSanitizer must find: one thread packs what the others read

void on_threads(void*, std::size_t count, parallel_for::task_fn task, void* argument) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> team;
  for (std::size_t t = 0; t < threads; ++t)
    team.emplace_back([&] {
      for (std::size_t i = next++; i < count; i = next++) task(argument, i);
    });
  for (std::thread& t : team) t.join();
}

// The outputs that differ from the reference.
int wrong_outputs(const gemm_leaf& leaf, const gemm_shape& s, std::uint32_t seed) {
  heap_memory memory;
  generator random(seed);
  gemm_problem p(s, any_kind(random), seed, memory);
  const std::vector<std::uint8_t> wanted = p.reference();
  std::atomic<int> wrong{0};
  for (const std::size_t width : {std::size_t{1}, std::size_t{3}, threads, std::size_t{9}})
    wrong += p.run(leaf, width, {nullptr, on_threads, width}) == wanted ? 0 : 1;

  gemm_plan plan;
  if (plan_gemm(p.d, leaf, 1, plan) != status::ok) return -1;
  std::uint8_t* packed = memory.take(plan.packed_bytes, 64);
  if (pack_gemm(plan, p.weights(), packed, plan.packed_bytes) != status::ok) return -1;
  std::vector<std::thread> team;
  for (std::size_t t = 0; t < threads; ++t)
    team.emplace_back([&, first = t == 0] {
      if (first && plant) wrong += pack_gemm(plan, p.weights(), packed, plan.packed_bytes) == status::ok ? 0 : 1;
      heap_memory own;
      gemm_problem mine(p, own);
      for (int i = 0; i < 5; ++i) wrong += mine.run(plan, packed) == wanted ? 0 : 1;
    });
  for (std::thread& t : team) t.join();
  return wrong;
}

}  // namespace

int main(int argc, char**) {
  plant = argc > 1;
  std::size_t count = 0;
  const gemm_leaf* const* emulated = emulated_leaves(count);
  std::vector<const gemm_leaf*> leaves(emulated, emulated + count);
  leaves.push_back(&kernels::ref::gemm);
  leaves.push_back(&native_gemm_leaf());
  int wrong = 0;
  for (const gemm_leaf* leaf : leaves) {
    int here = 0;
    for (const std::uint32_t seed : {1u, 2u, 3u}) here += wrong_outputs(*leaf, {45, 150, 131}, seed);
    std::printf("%s: %s\n", leaf->isa, here == 0 ? "ok" : "DIFFERS");
    wrong += here;
  }
  return wrong == 0 ? 0 : 1;
}
