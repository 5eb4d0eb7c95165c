// eval_context::fail, and a context of its own for one node on given tensors (evaluate).
#include "quantal/ops/evaluate.hpp"
#include "quantal/ops/rules.hpp"

namespace quantal::ops {

error eval_context::fail(status code, std::string what, std::string advice) const {
  return node_error(node, code, std::move(what), std::move(advice));
}

namespace {

class single_context final : public eval_context {
 public:
  single_context(const ir::node& n, std::int64_t version, std::span<const tensor_buffer> inputs)
      : eval_context(n, version), outputs(n.outputs.size()), inputs_(inputs) {
    outputs.reserve(outputs.size() + 8);  // pointers to outputs stay valid
  }

  std::size_t input_count() const override { return inputs_.size(); }
  const tensor_buffer& input(std::size_t i) const override { return inputs_[i]; }
  result<tensor_buffer*> output(std::size_t i, dtype type, const shape& dims) override {
    QUANTAL_TRY(t, tensor_buffer::make(type, dims));
    if (i >= outputs.size()) outputs.resize(i + 1);  // an output the node does not name is made and dropped
    outputs[i] = std::move(t);
    return &outputs[i];
  }
  result<void> forward(std::size_t i, tensor_buffer value) override {
    if (i < outputs.size()) outputs[i] = std::move(value);
    return {};
  }
  result<void*> scratch(std::size_t bytes) override {
    QUANTAL_TRY(t, tensor_buffer::make(dtype::u8, shape(static_cast<std::int64_t>(bytes))));
    scratch_.push_back(t);
    return scratch_.back().mutable_data();
  }
  const parallel_for& parallel() const override { return parallel_; }
  result<std::vector<tensor_buffer>> run_subgraph(const ir::graph&, std::span<const tensor_buffer>) override {
    return fail(status::unsupported, "a node with subgraphs cannot be evaluated alone");
  }
  std::shared_ptr<const void> cached(const std::function<std::shared_ptr<const void>()>& make) override {
    return make();
  }
  bool is_constant(std::size_t) const override { return false; }

  std::vector<tensor_buffer> outputs;

 private:
  std::span<const tensor_buffer> inputs_;
  std::vector<tensor_buffer> scratch_;
  parallel_for parallel_;
};

}  // namespace

result<std::vector<tensor_buffer>> evaluate(const ir::node& n, std::int64_t opset,
                                            std::span<const tensor_buffer> inputs) {
  const op_def* d = ops::find(n.domain, n.op_type, opset);
  if (d == nullptr || d->eval == nullptr) {
    return node_error(n, status::unsupported,
                      "operator " + n.op_type + " is unknown at opset " + std::to_string(opset));
  }
  single_context c(n, opset, inputs);
  QUANTAL_CHECK(d->eval(c));
  c.outputs.resize(n.outputs.size());
  return std::move(c.outputs);
}

}  // namespace quantal::ops
