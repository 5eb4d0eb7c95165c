// arena: one block of memory for the values of a run, planned from what an earlier run with the same inputs asked for.
//
//   recording run    plain allocations; each notes its size, when it was made and when its last owner let go
//   plan             offsets by best fit, largest first, so that values whose lifetimes do not meet share bytes
//   planned run      the k-th request of a step gets its planned place, if it fits and no live value lies there
//
// The last condition makes a planned run safe whatever the plan says: control flow and data-dependent shapes may make
// two runs with equal input shapes differ; a request that does not fit its place gets memory of its own. A block
// that some tensor still refers to when the run ends (an observer kept a copy) is not reused but dies with that tensor.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::exec {

struct placement {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};

struct arena_plan {
  std::vector<std::size_t> first;  // per step: position of its first request in `places`; one more at the end
  std::vector<placement> places;
  std::size_t bytes = 0;           // of the block
  std::size_t unshared_bytes = 0;  // what the same values take without sharing
};

// A request as recorded; `freed` is the step during or after which the last owner let go.
struct request {
  std::size_t bytes = 0;
  std::size_t step = 0;
  std::size_t freed = SIZE_MAX;
  bool escapes = false;  // returned to the caller: gets memory of its own
};
arena_plan make_plan(const std::vector<request>& requests, std::size_t steps);

// The block of one run and which parts of it are in use.
class arena_block : public std::enable_shared_from_this<arena_block> {
 public:
  static std::shared_ptr<arena_block> make(std::size_t bytes);  // nullptr: no memory
  ~arena_block();
  std::size_t bytes() const noexcept { return bytes_; }
  // A tensor at this place; an empty one if a live tensor overlaps it.
  tensor_buffer place(dtype type, const shape& dims, const placement& where);
  bool idle();
  bool contains(std::uintptr_t address) const noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(memory_);
    return address >= begin && address < begin + bytes_;
  }

 private:
  std::byte* memory_ = nullptr;
  std::size_t bytes_ = 0;
  std::mutex guard_;
  std::map<std::size_t, std::size_t> live_;  // begin -> end
};

// Memory of one run.
class arena {
 public:
  // With a plan and a block: a planned run. Without: a recording run.
  arena(std::shared_ptr<const arena_plan> plan, std::shared_ptr<arena_block> block);

  void begin_step(std::size_t step) noexcept;
  result<tensor_buffer> allocate(dtype type, const shape& dims);
  // Is this tensor in the block?
  bool owns(const tensor_buffer& t) const noexcept;
  bool recording() const noexcept { return plan_ == nullptr; }
  // The recorded requests; what `kept` refers to escapes.
  std::vector<request> finish(const std::vector<tensor_buffer>& kept);

 private:
  struct log {
    std::mutex guard;
    std::vector<request> requests;
    std::size_t step = 0;
  };
  std::shared_ptr<const arena_plan> plan_;
  std::shared_ptr<arena_block> block_;
  std::shared_ptr<log> log_;
  std::size_t step_ = 0;
  std::size_t next_ = 0;
  std::vector<const void*> addresses_;  // of the recorded requests
};

}  // namespace quantal::exec
