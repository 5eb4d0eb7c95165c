// Field numbers: onnx.proto (onnx 1.23): ModelProto, GraphProto, NodeProto, AttributeProto, FunctionProto,
// ValueInfoProto, TypeProto, TensorShapeProto, OperatorSetIdProto, SparseTensorProto.
//
// Fields with numbers that onnx.proto does not know are dropped: an IR version above the newest known one is refused,
// so none of them can matter. A message that may stand once and stands twice is an error (protobuf would merge them).
#include <algorithm>

#include "guard.hpp"
#include "quantal/base/text.hpp"
#include "quantal/io/file.hpp"
#include "quantal/io/path.hpp"
#include "quantal/ir/verify.hpp"
#include "quantal/onnx/onnx.hpp"
#include "read_tensor.hpp"
#include "read_type.hpp"
#include "wire.hpp"

namespace quantal::onnx {

namespace {

// AttributeProto.AttributeType
enum kind : std::int32_t {
  kind_undefined = 0,
  kind_float,
  kind_int,
  kind_string,
  kind_tensor,
  kind_graph,
  kind_floats,
  kind_ints,
  kind_strings,
  kind_tensors,
  kind_graphs,
  kind_sparse,
  kind_sparses,
  kind_type,
  kind_types
};

// ---- graphs -----------------------------------------------------------------------------------------------------

// Reads graphs, nodes and attributes, which contain each other. Recursion: one level of graphs per depth, limited.
class graph_reader {
 public:
  explicit graph_reader(read_context& context) : context_(context) {}

  result<ir::graph> read_graph(cursor c, std::int32_t depth) {
    ir::graph g;
    auto ok = graph_fields(c, g, depth);
    if (!ok && depth > 0) return std::move(ok).failure().at("subgraph " + quoted(g.name));
    if (!ok) return std::move(ok).failure();
    return g;
  }

  result<ir::node> read_node(cursor c, std::int32_t depth) {
    ir::node n;
    auto ok = node_fields(c, n, depth);
    if (ok && n.op_type.empty()) ok = syntax("a node has no operator type");
    if (!ok) return std::move(ok).failure().at("node " + (n.op_type.empty() && n.outputs.empty() ? "?" : n.label()));
    return n;
  }

  result<ir::attribute> read_attribute(cursor c, std::int32_t depth) {
    ir::attribute a;
    if (auto ok = attribute_fields(c, a, depth); !ok) return std::move(ok).failure().at("attribute " + quoted(a.name));
    return a;
  }

 private:
  result<void> graph_fields(cursor& c, ir::graph& g, std::int32_t depth) {
    if (depth > limits::max_depth) {
      return error{status::limit, "subgraphs are nested more than " + std::to_string(limits::max_depth) + " deep", "",
                   ""};
    }
    while (c.next()) switch (c.field()) {
        case 1: QUANTAL_CHECK(append(g.nodes, read_node(c.message(), depth))); break;
        case 2: g.name = c.text(); break;
        case 5: QUANTAL_CHECK(append(g.initializers, read_tensor(c.message(), context_))); break;
        case 10: g.doc = c.text(); break;
        case 11: QUANTAL_CHECK(append(g.inputs, read_value_info(c.message()))); break;
        case 12: QUANTAL_CHECK(append(g.outputs, read_value_info(c.message()))); break;
        case 13: QUANTAL_CHECK(append(g.value_infos, read_value_info(c.message()))); break;
        case 14: g.opaque.emplace_back(14, c.bytes()); break;
        case 15:
          QUANTAL_CHECK(append(g.opaque_names, sparse_name(c.message())));
          g.opaque.emplace_back(15, c.bytes());
          break;
        case 16: QUANTAL_CHECK(read_pair(c.message(), g.metadata)); break;
        default: break;
      }
    return c.finish("graph");
  }

