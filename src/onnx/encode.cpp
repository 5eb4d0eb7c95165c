// Field numbers: onnx.proto (onnx 1.23), as in read.cpp.
#include "encode.hpp"

#include <algorithm>

#include "quantal/ir/dtype_map.hpp"

namespace quantal::onnx {

namespace {

void put_pairs(rope& r, std::uint32_t field, const ir::string_pairs& pairs) {
  for (const auto& [key, value] : pairs) {
    rope entry;
    entry.bytes(1, key);
    entry.bytes(2, value);
    r.message(field, entry);
  }
}

void put_opaque(rope& r, std::uint32_t field, const ir::opaque_fields& fields) {
  for (const auto& [number, bytes] : fields)
    if (number == field) r.bytes(field, bytes);
}

rope encode_type(const ir::value_type& type) {
  rope r;
  rope tensor;
  tensor.integer(1, ir::dtype_to_onnx(type.elem));
  if (type.dims) {
    rope dims;
    for (const ir::dim& d : *type.dims) {
      rope one;
      if (d.known()) one.integer(1, d.value);
      if (!d.known()) one.text(2, d.symbol);
      one.text(3, d.denotation);
      dims.message(1, one);
    }
    tensor.message(2, dims);
  }
  if (type.of == ir::value_type::kind::tensor) r.message(1, tensor);
  r.text(6, type.denotation);
  return r;
}

rope encode_value_info(const ir::value_info& v) {
  rope r;
  r.bytes(1, v.name);
  if (v.type.of == ir::value_type::kind::opaque) {
    r.bytes(2, v.type.raw);
  } else if (v.type.is_tensor() || !v.type.denotation.empty()) {
    r.message(2, encode_type(v.type));
  }
  r.text(3, v.doc);
  put_pairs(r, 4, v.metadata);
  return r;
}

rope encode_opset(const ir::opset& o) {
  rope r;
  r.text(1, o.domain);
  r.integer(2, o.version);
  return r;
}

class encoder {
 public:
  explicit encoder(data_plan* plan) : plan_(plan) {}

  rope model(const ir::model& m) {
    rope r;
    r.integer(1, m.ir_version);
    r.text(2, m.producer_name);
    r.text(3, m.producer_version);
    r.text(4, m.domain);
    if (m.model_version != 0) r.integer(5, m.model_version);
    r.text(6, m.doc);
    r.message(7, graph(m.graph));
    for (const ir::opset& o : m.opsets) r.message(8, encode_opset(o));
    put_pairs(r, 14, m.metadata);
    put_opaque(r, 20, m.opaque);
    for (const ir::function& f : m.functions) r.message(25, function(f));
    put_opaque(r, 26, m.opaque);
    return r;
  }

 private:
  rope graph(const ir::graph& g) {
    rope r;
    for (const ir::node& n : g.nodes) r.message(1, node(n));
    r.text(2, g.name);
    for (const ir::constant& c : g.initializers) r.message(5, tensor(c));
    r.text(10, g.doc);
    for (const ir::value_info& v : g.inputs) r.message(11, encode_value_info(v));
    for (const ir::value_info& v : g.outputs) r.message(12, encode_value_info(v));
    for (const ir::value_info& v : g.value_infos) r.message(13, encode_value_info(v));
    put_opaque(r, 14, g.opaque);
    put_opaque(r, 15, g.opaque);
    put_pairs(r, 16, g.metadata);
    return r;
  }

  rope node(const ir::node& n) {
    rope r;
    for (const std::string& name : n.inputs) r.bytes(1, name);
    for (const std::string& name : n.outputs) r.bytes(2, name);
    r.text(3, n.name);
    r.text(4, n.op_type);
    for (const ir::attribute& a : n.attributes) r.message(5, attribute(a));
    r.text(6, n.doc);
    r.text(7, n.domain);
    r.text(8, n.overload);
    put_pairs(r, 9, n.metadata);
    put_opaque(r, 10, n.opaque);
    return r;
  }

  rope function(const ir::function& f) {
    rope r;
    r.text(1, f.name);
    for (const std::string& name : f.inputs) r.bytes(4, name);
    for (const std::string& name : f.outputs) r.bytes(5, name);
    for (const std::string& name : f.attributes) r.bytes(6, name);
    for (const ir::node& n : f.nodes) r.message(7, node(n));
    r.text(8, f.doc);
    for (const ir::opset& o : f.opsets) r.message(9, encode_opset(o));
    r.text(10, f.domain);
    for (const ir::attribute& a : f.attribute_defaults) r.message(11, attribute(a));
    for (const ir::value_info& v : f.value_infos) r.message(12, encode_value_info(v));
    r.text(13, f.overload);
    put_pairs(r, 14, f.metadata);
    return r;
  }

