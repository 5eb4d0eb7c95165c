#include "quantal/passes/recognise_regions.hpp"

#include <unordered_set>

#include "quantal/ir/index.hpp"

namespace quantal::passes {

namespace {

class finder {
 public:
  explicit finder(const ir::graph& g) : g_(g), index_(g), region_(g.nodes.size()) {}

  std::vector<std::string> run() {
    find_linear();
    for (std::size_t i = 0; i < g_.nodes.size(); ++i) {
      find_layer_norm(i);
      find_gelu(i);
      find_softmax(i);
      find_spectrum(i);
    }
    return std::move(region_);
  }

 private:
  static constexpr std::size_t none = ir::index::none;

  std::size_t maker(const std::string& name) const { return index_.producer(name); }
  bool made_by(const std::string& name, std::string_view type) const {
    const std::size_t p = maker(name);
    return p != none && g_.nodes[p].is(type);
  }
  bool is_constant(const std::string& name) const { return index_.constant_value(name) != nullptr; }
  void mark(std::size_t i, const char* name) {
    if (i != none && region_[i].empty()) region_[i] = name;
  }
  // Follows constant Add/Mul/Div/Sub/Cast from `name` backwards to a node of type `type`, marking what it passes.
  std::size_t back_to(const std::string& name, std::string_view type, std::vector<std::size_t>& path) const {
    std::string at = name;
    for (int step = 0; step < 4; ++step) {
      const std::size_t p = maker(at);
      if (p == none) return none;
      path.push_back(p);
      const ir::node& n = g_.nodes[p];
      if (n.is(type)) return p;
      const bool binary = n.is("Add") || n.is("Mul") || n.is("Div") || n.is("Sub");
      if (binary && is_constant(n.inputs[1])) {
        at = n.inputs[0];
      } else if (binary && is_constant(n.inputs[0])) {
        at = n.inputs[1];
      } else if (n.is("Cast")) {
        at = n.inputs[0];
      } else {
        return none;
      }
    }
    return none;
  }
  // Mul/Add by a constant (gamma, beta) that follow node `i`.
  void mark_tail(std::size_t i, const char* name) {
    for (int step = 0; step < 3; ++step) {
      const auto& uses = index_.uses(g_.nodes[i].outputs[0]);
      if (uses.size() != 1 || uses[0].input < 0) return;
      const ir::node& n = g_.nodes[uses[0].node];
      if (!(n.is("Mul") || n.is("Add")) || !is_constant(n.inputs[1 - static_cast<std::size_t>(uses[0].input)])) return;
      i = uses[0].node;
      mark(i, name);
    }
  }

  // Starts at Sqrt(... ReduceMean(square)).
  void find_layer_norm(std::size_t i) {
    if (!g_.nodes[i].is("Sqrt")) return;
    std::vector<std::size_t> path{i};
    const std::size_t mean = back_to(g_.nodes[i].inputs[0], "ReduceMean", path);
    if (mean == none) return;
    const std::size_t square = maker(g_.nodes[mean].inputs[0]);
    if (square == none) return;
    const ir::node& sq = g_.nodes[square];
    const bool squares = sq.is("Pow") || (sq.is("Mul") && sq.inputs[0] == sq.inputs[1]);
    if (!squares) return;
    path.push_back(square);
    if (made_by(sq.inputs[0], "Sub")) {
      const std::size_t sub = maker(sq.inputs[0]);
      path.push_back(sub);
      if (made_by(g_.nodes[sub].inputs[1], "ReduceMean")) path.push_back(maker(g_.nodes[sub].inputs[1]));
    }
    for (std::size_t p : path) mark(p, "LayerNorm");
    for (const ir::use& u : index_.uses(g_.nodes[i].outputs[0])) {
      const ir::node& n = g_.nodes[u.node];
      if (!n.is("Div") && !n.is("Reciprocal")) continue;
      mark(u.node, "LayerNorm");
      mark_tail(u.node, "LayerNorm");
    }
  }

