#include "quantal/io/npy.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "quantal/base/checked.hpp"
#include "quantal/io/atomic_file.hpp"
#include "quantal/io/text.hpp"
#include "quantal/num/float16.hpp"
#include "quantal/num/float8.hpp"
#include "quantal/num/int4.hpp"

namespace quantal::io {

namespace {

constexpr std::size_t longest_header = 64 * 1024;

error bad_header(const std::string& what) {
  return {status::model_syntax, "npy header: " + what, "", "the file is damaged or not written by numpy"};
}

// The Python literal that numpy writes, and nothing more: {'key': value, ...} of strings, True/False and integer
// tuples.
class literal_parser {
 public:
  explicit literal_parser(std::string_view text) : text_(text) {}

  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }
  bool string(std::string& out) {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return false;
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return out.find('\\') == std::string::npos;
  }
  bool boolean(bool& out) {
    skip_blanks();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        out = value;
        at_ += word.size();
        return true;
      }
    }
    return false;
  }
  // An integer; a trailing 'L' is Python 2's.
  bool integer(std::int64_t& out) {
    skip_blanks();
    std::size_t end = at_;
    if (end < text_.size() && text_[end] == '-') ++end;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') ++end;
    const auto value = parse_int(text_.substr(at_, end - at_));
    if (!value) return false;
    out = *value;
    at_ = end < text_.size() && text_[end] == 'L' ? end + 1 : end;
    return true;
  }
  bool next_is(char c) {
    skip_blanks();
    return at_ < text_.size() && text_[at_] == c;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  std::string_view text_;
  std::size_t at_ = 0;
};

// "<f4" -> f32, little endian. numpy.dtype.str: byte order, kind, bytes.
result<void> parse_descr(const std::string& descr, npy_header& out) {
  struct row {
    std::string_view code;
    dtype type;
  };
  constexpr row rows[] = {{"b1", dtype::boolean}, {"i1", dtype::s8},   {"u1", dtype::u8},  {"i2", dtype::s16},
                          {"u2", dtype::u16},     {"i4", dtype::s32},  {"u4", dtype::u32}, {"i8", dtype::s64},
                          {"u8", dtype::u64},     {"f2", dtype::f16},  {"f4", dtype::f32}, {"f8", dtype::f64},
                          {"c8", dtype::c64},     {"c16", dtype::c128}};
  const std::string_view text = descr;
  if (text.find('O') != std::string_view::npos) {
    return error{status::unsupported, "npy array of Python objects (a pickle)", "",
                 "refused because a pickle can run programs: save a numeric array"};
  }
  const char order = text.empty() ? '\0' : text.front();
  if (order == '<' || order == '>' || order == '|' || order == '=') {
    for (const row& r : rows) {
      if (text.substr(1) != r.code) continue;
      out.type = r.type;
      out.big_endian = order == '>' || (order == '=' && std::endian::native == std::endian::big);
      if (order == '|' && bits_of(r.type) != 8) break;  // '|' says "byte order does not matter"
      return {};
    }
  }
  return error{status::unsupported, "npy dtype " + quote(descr), "",
               "save bool, integer or float arrays (bfloat16 and float8 as float32)"};
}

result<void> parse_shape(literal_parser& in, npy_header& out) {
  if (!in.take('(')) return bad_header("shape is not a tuple");
  while (!in.take(')')) {
    std::int64_t dim = 0;
    if (!in.integer(dim)) return bad_header("shape is not a tuple of integers");
    if (dim < 0) return error{status::model_syntax, "npy header: negative dimension " + std::to_string(dim), "", ""};
    if (!out.dims.push_back(dim)) {
      return error{status::limit, "npy array of more than " + std::to_string(limits::max_rank) + " dimensions", "", ""};
    }
    if (!in.take(',') && !in.next_is(')')) return bad_header("shape is not a tuple of integers");
  }
  return {};
}

std::size_t swap_unit(dtype t) {  // complex numbers are two floats, each swapped by itself
  return t == dtype::c64 ? 4 : t == dtype::c128 ? 8 : bits_of(t) / 8;
}

void swap_bytes(void* data, std::size_t bytes, std::size_t unit) {
  auto* p = static_cast<unsigned char*>(data);
  for (std::size_t at = 0; at + unit <= bytes; at += unit) std::reverse(p + at, p + at + unit);
}

// numpy writes 0 and 1; other bytes must not become bools of a third kind.
void normalise_bool(void* data, std::size_t count) {
  auto* p = static_cast<unsigned char*>(data);
  for (std::size_t i = 0; i < count; ++i) p[i] = p[i] != 0;
}

