#include "program.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <deque>

namespace quantal::exec {

namespace {

using program_ptr = std::unique_ptr<program>;

error graph_error(const ir::node& n, std::string what) {
  return {status::model_graph, std::move(what), "node " + n.label(), "the model is broken; export it again"};
}

// ---- one call -----------------------------------------------------------------------------------------------------

class step_call final : public ops::eval_context {
 public:
  step_call(const step& s, std::vector<tensor_buffer>& values, const run_state& run, arena* memory)
      : eval_context(*s.node, s.opset), step_(s), values_(values), run_(run), memory_(memory) {}

  std::size_t input_count() const override { return step_.in.size(); }

  const tensor_buffer& input(std::size_t i) const override {
    static const tensor_buffer absent;
    if (i >= step_.in.size() || step_.in[i] == no_slot) return absent;
    return values_[static_cast<std::size_t>(step_.in[i])];
  }

  result<tensor_buffer*> output(std::size_t i, dtype type, const shape& dims) override {
    QUANTAL_TRY(made, allocate(type, dims));
    tensor_buffer* place = target(i);
    *place = std::move(made);
    return place;
  }

  result<void> forward(std::size_t i, tensor_buffer value) override {
    *target(i) = std::move(value);
    return {};
  }

  result<void*> scratch(std::size_t bytes) override {
    QUANTAL_TRY(made, allocate(dtype::u8, shape(static_cast<std::int64_t>(std::max<std::size_t>(bytes, 1)))));
    scratch_.push_back(std::move(made));
    return scratch_.back().mutable_data();
  }

  const parallel_for& parallel() const override { return run_.parallel; }

  result<std::vector<tensor_buffer>> run_subgraph(const ir::graph& g, std::span<const tensor_buffer> inputs) override;

  std::shared_ptr<const void> cached(const std::function<std::shared_ptr<const void>()>& make) override {
    std::lock_guard lock(step_.cache->guard);
    if (step_.cache->value == nullptr) step_.cache->value = make();
    return step_.cache->value;
  }

  bool is_constant(std::size_t i) const override { return i < step_.constant.size() && step_.constant[i]; }

 private:
  result<tensor_buffer> allocate(dtype type, const shape& dims) {
    return memory_ != nullptr ? memory_->allocate(type, dims) : tensor_buffer::make(type, dims);
  }
  tensor_buffer* target(std::size_t i) {
    if (i < step_.out.size() && step_.out[i] != no_slot) return &values_[static_cast<std::size_t>(step_.out[i])];
    return &unread_.emplace_back();  // an output that the node does not name
  }

  const step& step_;
  std::vector<tensor_buffer>& values_;
  const run_state& run_;
  arena* memory_;
  std::deque<tensor_buffer> unread_;
  std::vector<tensor_buffer> scratch_;
};

void release(const step& s, std::vector<tensor_buffer>& values) {
  for (slot r : s.release) values[static_cast<std::size_t>(r)] = {};
}

// A subgraph: plain allocations, every value of its own frame.
result<std::vector<tensor_buffer>> run_body(const program& p, const std::vector<tensor_buffer>& outer,
                                            std::span<const tensor_buffer> inputs, const run_state& run) {
  std::vector<tensor_buffer> values = p.constants;
  for (const program::capture& c : p.captures) {
    const tensor_buffer& from = outer[static_cast<std::size_t>(c.outer)];
    if (from) values[static_cast<std::size_t>(c.inner)] = from;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) values[static_cast<std::size_t>(p.inputs[i])] = inputs[i];
  for (const step& s : p.steps) {
    if (s.folded) continue;
    QUANTAL_CHECK(call(s, values, run, nullptr));
    release(s, values);
  }
  std::vector<tensor_buffer> outputs;
  for (slot o : p.outputs) outputs.push_back(values[static_cast<std::size_t>(o)]);
  return outputs;
}

result<std::vector<tensor_buffer>> step_call::run_subgraph(const ir::graph& g, std::span<const tensor_buffer> inputs) {
  for (const program_ptr& body : step_.bodies) {
    if (body->graph != &g) continue;
    if (inputs.size() > body->inputs.size()) {
      return fail(status::model_graph, "subgraph has " + std::to_string(body->inputs.size()) + " inputs and gets " +
                                           std::to_string(inputs.size()));
    }
    return run_body(*body, values_, inputs, run_);
  }
  return fail(status::internal, "subgraph was not compiled");
}

// ---- compile ------------------------------------------------------------------------------------------------------

class compiler {
 public:
  compiler(const ir::model& m, const parallel_for& parallel, compiler* outer)
      : model_(m), parallel_(parallel), outer_(outer) {}