  // A sparse initializer is named by its tensor of values.
  static result<std::string> sparse_name(cursor c) {
    std::string name;
    while (c.next()) {
      if (c.field() != 1) continue;
      cursor values = c.message();
      while (values.next())
        if (values.field() == 8) name = values.text();
      QUANTAL_CHECK(values.finish("sparse tensor"));
    }
    QUANTAL_CHECK(c.finish("sparse tensor"));
    return name;
  }

  result<void> node_fields(cursor& c, ir::node& n, std::int32_t depth) {
    while (c.next()) switch (c.field()) {
        case 1: n.inputs.push_back(c.text()); break;
        case 2: n.outputs.push_back(c.text()); break;
        case 3: n.name = c.text(); break;
        case 4: n.op_type = c.text(); break;
        case 5: QUANTAL_CHECK(append(n.attributes, read_attribute(c.message(), depth))); break;
        case 6: n.doc = c.text(); break;
        case 7: n.domain = c.text(); break;
        case 8: n.overload = c.text(); break;
        case 9: QUANTAL_CHECK(read_pair(c.message(), n.metadata)); break;
        case 10: n.opaque.emplace_back(10, c.bytes()); break;
        default: break;
      }
    if (n.domain == "ai.onnx") n.domain.clear();
    return c.finish("node");
  }

  // An attribute has one value; its `type` says which. Files before IR version 2 have no `type`, and a writer may
  // leave out a zero or an empty list.
  result<void> attribute_fields(cursor& c, ir::attribute& a, std::int32_t depth) {
    const auto holds = [&](std::int32_t kind) -> result<void> {
      const bool repeated = (kind >= kind_floats && kind <= kind_graphs) || kind == kind_sparses || kind == kind_types;
      if (found_kind(a) != kind_undefined && (found_kind(a) != kind || !repeated))
        return syntax("the attribute has more than one value");
      return {};
    };
    std::int32_t declared = kind_undefined;
    while (c.next()) switch (c.field()) {
        case 1: a.name = c.text(); break;
        case 2:
          QUANTAL_CHECK(holds(kind_float));
          a.value = c.real32();
          break;
        case 3:
          QUANTAL_CHECK(holds(kind_int));
          a.value = c.integer();
          break;
        case 4:
          QUANTAL_CHECK(holds(kind_string));
          a.value = std::string(c.bytes());
          break;
        case 5:
          QUANTAL_CHECK(holds(kind_tensor));
          QUANTAL_CHECK(assign(a, read_tensor(c.message(), context_)));
          break;
        case 6:
          QUANTAL_CHECK(holds(kind_graph));
          QUANTAL_CHECK(assign(a, read_box(c.message(), depth)));
          break;
        case 7:
          QUANTAL_CHECK(holds(kind_floats));
          c.reals(list<float>(a));
          break;
        case 8:
          QUANTAL_CHECK(holds(kind_ints));
          c.integers(list<std::int64_t>(a));
          break;
        case 9:
          QUANTAL_CHECK(holds(kind_strings));
          list<std::string>(a).emplace_back(c.bytes());
          break;
        case 10:
          QUANTAL_CHECK(holds(kind_tensors));
          QUANTAL_CHECK(append(list<ir::constant>(a), read_tensor(c.message(), context_)));
          break;
        case 11:
          QUANTAL_CHECK(holds(kind_graphs));
          QUANTAL_CHECK(append(list<ir::graph_box>(a), read_box(c.message(), depth)));
          break;
        case 13: a.doc = c.text(); break;
        case 14:
          QUANTAL_CHECK(holds(kind_type));
          opaque(a, kind_type, c.bytes());
          break;
        case 15:
          QUANTAL_CHECK(holds(kind_types));
          opaque(a, kind_types, c.bytes());
          break;
        case 20: declared = static_cast<std::int32_t>(std::clamp<std::int64_t>(c.integer(), -1, 99)); break;
        case 21: a.reference = c.text(); break;
        case 22:
          QUANTAL_CHECK(holds(kind_sparse));
          opaque(a, kind_sparse, c.bytes());
          break;
        case 23:
          QUANTAL_CHECK(holds(kind_sparses));
          opaque(a, kind_sparses, c.bytes());
          break;
        default: break;
      }
    QUANTAL_CHECK(c.finish("attribute"));
    return settle_kind(a, declared);
  }

