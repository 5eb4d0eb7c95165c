// Memory that faults one byte past its ends: each buffer lies against an inaccessible page, at its end or its start by
// turns; what alignment leaves between a buffer and the page holds a pattern that must survive.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/gemm_problem.hpp"

namespace quantal_test {

class guarded_memory : public memory {
 public:
  guarded_memory(std::size_t buffers, std::size_t bytes)
      : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))), room_((bytes + page_ - 1) / page_ * page_) {
    for (std::size_t i = 0; i < buffers; ++i) {
      void* at = mmap(nullptr, room_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (at == MAP_FAILED || mprotect(static_cast<std::uint8_t*>(at) + page_, room_, PROT_READ | PROT_WRITE) != 0)
        std::abort();
      regions_.push_back(static_cast<std::uint8_t*>(at) + page_);
    }
  }
  ~guarded_memory() override {
    for (std::uint8_t* r : regions_) munmap(r - page_, room_ + 2 * page_);
  }
  guarded_memory(const guarded_memory&) = delete;
  guarded_memory& operator=(const guarded_memory&) = delete;

  std::uint8_t* take(std::uint64_t bytes, std::uint64_t alignment) override {
    if (used_.size() == regions_.size() || round_up(bytes, 64) > room_) std::abort();
    const std::size_t size = static_cast<std::size_t>(bytes);
    std::uint8_t* region = regions_[used_.size()];
    std::uint8_t* at = at_end_ ? region + room_ - static_cast<std::size_t>(round_up(bytes, alignment)) : region;
    used_.push_back({at, size});
    std::memset(from(used_.size() - 1), pattern, static_cast<std::size_t>(at - from(used_.size() - 1)));
    std::memset(at + size, pattern, static_cast<std::size_t>(to(used_.size() - 1) - (at + size)));
    return at;
  }
  // Forgets all buffers; the next ones lie against the other end.
  void reset() override {
    used_.clear();
    at_end_ = !at_end_;
  }
  bool intact() const override {
    for (std::size_t i = 0; i < used_.size(); ++i) {
      for (const std::uint8_t* p = from(i); p < used_[i].at; ++p)
        if (*p != pattern) return false;
      for (const std::uint8_t* p = used_[i].at + used_[i].bytes; p < to(i); ++p)
        if (*p != pattern) return false;
    }
    return true;
  }

 private:
  static constexpr std::uint8_t pattern = 0xc3;
  struct buffer {
    std::uint8_t* at;
    std::size_t bytes;
  };

  // The accessible bytes within 4 KiB of a buffer.
  std::uint8_t* from(std::size_t i) const {
    std::uint8_t* region = regions_[i];
    return used_[i].at - region > 4096 ? used_[i].at - 4096 : region;
  }
  std::uint8_t* to(std::size_t i) const {
    std::uint8_t *end = regions_[i] + room_, *past = used_[i].at + used_[i].bytes;
    return end - past > 4096 ? past + 4096 : end;
  }

  std::size_t page_, room_;
  std::vector<std::uint8_t*> regions_;
  std::vector<buffer> used_;
  bool at_end_ = true;
};

}  // namespace quantal_test
