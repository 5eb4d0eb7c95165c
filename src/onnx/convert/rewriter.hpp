// rewriter: one node being rewritten from one operator version to the next, and what is known around it.
//
//   x -> Clip{min=0, max=6} -> y        becomes, at version 11,        x, 0, 6 -> Clip -> y
//
// A step changes `node` in place; nodes it needs in front of it or behind it are made with `make` and `make_after`.
// They are valid at the version of the step and go through the later steps themselves. Constants become initializers,
// in functions Constant nodes; equal ones are shared.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/ir/index.hpp"

namespace quantal::onnx::convert {

using type_map = std::unordered_map<std::string, ir::value_type>;

// One graph (or function body) of the model, inside the graphs around it.
struct scope {
  const scope* outer = nullptr;
  ir::graph* graph = nullptr;
  bool function = false;
  type_map types;                                         // as the model states or inference finds them
  std::unordered_map<std::string, tensor_buffer> values;  // constants
  std::map<std::string, std::string> made;                // content of a made constant -> its name
};

// What the whole conversion shares.
struct session {
  std::int64_t from = 0;
  std::int64_t to = 0;
  bool only_f32 = false;                  // no other floating-point type occurs in the model
  std::unordered_set<std::string> reads;  // every name that some node or graph output reads
  ir::name_pool* names = nullptr;
  std::unordered_set<std::string> node_names;  // ONNX Runtime wants them unique
};

class rewriter {
 public:
  rewriter(ir::node n, scope& here, session& all) : node(std::move(n)), here_(here), all_(all) {}

  ir::node node;

  // Names of new values. Inputs "" are absent ones.
  std::string make(std::string op_type, std::vector<std::string> inputs, std::vector<ir::attribute> attributes = {});
  std::string constant(const tensor_buffer& value);
  std::string ints(const std::vector<std::int64_t>& values);
  // A constant of one element (rank 0) or of shape [1], in the floating-point type of `like`.
  result<std::string> scalar_like(const std::string& like, float value);
  // A node behind: reads a new name, which replaces output i of `node`, and makes what output i was.
  void make_after(std::size_t i, std::string op_type, std::vector<std::string> more_inputs,
                  std::vector<ir::attribute> attributes = {});
  std::string fresh(std::string_view wanted) { return all_.names->fresh(wanted); }

  const tensor_buffer* value_of(const std::string& name) const;
  const ir::value_type* type_of(const std::string& name) const;
  std::optional<std::int64_t> rank_of(const std::string& name) const;
  bool is_read(const std::string& name) const { return !name.empty() && all_.reads.contains(name); }
  // Turns an attribute of integers into input i of type s64[n] (or leaves it absent).
  void ints_to_input(std::string_view attribute, std::size_t i);
  void set_input(std::size_t i, std::string name);
  error unsupported(const std::string& why) const;

  std::vector<ir::node> before, after;

 private:
  ir::node make_node(std::string op_type, std::vector<ir::attribute> attributes);

  scope& here_;
  session& all_;
};

struct step {
  std::string_view op_type;
  std::int64_t version;  // the operator version that `apply` leads to
  result<void> (*apply)(rewriter&);
};

// The families, one file each.
std::span<const step> arithmetic_steps();
std::span<const step> input_steps();
std::span<const step> normalization_steps();
std::span<const step> resize_steps();
std::span<const step> softmax_steps();
std::span<const step> other_steps();

}  // namespace quantal::onnx::convert