  static std::int32_t found_kind(const ir::attribute& a) noexcept {
    if (const auto* o = std::get_if<ir::attribute::opaque>(&a.value)) return o->kind;
    return static_cast<std::int32_t>(a.value.index());  // the variant's order is that of kinds 0 to 10
  }

  static result<void> settle_kind(ir::attribute& a, std::int32_t declared) {
    if (a.name.empty()) return syntax("an attribute has no name");
    const std::int32_t found = found_kind(a);
    if (declared < 0 || declared > kind_types)
      return error{status::unsupported, "the attribute is of a kind that is not known", "", ""};
    a.kind = declared == kind_undefined ? found : declared;
    if (!a.reference.empty())
      return found == kind_undefined ? result<void>() : syntax("the attribute is a reference and has a value");
    if (found == kind_undefined) return add_default(a);
    if (found != a.kind) return syntax("the attribute's value is not of the kind it declares");
    return {};
  }

  static result<void> add_default(ir::attribute& a) {
    switch (a.kind) {
      case kind_float: a.value = 0.0f; return {};
      case kind_int: a.value = std::int64_t{0}; return {};
      case kind_string: a.value = std::string(); return {};
      case kind_floats: a.value = std::vector<float>(); return {};
      case kind_ints: a.value = std::vector<std::int64_t>(); return {};
      case kind_strings: a.value = std::vector<std::string>(); return {};
      case kind_tensors: a.value = std::vector<ir::constant>(); return {};
      case kind_graphs: a.value = std::vector<ir::graph_box>(); return {};
      case kind_sparses:
      case kind_types: a.value = ir::attribute::opaque{a.kind, {}}; return {};
      default: return syntax("the attribute has no value");
    }
  }

  template <class T>
  static std::vector<T>& list(ir::attribute& a) {
    if (!std::holds_alternative<std::vector<T>>(a.value)) a.value = std::vector<T>();
    return std::get<std::vector<T>>(a.value);
  }

  static void opaque(ir::attribute& a, std::int32_t kind, std::string_view bytes) {
    if (!std::holds_alternative<ir::attribute::opaque>(a.value)) a.value = ir::attribute::opaque{kind, {}};
    std::get<ir::attribute::opaque>(a.value).raw.emplace_back(bytes);
  }

  result<ir::graph_box> read_box(cursor c, std::int32_t depth) {
    QUANTAL_TRY(g, read_graph(c, depth + 1));
    return ir::graph_box(std::move(g));
  }

  template <class T>
  static result<void> assign(ir::attribute& a, result<T> made) {
    if (!made) return std::move(made).failure();
    a.value = *std::move(made);
    return {};
  }

 public:
  template <class T>
  static result<void> append(std::vector<T>& to, result<T> made) {
    if (!made) return std::move(made).failure();
    to.push_back(*std::move(made));
    return {};
  }

