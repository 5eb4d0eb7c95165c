// Every leaf of the matrix product, natively where this CPU can and emulated otherwise, equals the reference. It prints
// which ran how; an ISA of this architecture that ran nowhere fails. AArch64 leaves run in tests/cross (QEMU).
#include "kernels/gemm_matrix.hpp"

#include <catch2/catch.hpp>
#include <cstdio>
#include <set>
#include <string>

#include "kernels/emulate/leaves.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#include "quantal/kernels/selftest_gemm.hpp"

using namespace quantal;
using namespace quantal_test;

namespace {

std::set<std::string> ran;

void check(const gemm_leaf& leaf, const char* how, const char* (*after)() = nullptr) {
  const matrix_report report = leaf_matrix(leaf, effort::full, after).run();
  std::printf("gemm %s: %s, %d products, %d wrong %s\n", leaf.isa, how, report.products, report.wrong,
              report.first_wrong.c_str());
  CAPTURE(leaf.isa, how, report.first_wrong);
  CHECK(report.products > 500);
  CHECK(report.wrong == 0);
  CHECK(selftest_gemm(leaf) == selftest_gemm_expected);
  ran.insert(leaf.isa);
}

// The portable leaf, to be called by broken ones.
const gemm_leaf& portable() {
  std::size_t count = 0;
  return *gemm_leaves(count)[0];
}

}  // namespace

TEST_CASE("every leaf equals the reference, and leaves the tiles as it must") {
  for (const auto& [leaf, emulated] : all_leaves<gemm_leaf>())
    check(*leaf, emulated ? "emulated" : "native", emulated ? tile_complaint : nullptr);
}

// For cpus.sh: on an emulated CPU, in seconds.
TEST_CASE("native leaves, a small matrix", "[.small]") {
  std::size_t count = 0;
  const gemm_leaf* const* leaves = gemm_leaves(count);
  std::printf("gemm leaves:");
  for (std::size_t i = 0; i < count; ++i) {
    std::printf(" %s", leaves[i]->isa);
    CHECK(leaf_matrix(*leaves[i], effort::small).run().wrong == 0);
    CHECK(selftest_gemm(*leaves[i]) == selftest_gemm_expected);
  }
  std::printf("\n");
}

// One of rows and four of weights for four products where one block of rows meets the panels, else three for two; the
// rest of the rows is such a block.
TEST_CASE("AMX: the arrangement of tiles follows the rows") {
  std::size_t count = 0;
  const gemm_leaf* const* leaves = emulated_leaves(count);
  const gemm_leaf* amx = nullptr;
  for (std::size_t i = 0; i < count; ++i)
    if (std::string(leaves[i]->isa) == "amx") amx = leaves[i];
  REQUIRE(amx != nullptr);
  struct row {
    gemm_shape shape;
    int loads, products, live;
  };
  constexpr int steps = 10, deep = 32;  // of 64 depths; deep: three chunks, so that whole blocks load their sums twice
  const row rows[] = {{{16, 64, 640}, 5 * steps, 4 * steps, 6},
                      {{3, 64, 640}, 5 * steps, 4 * steps, 6},
                      {{7, 48, 640}, 4 * steps, 3 * steps, 5},
                      {{7, 96, 640}, (5 + 3) * steps, (4 + 2) * steps, 6},
                      {{32, 64, 640}, 2 * 2 * 3 * steps, 2 * 2 * 2 * steps, 4},
                      {{33, 64, 640}, (2 * 2 * 3 + 5) * steps, (2 * 2 * 2 + 4) * steps, 6},
                      {{16, 64, 2048}, 5 * deep, 4 * deep, 6},
                      {{33, 64, 2048}, (2 * 2 * 3 + 5) * deep + 2 * 2 * 2 * 2, (2 * 2 * 2 + 4) * deep, 6}};
  for (const row& r : rows) {
    CAPTURE(r.shape.m, r.shape.n, r.shape.k);
    heap_memory memory;
    gemm_problem p(r.shape, {dtype::u8, dtype::s8, dtype::s8}, 5, memory);
    const std::vector<std::uint8_t> wanted = p.reference();
    take_tile_work();
    CHECK(p.run(*amx) == wanted);
    const tile_work work = take_tile_work();
    CHECK(work.loads == r.loads);
    CHECK(work.products == r.products);
    CHECK(work.most_live == r.live);
    CHECK(std::string(tile_complaint()) == "");
  }
}

TEST_CASE("no required instruction set is missing") {
  for (const isa_row& row : isa_list) {
    const isa_kernels* own = compiled_kernels(row.id);
    if (own == nullptr || own->gemm == nullptr) continue;
    INFO(row.name << " ran neither natively nor emulated");
    CHECK(ran.count(row.name) == 1);
  }
}

TEST_CASE("the matrix notices a leaf that is wrong in one sum, or reads one depth too few") {
  gemm_leaf broken = portable();
  broken.block = [](const block_args& a) noexcept {
    portable().block(a);
    if (a.live_rows > 1) a.acc[0] ^= 1;
  };
  CHECK(leaf_matrix(broken, effort::small).run().wrong > 50);
  broken.block = [](const block_args& a) noexcept {
    block_args fewer = a;
    if (fewer.steps > 90) --fewer.steps;
    portable().block(fewer);
  };
  CHECK(leaf_matrix(broken, effort::full).run().wrong > 10);
}
