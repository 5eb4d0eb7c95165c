#include "quantal/data/convert.hpp"

#include <limits>
#include <utility>

#include "quantal/io/text.hpp"
#include "quantal/num/float16.hpp"

namespace quantal::data {

namespace {

struct half_value {
  std::uint16_t bits;
  explicit operator float() const { return f16_to_f32(bits); }
  explicit operator double() const { return static_cast<double>(f16_to_f32(bits)); }
};
struct brain_value {
  std::uint16_t bits;
  explicit operator float() const { return bf16_to_f32(bits); }
  explicit operator double() const { return static_cast<double>(bf16_to_f32(bits)); }
};

// Calls body(pointer to the elements). False: a type without simple elements.
template <class Body>
bool visit_integers(const tensor_buffer& t, Body&& body) {
  switch (t.type()) {
    case dtype::s8: body(t.as<std::int8_t>()); return true;
    case dtype::u8:
    case dtype::boolean: body(t.as<std::uint8_t>()); return true;
    case dtype::s16: body(t.as<std::int16_t>()); return true;
    case dtype::u16: body(t.as<std::uint16_t>()); return true;
    case dtype::s32: body(t.as<std::int32_t>()); return true;
    case dtype::u32: body(t.as<std::uint32_t>()); return true;
    case dtype::s64: body(t.as<std::int64_t>()); return true;
    case dtype::u64: body(t.as<std::uint64_t>()); return true;
    default: return false;
  }
}

template <class Body>
bool visit_numbers(const tensor_buffer& t, Body&& body) {
  switch (t.type()) {
    case dtype::f32: body(t.as<float>()); return true;
    case dtype::f64: body(t.as<double>()); return true;
    case dtype::f16: body(t.as<half_value>()); return true;
    case dtype::bf16: body(t.as<brain_value>()); return true;
    default: return visit_integers(t, std::forward<Body>(body));
  }
}

template <class T>
bool store_integers(const tensor_buffer& from, T* to, T lowest, T highest, std::size_t& bad) {
  const std::size_t count = static_cast<std::size_t>(from.elements());
  bad = count;
  return visit_integers(from, [&](const auto* values) {
    for (std::size_t i = 0; i < count; ++i) {
      if (std::cmp_less(values[i], lowest) || std::cmp_greater(values[i], highest)) {
        if (bad == count) bad = i;
        continue;
      }
      to[i] = static_cast<T>(values[i]);
    }
  });
}

template <class T>
bool store_integers(const tensor_buffer& from, tensor_buffer& to, std::size_t& bad) {
  return store_integers<T>(from, to.mutable_as<T>(), std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), bad);
}

bool to_integers(const tensor_buffer& from, tensor_buffer& to, std::size_t& bad) {
  switch (to.type()) {
    case dtype::boolean: return store_integers<std::uint8_t>(from, to.mutable_as<std::uint8_t>(), 0, 1, bad);
    case dtype::s8: return store_integers<std::int8_t>(from, to, bad);
    case dtype::u8: return store_integers<std::uint8_t>(from, to, bad);
    case dtype::s16: return store_integers<std::int16_t>(from, to, bad);
    case dtype::u16: return store_integers<std::uint16_t>(from, to, bad);
    case dtype::s32: return store_integers<std::int32_t>(from, to, bad);
    case dtype::u32: return store_integers<std::uint32_t>(from, to, bad);
    case dtype::s64: return store_integers<std::int64_t>(from, to, bad);
    case dtype::u64: return store_integers<std::uint64_t>(from, to, bad);
    default: return false;
  }
}

bool to_floats(const tensor_buffer& from, tensor_buffer& to) {
  const std::size_t count = static_cast<std::size_t>(from.elements());
  const auto fill = [&](auto* out, auto&& one) {
    return visit_numbers(from, [&](const auto* values) {
      for (std::size_t i = 0; i < count; ++i) out[i] = one(values[i]);
    });
  };
  switch (to.type()) {
    case dtype::f32: return fill(to.mutable_as<float>(), [](auto v) { return static_cast<float>(v); });
    case dtype::f64: return fill(to.mutable_as<double>(), [](auto v) { return static_cast<double>(v); });
    case dtype::f16:
      return fill(to.mutable_as<std::uint16_t>(), [](auto v) { return f64_to_f16(static_cast<double>(v)); });
    case dtype::bf16:
      return fill(to.mutable_as<std::uint16_t>(), [](auto v) { return f64_to_bf16(static_cast<double>(v)); });
    default: return false;
  }
}

error refuse(const tensor_buffer& from, dtype to) {
  const bool rounding = is_float(from.type()) && is_integer(to);
  return {status::data_format, std::string(name_of(from.type())) + " data for an input of type " + name_of(to), "",
          rounding ? "save the array as integers" : std::string("save the array as ") + name_of(to)};
}

}  // namespace

result<tensor_buffer> convert(const tensor_buffer& value, dtype to) {
  if (value.type() == to) return value;
  QUANTAL_TRY(made, tensor_buffer::make(to, value.dims()));
  if (to_floats(value, made)) return std::move(made);
  std::size_t bad = 0;
  if (!to_integers(value, made, bad)) return refuse(value, to);
  if (bad < static_cast<std::size_t>(value.elements())) {
    return error{status::data_format, "element " + std::to_string(bad) + " does not fit into " + name_of(to), "", ""};
  }
  return std::move(made);
}

std::string text_of(const shape& dims) {
  std::string text = "[";
  for (int i = 0; i < dims.rank; ++i) text += (i > 0 ? ", " : "") + std::to_string(dims[i]);
  return text + "]";
}

std::string text_of(const ir::value_type& type) {
  if (!type.has_rank()) return "any shape";
  std::string text = "[";
  for (const ir::dim& d : *type.dims) {
    if (text.size() > 1) text += ", ";
    text += d.known() ? std::to_string(d.value) : d.symbol.empty() ? "?" : io::escape_text(d.symbol, 40);
  }
  return text + "]";
}

result<tensor_buffer> fit(const ir::value_info& input, tensor_buffer value, const std::string& where) {
  const std::string place = where + ": input " + io::quote(input.name);
  if (input.type.has_rank()) {
    const auto& wanted = *input.type.dims;
    bool fits = wanted.size() == static_cast<std::size_t>(value.dims().rank);
    for (std::size_t i = 0; fits && i < wanted.size(); ++i) {
      fits = !wanted[i].known() || wanted[i].value == value.dims()[static_cast<std::int32_t>(i)];
    }
    if (!fits) {
      return error{status::data_shape,
                   "array of shape " + text_of(value.dims()) + " where the model wants " + text_of(input.type), place,
                   "reshape or re-export the data"};
    }
  }
  if (input.type.elem == dtype::none) return value;
  auto converted = convert(value, input.type.elem);
  if (!converted) return std::move(converted).failure().at(place);
  return std::move(*converted);
}

}  // namespace quantal::data
