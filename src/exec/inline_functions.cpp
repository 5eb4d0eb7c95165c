#include "inline_functions.hpp"

#include <algorithm>
#include <unordered_map>

namespace quantal::exec {

namespace {

class inliner {
 public:
  explicit inliner(const ir::model& m) : functions_(m.functions) {}

  result<void> expand(std::vector<ir::node>& nodes, int depth) {
    if (depth > limits::max_depth) {
      return error{status::limit, "functions are nested too deep or call themselves", "",
                   "the model is broken; export it again"};
    }
    std::vector<ir::node> flat;
    for (ir::node& n : nodes) {
      for (ir::attribute& a : n.attributes) {
        if (auto* one = std::get_if<ir::graph_box>(&a.value)) QUANTAL_CHECK(expand((*one)->nodes, depth + 1));
        if (auto* many = std::get_if<std::vector<ir::graph_box>>(&a.value)) {
          for (ir::graph_box& g : *many) QUANTAL_CHECK(expand(g->nodes, depth + 1));
        }
      }
      const ir::function* f = find(n);
      if (f == nullptr) {
        flat.push_back(std::move(n));
        continue;
      }
      std::vector<ir::node> body = instance(*f, n);
      total_ += body.size();
      if (total_ > max_nodes) {
        return error{status::limit, "functions expand to too many nodes", "node " + n.label(),
                     "the model is broken; export it again"};
      }
      QUANTAL_CHECK(expand(body, depth + 1));
      std::move(body.begin(), body.end(), std::back_inserter(flat));
    }
    nodes = std::move(flat);
    return {};
  }

 private:
  static constexpr std::size_t max_nodes = 1'000'000;
  using renames = std::unordered_map<std::string, std::string>;

  const ir::function* find(const ir::node& n) const {
    for (const ir::function& f : functions_) {
      if (f.name == n.op_type && f.domain == n.domain && f.overload == n.overload) return &f;
    }
    return nullptr;
  }

  std::vector<ir::node> instance(const ir::function& f, const ir::node& call) {
    prefix_ = "/" + f.name + "#" + std::to_string(++calls_) + "/";
    renames names;
    for (std::size_t i = 0; i < f.inputs.size(); ++i) names[f.inputs[i]] = i < call.inputs.size() ? call.inputs[i] : "";
    for (std::size_t i = 0; i < f.outputs.size(); ++i) {
      if (call.has_output(i)) names[f.outputs[i]] = call.outputs[i];
    }
    std::vector<ir::node> body = f.nodes;
    for (ir::node& n : body) adapt(n, f, call, names);
    // An output that is one of the inputs (or passed twice) has no node of its own to name it.
    for (std::size_t i = 0; i < f.outputs.size(); ++i) {
      const bool is_input = std::find(f.inputs.begin(), f.inputs.end(), f.outputs[i]) != f.inputs.end();
      if (!is_input || !call.has_output(i)) continue;
      ir::node identity;
      identity.op_type = "Identity";
      const auto formal = std::find(f.inputs.begin(), f.inputs.end(), f.outputs[i]) - f.inputs.begin();
      identity.inputs = {
          call.has_input(static_cast<std::size_t>(formal)) ? call.inputs[static_cast<std::size_t>(formal)] : ""};
      identity.outputs = {call.outputs[i]};
      body.push_back(std::move(identity));
    }
    return body;
  }

  void rename(std::string& name, const renames& names) const {
    if (name.empty()) return;
    const auto at = names.find(name);
    name = at != names.end() ? at->second : prefix_ + name;
  }

  void adapt(ir::node& n, const ir::function& f, const ir::node& call, const renames& names) const {
    for (std::string& name : n.inputs) rename(name, names);
    for (std::string& name : n.outputs) rename(name, names);
    if (n.name.empty()) n.name = n.op_type;
    n.name = call.name + prefix_ + n.name;
    resolve(n, f, call);
    for (const ir::opset& o : f.opsets) {
      if (o.domain == n.domain) n.metadata.emplace_back("quantal.opset", std::to_string(o.version));
    }
    for (ir::attribute& a : n.attributes) {
      if (auto* one = std::get_if<ir::graph_box>(&a.value)) adapt(**one, f, call, names);
      if (auto* many = std::get_if<std::vector<ir::graph_box>>(&a.value)) {
        for (ir::graph_box& g : *many) adapt(*g, f, call, names);
      }
    }
  }

  void adapt(ir::graph& g, const ir::function& f, const ir::node& call, const renames& names) const {
    for (ir::value_info& v : g.inputs) rename(v.name, names);
    for (ir::value_info& v : g.outputs) rename(v.name, names);
    for (ir::constant& c : g.initializers) rename(c.name, names);
    for (ir::node& n : g.nodes) adapt(n, f, call, names);
  }

  // Attribute references become values; one that neither the call nor the function gives is left out.
  static void resolve(ir::node& n, const ir::function& f, const ir::node& call) {
    std::vector<ir::attribute> resolved;
    for (ir::attribute& a : n.attributes) {
      if (a.reference.empty()) {
        resolved.push_back(std::move(a));
        continue;
      }
      const ir::attribute* value = call.find(a.reference);
      for (const ir::attribute& d : f.attribute_defaults) {
        if (value == nullptr && d.name == a.reference) value = &d;
      }
      if (value == nullptr) continue;
      ir::attribute copy = *value;
      copy.name = a.name;
      resolved.push_back(std::move(copy));
    }
    n.attributes = std::move(resolved);
  }

  const std::vector<ir::function>& functions_;
  std::size_t total_ = 0;
  std::size_t calls_ = 0;
  std::string prefix_;
};

}  // namespace

result<void> inline_functions(ir::model& m) {
  if (m.functions.empty()) return {};
  return inliner(m).expand(m.graph.nodes, 0);
}

}  // namespace quantal::exec
