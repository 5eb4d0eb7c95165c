// The C ABI's first two parts: version, status, element types; parameters of a range; arrays to integers and back.
// Every function checks all it was given before it writes a byte. Names of dtypes are those of tensor/dtype.hpp.
#include <cstdlib>

#include "guard.hpp"
#include "quantal/base/checked.hpp"
#include "quantal/kernels/quantize_array.hpp"
#include "quantal/quant/affine.hpp"
#include "quantal/quant/choose.hpp"
#include "quantal/tensor/dtype.hpp"

namespace quantal::capi {
namespace {

// Copies a text into a fixed array: cut to fit at a character's boundary, control characters replaced.
void copy_text(const std::string& text, char* out, std::size_t capacity) noexcept {
  std::size_t n = 0;
  for (; n < text.size() && n + 1 < capacity; ++n) {
    const auto c = static_cast<unsigned char>(text[n]);
    out[n] = c < 0x20 || c == 0x7f ? '?' : static_cast<char>(c);
  }
  if (n < text.size()) {
    while (n > 0 && (static_cast<unsigned char>(out[n - 1]) & 0xc0) == 0x80) --n;  // never half a UTF-8 character
    if (n > 0 && (static_cast<unsigned char>(out[n - 1]) & 0x80) != 0) --n;
  }
  out[n] = 0;
}

}  // namespace

std::int32_t fail(const error& e, quantal_diag* diag) noexcept {
  const std::int32_t code = code_of(e.code);
  if (diag == nullptr || diag->struct_size < sizeof(quantal_diag)) return code;
  try {
    copy_text(e.message(), diag->message, sizeof diag->message);
  } catch (...) {
    copy_text(e.what, diag->message, sizeof diag->message);
  }
  copy_text(e.where, diag->where, sizeof diag->where);
  diag->code = code;
  return code;
}

char* copy_out(const std::string& text) noexcept {
  auto* out = static_cast<char*>(std::malloc(text.size() + 1));
  if (out != nullptr) std::memcpy(out, text.c_str(), text.size() + 1);
  return out;
}

namespace {

struct status_row {
  status code;
  const char* name;
  const char* text;
};
constexpr status_row status_rows[] = {
    {status::ok, "ok", "success"},
    {status::null_pointer, "null_pointer", "a required pointer is NULL"},
    {status::struct_size, "struct_size", "struct_size is 0 or too small"},
    {status::version, "version", "a newer struct or blob than this library knows"},
    {status::flags, "flags", "unknown flag bit or non-zero reserved word"},
    {status::shape, "shape", "negative or inconsistent dimension"},
    {status::stride, "stride", "stride smaller than the row, or of the wrong sign"},
    {status::overflow, "overflow", "a size does not fit"},
    {status::buffer, "buffer", "a buffer is smaller than the shape needs"},
    {status::overlap, "overlap", "input and output overlap where they must not"},
    {status::scratch, "scratch", "workspace missing, short or misaligned"},
    {status::plan, "plan", "plan memory is not a valid plan"},
    {status::state, "state", "functions called in the wrong order"},
    {status::argument, "argument", "bad argument"},
    {status::scale, "scale", "scale is zero, negative, NaN, infinite or denormal"},
    {status::zero_point, "zero_point", "zero point outside the type's range"},
    {status::range, "range", "range is inverted, infinite or cannot be represented"},
    {status::count, "count", "number of scales, zero points or channels disagree"},
    {status::dtype, "dtype", "type not allowed here"},
    {status::contract, "contract", "unknown rounding contract"},
    {status::nan_value, "nan_value", "NaN where it is forbidden"},
    {status::calibration, "calibration", "nothing was observed, or too little"},
    {status::data_format, "data_format", "an array or image file cannot be used"},
    {status::data_shape, "data_shape", "an array does not fit the model's input"},
    {status::data_missing, "data_missing", "no data where data is required"},
    {status::io, "io", "read, write or rename failed"},
    {status::not_found, "not_found", "file or directory does not exist"},
    {status::path, "path", "a path leaves the directory it must stay in"},
    {status::out_of_memory, "out_of_memory", "out of memory"},
    {status::cancelled, "cancelled", "a callback asked to stop"},
    {status::model_syntax, "model_syntax", "the bytes are not what the format says"},
    {status::model_graph, "model_graph", "cycle, missing producer or duplicate name in the model"},
    {status::model_type, "model_type", "types or shapes of the model contradict each other"},
    {status::limit, "limit", "a count, size or depth is above the limit"},
    {status::bomb, "bomb", "compressed data that would explode"},
    {status::usage, "usage", "bad configuration"},
    {status::unsupported, "unsupported", "valid, but not something Quantal can do"},
    {status::gate, "gate", "done, but below the quality that was asked for"},
    {status::internal, "internal", "a defect of Quantal"},
};

const status_row* find_status(std::int32_t code) noexcept {
  for (const status_row& row : status_rows) {
    if (code_of(row.code) == code) return &row;
  }
  return nullptr;
}

struct dtype_row {
  dtype type;
  const char* alias;  // numpy's and ONNX's word
};
constexpr dtype_row dtype_rows[] = {
    {dtype::f32, "float32"},  {dtype::f64, "float64"}, {dtype::f16, "float16"}, {dtype::bf16, "bfloat16"},
    {dtype::s8, "int8"},      {dtype::u8, "uint8"},    {dtype::s16, "int16"},   {dtype::u16, "uint16"},
    {dtype::s32, "int32"},    {dtype::u32, "uint32"},  {dtype::s64, "int64"},   {dtype::u64, "uint64"},
    {dtype::s4, "int4"},      {dtype::u4, "uint4"},    {dtype::s2, "int2"},     {dtype::u2, "uint2"},
    {dtype::boolean, "bool"},
};

bool same_word(const char* a, const char* b) noexcept {
  for (; *a != 0 && *b != 0; ++a, ++b) {
    const char lower = *a >= 'A' && *a <= 'Z' ? static_cast<char>(*a + 32) : *a;
    if (lower != *b) return false;
  }
  return *a == *b;
}

bool known_dtype(std::int32_t type) noexcept {
  for (const dtype_row& row : dtype_rows) {
    if (static_cast<std::int32_t>(row.type) == type) return true;
  }
  return false;
}

bool overlap(const void* a, std::size_t a_bytes, const void* b, std::size_t b_bytes) noexcept {
  const auto x = reinterpret_cast<std::uintptr_t>(a), y = reinterpret_cast<std::uintptr_t>(b);
  return a_bytes != 0 && b_bytes != 0 && x < y + b_bytes && y < x + a_bytes;
}

struct array_plan {
  shape dims;
  affine_params params;
  dtype type = dtype::none;
  const preset_row* preset = nullptr;
  std::size_t float_bytes = 0, code_bytes = 0;
};

// All checks that quantize and dequantize share.
std::int32_t plan_array(const quantal_quant_desc* desc, array_plan& plan) noexcept {
  quantal_quant_desc d;
  if (const std::int32_t s = read_struct(desc, d, sizeof(quantal_quant_desc), 0); s != QUANTAL_OK) return s;
  if (d.reserved != 0) return QUANTAL_E_FLAGS;
  if (d.rank < 0 || d.rank > limits::max_rank) return QUANTAL_E_SHAPE;
  if (d.rank > 0 && d.dims == nullptr) return QUANTAL_E_NULL;
  for (std::int32_t i = 0; i < d.rank; ++i) {
    if (d.dims[i] < 0) return QUANTAL_E_SHAPE;
    plan.dims.push_back(d.dims[i]);
  }
  if (!known_dtype(d.dtype)) return QUANTAL_E_DTYPE;
  plan.type = static_cast<dtype>(d.dtype);
  code_limits codes;
  if (!code_limits_of(plan.type, codes)) return QUANTAL_E_DTYPE;
  if (d.preset != nullptr && (plan.preset = find_preset(d.preset)) == nullptr) return QUANTAL_E_ARGUMENT;
  if (d.axis < -1 || d.axis >= d.rank) return QUANTAL_E_SHAPE;
  std::uint64_t elements = 0, floats = 0, bytes = 0;
  if (!plan.dims.count(elements) || !checked_mul(elements, sizeof(float), floats) ||
      !bytes_of(plan.type, elements, bytes)) {
    return QUANTAL_E_OVERFLOW;
  }
  if (!checked_size(floats, plan.float_bytes) || !checked_size(bytes, plan.code_bytes) || d.count > SIZE_MAX) {
    return QUANTAL_E_OVERFLOW;
  }
  plan.params = {d.scales, d.zero_points, static_cast<std::size_t>(d.count), d.axis, 0};
  return code_of(check_affine(plan.dims, plan.type, plan.params));
}

// Memory for an operand that is not aligned as its type: the arithmetic reads whole elements. Empty if there is none.
struct aligned_copy {
  void* memory = nullptr;
  aligned_copy(const void* p, std::size_t bytes, std::size_t alignment) noexcept {
    if (reinterpret_cast<std::uintptr_t>(p) % alignment != 0) memory = std::malloc(bytes);
    needed = reinterpret_cast<std::uintptr_t>(p) % alignment != 0;
  }
  ~aligned_copy() { std::free(memory); }
  aligned_copy(const aligned_copy&) = delete;
  aligned_copy& operator=(const aligned_copy&) = delete;
  bool needed = false;
  bool failed() const noexcept { return needed && memory == nullptr; }
};

std::size_t alignment_of(dtype type) noexcept {
  return bits_of(type) > 8 ? bits_of(type) / 8 : 1;
}

std::int32_t check_buffers(const array_plan& plan, const void* x, std::size_t x_bytes, const void* q,
                           std::size_t q_bytes) noexcept {
  if (plan.float_bytes == 0) return QUANTAL_OK;
  if (x == nullptr || q == nullptr) return QUANTAL_E_NULL;
  if (x_bytes < plan.float_bytes || q_bytes < plan.code_bytes) return QUANTAL_E_BUFFER;
  return overlap(x, plan.float_bytes, q, plan.code_bytes) ? QUANTAL_E_OVERLAP : QUANTAL_OK;
}

}  // namespace
}  // namespace quantal::capi

