#include "quantal/kernels/cpu.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <string>

#include "quantal/kernels/cpu_answers.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/gemm.hpp"

using namespace quantal;

namespace {

struct flags {
  bool of[isa_count];
};
constexpr flags every_isa() {
  flags f{};
  for (bool& flag : f.of) flag = true;
  return f;
}
constexpr flags every = every_isa();
constexpr const bool (&all_compiled)[isa_count] = every.of;

// A server with AMX.
constexpr cpu_features server_features() {
  cpu_features f;
  f.sse41 = f.avx2 = f.avxvnni = f.avx512vnni = f.amx = true;
  return f;
}
constexpr cpu_features server = server_features();

}  // namespace

TEST_CASE("this CPU's instruction sets and what dispatch uses") {
  std::size_t count = 0;
  const isa_state* states = isa_states(count);
  REQUIRE(count == isa_count);
  std::string used;
  for (std::size_t i = 0; i < count; ++i) {
    if (states[i].used) used += std::string(" ") + states[i].name;
    if (states[i].used) CHECK((states[i].available && states[i].compiled && states[i].allowed));
  }
  std::cout << "best ISA: " << best_isa() << "; used:" << used << "\n";
  CHECK(states[0].used);
  isa elementwise_isa = isa::ref;  // its own or, where the best ISA does not improve these kernels, an ancestor's
  REQUIRE(find_isa(elementwise().isa, elementwise_isa));
  CHECK(within(elementwise_isa, selected_isa()));
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && std::getenv("QUANTAL_ISA") == nullptr)
    CHECK(selected_isa() != isa::ref);
  if (features().avx2) CHECK((__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0));
#endif
}

TEST_CASE("K17_an_isa_that_is_unknown_or_not_offered_has_no_table") {
  CHECK(elementwise_of("riscv-v") == nullptr);
  CHECK(elementwise_of(nullptr) == nullptr);
  CHECK(elementwise_of("ref") != nullptr);
#if defined(__x86_64__)
  CHECK(elementwise_of("neon") == nullptr);
  if (!features().avx512vnni) CHECK(elementwise_of("avx512vnni") == nullptr);
#endif
}

TEST_CASE("AMX gets the products that pay on it") {
  CHECK_FALSE(amx_pays({1, 4096, 4096}));
  CHECK_FALSE(amx_pays({6, 4096, 4096}));
  CHECK(amx_pays({7, 4096, 4096}));
  CHECK_FALSE(amx_pays({128, 128, 63}));
  CHECK(amx_pays({64, 64, 64}));
  CHECK_FALSE(amx_pays({63, 64, 64}));
}

TEST_CASE("P11_the_choice_follows_what_the_cpu_offers") {
  CHECK(choose_isa({}, all_compiled, nullptr) == isa::ref);
  CHECK(choose_isa(server, all_compiled, nullptr) == isa::amx);
  cpu_features f = server;
  f.amx = false;  // permission denied
  CHECK(choose_isa(f, all_compiled, nullptr) == isa::avx512vnni);
  f.avx512vnni = false;  // zmm state not enabled
  CHECK(choose_isa(f, all_compiled, nullptr) == isa::avxvnni);
  f.avx2 = false;  // ymm state not enabled; a hypervisor may still show AVX-VNNI
  CHECK(choose_isa(f, all_compiled, nullptr) == isa::sse41);
}

namespace {

constexpr std::uint32_t bits(std::initializer_list<int> which) {
  std::uint32_t word = 0;
  for (const int i : which) word |= 1u << i;
  return word;
}

// A server with AMX, as it answers (Intel SDM vol. 2, CPUID; palette 1 of Sapphire Rapids).
x86_answers server_answers() {
  x86_answers cpu;
  cpu.highest_leaf = 0x20;
  cpu.basic.c = bits({9, 12, 19, 27, 28, 29});
  cpu.extended = {2, bits({5, 16, 17, 30, 31}), bits({11}), bits({24, 25})};
  cpu.extended1.a = bits({4});
  cpu.palette = {0x04002000, 0x00080040, 16, 0};
  cpu.saved_state = 0x600e7;
  cpu.system_has_tiles = true;
  return cpu;
}

isa best_of(const x86_answers& cpu) {
  return choose_isa(features_of(cpu), all_compiled, nullptr);
}

}  // namespace

