// arena: values that live at the same time never share bytes; others do.
#include <catch2/catch.hpp>

#include "../../src/exec/arena.hpp"

using namespace quantal;
using exec::make_plan;
using exec::request;

namespace {

bool meet(const request& a, const request& b) {
  return a.step <= b.freed && b.step <= a.freed;
}

void check_plan(const std::vector<request>& requests, std::size_t steps) {
  const exec::arena_plan plan = make_plan(requests, steps);
  REQUIRE(plan.places.size() == requests.size());
  for (std::size_t a = 0; a < requests.size(); ++a) {
    if (requests[a].escapes) continue;
    CHECK(plan.places[a].bytes >= requests[a].bytes);
    CHECK(plan.places[a].offset % 64 == 0);
    CHECK(plan.places[a].offset + plan.places[a].bytes <= plan.bytes);
    for (std::size_t b = 0; b < a; ++b) {
      if (requests[b].escapes || !meet(requests[a], requests[b])) continue;
      const auto& p = plan.places[a];
      const auto& q = plan.places[b];
      CHECK((p.offset + p.bytes <= q.offset || q.offset + q.bytes <= p.offset));
    }
  }
}

}  // namespace

TEST_CASE("a chain needs two places") {
  std::vector<request> chain;
  for (std::size_t i = 0; i < 10; ++i) chain.push_back({1024, i, i + 1, false});
  check_plan(chain, 10);
  const auto plan = make_plan(chain, 10);
  CHECK(plan.bytes == 2048);
  CHECK(plan.unshared_bytes == 10240);
}

TEST_CASE("random lifetimes never overlap in memory") {
  std::uint32_t seed = 1;
  const auto next = [&](std::uint32_t limit) {
    seed = seed * 1664525u + 1013904223u;
    return static_cast<std::size_t>((seed >> 8) % limit);
  };
  for (int round = 0; round < 50; ++round) {
    std::vector<request> requests;
    for (std::size_t step = 0; step < 30; ++step) {
      for (std::size_t k = next(4); k > 0; --k) requests.push_back({next(5000), step, step + next(6), next(9) == 0});
    }
    check_plan(requests, 30);
  }
}

TEST_CASE("a place is not given twice, whatever the plan says") {
  auto block = exec::arena_block::make(256);
  tensor_buffer first = block->place(dtype::u8, shape(128), {0, 128});
  REQUIRE(first);
  CHECK_FALSE(block->place(dtype::u8, shape(128), {64, 128}));
  CHECK(block->place(dtype::u8, shape(128), {128, 128}));
  CHECK_FALSE(block->idle());
  first = {};
  CHECK(block->place(dtype::u8, shape(128), {64, 64}));
  CHECK(block->idle());
}

TEST_CASE("a run that differs from the recorded one gets memory of its own") {
  std::vector<request> requests = {{64, 0, 1, false}, {64, 1, 2, false}};
  auto plan = std::make_shared<const exec::arena_plan>(make_plan(requests, 2));
  exec::arena memory(plan, exec::arena_block::make(plan->bytes));
  memory.begin_step(0);
  auto planned = memory.allocate(dtype::u8, shape(64));
  auto larger = memory.allocate(dtype::u8, shape(640));  // a second request of the step, not planned
  REQUIRE(planned);
  REQUIRE(larger);
  CHECK(memory.owns(*planned));
  CHECK_FALSE(memory.owns(*larger));
}
