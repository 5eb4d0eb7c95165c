// session: runs a model. Correct first: every operator by its meaning in ops/, dense tensors, a planned arena.
//
// A session is immutable after `create` and may be run from several threads at once. Memory: constants are shared
// with the model; each run uses one arena, planned from the sizes that the first run with the same input shapes
// needed, so that values whose lifetimes do not overlap share bytes.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "quantal/base/parallel.hpp"
#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::exec {

struct named_tensor {
  std::string name;
  tensor_buffer value;
};

struct session_options {
  std::size_t threads = 0;             // 0: all cores the process may use; 1: none but the caller's
  parallel_for parallel = {};          // the caller's threads instead (threads is ignored)
};

// Called for each value as soon as it exists, in execution order: inputs, then node outputs (main graph only).
// The tensor is valid during the call.
using observe_fn = std::function<void(std::string_view name, const tensor_buffer& value)>;

struct run_options {
  observe_fn observe = {};
  // Names to return; empty: the model's outputs in order. Any value of the main graph may be asked for.
  std::vector<std::string> outputs = {};
};

class session {
 public:
  // Checks that every operator is known and the graph is sound. The model is kept (shared) by the session.
  // Errors: unsupported (an operator; named), model_graph, model_type, limit.
  static result<session> create(std::shared_ptr<const ir::model> m, const session_options& options = {});
  session(session&&) noexcept;
  session& operator=(session&&) noexcept;
  ~session();

  // Feeds by name; a feed's type and the dimensions that the model fixes must match. Inputs with a default may be left out.
  // Errors: data_missing, data_shape, data_format, and what an operator reports (named node).
  result<std::vector<named_tensor>> run(const std::vector<named_tensor>& feeds, const run_options& options = {}) const;

  // Inputs that must be fed, in order, and the outputs.
  const std::vector<ir::value_info>& inputs() const noexcept;
  const std::vector<ir::value_info>& outputs() const noexcept;
  const ir::model& model() const noexcept;

 private:
  struct state;
  explicit session(std::unique_ptr<state> s);
  std::unique_ptr<state> state_;
};

}  // namespace quantal::exec
