// What shape rules share: reading input types, axes, broadcasting of symbolic dimensions, and the two or three rules
// that most operators have. A dimension is known, symbolic or unknown; two dimensions broadcast as
//
//   n . n = n     1 . x = x     n . ? = n (n > 1)     a . a = a (same symbol)     a . b = unknown
//
// and anything else known is a contradiction: status::model_type, with the node's label.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "quantal/ops/op.hpp"

namespace quantal::ops {

using dim_list = std::vector<ir::dim>;
using int_list = std::vector<std::int64_t>;

error node_error(const ir::node& n, status code, std::string what, std::string advice = {});
inline error rule_error(const infer_context& c, std::string what, std::string advice = {}) {
  return node_error(c.node, status::model_type, std::move(what), std::move(advice));
}

// ---- axes ----
// Into [0, rank); an axis outside [-rank, rank) is an error.
result<std::int32_t> normalize_axis(const ir::node& n, std::int64_t axis, std::int32_t rank);
// All of them, sorted; a repeated axis is an error.
result<std::vector<std::int32_t>> normalize_axes(const ir::node& n, const int_list& axes, std::int32_t rank);

// ---- input types ----
inline dtype elem_of(const infer_context& c, std::size_t i) {
  return c.input(i).is_tensor() ? c.input(i).elem : dtype::none;
}
// Dimensions of input i; nullptr if its rank is unknown.
inline const dim_list* dims_of(const infer_context& c, std::size_t i) {
  return c.input(i).has_rank() ? &*c.input(i).dims : nullptr;
}
inline std::int32_t rank_of(const dim_list& d) {
  return static_cast<std::int32_t>(d.size());
}
// Value of an integer input when every element is known; nullopt otherwise (also if the input is absent).
std::optional<int_list> known_ints(const infer_context& c, std::size_t i);
inline void set_typed(infer_context& c, std::size_t i, dtype type) {
  c.set_output(i, ir::value_type::tensor(type));
}
inline void set_typed(infer_context& c, std::size_t i, dtype type, dim_list dims) {
  c.set_output(i, ir::value_type::tensor(type, std::move(dims)));
}
// Rank known, dimensions not.
inline dim_list unknown_dims(std::int32_t rank) {
  return dim_list(static_cast<std::size_t>(rank));
}
// Integers an operator takes as an attribute in old versions and as input `i` in new ones (axes, pads, starts...).
// nullopt: given, but not known before the model runs. `given` tells absent from empty.
std::optional<int_list> ints_argument(const infer_context& c, std::size_t i, std::string_view attribute, bool& given);

// ---- dimension arithmetic ----
// Product of dimensions; unknown if one is. A symbol times 1 stays that symbol. Overflow: unknown.
ir::dim product(std::span<const ir::dim> dims);
result<ir::dim> broadcast_dim(const infer_context& c, const ir::dim& a, const ir::dim& b);
result<dim_list> broadcast_dims(const infer_context& c, const dim_list& a, const dim_list& b);
// Two statements about the same dimension: the more exact one, or an error.
result<ir::dim> merge_dim(const infer_context& c, const ir::dim& a, const ir::dim& b);

// ---- rules ----
result<void> infer_same(infer_context& c);       // output 0: type of input 0
result<void> infer_same_bool(infer_context& c);  // output 0: shape of input 0, boolean
result<void> infer_broadcast(infer_context& c);  // all inputs broadcast; element type of input 0; shape values too
result<void> infer_compare(infer_context& c);    // inputs 0 and 1 broadcast; boolean
result<void> infer_nothing(infer_context& c);    // types come with the run (NonZero's siblings without a rank)

}  // namespace quantal::ops