  result<program_ptr> compile(const ir::graph& g) {
    p_ = std::make_unique<program>();
    p_->graph = &g;
    for (const ir::value_info& in : g.inputs) p_->inputs.push_back(define(in.name));
    for (const ir::constant& c : g.initializers) {
      const slot s = define(c.name);
      p_->constants[static_cast<std::size_t>(s)] = c.value;
    }
    // A default that a feed may replace is no constant.
    for (slot s : p_->inputs) fixed_[static_cast<std::size_t>(s)] = false;
    for (const ir::node& n : g.nodes) QUANTAL_CHECK(add(n));
    for (const ir::value_info& out : g.outputs) {
      const slot s = find(out.name);
      if (s == no_slot) {
        return error{status::model_graph, "output '" + out.name + "' has no producer", "graph " + g.name,
                     "the model is broken; export it again"};
      }
      p_->outputs.push_back(s);
    }
    find_unread();
    plan_releases();
    return std::move(p_);
  }

  slot find(std::string_view name) {
    const auto at = p_->slots.find(name);
    if (at != p_->slots.end()) return at->second;
    if (outer_ == nullptr) return no_slot;
    const slot outer = outer_->find(name);
    if (outer == no_slot) return no_slot;
    const slot inner = define(name);
    p_->captures.push_back({inner, outer});
    const auto o = static_cast<std::size_t>(outer), i = static_cast<std::size_t>(inner);
    fixed_[i] = outer_->fixed_[o];
    if (fixed_[i]) p_->constants[i] = outer_->p_->constants[o];
    return inner;
  }

 private:
  slot define(std::string_view name) {
    const auto [at, fresh] = p_->slots.emplace(name, static_cast<slot>(p_->names.size()));
    if (fresh) {
      p_->names.push_back(name);
      p_->constants.emplace_back();
      fixed_.push_back(true);
    }
    return at->second;
  }

  std::int64_t version_of(const ir::node& n) const {
    for (const auto& [key, value] : n.metadata) {
      if (key == "quantal.opset") return std::atoll(value.c_str());  // written by inline_functions
    }
    return model_.opset_version(n.domain);
  }

  result<void> add(const ir::node& n) {
    step s;
    s.node = &n;
    s.opset = version_of(n);
    s.def = ops::find(n.domain, n.op_type, s.opset);
    if (s.def == nullptr || s.def->eval == nullptr) {
      const std::string domain = n.domain.empty() ? "ai.onnx" : n.domain;
      return error{
          status::unsupported,
          "operator " + domain + "." + n.op_type + " of opset " + std::to_string(s.opset) + " is not supported",
          "node " + n.label(), "replace the operator or convert the model to another opset"};
    }
    s.cache = std::make_unique<step_cache>();
    bool all_constant = true;
    for (const std::string& name : n.inputs) {
      const slot in = name.empty() ? no_slot : find(name);
      if (in == no_slot && !name.empty()) return graph_error(n, "input '" + name + "' has no producer");
      const bool constant = in != no_slot && is_constant(in);
      s.in.push_back(in);
      s.constant.push_back(constant);
      all_constant = all_constant && (constant || in == no_slot);
    }
    for (const ir::attribute& a : n.attributes) {
      if (const auto* one = std::get_if<ir::graph_box>(&a.value)) {
        compiler inner(model_, parallel_, this);
        auto body = inner.compile(**one);
        if (!body) return std::move(body).failure().at("node " + n.label());
        s.bodies.push_back(*std::move(body));
      }
      if (const auto* many = std::get_if<std::vector<ir::graph_box>>(&a.value)) {
        for (const ir::graph_box& g : *many) {
          compiler inner(model_, parallel_, this);
          auto body = inner.compile(*g);
          if (!body) return std::move(body).failure().at("node " + n.label());
          s.bodies.push_back(*std::move(body));
        }
      }
    }
    for (const std::string& name : n.outputs) {
      const slot out = name.empty() ? no_slot : define(name);
      s.out.push_back(out);
      if (out != no_slot) fixed_[static_cast<std::size_t>(out)] = false;
    }
    if (all_constant && s.bodies.empty() && !random(n)) fold(s);
    p_->steps.push_back(std::move(s));
    return {};
  }

