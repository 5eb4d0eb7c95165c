#include "quantal/passes/fold_constants.hpp"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "quantal/exec/session.hpp"
#include "quantal/ops/infer.hpp"
#include "quantal/ops/op.hpp"
#include "quantal/passes/edit.hpp"

namespace quantal::passes {

namespace {

bool is_random(const ir::node& n) {
  return n.op_type.starts_with("Random") || n.is("Multinomial") || n.is("Bernoulli") || n.is("Dropout");
}

bool has_subgraph(const ir::node& n) {
  return std::any_of(n.attributes.begin(), n.attributes.end(), [](const ir::attribute& a) {
    return std::holds_alternative<ir::graph_box>(a.value) ||
           std::holds_alternative<std::vector<ir::graph_box>>(a.value);
  });
}

// Quantized constants are kept as they are: folding DequantizeLinear(weight) would undo the quantization.
bool is_quantization(const ir::node& n) {
  return n.is("DequantizeLinear") || n.is("QuantizeLinear") || n.is("DynamicQuantizeLinear");
}

// Bytes of a value by its inferred type; nullopt if unknown.
std::optional<std::uint64_t> size_of(const ops::type_map& types, const std::string& name) {
  const auto it = types.find(name);
  if (it == types.end()) return std::nullopt;
  const auto dims = it->second.concrete();
  std::uint64_t count = 0, bytes = 0;
  if (!dims || !dims->count(count) || !bytes_of(it->second.elem, count, bytes)) return std::nullopt;
  return bytes;
}

class folder {
 public:
  folder(ir::model& m, ops::type_map types) : m_(m), types_(std::move(types)) {
    for (const ir::constant& c : m.graph.initializers) known_[c.name] = c.value;
    for (const ir::value_info& in : m.graph.inputs) known_.erase(in.name);
  }

  result<std::size_t> run() {
    choose();
    if (chosen_.empty()) return shapes_;
    // A node that cannot be computed now (a bad attribute, an unfinished operator) is reported when the model runs.
    if (!compute()) chosen_.clear();
    return shapes_ + apply();
  }

 private:
  bool is_known(const std::string& name) const {
    return name.empty() || known_.count(name) != 0 || lazy_.count(name) != 0;
  }

  // A Shape of a value whose dimensions are all known is a constant, whatever the value is.
  bool fold_shape(const ir::node& n) {
    if (!n.is("Shape") || n.inputs.empty()) return false;
    const auto it = types_.find(n.inputs[0]);
    const auto dims = it == types_.end() ? std::nullopt : it->second.concrete();
    if (!dims) return false;
    const std::int64_t rank = dims->rank;
    auto clip = [&](std::int64_t i) { return std::clamp<std::int64_t>(i < 0 ? i + rank : i, 0, rank); };
    const std::int64_t from = clip(n.get_int("start", 0)), to = clip(n.get_int("end", rank));
    std::vector<std::int64_t> values;
    for (std::int64_t i = from; i < to; ++i) values.push_back((*dims)[static_cast<std::int32_t>(i)]);
    const auto count = static_cast<std::int64_t>(values.size());
    known_[n.outputs[0]] = tensor_buffer::of<std::int64_t>(shape(count), values);
    return true;
  }

  bool is_foldable(const ir::node& n) const {
    if (n.inputs.empty() || n.outputs.empty() || is_random(n) || has_subgraph(n) || is_quantization(n)) return false;
    if (!std::all_of(n.inputs.begin(), n.inputs.end(), [&](const std::string& i) { return is_known(i); })) return false;
    const ops::op_def* def = ops::find(n.domain, n.op_type, m_.opset_version(n.domain));
    if (def == nullptr || def->eval == nullptr) return false;
    std::uint64_t in = 0;
    for (const std::string& name : n.inputs)
      if (const auto it = known_.find(name); it != known_.end()) in += it->second.bytes();
    for (const std::string& name : n.outputs) {
      if (name.empty()) continue;
      const auto bytes = size_of(types_, name);
      if (!bytes || *bytes > in + max_growth) return false;
    }
    return true;
  }

