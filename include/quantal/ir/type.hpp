// Types of values: element type and symbolic shape, as a model states them or inference finds them.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quantal/tensor/dtype.hpp"
#include "quantal/tensor/shape.hpp"

namespace quantal::ir {

// One dimension: known (value >= 0), symbolic (value -1, a name) or unknown (value -1, no name).
// Models that write dim_value -1 mean "unknown" and are read so.
struct dim {
  std::int64_t value = -1;
  std::string symbol;
  std::string denotation;

  dim() = default;
  dim(std::int64_t v) : value(v) {}
  explicit dim(std::string name) : symbol(std::move(name)) {}
  bool known() const noexcept { return value >= 0; }
  friend bool operator==(const dim&, const dim&) = default;
};

struct value_type {
  // `opaque` covers sequence, map, optional and sparse types: kept as their serialized TypeProto in `raw`.
  enum class kind { unknown, tensor, opaque };

  kind of = kind::unknown;
  dtype elem = dtype::none;
  std::optional<std::vector<dim>> dims;  // absent: rank unknown
  std::string denotation;
  std::string raw;

  static value_type tensor(dtype elem) { return {kind::tensor, elem, std::nullopt, {}, {}}; }
  static value_type tensor(dtype elem, std::vector<dim> dims) { return {kind::tensor, elem, std::move(dims), {}, {}}; }
  static value_type tensor(dtype elem, const shape& concrete) {
    return tensor(elem, std::vector<dim>(concrete.begin(), concrete.end()));
  }
  bool is_tensor() const noexcept { return of == kind::tensor; }
  bool has_rank() const noexcept { return is_tensor() && dims.has_value(); }
  // The concrete shape if every dimension is known.
  std::optional<shape> concrete() const {
    if (!has_rank() || dims->size() > static_cast<std::size_t>(limits::max_rank)) return std::nullopt;
    shape s;
    for (const dim& d : *dims) {
      if (!d.known()) return std::nullopt;
      s.push_back(d.value);
    }
    return s;
  }
  friend bool operator==(const value_type&, const value_type&) = default;
};

}  // namespace quantal::ir
