// wire_bytes: protobuf bytes written field by field, right or wrong, without the code under test; and the messages of
// onnx.proto that the tests need.
#pragma once
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantal/onnx/onnx.hpp"

namespace quantal::test {

struct pb {
  std::string s;

  pb& raw(std::string_view bytes) { return s += bytes, *this; }
  pb& varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) s += static_cast<char>(v | 0x80);
    s += static_cast<char>(v);
    return *this;
  }
  pb& tag(std::uint32_t field, std::uint32_t wire) { return varint(std::uint64_t{field} << 3 | wire); }
  pb& integer(std::uint32_t field, std::int64_t v) { return tag(field, 0).varint(static_cast<std::uint64_t>(v)); }
  pb& bytes(std::uint32_t field, std::string_view v) { return tag(field, 2).varint(v.size()).raw(v); }
  pb& message(std::uint32_t field, const pb& inner) { return bytes(field, inner.s); }
  pb& fixed32(std::uint32_t field, float v) {
    char raw_bytes[4];
    std::memcpy(raw_bytes, &v, 4);
    return tag(field, 5).raw({raw_bytes, 4});
  }
  pb& packed(std::uint32_t field, std::initializer_list<std::int64_t> values) {
    pb inner;
    for (const std::int64_t v : values) inner.varint(static_cast<std::uint64_t>(v));
    return message(field, inner);
  }
  template <class T>
  pb& packed_fixed(std::uint32_t field, std::initializer_list<T> values) {
    return bytes(field, {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)});
  }
};

inline pb value(std::string_view name, std::initializer_list<std::int64_t> dims) {
  pb shape;
  for (const std::int64_t d : dims) shape.message(1, pb().integer(1, d));
  const pb tensor = pb().integer(1, 1).message(2, shape);
  return pb().bytes(1, name).message(2, pb().message(1, tensor));
}

inline pb node(std::string_view type, std::initializer_list<std::string_view> in,
               std::initializer_list<std::string_view> out) {
  pb n;
  for (const auto& name : in) n.bytes(1, name);
  for (const auto& name : out) n.bytes(2, name);
  return n.bytes(4, type);
}

inline pb attribute(std::string_view name, std::int64_t type, std::uint32_t field, const pb& v) {
  return pb().bytes(1, name).message(field, v).integer(20, type);
}

// ir_version, opset 13 and this graph.
inline std::string model(const pb& graph, std::int64_t ir_version = 8) {
  return pb().integer(1, ir_version).message(7, graph).message(8, pb().integer(2, 13)).s;
}

// x -> Relu -> y, and what is added to the graph.
inline pb relu_graph(const pb& more = {}) {
  return pb()
      .message(1, node("Relu", {"x"}, {"y"}))
      .bytes(2, "g")
      .raw(more.s)
      .message(11, value("x", {2, 3}))
      .message(12, value("y", {2, 3}));
}

inline std::string model_with_tensor(const pb& tensor) {
  return model(relu_graph(pb().message(5, tensor)));
}

inline result<ir::model> parse(const std::string& bytes, const std::string& directory = {}) {
  return onnx::read(std::as_bytes(std::span(bytes)), directory);
}

inline bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace quantal::test
