// What a peer library supplies to the benchmarks. Each native peer is a module of its own (dlopen, local symbols), so
// that two versions of one library can stand in one process; a module that cannot be loaded is a peer that is absent.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "../problem.hpp"

namespace bench {

// A problem made ready by a peer: weights packed, primitive built.
class peer_operation {
 public:
  virtual ~peer_operation() = default;
  virtual void run(long calls) = 0;
  // The i-th output of the last run as a number: the code, or the float of dequantize.
  virtual double value(std::size_t i) const = 0;
  // Leading padding used, where it is not the problem's.
  virtual std::int64_t pad() const { return -1; }
  std::string note;  // implementation chosen
};

class peer {
 public:
  virtual ~peer() = default;
  virtual std::string version() const = 0;
  virtual bool offers(kind what) const { return what < kind::observe; }  // products, convolutions, conversions
  // Null: the peer has no such operation.
  virtual std::unique_ptr<peer_operation> make(const problem_ptr& p) = 0;
};

// Every module exports this.
extern "C" __attribute__((visibility("default"))) peer* quantal_bench_peer();
using peer_entry = peer* (*)();

}  // namespace bench
