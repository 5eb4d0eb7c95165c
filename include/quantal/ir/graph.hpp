// The graph IR: a model as plain values. What the file says is what these structs hold; a copy is a deep copy
// (constant bytes are shared, they are never changed in place).
//
// Values are named, as in ONNX: a node reads and writes names; "" is an absent optional input or output.
// A subgraph (If, Loop, Scan) may read names of the graphs around it. Lookups by name go through
// ir/index.hpp, invariants through ir/verify.hpp. A node list need not be sorted until verify has run.
//
//   model ── graph ── node ── attribute ── graph (subgraph) ...
//         └─ functions            └─ tensor constants
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "quantal/ir/type.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::ir {

struct graph;

// Fields of a file that Quantal does not interpret, kept serialized: field number, bytes.
using opaque_fields = std::vector<std::pair<std::uint32_t, std::string>>;
using string_pairs = std::vector<std::pair<std::string, std::string>>;  // key, value; order kept

// A value of incomplete type with the semantics of a value.
class graph_box {
 public:
  graph_box();
  explicit graph_box(graph g);
  graph_box(const graph_box& other);
  graph_box(graph_box&&) noexcept;
  graph_box& operator=(graph_box other) noexcept;
  ~graph_box();
  graph& operator*() const noexcept { return *graph_; }
  graph* operator->() const noexcept { return graph_.get(); }

 private:
  std::unique_ptr<graph> graph_;
};

// A named constant: an initializer or an attribute's tensor.
struct constant {
  std::string name;
  tensor_buffer value;
  std::string doc;
  string_pairs metadata;
};

struct attribute {
  // Attribute kinds that Quantal does not interpret (sparse tensors, type protos) are kept serialized.
  struct opaque {
    std::int32_t kind = 0;  // AttributeProto.AttributeType
    std::vector<std::string> raw;
  };
  using value_variant = std::variant<std::monostate, float, std::int64_t, std::string, constant, graph_box,
                                     std::vector<float>, std::vector<std::int64_t>, std::vector<std::string>,
                                     std::vector<constant>, std::vector<graph_box>, opaque>;
  std::string name;
  value_variant value;       // monostate: only a reference to a function's attribute
  std::int32_t kind = 0;     // AttributeProto.AttributeType; tells empty lists and references apart
  std::string reference;     // ref_attr_name, inside functions
  std::string doc;

  attribute() = default;
  attribute(std::string n, float v) : name(std::move(n)), value(v), kind(1) {}
  attribute(std::string n, std::int64_t v) : name(std::move(n)), value(v), kind(2) {}
  attribute(std::string n, std::string v) : name(std::move(n)), value(std::move(v)), kind(3) {}
  attribute(std::string n, constant v) : name(std::move(n)), value(std::move(v)), kind(4) {}
  attribute(std::string n, graph_box v) : name(std::move(n)), value(std::move(v)), kind(5) {}
  attribute(std::string n, std::vector<float> v) : name(std::move(n)), value(std::move(v)), kind(6) {}
  attribute(std::string n, std::vector<std::int64_t> v) : name(std::move(n)), value(std::move(v)), kind(7) {}
  attribute(std::string n, std::vector<std::string> v) : name(std::move(n)), value(std::move(v)), kind(8) {}
};

struct node {
  std::string op_type;
  std::string domain;  // "" is ai.onnx (the reader normalises "ai.onnx" to "")
  std::string name;
  std::string overload;
  std::string doc;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<attribute> attributes;
  string_pairs metadata;
  opaque_fields opaque;  // device configurations

  bool is(std::string_view type) const noexcept { return domain.empty() && op_type == type; }
  bool has_input(std::size_t i) const noexcept { return i < inputs.size() && !inputs[i].empty(); }
  bool has_output(std::size_t i) const noexcept { return i < outputs.size() && !outputs[i].empty(); }
  const attribute* find(std::string_view attribute_name) const noexcept;
  attribute* find(std::string_view attribute_name) noexcept;
  void set(attribute a);                     // replaces or appends
  bool erase(std::string_view attribute_name);
  // Typed access with the operator's default; an attribute of another kind counts as absent
  // (ir::verify reports it where the operator's schema is known).
  std::int64_t get_int(std::string_view attribute_name, std::int64_t fallback) const noexcept;
  float get_float(std::string_view attribute_name, float fallback) const noexcept;
  std::string get_string(std::string_view attribute_name, std::string_view fallback) const;
  std::vector<std::int64_t> get_ints(std::string_view attribute_name) const;  // empty if absent
  std::vector<float> get_floats(std::string_view attribute_name) const;
  const tensor_buffer* get_tensor(std::string_view attribute_name) const noexcept;
  const graph* get_graph(std::string_view attribute_name) const noexcept;
  // "Conv 'conv1'" or, without a name, "Conv -> y": how messages and reports name this node.
  std::string label() const;
};

struct value_info {
  std::string name;
  value_type type;
  std::string doc;
  string_pairs metadata;
};

struct graph {
  std::string name;
  std::string doc;
  std::vector<node> nodes;
  std::vector<value_info> inputs;
  std::vector<value_info> outputs;
  std::vector<constant> initializers;  // an initializer that is also an input is only a default
  std::vector<value_info> value_infos;
  string_pairs metadata;
  opaque_fields opaque;                   // sparse initializers, quantization annotations
  std::vector<std::string> opaque_names;  // values that the opaque fields define (sparse initializers)

  const constant* initializer(std::string_view name) const noexcept;  // linear: use ir::index in loops
  constant* initializer(std::string_view name) noexcept;
};

struct opset {
  std::string domain;
  std::int64_t version = 0;
};

struct function {
  std::string name;
  std::string domain;
  std::string overload;
  std::string doc;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> attributes;              // names without a default
  std::vector<attribute> attribute_defaults;
  std::vector<node> nodes;
  std::vector<opset> opsets;
  std::vector<value_info> value_infos;
  string_pairs metadata;
};

struct model {
  std::int64_t ir_version = 0;
  std::vector<opset> opsets;
  std::string producer_name;
  std::string producer_version;
  std::string domain;
  std::int64_t model_version = 0;
  std::string doc;
  ir::graph graph;
  string_pairs metadata;
  std::vector<function> functions;
  opaque_fields opaque;  // training information, device configurations

  // Version of a domain ("" is ai.onnx); 0 if the model does not import it.
  std::int64_t opset_version(std::string_view opset_domain) const noexcept;
  void set_opset(std::string_view opset_domain, std::int64_t version);
};

}  // namespace quantal::ir
