// K15: one plan, one packed blob, many threads: concurrent runs, and one run spread over threads; matrix product,
// convolution and depthwise convolution; pools too, which have no blob. threads.sh builds it with ThreadSanitizer. With any argument it races on
// purpose. Exit code 1: an output differs.
#include <atomic>
#include <cstdio>
#include <thread>

#include "kernels/checklist_layer.hpp"
#include "kernels/emulate/leaves.hpp"
#include "kernels/gemm_problem.hpp"
#include "quantal/kernels/native.hpp"
#include "quantal/kernels/pool.hpp"
#include "quantal/kernels/ref/integer.hpp"

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

// Runs of a product that differ from the reference: spread over threads, with any epilogue.
int wrong_products(const gemm_leaf& leaf, std::uint32_t seed) {
  heap_memory memory;
  generator random(seed);
  gemm_problem p({45, 150, 131}, any_kind(random), seed, memory);
  const std::vector<std::uint8_t> wanted = p.reference();
  int wrong = 0;
  for (const std::size_t width : {std::size_t{1}, std::size_t{3}, threads, std::size_t{9}})
    wrong += p.run(leaf, width, {nullptr, on_threads, width}) == wanted ? 0 : 1;
  return wrong;
}

// The same for a layer of any family, and runs of one plan on many threads at once.
template <class Family>
int wrong_layers(const typename Family::leaf& leaf) {
  layer<Family> l;
  const std::vector<std::uint8_t> wanted = l.reference();
  std::atomic<int> wrong{0};
  for (const std::size_t width : {std::size_t{1}, std::size_t{3}, threads, std::size_t{9}}) {
    const prepared<Family> p(l, leaf, width);
    std::vector<std::uint8_t> out(l.out_bytes());
    const status s = Family::run(p.plan, p.buffers(l, out.data()), {nullptr, on_threads, width});
    wrong += s == status::ok && out == wanted ? 0 : 1;
  }
  const prepared<Family> p(l, leaf);
  std::vector<std::thread> team;
  for (std::size_t t = 0; t < threads; ++t)
    team.emplace_back([&, first = t == 0] {
      if (first && plant) wrong += p.pack(l, p.packed.data()) == status::ok ? 0 : 1;
      const aligned_bytes own(p.work.size);
      std::vector<std::uint8_t> out(l.out_bytes());
      conv_buffers b = p.buffers(l, out.data());
      b.workspace = own.data();
      for (int i = 0; i < 5; ++i) wrong += Family::run(p.plan, b, {}) == status::ok && out == wanted ? 0 : 1;
    });
  for (std::thread& t : team) t.join();
  return wrong;
}

// Pools whose rows are spread over threads.
int wrong_pools() {
  generator random(7);
  int wrong = 0;
  for (const bool average : {false, true}) {
    pool_desc d;
    d.batch = 2;
    d.in_h = d.in_w = 9;
    d.channels = 37;
    d.kernel_h = d.kernel_w = 3;
    d.stride_h = 2;
    d.pad_top = d.pad_left = 1;
    d.in = {0.1f, 3};
    d.out = {0.2f, 1};
    pool_plan p;
    if (plan_pool(d, average, p) != status::ok) return 1;
    std::vector<std::uint8_t> in(p.in_elements), wanted(p.out_elements), out(p.out_elements);
    for (std::uint8_t& x : in) x = static_cast<std::uint8_t>(random.next());
    run_pool(p, kernels::ref::integer, in.data(), wanted.data());
    run_pool(p, kernels::ref::integer, in.data(), out.data(), {nullptr, on_threads, threads});
    wrong += out == wanted ? 0 : 1;
  }
  return wrong;
}

int failures = 0;
template <class Leaf, class Body>
void each_leaf(const char* what, std::vector<const Leaf*> leaves, Body&& body) {
  for (const Leaf* leaf : leaves) {
    const int wrong = body(*leaf);
    std::printf("%s %s: %s\n", what, leaf->isa, wrong == 0 ? "ok" : "DIFFERS");
    failures += wrong;
  }
}

// The portable leaf, the one that these flags allow, and the emulated ones.
template <class Leaf>
std::vector<const Leaf*> leaves_of(const Leaf& portable, const Leaf& native,
                                   const Leaf* const* (*emulated)(std::size_t&)) {
  std::size_t count = 0;
  const Leaf* const* first = emulated(count);
  std::vector<const Leaf*> leaves(first, first + count);
  leaves.push_back(&portable);
  if (&native != &portable) leaves.push_back(&native);
  return leaves;
}

}  // namespace

int main(int argc, char**) {
  plant = argc > 1;
  const auto products = leaves_of(kernels::ref::gemm, native_gemm_leaf(), emulated_leaves);
  const auto depthwise = leaves_of(kernels::ref::depthwise, native_depthwise_leaf(), emulated_depthwise_leaves);
  each_leaf("K15_gemm", products, [](const gemm_leaf& leaf) {
    int wrong = wrong_layers<gemm_family>(leaf);
    for (const std::uint32_t seed : {1u, 2u, 3u}) wrong += wrong_products(leaf, seed);
    return wrong;
  });
  each_leaf("K15_conv", products, [](const gemm_leaf& leaf) { return wrong_layers<conv_family>(leaf); });
  each_leaf("K15_depthwise", depthwise,
            [](const depthwise_leaf& leaf) { return wrong_layers<depthwise_family>(leaf); });
  const int pools = wrong_pools();
  std::printf("K15_pool: %s\n", pools == 0 ? "ok" : "DIFFERS");
  failures += pools;
  return failures == 0 ? 0 : 1;
}
