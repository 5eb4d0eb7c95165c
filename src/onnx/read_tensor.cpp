// Field numbers: onnx.proto (onnx 1.23), messages TensorProto and StringStringEntryProto.
#include "read_tensor.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "quantal/base/text.hpp"
#include "quantal/ir/dtype_map.hpp"

namespace quantal::onnx {

namespace {

// Tensors from here on share the file's memory; smaller ones are copied.
constexpr std::size_t share_from = 4096;

// The field that holds a tensor's elements.
enum class storage : std::uint8_t {
  none,
  raw,
  float_data,
  int32_data,
  string_data,
  int64_data,
  double_data,
  uint64_data
};

storage storage_of(std::uint32_t field) noexcept {
  switch (field) {
    case 4: return storage::float_data;
    case 5: return storage::int32_data;
    case 6: return storage::string_data;
    case 7: return storage::int64_data;
    case 9: return storage::raw;
    case 10: return storage::double_data;
    case 11: return storage::uint64_data;
    default: return storage::none;
  }
}

// The typed field in which onnx.proto stores elements of a type.
storage typed_storage(dtype t) noexcept {
  switch (t) {
    case dtype::f32:
    case dtype::c64: return storage::float_data;
    case dtype::f64:
    case dtype::c128: return storage::double_data;
    case dtype::s64: return storage::int64_data;
    case dtype::u32:
    case dtype::u64: return storage::uint64_data;
    case dtype::string: return storage::string_data;
    case dtype::none: return storage::none;
    default: return storage::int32_data;
  }
}

cursor::scalar scalar_of(storage s) noexcept {
  return s == storage::float_data    ? cursor::scalar::fixed32
         : s == storage::double_data ? cursor::scalar::fixed64
                                     : cursor::scalar::varint;
}

struct tensor_fields {
  ir::constant made;
  shape dims;
  bool too_many_dims = false;
  std::optional<std::int64_t> data_type;
  storage stored = storage::none;
  bool stored_twice = false;
  std::string_view raw;
  std::size_t raw_header = 0;
  std::uint64_t scalars = 0;
  std::vector<std::string> strings;
  bool external = false;
  ir::string_pairs place;
  bool segment = false;
};

error broken(std::string what) {
  return {status::model_syntax, std::move(what), "", "the file is damaged or was written wrongly"};
}

void add_dims(cursor& c, tensor_fields& f) {
  std::vector<std::int64_t> dims;
  c.integers(dims);
  for (const std::int64_t d : dims)
    if (!f.dims.push_back(d)) f.too_many_dims = true;
}

// First pass: everything but typed elements, which are only counted.
result<void> read_fields(cursor& c, tensor_fields& f) {
  while (c.next()) {
    const storage s = storage_of(c.field());
    if (s != storage::none) {
      if (f.stored != storage::none && f.stored != s) f.stored_twice = true;
      f.stored = s;
    }
    switch (c.field()) {
      case 1: add_dims(c, f); break;
      case 2: f.data_type = c.integer(); break;
      case 3: f.segment = true; break;
      case 6: f.strings.emplace_back(c.bytes()); break;
      case 8: f.made.name = c.text(); break;
      case 9:
        f.raw = c.bytes();
        f.raw_header = c.failed() ? 0 : c.header();
        break;
      case 12: f.made.doc = c.text(); break;
      case 13: QUANTAL_CHECK(read_pair(c.message(), f.place)); break;
      case 14: f.external = c.integer() == 1; break;
      case 16: QUANTAL_CHECK(read_pair(c.message(), f.made.metadata)); break;
      default:
        if (s != storage::none) f.scalars += c.count(scalar_of(s));
    }
  }
  return c.finish("tensor");
}

// Memory is little endian in the file.
void to_host_order(void* data, std::size_t bytes, std::size_t width) noexcept {
  if constexpr (std::endian::native == std::endian::little) return;
  auto* p = static_cast<unsigned char*>(data);
  for (std::size_t i = 0; width > 1 && i + width <= bytes; i += width) std::reverse(p + i, p + i + width);
}

// Bytes of one number of an element (a complex number is two).
std::size_t number_width(dtype t) noexcept {
  if (t == dtype::c64) return 4;
  if (t == dtype::c128) return 8;
  return std::max<std::size_t>(1, bits_of(t) / 8);
}

result<tensor_buffer> from_raw(const tensor_fields& f, dtype type, const read_context& context) {
  const std::size_t width = number_width(type);
  const std::size_t size = f.raw.size();
  const std::size_t excess = reinterpret_cast<std::uintptr_t>(f.raw.data()) % width;
  const bool shared = context.owner != nullptr && size >= share_from && excess <= f.raw_header &&
                      type != dtype::boolean && std::endian::native == std::endian::little;
  if (shared) {
    char* const payload = const_cast<char*>(f.raw.data()) - excess;  // the owner's bytes are not const
    if (excess != 0) std::memmove(payload, f.raw.data(), size);
    return tensor_buffer::wrap(type, f.dims, payload, context.owner);
  }
  QUANTAL_TRY(copy, tensor_buffer::make(type, f.dims));
  if (size != 0) std::memcpy(copy.mutable_data(), f.raw.data(), size);
  to_host_order(copy.mutable_data(), size, width);
  if (type == dtype::boolean) {
    auto* b = copy.mutable_as<unsigned char>();
    std::transform(b, b + size, b, [](unsigned char v) { return static_cast<unsigned char>(v != 0); });
  }
  return std::move(copy);
}

// Second pass: typed elements, one by one, into memory.
class element_sink {
 public:
  element_sink(tensor_buffer& out, dtype type) : at_(out.mutable_as<unsigned char>()), type_(type) {
    const std::uint32_t bits = bits_of(type);
    width_ = type == dtype::c64 ? 4 : type == dtype::c128 ? 8 : bits < 8 ? 1 : bits / 8;
  }
  void operator()(std::uint64_t pattern) noexcept {
    if (!fits(pattern)) out_of_range_ = true;
    if (type_ == dtype::boolean) pattern = pattern != 0;
    // The counts were compared before the memory was made.
    switch (width_) {
      case 1: store(static_cast<std::uint8_t>(pattern)); break;
      case 2: store(static_cast<std::uint16_t>(pattern)); break;
      case 4: store(static_cast<std::uint32_t>(pattern)); break;
      default: store(pattern);
    }
  }
  bool out_of_range() const noexcept { return out_of_range_; }

