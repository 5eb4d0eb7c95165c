// A pass: one rewrite of the graph, one file. passes/all lists them; the manager runs them in order and verifies after
// each.
#pragma once
#include <string>
#include <unordered_map>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::passes {

struct pass {
  const char* name;         // the file's name
  const char* description;  // one line for docs and --help
  // Returns how many places changed.
  result<std::size_t> (*run)(ir::model& m);
};

// Float-to-float clean-up before quantization, in order: fold constants, fold BatchNorm, drop identities...
const std::vector<pass>& simplify();
// Runs passes in order; repeats the list until nothing changes (at most `rounds` times); ir::verify after each.
result<std::size_t> run(ir::model& m, const std::vector<pass>& list, int rounds = 4);

}  // namespace quantal::passes