using namespace quantal;
using namespace quantal::capi;

extern "C" {

uint32_t quantal_version(void) {
  return QUANTAL_VERSION_MAJOR * 10000 + QUANTAL_VERSION_MINOR * 100 + QUANTAL_VERSION_PATCH;
}
#define QUANTAL_TEXT_(x) #x
#define QUANTAL_TEXT(x) QUANTAL_TEXT_(x)
const char* quantal_version_string(void) {
  return QUANTAL_TEXT(QUANTAL_VERSION_MAJOR) "." QUANTAL_TEXT(QUANTAL_VERSION_MINOR) "." QUANTAL_TEXT(
      QUANTAL_VERSION_PATCH);
}
uint32_t quantal_abi_version(void) {
  return QUANTAL_ABI_VERSION;
}

const char* quantal_status_name(int32_t code) {
  const status_row* row = find_status(code);
  return row != nullptr ? row->name : "unknown";
}
const char* quantal_strerror(int32_t code) {
  const status_row* row = find_status(code);
  return row != nullptr ? row->text : "unknown";
}

uint32_t quantal_dtype_bits(int32_t type) {
  return known_dtype(type) ? bits_of(static_cast<dtype>(type)) : 0;
}
int32_t quantal_dtype_from_name(const char* name) {
  if (name == nullptr) return QUANTAL_DTYPE_NONE;
  for (const dtype_row& row : dtype_rows) {
    if (same_word(name, name_of(row.type)) || same_word(name, row.alias)) return static_cast<std::int32_t>(row.type);
  }
  return QUANTAL_DTYPE_NONE;
}
const char* quantal_dtype_name(int32_t type) {
  return known_dtype(type) ? name_of(static_cast<dtype>(type)) : "?";
}

int32_t quantal_choose_params(double min, double max, int32_t type, const char* preset, uint32_t flags, float* scale,
                              int32_t* zero_point) {
  if (scale == nullptr || zero_point == nullptr) return QUANTAL_E_NULL;
  if ((flags & ~(uint32_t{QUANTAL_SYMMETRIC} | uint32_t{QUANTAL_REDUCE_RANGE} | uint32_t{QUANTAL_POWER_OF_TWO})) != 0)
    return QUANTAL_E_FLAGS;
  if (!known_dtype(type)) return QUANTAL_E_DTYPE;
  choose_options options;
  options.type = static_cast<dtype>(type);
  options.symmetric = (flags & QUANTAL_SYMMETRIC) != 0;
  options.reduce_range = (flags & QUANTAL_REDUCE_RANGE) != 0;
  options.power_of_two = (flags & QUANTAL_POWER_OF_TWO) != 0;
  if (preset != nullptr && (options.preset = find_preset(preset)) == nullptr) return QUANTAL_E_ARGUMENT;
  quant_params params;
  const status s = choose_params(min, max, options, params);
  if (s == status::ok) {
    *scale = params.scale;
    *zero_point = params.zero_point;
  }
  return code_of(s);
}

int32_t quantal_quantize(const quantal_quant_desc* desc, const float* x, size_t x_bytes, void* q, size_t q_bytes) {
  array_plan plan;
  if (const int32_t s = plan_array(desc, plan); s != QUANTAL_OK) return s;
  if (const int32_t s = check_buffers(plan, x, x_bytes, q, q_bytes); s != QUANTAL_OK) return s;
  const quantize_options options = plan.preset != nullptr ? quantize_options_of(*plan.preset) : quantize_options{};
  const aligned_copy from(x, plan.float_bytes, sizeof(float)), to(q, plan.code_bytes, alignment_of(plan.type));
  if (from.failed() || to.failed()) return QUANTAL_E_OUT_OF_MEMORY;
  if (from.needed) std::memcpy(from.memory, x, plan.float_bytes);
  const auto* source = from.needed ? static_cast<const float*>(from.memory) : x;
  const status done = quantize_array(source, plan.dims, plan.params, plan.type, to.needed ? to.memory : q, options);
  if (done == status::ok && to.needed) std::memcpy(q, to.memory, plan.code_bytes);
  return code_of(done);
}

int32_t quantal_dequantize(const quantal_quant_desc* desc, const void* q, size_t q_bytes, float* x, size_t x_bytes) {
  array_plan plan;
  if (const int32_t s = plan_array(desc, plan); s != QUANTAL_OK) return s;
  if (const int32_t s = check_buffers(plan, x, x_bytes, q, q_bytes); s != QUANTAL_OK) return s;
  const aligned_copy from(q, plan.code_bytes, alignment_of(plan.type)), to(x, plan.float_bytes, sizeof(float));
  if (from.failed() || to.failed()) return QUANTAL_E_OUT_OF_MEMORY;
  if (from.needed) std::memcpy(from.memory, q, plan.code_bytes);
  auto* target = to.needed ? static_cast<float*>(to.memory) : x;
  const status done = dequantize_array(from.needed ? from.memory : q, plan.dims, plan.params, plan.type, target);
  if (done == status::ok && to.needed) std::memcpy(x, to.memory, plan.float_bytes);
  return code_of(done);
}

void quantal_free(void* memory) {
  std::free(memory);
}

}  // extern "C"
