// thread_pool: the threads behind a session's parallel_for. Host only.
//
// One job at a time: a second caller (another run of the session, or a task that asks again) does its work on its own
// thread, so nothing waits for anything and nothing can deadlock. Idle workers spin a few microseconds and then sleep.
#pragma once
#include <cstddef>
#include <memory>

#include "quantal/base/parallel.hpp"

namespace quantal::exec {

// Cores this process may use: the affinity mask, capped by the control group's CPU quota. At least 1.
std::size_t usable_cores() noexcept;

class thread_pool {
 public:
  // `width` threads in all: the caller's and width - 1 of the pool's. Fewer if the system refuses more.
  explicit thread_pool(std::size_t width);
  ~thread_pool();
  thread_pool(const thread_pool&) = delete;
  thread_pool& operator=(const thread_pool&) = delete;

  // Valid while the pool lives.
  parallel_for hook() noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace quantal::exec