TEST_CASE("P11_what_a_hypervisor_hides_or_invents_is_not_used") {
  x86_answers cpu = server_answers();
  CHECK(best_of(cpu) == isa::amx);
  CHECK(best_of({}) == isa::ref);

  const auto lies = [](auto change, isa expected) {
    x86_answers guest = server_answers();
    change(guest);
    CHECK(best_of(guest) == expected);
  };
  lies([](x86_answers& c) { c.saved_state = 0x200e7; }, isa::avx512vnni);  // tile config without tile data
  lies([](x86_answers& c) { c.saved_state = 0x400e7; }, isa::avx512vnni);
  lies([](x86_answers& c) { c.saved_state = 0x60007; }, isa::avxvnni);  // no zmm: tiles alone are no use
  lies([](x86_answers& c) { c.saved_state = 0x67; }, isa::avxvnni);     // upper 16 zmm missing
  lies([](x86_answers& c) { c.saved_state = 0x3; }, isa::sse41);        // no ymm
  lies([](x86_answers& c) { c.saved_state = 0; }, isa::sse41);
  lies([](x86_answers& c) { c.basic.c &= ~bits({27}); }, isa::sse41);  // no OSXSAVE: saved_state is not to be believed
  lies([](x86_answers& c) { c.basic.c &= ~bits({19}); }, isa::ref);    // AVX2 shown, SSE4.1 hidden
  lies([](x86_answers& c) { c.basic.c &= ~bits({12}); }, isa::sse41);  // FMA hidden
  lies([](x86_answers& c) { c.extended.b &= ~bits({5}); }, isa::sse41);      // AVX-VNNI and AVX-512 without AVX2
  lies([](x86_answers& c) { c.extended.b &= ~bits({30}); }, isa::avxvnni);   // AVX-512 without BW
  lies([](x86_answers& c) { c.extended.c = 0; }, isa::avxvnni);              // AMX without AVX512-VNNI
  lies([](x86_answers& c) { c.extended.d = bits({24}); }, isa::avx512vnni);  // tiles, no int8
  lies([](x86_answers& c) { c.extended.d = bits({25}); }, isa::avx512vnni);
  lies([](x86_answers& c) { c.system_has_tiles = false; }, isa::avx512vnni);
  lies([](x86_answers& c) { c.palette = {}; }, isa::avx512vnni);  // the palette leaf is masked
  lies([](x86_answers& c) { c.palette.c = 8; }, isa::avx512vnni);
  lies([](x86_answers& c) { c.highest_leaf = 0x1c; }, isa::avx512vnni);  // what leaf 1DH returns is another leaf's
  lies([](x86_answers& c) { c.highest_leaf = 6; }, isa::sse41);          // likewise leaf 7
  lies([](x86_answers& c) { c.highest_leaf = 0; }, isa::ref);
  cpu.extended.c = 0;
  cpu.extended.a = 0;  // no subleaf 1: its bits mean nothing
  CHECK(best_of(cpu) == isa::avx2);
}

TEST_CASE("P11_aarch64_features_come_from_the_auxiliary_vector") {
  const auto best = [](std::uint64_t hwcap, std::uint64_t hwcap2) {
    return choose_isa(features_of(aarch64_answers{hwcap, hwcap2}), all_compiled, nullptr);
  };
  CHECK(best(0, 0) == isa::neon);
  CHECK(best(std::uint64_t{1} << 20, 0) == isa::dotprod);
  CHECK_FALSE(features_of(aarch64_answers{~std::uint64_t{0}, ~std::uint64_t{0}}).avx2);
}

TEST_CASE("a cap permits its ISA and the ancestors, nothing else") {
  const isa avxvnni = isa::avxvnni, amx = isa::amx, ref = isa::ref, neon = isa::neon;
  CHECK(choose_isa(server, all_compiled, &avxvnni) == isa::avxvnni);
  CHECK(choose_isa(server, all_compiled, &amx) == isa::amx);
  CHECK(choose_isa(server, all_compiled, &ref) == isa::ref);
  CHECK(choose_isa(server, all_compiled, &neon) == isa::ref);
  CHECK(within(isa::avx2, isa::amx));
  CHECK_FALSE(within(isa::avxvnni, isa::amx));
  isa found = isa::ref;
  for (const isa_row& row : isa_list) {
    REQUIRE(find_isa(row.name, found));
    CHECK(found == row.id);
    CHECK(isa_list[static_cast<std::size_t>(row.id)].id == row.id);
    CHECK(within(isa::ref, row.id));
  }
  CHECK_FALSE(find_isa("avx", found));
  CHECK_FALSE(find_isa("", found));
}
