// Shape and type inference over a whole model, with symbolic dimensions.
#pragma once
#include <string>
#include <unordered_map>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"

namespace quantal::ops {

// Type of every value of the main graph that inference can find, by name. Runs each operator's shape rule once, in topological order;
// a value the model states itself (inputs, value_info, outputs) is merged with what the rule says.
// Operators unknown to Quantal give unknown types. Errors: a contradiction, with node and value.
using type_map = std::unordered_map<std::string, ir::value_type>;
result<type_map> infer_types(const ir::model& m);

}  // namespace quantal::ops
