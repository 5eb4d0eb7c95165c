// DLPack: tensors passed between frameworks without a copy, in versions 0 (DLManagedTensor) and 1
// (DLManagedTensorVersioned).
//
// The structures are declared here after the specification (dmlc.github.io/dlpack, v1.1), so that nothing else is
// needed; their layout is an ABI. In: a DLTensor becomes a tensor_view (CPU memory, one lane, strides or none). Out: a
// view becomes a managed tensor whose deleter the consumer calls. The traps: `data` is not the first byte, byte_offset
// is; strides may be null (v0); a versioned tensor of another major version may only be given back through its deleter;
// version 0 cannot say "read only". Freestanding.
#pragma once
#include "quantal/tensor/view.hpp"

namespace quantal::dlpack {

struct version {
  uint32_t major, minor;
};
struct device {
  int32_t type;  // 1: CPU
  int32_t id;
};
struct data_type {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
};
struct tensor {
  void* data;
  device where;
  int32_t rank;
  data_type type;
  int64_t* shape;
  int64_t* strides;  // elements; null: dense
  uint64_t byte_offset;
};
struct managed_tensor {
  tensor value;
  void* context;
  void (*deleter)(managed_tensor*);
};
struct managed_tensor_versioned {
  version abi;
  void* context;
  void (*deleter)(managed_tensor_versioned*);
  uint64_t flags;
  tensor value;
};

inline constexpr int32_t cpu = 1;
inline constexpr uint32_t major_version = 1, minor_version = 1;
inline constexpr uint64_t flag_read_only = 1, flag_is_copied = 2, flag_subbyte_padded = 4;

// Codes of data_type.
enum : uint8_t {
  code_int = 0,
  code_uint = 1,
  code_float = 2,
  code_bfloat = 4,
  code_complex = 5,
  code_bool = 6,
  code_f8e4m3fn = 10,
  code_f8e4m3fnuz = 11,
  code_f8e5m2 = 12,
  code_f8e5m2fnuz = 13,
  code_f8e8m0fnu = 14,
  code_f4e2m1fn = 17,
};

// Our type of a DLPack type; dtype::none: none of ours.
constexpr dtype dtype_of(data_type t) noexcept {
  switch (t.code) {
    case code_int: {
      const dtype types[] = {dtype::s2, dtype::s4, dtype::s8, dtype::s16, dtype::s32, dtype::s64};
      for (const dtype d : types)
        if (bits_of(d) == t.bits) return d;
      return dtype::none;
    }
    case code_uint: {
      const dtype types[] = {dtype::u2, dtype::u4, dtype::u8, dtype::u16, dtype::u32, dtype::u64};
      for (const dtype d : types)
        if (bits_of(d) == t.bits) return d;
      return dtype::none;
    }
    case code_float:
      return t.bits == 32 ? dtype::f32 : t.bits == 64 ? dtype::f64 : t.bits == 16 ? dtype::f16 : dtype::none;
    case code_bfloat: return t.bits == 16 ? dtype::bf16 : dtype::none;
    case code_complex: return t.bits == 64 ? dtype::c64 : t.bits == 128 ? dtype::c128 : dtype::none;
    case code_bool: return t.bits == 8 ? dtype::boolean : dtype::none;
    case code_f8e4m3fn: return t.bits == 8 ? dtype::f8e4m3fn : dtype::none;
    case code_f8e4m3fnuz: return t.bits == 8 ? dtype::f8e4m3fnuz : dtype::none;
    case code_f8e5m2: return t.bits == 8 ? dtype::f8e5m2 : dtype::none;
    case code_f8e5m2fnuz: return t.bits == 8 ? dtype::f8e5m2fnuz : dtype::none;
    case code_f8e8m0fnu: return t.bits == 8 ? dtype::f8e8m0 : dtype::none;
    case code_f4e2m1fn: return t.bits == 4 ? dtype::f4e2m1 : dtype::none;
    default: return dtype::none;
  }
}

constexpr data_type data_type_of(dtype t) noexcept {
  const uint8_t bits = static_cast<uint8_t>(bits_of(t));
  switch (t) {
    case dtype::bf16: return {code_bfloat, bits, 1};
    case dtype::boolean: return {code_bool, bits, 1};
    case dtype::c64:
    case dtype::c128: return {code_complex, bits, 1};
    case dtype::f8e4m3fn: return {code_f8e4m3fn, bits, 1};
    case dtype::f8e4m3fnuz: return {code_f8e4m3fnuz, bits, 1};
    case dtype::f8e5m2: return {code_f8e5m2, bits, 1};
    case dtype::f8e5m2fnuz: return {code_f8e5m2fnuz, bits, 1};
    case dtype::f8e8m0: return {code_f8e8m0fnu, bits, 1};
    case dtype::f4e2m1: return {code_f4e2m1fn, bits, 1};
    default: break;
  }
  if (is_float(t)) return {code_float, bits, 1};
  return {is_signed(t) ? code_int : code_uint, bits, 1};
}

// Errors: unsupported (not CPU memory, several lanes, sub-byte elements that are padded to bytes), dtype, limit (rank),
// shape, overflow, null_pointer, stride.
inline status import_tensor(const tensor& t, tensor_view& out, uint64_t flags = 0) noexcept {
  if (t.where.type != cpu || t.type.lanes != 1) return status::unsupported;
  tensor_view v;
  v.type = dtype_of(t.type);
  if (v.type == dtype::none) return status::dtype;
  if (bits_of(v.type) < 8 && (flags & flag_subbyte_padded) != 0) return status::unsupported;
  if (t.rank < 0) return status::shape;
  if (t.rank > limits::max_rank) return status::limit;
  if (t.rank > 0 && t.shape == nullptr) return status::null_pointer;
  for (int32_t i = 0; i < t.rank; ++i) v.dims.push_back(t.shape[i]);
  uint64_t count = 0;
  if (!v.dims.count(count)) return status::shape;
  if (t.strides == nullptr)
    set_dense_strides(v);
  else
    for (int32_t i = 0; i < t.rank; ++i) v.strides[i] = t.strides[i];
  if (t.data != nullptr) {
    if (t.byte_offset > UINTPTR_MAX - reinterpret_cast<uintptr_t>(t.data)) return status::overflow;
    v.data = static_cast<char*>(t.data) + t.byte_offset;
  }
  v.read_only = (flags & flag_read_only) != 0;
  if (const status s = check_view(v, UINT64_MAX, UINT64_MAX); s != status::ok) return s;
  out = v;
  return status::ok;
}
inline status import_tensor(const managed_tensor* t, tensor_view& out) noexcept {
  return t == nullptr ? status::null_pointer : import_tensor(t->value, out);
}
// Error version: another major version; only its deleter may be called.
inline status import_tensor(const managed_tensor_versioned* t, tensor_view& out) noexcept {
  if (t == nullptr) return status::null_pointer;
  if (t->abi.major != major_version) return status::version;
  return import_tensor(t->value, out, t->flags);
}

// What an exported tensor needs to live: filled by export_view, kept by the owner until the deleter is called.
struct exported {
  managed_tensor v0{};
  managed_tensor_versioned v1{};
  int64_t dims[limits::max_rank] = {};
  int64_t strides[limits::max_rank] = {};
  void (*release)(void* owner) = nullptr;  // called once, by whichever deleter runs
  void* owner = nullptr;
};

// Both forms describe v's memory without a copy; hand out one of them. `keep` and the memory must outlive the consumer,
// who calls the deleter, which calls release(owner). Version 0 is not offered (its deleter is null) for a read-only
// view. Errors: as check_view.
inline status export_view(const tensor_view& v, exported& keep, void (*release)(void*), void* owner) noexcept {
  if (const status s = check_view(v, UINT64_MAX, UINT64_MAX); s != status::ok) return s;
  keep.release = release;
  keep.owner = owner;
  for (int32_t i = 0; i < v.dims.rank; ++i) {
    keep.dims[i] = v.dims[i];
    keep.strides[i] = v.strides[i];
  }
  const tensor t{v.data, {cpu, 0}, v.dims.rank, data_type_of(v.type), keep.dims, keep.strides, 0};
  keep.v0 = {t, &keep, nullptr};
  if (!v.read_only) {
    keep.v0.deleter = [](managed_tensor* m) {
      auto* e = static_cast<exported*>(m->context);
      if (e->release != nullptr) e->release(e->owner);
    };
  }
  keep.v1 = {{major_version, minor_version}, &keep, nullptr, v.read_only ? flag_read_only : 0, t};
  keep.v1.deleter = [](managed_tensor_versioned* m) {
    auto* e = static_cast<exported*>(m->context);
    if (e->release != nullptr) e->release(e->owner);
  };
  return status::ok;
}

}  // namespace quantal::dlpack