  void choose() {
    for (std::size_t i = 0; i < m_.graph.nodes.size(); ++i) {
      const ir::node& n = m_.graph.nodes[i];
      if (fold_shape(n)) {
        shape_nodes_.insert(i);
        ++shapes_;
      } else if (is_foldable(n)) {
        chosen_.push_back(i);
        for (const std::string& name : n.outputs)
          if (!name.empty()) lazy_.insert(name);
      }
    }
    for (std::size_t i : shape_nodes_) {
      const std::string& name = m_.graph.nodes[i].outputs[0];
      ir::constant c;
      c.name = name;
      c.value = known_[name];
      m_.graph.initializers.push_back(std::move(c));
    }
    if (chosen_.empty() && !shape_nodes_.empty()) drop_nodes({});
  }

  // Runs the chosen nodes as a model of their own, without inputs.
  result<void> compute() {
    auto part = std::make_shared<ir::model>();
    part->ir_version = m_.ir_version;
    part->opsets = m_.opsets;
    part->graph.name = "constants";
    std::unordered_set<std::string> needed;
    for (std::size_t i : chosen_) {
      part->graph.nodes.push_back(m_.graph.nodes[i]);
      for (const std::string& name : m_.graph.nodes[i].inputs) needed.insert(name);
    }
    for (const std::string& name : needed) {
      const auto it = known_.find(name);
      if (it == known_.end()) continue;
      ir::constant c;
      c.name = name;
      c.value = it->second;
      part->graph.initializers.push_back(std::move(c));
    }
    for (std::size_t i : chosen_) {
      for (const std::string& name : m_.graph.nodes[i].outputs) {
        if (name.empty()) continue;
        ir::value_info out;
        out.name = name;
        if (const auto it = types_.find(name); it != types_.end()) out.type = it->second;
        part->graph.outputs.push_back(std::move(out));
      }
    }
    exec::session_options options;
    options.threads = 1;
    QUANTAL_TRY(session, exec::session::create(part, options));
    QUANTAL_TRY(values, session.run({}));
    for (exec::named_tensor& v : values) results_[v.name] = std::move(v.value);
    return {};
  }

  std::size_t apply() {
    for (std::size_t i : chosen_) {
      for (const std::string& name : m_.graph.nodes[i].outputs) {
        const auto it = results_.find(name);
        if (it == results_.end()) continue;
        ir::constant c;
        c.name = name;
        // The session's tensor may be a view of a larger or shared buffer.
        auto copy = it->second.clone();
        c.value = copy ? *copy : it->second;
        m_.graph.initializers.push_back(std::move(c));
      }
    }
    drop_nodes(chosen_);
    return chosen_.size();
  }

  void drop_nodes(const std::vector<std::size_t>& list) {
    std::unordered_set<std::size_t> gone(list.begin(), list.end());
    gone.insert(shape_nodes_.begin(), shape_nodes_.end());
    std::vector<ir::node> kept;
    for (std::size_t i = 0; i < m_.graph.nodes.size(); ++i)
      if (gone.count(i) == 0) kept.push_back(std::move(m_.graph.nodes[i]));
    m_.graph.nodes = std::move(kept);
  }

  ir::model& m_;
  ops::type_map types_;
  std::unordered_map<std::string, tensor_buffer> known_, results_;
  std::unordered_set<std::string> lazy_;  // outputs of chosen nodes
  std::unordered_set<std::size_t> shape_nodes_;
  std::vector<std::size_t> chosen_;
  std::size_t shapes_ = 0;
};

}  // namespace

result<std::size_t> fold_constants(ir::model& m) {
  QUANTAL_TRY(types, ops::infer_types(m));
  return folder(m, std::move(types)).run();
}

}  // namespace quantal::passes
