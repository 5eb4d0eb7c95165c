// parallel_for: the hook through which the caller lends threads. The core never starts one.
//
// `call(context, count, task, argument)` must run task(argument, i) once for each i in [0, count), in any
// order, on any threads, and return when all are done. Results never depend on how tasks are spread:
// every task writes its own part of the output. A default-constructed hook runs the tasks in order, here.
// Freestanding.
#pragma once
#include <stddef.h>

namespace quantal {

struct parallel_for {
  using task_fn = void (*)(void* argument, size_t index);
  using call_fn = void (*)(void* context, size_t count, task_fn task, void* argument);

  void* context = nullptr;
  call_fn call = nullptr;
  size_t width = 1;  // how many tasks can run at once: a hint for cutting work

  // Runs body(i) for each i in [0, count).
  template <class Body>
  void operator()(size_t count, Body&& body) const {
    if (call == nullptr || count < 2) {
      for (size_t i = 0; i < count; ++i) body(i);
      return;
    }
    auto* raw = &body;
    call(
        context, count, [](void* argument, size_t i) { (**static_cast<decltype(&raw)>(argument))(i); }, &raw);
  }
};

// Tasks at once of a run whose workspace is cut into lanes; never 0.
constexpr size_t lanes_of(const parallel_for& p) noexcept {
  return p.call == nullptr || p.width == 0 ? 1 : p.width;
}
// The same hint given to a planner: above this, finer cuts gain nothing.
constexpr size_t planned_lanes(size_t width) noexcept {
  return width == 0 ? 1 : width < 65536 ? width : 65536;
}

}  // namespace quantal