 private:
  template <class T>
  void store(T value) noexcept {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  // int32_data holds 16-bit floats and packed 4-bit pairs as unsigned patterns; some writers sign-extend them.
  bool fits(std::uint64_t pattern) const noexcept {
    const auto v = static_cast<std::int64_t>(pattern);
    switch (type_) {
      case dtype::f32:
      case dtype::f64:
      case dtype::c64:
      case dtype::c128:
      case dtype::s64:
      case dtype::u64: return true;
      case dtype::u32: return pattern <= UINT32_MAX;
      case dtype::s32: return v >= INT32_MIN && v <= INT32_MAX;
      case dtype::s16: return v >= INT16_MIN && v <= INT16_MAX;
      case dtype::u16: return v >= 0 && v <= UINT16_MAX;
      case dtype::s8: return v >= INT8_MIN && v <= INT8_MAX;
      case dtype::u8: return v >= 0 && v <= UINT8_MAX;
      case dtype::f16:
      case dtype::bf16: return v >= INT16_MIN && v <= UINT16_MAX;
      case dtype::boolean: return v == 0 || v == 1;
      default: return v >= INT8_MIN && v <= UINT8_MAX;
    }
  }
  unsigned char* at_;
  dtype type_;
  std::size_t width_ = 0;
  bool out_of_range_ = false;
};

result<tensor_buffer> from_typed(cursor c, const tensor_fields& f, dtype type, std::uint64_t elements,
                                 std::uint64_t bytes) {
  if (f.stored != typed_storage(type))
    return broken(std::string("elements of type ") + name_of(type) + " are stored in a field of another type");
  const std::uint64_t per_element = type == dtype::c64 || type == dtype::c128 ? 2 : 1;
  const std::uint64_t wanted = bits_of(type) < 8 ? bytes : elements * per_element;
  if (f.scalars != wanted)
    return broken("the tensor has " + std::to_string(f.scalars) + " stored values, its shape needs " +
                  std::to_string(wanted));
  QUANTAL_TRY(out, tensor_buffer::make(type, f.dims));
  element_sink sink(out, type);
  while (c.next())
    if (storage_of(c.field()) == f.stored) c.for_each(scalar_of(f.stored), sink);
  QUANTAL_CHECK(c.finish("tensor"));
  if (sink.out_of_range()) return broken(std::string("a stored value does not fit the type ") + name_of(type));
  return std::move(out);
}

result<tensor_buffer> from_external(const tensor_fields& f, dtype type, std::uint64_t bytes, read_context& context) {
  if (f.stored != storage::none) return broken("the tensor has both external and inline data");
  if (type == dtype::string) return broken("strings cannot be stored as external data");
  QUANTAL_TRY(data, context.external->load(f.place, bytes));
  auto* const memory = const_cast<std::byte*>(data.data);
  to_host_order(memory, data.size, number_width(type));
  return tensor_buffer::wrap(type, f.dims, memory, data.owner);
}

result<tensor_buffer> elements_of(const cursor& again, const tensor_fields& f, read_context& context) {
  const std::optional<dtype> type = ir::dtype_from_onnx(f.data_type.value_or(0));
  if (!type) {
    return error{status::unsupported, "the element type " + std::to_string(*f.data_type) + " of ONNX is not supported",
                 "", ""};
  }
  if (*type == dtype::none) return broken("the tensor has no element type");
  if (f.segment) return error{status::unsupported, "tensors stored in segments are not supported", "", ""};
  if (f.too_many_dims)
    return error{status::limit, "the tensor has more than " + std::to_string(limits::max_rank) + " dimensions", "", ""};
  std::uint64_t elements = 0;
  std::uint64_t bytes = 0;
  if (!f.dims.count(elements) || !bytes_of(*type, elements, bytes)) {
    return error{status::model_type, "the tensor's shape is negative or overflows", "", "the file is damaged"};
  }
  if (f.stored_twice) return broken("the tensor's elements are stored in two fields");
  if (f.external) return from_external(f, *type, bytes, context);
  if (*type == dtype::string) {
    if (f.stored == storage::raw || (f.stored != storage::none && f.stored != storage::string_data))
      return broken("strings are stored in another field than string_data");
    if (f.strings.size() != elements)
      return broken("the tensor has " + std::to_string(f.strings.size()) + " strings, its shape needs " +
                    std::to_string(elements));
    return tensor_buffer::make_strings(f.dims, f.strings);
  }
  if (f.stored == storage::raw) {
    if (f.raw.size() != bytes)
      return broken("the tensor has " + std::to_string(f.raw.size()) + " bytes of data, its shape needs " +
                    std::to_string(bytes));
    return from_raw(f, *type, context);
  }
  if (f.stored == storage::none) {
    if (elements != 0) return broken("the tensor has no data");
    return tensor_buffer::make(*type, f.dims);
  }
  return from_typed(again, f, *type, elements, bytes);
}

}  // namespace

result<void> read_pair(cursor c, ir::string_pairs& out) {
  std::pair<std::string, std::string> entry;
  while (c.next()) {
    if (c.field() == 1) entry.first = c.text();
    if (c.field() == 2) entry.second = c.text();
  }
  QUANTAL_CHECK(c.finish("key and value"));
  out.push_back(std::move(entry));
  return {};
}

result<ir::constant> read_tensor(cursor c, read_context& context) {
  const cursor again = c;
  tensor_fields f;
  const auto where = [&] { return f.made.name.empty() ? std::string("tensor") : "tensor " + quoted(f.made.name); };
  if (auto ok = read_fields(c, f); !ok) return std::move(ok).failure().at(where());
  auto value = elements_of(again, f, context);
  if (!value) return std::move(value).failure().at(where());
  f.made.value = *std::move(value);
  return std::move(f.made);
}

}  // namespace quantal::onnx
