#include "quantal/kernels/cpu.hpp"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <iostream>
#include <string>

#include "quantal/kernels/elementwise.hpp"

using namespace quantal;

namespace {
constexpr bool all_compiled[isa_count] = {true, true, true, true, true, true, true, true};
constexpr cpu_features server{true, true, true, true, true, true, false, false, false};
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
  CHECK(std::string(elementwise().isa) == best_isa());
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
  if (!features().avx512) CHECK(elementwise_of("avx512vnni") == nullptr);
#endif
}

TEST_CASE("P11_the_choice_follows_what_the_cpu_offers") {
  CHECK(choose_isa({}, all_compiled, nullptr) == isa::ref);
  CHECK(choose_isa(server, all_compiled, nullptr) == isa::amx);
  cpu_features f = server;
  f.amx = false;  // permission denied
  CHECK(choose_isa(f, all_compiled, nullptr) == isa::avx512vnni);
  f.avx512 = false;  // zmm state not enabled
  CHECK(choose_isa(f, all_compiled, nullptr) == isa::avxvnni);
  f.avx2 = false;  // ymm state not enabled; a hypervisor may still show AVX-VNNI
  CHECK(choose_isa(f, all_compiled, nullptr) == isa::sse41);
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
