#include "quantal/exec/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>
#if defined(__linux__)
#include <sched.h>
#endif

namespace quantal::exec {

namespace {

// CPUs that the control group's quota allows, rounded up; 0: no quota. cgroup v2, then v1.
std::size_t quota_cores() noexcept {
  double quota = 0, period = 0;
  if (std::FILE* file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    if (std::fscanf(file, "%lf %lf", &quota, &period) != 2) quota = 0;  // "max 100000"
    std::fclose(file);
  } else {
    if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
      if (std::fscanf(f, "%lf", &quota) != 1) quota = 0;
      std::fclose(f);
    }
    if (std::FILE* f = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (std::fscanf(f, "%lf", &period) != 1) period = 0;
      std::fclose(f);
    }
  }
  if (!(quota > 0) || !(period > 0) || quota / period > 4096) return 0;
  return static_cast<std::size_t>((quota + period - 1) / period);
}

void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

std::size_t usable_cores() noexcept {
  std::size_t cores = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cores = static_cast<std::size_t>(std::max(1, CPU_COUNT(&set)));
#endif
  const std::size_t quota = quota_cores();
  return quota == 0 ? cores : std::min(cores, quota);
}

struct thread_pool::state {
  std::vector<std::thread> workers;
  std::mutex guard;
  std::condition_variable wake;
  std::atomic<bool> busy{false};
  std::atomic<std::uint64_t> epoch{0};  // counts jobs, so that a spinning worker sees a new one without the lock
  bool stop = false;

  // The current job; `task` is null between jobs. Written under `guard`.
  parallel_for::task_fn task = nullptr;
  void* argument = nullptr;
  std::size_t count = 0;
  std::atomic<std::size_t> next{0};
  std::atomic<std::size_t> inside{0};  // workers that may still touch the job

  void work(parallel_for::task_fn t, void* a, std::size_t n) noexcept {
    for (std::size_t i = next.fetch_add(1); i < n; i = next.fetch_add(1)) t(a, i);
  }

  void serve() noexcept {
    std::uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < 2000 && epoch.load(std::memory_order_relaxed) == seen; ++spin) relax();
      parallel_for::task_fn t = nullptr;
      void* a = nullptr;
      std::size_t n = 0;
      {
        std::unique_lock lock(guard);
        wake.wait(lock, [&] { return stop || epoch.load(std::memory_order_relaxed) != seen; });
        if (stop) return;
        seen = epoch.load(std::memory_order_relaxed);
        if (task == nullptr) continue;  // came too late
        t = task, a = argument, n = count;
        inside.fetch_add(1);
      }
      work(t, a, n);
      inside.fetch_sub(1);
    }
  }

  void run(std::size_t n, parallel_for::task_fn t, void* a) noexcept {
    if (workers.empty() || n < 2 || busy.exchange(true)) {
      for (std::size_t i = 0; i < n; ++i) t(a, i);
      return;
    }
    {
      std::lock_guard lock(guard);
      task = t, argument = a, count = n;
      next.store(0);
      epoch.fetch_add(1);
    }
    wake.notify_all();
    work(t, a, n);
    {
      std::lock_guard lock(guard);
      task = nullptr;
    }
    for (int spin = 0; inside.load() != 0; ++spin) {
      if (spin < 2000) {
        relax();
      } else {
        std::this_thread::yield();
      }
    }
    busy.store(false);
  }
};

thread_pool::thread_pool(std::size_t width) : state_(std::make_unique<state>()) {
  for (std::size_t i = 1; i < width; ++i) {
    try {
      state_->workers.emplace_back([s = state_.get()] { s->serve(); });
    } catch (const std::system_error&) {
      break;  // as many as the system gives
    }
  }
}

thread_pool::~thread_pool() {
  {
    std::lock_guard lock(state_->guard);
    state_->stop = true;
  }
  state_->epoch.fetch_add(1);
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

parallel_for thread_pool::hook() noexcept {
  parallel_for p;
  if (state_->workers.empty()) return p;
  p.context = state_.get();
  p.width = state_->workers.size() + 1;
  p.call = [](void* context, std::size_t count, parallel_for::task_fn task, void* argument) {
    static_cast<state*>(context)->run(count, task, argument);
  };
  return p;
}

}  // namespace quantal::exec