// Element [i0, i1, ...] lies at i0 + d0 (i1 + d1 (...)) in Fortran order.
void fortran_to_c(const unsigned char* from, unsigned char* to, const shape& dims, std::size_t unit) {
  std::uint64_t stride[limits::max_rank] = {};
  std::int64_t index[limits::max_rank] = {};
  std::uint64_t step = 1;
  for (int i = 0; i < dims.rank; ++i) {
    stride[i] = step;
    step *= static_cast<std::uint64_t>(dims[i]);
  }
  std::uint64_t at = 0;
  for (std::int64_t n = dims.elements(); n > 0; --n, to += unit) {
    std::memcpy(to, from + at * unit, unit);
    for (int axis = dims.rank - 1; axis >= 0; --axis) {
      at += stride[axis];
      if (++index[axis] < dims[axis]) break;
      at -= stride[axis] * static_cast<std::uint64_t>(dims[axis]);
      index[axis] = 0;
    }
  }
}

// The header that numpy.lib.format writes: padded with blanks so that the elements begin at a multiple of 64.
result<std::string> header_of(dtype type, const shape& dims) {
  const char* descr = nullptr;
  switch (type) {
    case dtype::boolean: descr = "b1"; break;
    case dtype::s8: descr = "i1"; break;
    case dtype::u8: descr = "u1"; break;
    case dtype::s16: descr = "i2"; break;
    case dtype::u16: descr = "u2"; break;
    case dtype::s32: descr = "i4"; break;
    case dtype::u32: descr = "u4"; break;
    case dtype::s64: descr = "i8"; break;
    case dtype::u64: descr = "u8"; break;
    case dtype::f16: descr = "f2"; break;
    case dtype::f32: descr = "f4"; break;
    case dtype::f64: descr = "f8"; break;
    case dtype::c64: descr = "c8"; break;
    case dtype::c128: descr = "c16"; break;
    default: return error{status::unsupported, std::string("npy cannot hold ") + name_of(type), "", ""};
  }
  const char order = bits_of(type) == 8 ? '|' : std::endian::native == std::endian::big ? '>' : '<';
  std::string text = std::string("{'descr': '") + order + descr + "', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < dims.rank; ++i) {
    text += std::to_string(dims[i]);
    text += dims.rank == 1 ? "," : i + 1 < dims.rank ? ", " : "";
  }
  text += "), }";
  text.append(63 - (10 + text.size()) % 64, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 0xff);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

float float_of(dtype type, unsigned code) {
  const auto byte = static_cast<std::uint8_t>(code);
  switch (type) {
    case dtype::f8e4m3fn: return f8e4m3fn_to_f32(byte);
    case dtype::f8e4m3fnuz: return f8e4m3fnuz_to_f32(byte);
    case dtype::f8e5m2: return f8e5m2_to_f32(byte);
    case dtype::f8e5m2fnuz: return f8e5m2fnuz_to_f32(byte);
    case dtype::f8e8m0: return f8e8m0_to_f32(byte);
    case dtype::f4e2m1: return f4e2m1_to_f32(byte);
    default: return bf16_to_f32(static_cast<std::uint16_t>(code));
  }
}

// numpy has no bf16, f8 or packed integers: the nearest type that holds every value.
result<tensor_buffer> widen(const tensor_buffer& value) {
  const dtype from = value.type();
  const bool to_float = from == dtype::bf16 || (from >= dtype::f8e4m3fn && from <= dtype::f4e2m1);
  const bool packed = from == dtype::s4 || from == dtype::u4 || from == dtype::s2 || from == dtype::u2;
  if (!to_float && !packed) return value;
  const dtype to = to_float ? dtype::f32 : is_signed(from) ? dtype::s8 : dtype::u8;
  QUANTAL_TRY(wide, tensor_buffer::make(to, value.dims()));
  const auto* raw = value.as<std::uint8_t>();
  const std::size_t count = static_cast<std::size_t>(value.elements());
  const unsigned bits = bits_of(from);
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned code = bits == 16 ? value.as<std::uint16_t>()[i] : bits == 8 ? raw[i] : packed_get(raw, i, bits);
    if (to_float) {
      wide.mutable_as<float>()[i] = float_of(from, code);
    } else {
      const unsigned sign = is_signed(from) && code >> (bits - 1) != 0 ? 0xffu << bits : 0u;
      wide.mutable_as<std::uint8_t>()[i] = static_cast<std::uint8_t>(code | sign);
    }
  }
  return std::move(wide);
}

}  // namespace