  bool is_constant(slot s) const {
    const auto i = static_cast<std::size_t>(s);
    return fixed_[i] && static_cast<bool>(p_->constants[i]);
  }

  static bool random(const ir::node& n) {
    constexpr std::array<std::string_view, 7> types = {
        "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
        "Multinomial",  "Bernoulli",        "Dropout"};
    return std::find(types.begin(), types.end(), n.op_type) != types.end();
  }

  // Computes a node whose inputs are all constant. One that fails stays a step, and fails when it is really run.
  void fold(step& s) {
    std::vector<tensor_buffer> before;
    const run_state run{parallel_, nullptr};
    if (!call(s, p_->constants, run, nullptr)) {
      for (slot o : s.out) {
        if (o != no_slot) p_->constants[static_cast<std::size_t>(o)] = {};
      }
      return;
    }
    s.folded = true;
    s.cache = std::make_unique<step_cache>();
    for (slot o : s.out) {
      if (o != no_slot) fixed_[static_cast<std::size_t>(o)] = true;
    }
  }

  // Each value is released after its last reader; a folded value that only folded nodes read is dropped at once (a run
  // that observes everything computes it again).
  void plan_releases() {
    constexpr std::size_t never = SIZE_MAX;
    std::vector<std::size_t> last(p_->names.size(), never);
    std::vector<bool> needed(p_->names.size(), false);
    for (std::size_t i = 0; i < p_->steps.size(); ++i) {
      const step& s = p_->steps[i];
      const auto use = [&](slot u) {
        if (u == no_slot) return;
        last[static_cast<std::size_t>(u)] = i;
        if (!s.folded) needed[static_cast<std::size_t>(u)] = true;
      };
      for (slot o : s.out) {
        if (o != no_slot) last[static_cast<std::size_t>(o)] = i;
      }
      for (slot in : s.in) use(in);
      for (const program_ptr& body : s.bodies) {
        for (const program::capture& c : body->captures) use(c.outer);
      }
    }
    for (slot o : p_->outputs) {
      last[static_cast<std::size_t>(o)] = never;
      needed[static_cast<std::size_t>(o)] = true;
    }
    for (std::size_t v = 0; v < last.size(); ++v) {
      if (last[v] != never && !fixed_[v]) p_->steps[last[v]].release.push_back(static_cast<slot>(v));
    }
    for (const step& s : p_->steps) {
      if (!s.folded) continue;
      for (slot o : s.out) {
        if (o != no_slot && !needed[static_cast<std::size_t>(o)]) p_->constants[static_cast<std::size_t>(o)] = {};
      }
    }
  }

  void find_unread() {
    std::vector<bool> read(p_->names.size(), false);
    for (slot o : p_->outputs) read[static_cast<std::size_t>(o)] = true;
    for (std::size_t i = p_->steps.size(); i-- > 0;) {
      step& s = p_->steps[i];
      s.unread = std::none_of(s.out.begin(), s.out.end(),
                              [&](slot o) { return o != no_slot && read[static_cast<std::size_t>(o)]; });
      if (s.unread) continue;
      for (slot in : s.in)
        if (in != no_slot) read[static_cast<std::size_t>(in)] = true;
      for (const program_ptr& body : s.bodies)
        for (const program::capture& c : body->captures) read[static_cast<std::size_t>(c.outer)] = true;
    }
  }

  const ir::model& model_;
  const parallel_for& parallel_;
  compiler* outer_;
  program_ptr p_;
  std::vector<bool> fixed_;  // by slot: the same in every run
};

}  // namespace

result<void> call(const step& s, std::vector<tensor_buffer>& values, const run_state& run, arena* memory) {
  step_call context(s, values, run, memory);
  auto done = s.def->eval(context);
  if (!done) {
    error e = std::move(done).failure();
    if (e.where.find(s.node->label()) == std::string::npos) e = std::move(e).at("node " + s.node->label());
    return e;
  }
  for (slot o : s.out) {
    if (o != no_slot && !values[static_cast<std::size_t>(o)]) {
      return error{status::internal, "operator left an output unset", "node " + s.node->label(),
                   "report this as a defect"};
    }
  }
  return {};
}

result<program_ptr> compile(const ir::model& m, const ir::graph& g, const parallel_for& parallel) {
  return compiler(m, parallel, nullptr).compile(g);
}

}  // namespace quantal::exec