  void find_gelu(std::size_t i) {
    const ir::node& n = g_.nodes[i];
    if (!n.is("Erf") && !n.is("Tanh")) return;
    std::vector<std::size_t> inside{i};
    // Forward: + 1, * x, * 0.5 in any order.
    bool gated = false;
    std::size_t at = i;
    for (int step = 0; step < 3; ++step) {
      const auto& uses = index_.uses(g_.nodes[at].outputs[0]);
      if (uses.size() != 1 || uses[0].input < 0) break;
      const ir::node& next = g_.nodes[uses[0].node];
      if (!next.is("Add") && !next.is("Mul")) break;
      at = uses[0].node;
      inside.push_back(at);
      gated = gated || (next.is("Mul") && !is_constant(next.inputs[0]) && !is_constant(next.inputs[1]));
    }
    if (!gated) return;
    std::vector<std::size_t> path;
    back_to(n.inputs[0], "Pow", path);
    for (std::size_t p : path)
      if (g_.nodes[p].is("Div") || g_.nodes[p].is("Mul") || g_.nodes[p].is("Add") || g_.nodes[p].is("Pow"))
        mark(p, "GELU");
    for (std::size_t p : inside) mark(p, "GELU");
  }

  void find_softmax(std::size_t i) {
    const ir::node& div = g_.nodes[i];
    if (!div.is("Div") || !made_by(div.inputs[0], "Exp") || !made_by(div.inputs[1], "ReduceSum")) return;
    const std::size_t exp = maker(div.inputs[0]), sum = maker(div.inputs[1]);
    if (g_.nodes[sum].inputs[0] != div.inputs[0]) return;
    mark(i, "softmax");
    mark(exp, "softmax");
    mark(sum, "softmax");
    if (!made_by(g_.nodes[exp].inputs[0], "Sub")) return;
    const std::size_t sub = maker(g_.nodes[exp].inputs[0]);
    mark(sub, "softmax");
    if (made_by(g_.nodes[sub].inputs[1], "ReduceMax")) mark(maker(g_.nodes[sub].inputs[1]), "softmax");
  }

  static bool moves_data(const ir::node& n) {
    static const std::unordered_set<std::string_view> movers = {
        "Reshape",  "Transpose", "Unsqueeze", "Squeeze", "Concat", "Slice",  "Pad",
        "Identity", "Neg",       "Split",     "Flatten", "Gather", "Expand", "Cast"};
    return n.domain.empty() && movers.count(n.op_type) != 0;
  }

  // Values that are a linear function of one graph input: nothing but moves and filters between.
  void find_linear() {
    for (const ir::value_info& in : g_.inputs)
      if (in.type.elem == dtype::f32 || in.type.elem == dtype::none) linear_.insert(in.name);
    for (const ir::node& n : g_.nodes) {
      if (n.inputs.empty() || linear_.count(n.inputs[0]) == 0) continue;
      if (!moves_data(n) && !n.is("Conv") && !n.is("MatMul")) continue;
      linear_.insert(n.outputs.begin(), n.outputs.end());
    }
  }

  // A filter over the raw signal from which a square can be reached without another layer in between.
  void find_spectrum(std::size_t i) {
    const ir::node& n = g_.nodes[i];
    if (!(n.is("Conv") || n.is("MatMul")) || linear_.count(n.inputs[0]) == 0 || !is_constant(n.inputs[1])) return;
    std::vector<std::string> open{n.outputs[0]};
    std::unordered_set<std::string> seen;
    while (!open.empty()) {
      const std::string at = open.back();
      open.pop_back();
      if (!seen.insert(at).second) continue;
      for (const ir::use& u : index_.uses(at)) {
        const ir::node& reader = g_.nodes[u.node];
        const bool square = (reader.is("Mul") && reader.inputs[0] == reader.inputs[1]) || reader.is("Pow") ||
                            reader.is("ReduceL2") || reader.is("ReduceSumSquare") || reader.is("Log");
        if (square) {
          mark(i, "spectrum");
          return;
        }
        const bool scaled = (reader.is("Mul") || reader.is("Div")) && u.input >= 0 && reader.inputs.size() == 2 &&
                            is_constant(reader.inputs[1 - static_cast<std::size_t>(u.input)]);
        const bool filtered = (reader.is("Conv") || reader.is("MatMul")) && u.input == 0 && linear_.count(at) != 0;
        if (moves_data(reader) || scaled || filtered)
          for (const std::string& out : reader.outputs)
            if (!out.empty()) open.push_back(out);
      }
    }
  }

  const ir::graph& g_;
  const ir::index index_;
  std::vector<std::string> region_;
  std::unordered_set<std::string> linear_;
};

}  // namespace

std::vector<std::string> recognise_regions(const ir::graph& g) {
  return finder(g).run();
}

}  // namespace quantal::passes