result<npy_header> parse_npy_header(std::string_view text) {
  literal_parser in(text);
  npy_header header;
  bool has_descr = false, has_order = false, has_shape = false;
  if (!in.take('{')) return bad_header("not a dictionary");
  while (!in.take('}')) {
    std::string key;
    if (!in.string(key) || !in.take(':')) return bad_header("not a dictionary");
    if (key == "descr" && !has_descr) {
      std::string descr;
      has_descr = true;
      if (in.next_is('[')) return error{status::unsupported, "npy array of structures", "", "save one array per field"};
      if (!in.string(descr)) return bad_header("descr is not a string");
      QUANTAL_CHECK(parse_descr(descr, header));
    } else if (key == "fortran_order" && !has_order) {
      has_order = true;
      if (!in.boolean(header.fortran_order)) return bad_header("fortran_order is not True or False");
    } else if (key == "shape" && !has_shape) {
      has_shape = true;
      QUANTAL_CHECK(parse_shape(in, header));
    } else {
      return bad_header("unexpected or repeated key " + quote(key));
    }
    if (!in.take(',') && !in.next_is('}')) return bad_header("not a dictionary");
  }
  if (!in.at_end()) return bad_header("text after the dictionary");
  if (!has_descr || !has_order || !has_shape) return bad_header("descr, fortran_order or shape is missing");
  std::uint64_t count = 0;
  if (!header.dims.count(count)) return error{status::shape, "npy array: number of elements overflows", "", ""};
  return header;
}

result<npy_reader> npy_reader::open(std::unique_ptr<byte_stream> stream) {
  const std::string name = stream->name();
  const auto at = [&](error e) { return std::move(e).at(name); };
  unsigned char start[12] = {};
  if (stream->remaining() < 10) return at(bad_header("file is too short"));
  QUANTAL_CHECK(stream->read(start, 10));
  if (std::memcmp(start, "\x93NUMPY", 6) != 0)
    return at({status::model_syntax, "not an npy file (wrong magic)", "", ""});
  const int major = start[6];
  if (major < 1 || major > 3 || start[7] != 0) {
    return at({status::unsupported, "npy format " + std::to_string(major) + "." + std::to_string(start[7]), "",
               "save as 1.0, 2.0 or 3.0"});
  }
  std::size_t length = start[8] | static_cast<std::size_t>(start[9]) << 8;
  if (major > 1) {
    if (stream->remaining() < 2) return at(bad_header("file is too short"));
    QUANTAL_CHECK(stream->read(start + 10, 2));
    length |= static_cast<std::size_t>(start[10]) << 16 | static_cast<std::size_t>(start[11]) << 24;
  }
  if (length > longest_header)
    return at(
        {status::limit, "npy header of " + std::to_string(length) + " bytes is above the limit of 64 KB", "", ""});
  if (length > stream->remaining()) return at(bad_header("file is too short"));
  std::string text(length, '\0');
  QUANTAL_CHECK(stream->read(text.data(), length));
  auto header = parse_npy_header(text);
  if (!header) return at(std::move(header).failure());
  npy_reader reader;
  reader.header_ = *header;
  std::uint64_t bytes = 0;
  reader.header_.dims.count(reader.left_);
  if (!bytes_of(reader.header_.type, reader.left_, bytes) || bytes != stream->remaining()) {
    return at({status::model_syntax,
               "npy array needs " + std::to_string(bytes) + " bytes for its shape, the file holds " +
                   std::to_string(stream->remaining()),
               "", "the file is truncated or damaged"});
  }
  if (reader.header_.dims.rank < 2) reader.header_.fortran_order = false;  // the same order
  reader.stream_ = std::move(stream);
  if (reader.left_ == 0) QUANTAL_CHECK(reader.stream_->finish());
  return reader;
}

result<void> npy_reader::load_fortran() {
  QUANTAL_TRY(raw, tensor_buffer::make(header_.type, header_.dims));
  QUANTAL_TRY(ordered, tensor_buffer::make(header_.type, header_.dims));
  QUANTAL_CHECK(stream_->read(raw.mutable_data(), raw.bytes()));
  QUANTAL_CHECK(stream_->finish());
  fortran_to_c(raw.as<unsigned char>(), ordered.mutable_as<unsigned char>(), header_.dims, bits_of(header_.type) / 8);
  whole_ = std::move(ordered);
  return {};
}

