// program: a graph compiled for running. Names become slots, constants are found and folded, every value's last reader
// is known, and subgraphs become programs of their own whose captured names are slots of the program around them.
//
//   graph   x ──Conv──> c ──Relu──> y          slots   0:x 1:w 2:c 3:y
//           w (initializer)                    steps   Conv in{0,1} out{2} release{0};  Relu in{2} out{3} release{2}
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "arena.hpp"
#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/ops/op.hpp"

namespace quantal::exec {

struct program;
using slot = std::int32_t;
inline constexpr slot no_slot = -1;

// eval_context::cached of one step.
struct step_cache {
  std::mutex guard;
  std::shared_ptr<const void> value;
};

struct step {
  const ir::node* node = nullptr;
  const ops::op_def* def = nullptr;
  std::int64_t opset = 0;
  std::vector<slot> in, out;                     // no_slot: absent
  std::vector<slot> release;                     // values nobody reads after this step
  std::vector<bool> constant;                    // per input
  std::vector<std::unique_ptr<program>> bodies;  // the node's subgraphs
  std::unique_ptr<step_cache> cache;
  bool folded = false;  // its outputs were computed by compile
  bool unread = false;  // no output of the graph depends on it: run only when every value is asked for
};

struct program {
  struct capture {
    slot inner, outer;
  };
  const ir::graph* graph = nullptr;
  std::unordered_map<std::string_view, slot> slots;  // keys view the graph's strings
  std::vector<std::string_view> names;               // by slot
  std::vector<tensor_buffer> constants;              // by slot; empty where the value is no constant
  std::vector<slot> inputs, outputs;                 // of the graph, in order
  std::vector<capture> captures;
  std::vector<step> steps;
};

// The nodes of `g` must be sorted. `g` must outlive the program.
result<std::unique_ptr<program>> compile(const ir::model& m, const ir::graph& g, const parallel_for& parallel);

// What one run shares between its programs.
struct run_state {
  const parallel_for& parallel;
  arena* memory = nullptr;  // of the main graph's values; subgraphs allocate plainly
};

// One call of a step's operator: reads and fills `values`.
result<void> call(const step& s, std::vector<tensor_buffer>& values, const run_state& run, arena* memory);

}  // namespace quantal::exec