 private:
  read_context& context_;
};

// ---- functions and the model ------------------------------------------------------------------------------------

result<void> function_fields(cursor& c, ir::function& f, graph_reader& graphs) {
  while (c.next()) switch (c.field()) {
      case 1: f.name = c.text(); break;
      case 4: f.inputs.push_back(c.text()); break;
      case 5: f.outputs.push_back(c.text()); break;
      case 6: f.attributes.push_back(c.text()); break;
      case 7: QUANTAL_CHECK(graphs.append(f.nodes, graphs.read_node(c.message(), 0))); break;
      case 8: f.doc = c.text(); break;
      case 9: QUANTAL_CHECK(read_opset(c.message(), f.opsets)); break;
      case 10: f.domain = c.text(); break;
      case 11: QUANTAL_CHECK(graphs.append(f.attribute_defaults, graphs.read_attribute(c.message(), 0))); break;
      case 12: QUANTAL_CHECK(graphs.append(f.value_infos, read_value_info(c.message()))); break;
      case 13: f.overload = c.text(); break;
      case 14: QUANTAL_CHECK(read_pair(c.message(), f.metadata)); break;
      default: break;
    }
  if (f.domain == "ai.onnx") f.domain.clear();
  return c.finish("function");
}

result<ir::function> read_function(cursor c, graph_reader& graphs) {
  ir::function f;
  if (auto ok = function_fields(c, f, graphs); !ok) return std::move(ok).failure().at("function " + quoted(f.name));
  return f;
}

result<ir::model> read_model(cursor c, read_context& context) {
  ir::model m;
  graph_reader graphs(context);
  bool has_graph = false;
  while (c.next()) switch (c.field()) {
      case 1: m.ir_version = c.integer(); break;
      case 2: m.producer_name = c.text(); break;
      case 3: m.producer_version = c.text(); break;
      case 4: m.domain = c.text(); break;
      case 5: m.model_version = c.integer(); break;
      case 6: m.doc = c.text(); break;
      case 7: {
        if (has_graph) return syntax("the model has two graphs");
        has_graph = true;
        QUANTAL_TRY(g, graphs.read_graph(c.message(), 0));
        m.graph = std::move(g);
        break;
      }
      case 8: QUANTAL_CHECK(read_opset(c.message(), m.opsets)); break;
      case 14: QUANTAL_CHECK(read_pair(c.message(), m.metadata)); break;
      case 20: m.opaque.emplace_back(20, c.bytes()); break;
      case 25: QUANTAL_CHECK(graphs.append(m.functions, read_function(c.message(), graphs))); break;
      case 26: m.opaque.emplace_back(26, c.bytes()); break;
      default: break;
    }
  QUANTAL_CHECK(c.finish("model"));
  if (!has_graph) return syntax("not an ONNX model: it has no graph");
  if (m.ir_version < 1) return syntax("not an ONNX model: it has no IR version");
  if (m.ir_version > newest_ir_version) {
    return error{status::unsupported,
                 "the model has IR version " + std::to_string(m.ir_version) + ", the newest supported is " +
                     std::to_string(newest_ir_version),
                 "", "export the model with an older version of ONNX"};
  }
  return m;
}

result<ir::model> read_bytes(std::string_view bytes, read_context& context) {
  if (bytes.empty()) return syntax("the file is empty");
  if (bytes.size() > largest_file) {
    return error{status::limit, "the file is larger than 2 GB, which protobuf does not allow", "",
                 "save the model with external data"};
  }
  QUANTAL_TRY(m, read_model(cursor(bytes, 0), context));
  QUANTAL_CHECK(ir::verify(m));
  QUANTAL_CHECK(ir::sort_nodes(m.graph));
  return std::move(m);
}

}  // namespace

result<ir::model> read(std::span<const std::byte> bytes, const std::string& directory) {
  return guarded([&]() -> result<ir::model> {
    external_files external(directory);
    read_context context{nullptr, &external};
    return read_bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, context);
  });
}

result<ir::model> read_file(const std::string& path, std::vector<std::string>* data_files) {
  return guarded([&]() -> result<ir::model> {
    auto bytes = io::read_file(path, largest_file);
    if (!bytes) return std::move(bytes).failure();
    external_files external(io::directory_of(path));
    read_context context{bytes->owner, &external};
    auto m = read_bytes({reinterpret_cast<const char*>(bytes->data), bytes->size}, context);
    if (!m) return std::move(m).failure().at(printable(path));
    if (data_files != nullptr) *data_files = external.paths();
    return m;
  });
}

}  // namespace quantal::onnx
