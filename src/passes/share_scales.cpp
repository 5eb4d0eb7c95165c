#include "quantal/passes/share_scales.hpp"

#include <algorithm>
#include <numeric>

namespace quantal::passes {

namespace {

// Union-find over positions in plan.tensors.
class groups {
 public:
  explicit groups(std::size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), std::size_t{0}); }
  std::size_t find(std::size_t x) {
    while (parent_[x] != x) x = parent_[x] = parent_[parent_[x]];
    return x;
  }
  void join(std::size_t a, std::size_t b) { parent_[find(a)] = find(b); }

 private:
  std::vector<std::size_t> parent_;
};

// May an input of a merge take the scale of the result? Only if nobody else pays for the coarser scale, and not if a
// bound is fused into its producer, whose job is done by the scale.
bool joins(const std::string& x, const ir::index& index, const qdq_plan& plan) {
  if (index.uses(x).size() != 1 || index.is_output(x)) return false;
  const std::size_t p = index.producer(x);
  return p != ir::index::none && plan.fused_into.count(p) == 0;
}

void cut_range(const ir::graph& g, const ir::index& index, tensor_plan& t) {
  const auto& uses = index.uses(t.name);
  if (uses.empty() || index.is_output(t.name)) return;
  double low = INFINITY, high = -INFINITY;
  for (const ir::use& u : uses) {
    const ir::node& n = g.nodes[u.node];
    if (u.input == 0 && n.is("HardSwish")) {
      low = std::min(low, -3.0);
      high = INFINITY;
    } else if (u.input == 0 && n.is("HardSigmoid") && n.get_float("alpha", 0.2F) > 0) {
      const double alpha = static_cast<double>(n.get_float("alpha", 0.2F)),
                   beta = static_cast<double>(n.get_float("beta", 0.5F));
      // The slope gets 254 of the 255 steps of 8 bits. With all of them zero would lie between two codes, and the result
      // of every code halfway between two codes of [0, 1]: ties, the largest rounding error each time.
      low = std::min(low, -beta / alpha);
      high = std::max(high, (1 - beta) / alpha + 1 / (254 * alpha));
    } else {
      return;
    }
  }
  t.low = low;
  t.high = high;
}

}  // namespace

void share_scales(const ir::graph& g, const ir::index& index, const std::vector<value_mover>& movers, qdq_plan& plan) {
  std::unordered_map<std::string_view, std::size_t> id;
  for (std::size_t t = 0; t < plan.tensors.size(); ++t) {
    id[plan.tensors[t].name] = t;
    cut_range(g, index, plan.tensors[t]);
  }
  groups together(plan.tensors.size());
  for (const value_mover& m : movers) {
    std::vector<std::size_t> outputs;  // without indices and other results that are no integer tensors of the plan
    for (const std::string& out : g.nodes[m.node].outputs)
      if (const auto it = id.find(out); it != id.end()) outputs.push_back(it->second);
    bool all_joined = true;
    for (const std::string& x : m.inputs) {
      if (m.merges && !joins(x, index, plan)) {
        all_joined = false;
        continue;
      }
      for (const std::size_t out : outputs) together.join(out, id.at(x));
    }
    if (all_joined)
      for (const std::size_t out : outputs) plan.tensors[out].root = false;
  }
  std::unordered_map<std::size_t, std::size_t> numbers;
  for (std::size_t t = 0; t < plan.tensors.size(); ++t)
    plan.tensors[t].group = numbers.emplace(together.find(t), numbers.size()).first->second;
  plan.groups = numbers.size();
}

}  // namespace quantal::passes
