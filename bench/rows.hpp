// What is measured: rows, each a name and a way to time some calls of itself.
//
//   family file --add_row()--> row{name, prepare} --main.cpp, for the selected rows--> prepared{time, work, note}
//
// Preparing (data, packing, a peer's model) happens only for selected rows. `time(calls)` runs the call that often and
// returns wall time and CPU time of the thread that did the work: where they differ somebody else had the core, and
// main.cpp measures that slice again. The loop is inside, so a call of 50 ns is not drowned in std::function.
#pragma once
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct timing {
  double wall = 0, cpu = 0;  // seconds
};

inline double seconds_of(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <class Loop>
timing time_loop(Loop&& loop) {
  const double cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
  loop();
  timing t;
  t.wall = seconds_of(CLOCK_MONOTONIC) - wall;
  t.cpu = seconds_of(CLOCK_THREAD_CPUTIME_ID) - cpu;
  return t;
}

struct prepared {
  std::function<timing(long calls)> time;  // empty: this row cannot run here; `note` says why
  double operations = 0;                   // of one call; 1 multiply-add = 2
  double bytes = 0;                        // read and written by one call
  std::string note;                        // implementation, version
  long wrong = 0;                          // sampled outputs that differ from the integer reference by more than 1
  long checked = 0;
};

// A callable that does one call.
template <class Call>
std::function<timing(long)> repeat(Call call) {
  return [call = std::move(call)](long calls) mutable {
    return time_loop([&] {
      for (long i = 0; i < calls; ++i) call();
    });
  };
}

// For data that kernels meet in practice: 64-byte aligned.
template <class T>
struct aligned {
  using value_type = T;
  aligned() = default;
  template <class U>
  aligned(const aligned<U>&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new (n * sizeof(T), std::align_val_t{64})); }
  void deallocate(T* p, std::size_t) { ::operator delete (p, std::align_val_t{64}); }
  bool operator==(const aligned&) const = default;
};
template <class T>
using array = std::vector<T, aligned<T>>;

struct row {
  std::string name;
  std::function<prepared()> prepare;
};

// All rows that this run could measure, in the order of the families.
inline std::vector<row>& rows() {
  static std::vector<row> all;
  return all;
}

inline void add_row(std::string name, std::function<prepared()> prepare) {
  rows().push_back({std::move(name), std::move(prepare)});
}

}  // namespace bench