result<void> npy_reader::read(void* out, std::uint64_t elements) {
  if (elements > left_) return error{status::model_syntax, "array ends too early", name(), ""};
  if (elements == 0) return {};
  const std::size_t unit = bits_of(header_.type) / 8;
  const std::size_t bytes = static_cast<std::size_t>(elements) * unit;  // at most what the open checked
  if (header_.fortran_order) {
    if (!whole_) QUANTAL_CHECK(load_fortran());
    std::memcpy(out, whole_.as<unsigned char>() + (static_cast<std::uint64_t>(dims().elements()) - left_) * unit,
                bytes);
  } else {
    QUANTAL_CHECK(stream_->read(out, bytes));
  }
  left_ -= elements;
  if (left_ == 0 && !header_.fortran_order) QUANTAL_CHECK(stream_->finish());
  const bool foreign = header_.big_endian != (std::endian::native == std::endian::big);
  if (foreign) swap_bytes(out, bytes, swap_unit(header_.type));
  if (header_.type == dtype::boolean) normalise_bool(out, bytes);
  return {};
}

result<tensor_buffer> npy_reader::read_tensor(const shape& part) {
  std::uint64_t count = 0;
  if (!part.count(count) || count > left_) return error{status::model_syntax, "array ends too early", name(), ""};
  auto made = tensor_buffer::make(header_.type, part);
  if (!made) return std::move(made).failure().at(name());
  QUANTAL_CHECK(read(made->mutable_data(), count));
  return std::move(*made);
}

result<tensor_buffer> read_npy(const std::string& path) {
  QUANTAL_TRY(file, random_file::open(path));
  QUANTAL_TRY(reader, npy_reader::open(stream_of(std::make_shared<const random_file>(std::move(file)))));
  return reader.read_tensor(reader.dims());
}

result<void> write_npy(const std::string& path, const tensor_buffer& value) {
  QUANTAL_TRY(wide, widen(value));
  QUANTAL_TRY(header, header_of(wide.type(), wide.dims()));
  QUANTAL_TRY(file, atomic_file::create(path));
  QUANTAL_CHECK(file.write(header));
  QUANTAL_CHECK(file.write(wide.data(), wide.bytes()));
  return file.commit();
}

result<npz_file> npz_file::open(const std::string& path) {
  QUANTAL_TRY(file, random_file::open(path));
  return open(std::make_shared<const random_file>(std::move(file)));
}

result<npz_file> npz_file::open(std::shared_ptr<const random_file> file) {
  const std::string where = escape_text(file->name());
  QUANTAL_TRY(archive, zip_archive::open(std::move(file)));
  npz_file npz(std::move(archive));
  for (const zip_entry& e : npz.archive_.entries()) {
    if (!e.name.ends_with(".npy")) {
      return error{status::model_syntax, "entry " + quote(e.name) + " is not an .npy array", where,
                   "make the archive with numpy.savez"};
    }
    npz.names_.push_back(e.name.substr(0, e.name.size() - 4));
  }
  return npz;
}

bool npz_file::has(std::string_view name) const noexcept {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

result<npy_reader> npz_file::array(std::string_view name) const {
  const zip_entry* entry = archive_.find(std::string(name) + ".npy");
  if (entry == nullptr)
    return error{status::not_found, "no array " + quote(name), escape_text(archive_.file().name()), ""};
  QUANTAL_TRY(stream, archive_.stream(*entry));
  return npy_reader::open(std::move(stream));
}

result<named_arrays> read_npz(const std::string& path) {
  QUANTAL_TRY(npz, npz_file::open(path));
  named_arrays arrays;
  for (const std::string& name : npz.names()) {
    QUANTAL_TRY(reader, npz.array(name));
    QUANTAL_TRY(value, reader.read_tensor(reader.dims()));
    arrays.emplace_back(name, std::move(value));
  }
  return arrays;
}

result<void> write_npz(const std::string& path, const named_arrays& arrays) {
  QUANTAL_TRY(file, atomic_file::create(path));
  zip_writer zip(std::move(file));
  for (const auto& [name, value] : arrays) {
    QUANTAL_TRY(wide, widen(value));
    QUANTAL_TRY(header, header_of(wide.type(), wide.dims()));
    QUANTAL_CHECK(zip.begin(name + ".npy", header.size() + wide.bytes()));
    QUANTAL_CHECK(zip.write(header.data(), header.size()));
    QUANTAL_CHECK(zip.write(wide.data(), wide.bytes()));
    QUANTAL_CHECK(zip.end());
  }
  return zip.finish();
}

}  // namespace quantal::io