  rope attribute(const ir::attribute& a) {
    rope r;
    r.bytes(1, a.name);
    if (const auto* v = std::get_if<float>(&a.value)) r.real32(2, *v);
    if (const auto* v = std::get_if<std::int64_t>(&a.value)) r.integer(3, *v);
    if (const auto* v = std::get_if<std::string>(&a.value)) r.bytes(4, *v);
    if (const auto* v = std::get_if<ir::constant>(&a.value)) r.message(5, tensor(*v));
    if (const auto* v = std::get_if<ir::graph_box>(&a.value)) r.message(6, graph(**v));
    if (const auto* v = std::get_if<std::vector<float>>(&a.value))
      for (const float x : *v) r.real32(7, x);
    if (const auto* v = std::get_if<std::vector<std::int64_t>>(&a.value))
      for (const std::int64_t x : *v) r.integer(8, x);
    if (const auto* v = std::get_if<std::vector<std::string>>(&a.value))
      for (const std::string& x : *v) r.bytes(9, x);
    if (const auto* v = std::get_if<std::vector<ir::constant>>(&a.value))
      for (const ir::constant& x : *v) r.message(10, tensor(x));
    if (const auto* v = std::get_if<std::vector<ir::graph_box>>(&a.value))
      for (const ir::graph_box& x : *v) r.message(11, graph(*x));
    r.text(13, a.doc);
    put_opaque_value(r, a, 13, 14);
    put_opaque_value(r, a, 14, 15);
    r.integer(20, a.kind != 0 ? a.kind : static_cast<std::int32_t>(a.value.index()));
    r.text(21, a.reference);
    put_opaque_value(r, a, 11, 22);
    put_opaque_value(r, a, 12, 23);
    return r;
  }

  static void put_opaque_value(rope& r, const ir::attribute& a, std::int32_t kind, std::uint32_t field) {
    const auto* o = std::get_if<ir::attribute::opaque>(&a.value);
    if (o == nullptr || o->kind != kind) return;
    for (const std::string& raw : o->raw) r.bytes(field, raw);
  }

  rope tensor(const ir::constant& c) {
    rope r;
    const tensor_buffer& t = c.value;
    for (const std::int64_t d : t.dims()) r.integer(1, d);
    r.integer(2, ir::dtype_to_onnx(t.type()));
    if (t.type() == dtype::string)
      for (const std::string& s : t.strings()) r.bytes(6, s);
    r.text(8, c.name);
    const bool outside = plan_ != nullptr && t.type() != dtype::string && t.bytes() >= data_plan::external_from;
    if (t.type() != dtype::string && !outside) put_raw(r, t);
    r.text(12, c.doc);
    if (outside) put_external(r, t);
    put_pairs(r, 16, c.metadata);
    return r;
  }

  static void put_raw(rope& r, const tensor_buffer& t) {
    if constexpr (std::endian::native == std::endian::little) {
      r.borrowed(9, t.data(), t.bytes());
    } else {
      r.bytes(9, little_endian(t));
    }
  }

  // Elements as the file wants them, on a big-endian machine.
  static std::string little_endian(const tensor_buffer& t) {
    std::string bytes(t.as<char>(), t.bytes());
    const bool pair = t.type() == dtype::c64 || t.type() == dtype::c128;
    const std::size_t width = bits_of(t.type()) / (pair ? 16 : 8);
    for (std::size_t i = 0; width > 1 && i + width <= bytes.size(); i += width)
      std::reverse(bytes.begin() + static_cast<std::ptrdiff_t>(i),
                   bytes.begin() + static_cast<std::ptrdiff_t>(i + width));
    return bytes;
  }

  void put_external(rope& r, const tensor_buffer& t) {
    const std::uint64_t offset = (plan_->end + data_plan::alignment - 1) / data_plan::alignment * data_plan::alignment;
    plan_->parts.push_back({offset, t.data(), t.bytes()});
    plan_->end = offset + t.bytes();
    put_pairs(
        r, 13,
        {{"location", plan_->location}, {"offset", std::to_string(offset)}, {"length", std::to_string(t.bytes())}});
    r.integer(14, 1);
  }

  data_plan* plan_;
};

}  // namespace

rope encode_model(const ir::model& m, data_plan* plan) {
  return encoder(plan).model(m);
}

}  // namespace quantal::onnx
