// tensor_view: a tensor in memory that someone else owns: type, shape, strides, and the quantization parameters that
// belong to it.
//
//   element (i0, i1, ...) lies at  data + byte_of(i0 * strides[0] + i1 * strides[1] + ...)
//
// Strides count elements and may be negative (a reversed axis; `data` then points at element (0, 0, ...), not at the
// lowest address) or 0 (a repeated axis). Sub-byte types are packed (num/int4.hpp) and must be dense: their elements
// have no address of their own. Nothing here copies; `copy_dense` does, where it is asked. Freestanding.
#pragma once
#include "quantal/base/status.hpp"
#include "quantal/tensor/dtype.hpp"
#include "quantal/tensor/shape.hpp"

namespace quantal {

// Parameters beside a tensor of codes, in the same layout as quant/affine.hpp's affine_params; scales null: none.
struct view_quantization {
  const float* scales = nullptr;
  const int32_t* zero_points = nullptr;
  size_t count = 0;
  int32_t axis = -1;
  int64_t block = 0;
};

struct tensor_view {
  void* data = nullptr;
  dtype type = dtype::none;
  shape dims;
  int64_t strides[limits::max_rank] = {};
  bool read_only = false;
  view_quantization quantization;

  constexpr int64_t elements() const noexcept { return dims.elements(); }

  // Row-major without gaps (axes of length 1 have any stride).
  constexpr bool is_dense() const noexcept {
    int64_t expected = 1;
    for (int32_t i = dims.rank; i-- > 0;) {
      if (dims[i] == 0) return true;
      if (dims[i] != 1 && strides[i] != expected) return false;
      expected *= dims[i];
    }
    return true;
  }
  // Largest power of two that divides the address, up to 4096.
  size_t alignment() const noexcept {
    const uintptr_t address = reinterpret_cast<uintptr_t>(data) | 4096u;
    return static_cast<size_t>(address & (~address + 1));
  }
};

constexpr void set_dense_strides(tensor_view& v) noexcept {
  int64_t stride = 1;
  for (int32_t i = v.dims.rank; i-- > 0;) {
    v.strides[i] = stride;
    if (v.dims[i] > 1) stride *= v.dims[i];
  }
}

// A dense view of a buffer of `bytes` bytes. Errors: dtype, shape, overflow, buffer (too small), null_pointer.
inline status make_view(dtype type, const shape& dims, void* data, size_t bytes, tensor_view& out) noexcept {
  uint64_t count = 0, needed = 0;
  if (bits_of(type) == 0) return status::dtype;
  if (!dims.count(count)) return status::shape;
  if (!bytes_of(type, count, needed)) return status::overflow;
  if (needed > bytes) return status::buffer;
  if (data == nullptr && needed != 0) return status::null_pointer;
  tensor_view v;
  v.data = data;
  v.type = type;
  v.dims = dims;
  set_dense_strides(v);
  out = v;
  return status::ok;
}

// The lowest and one past the highest element offset that a view reaches. False on overflow.
constexpr bool offset_range(const tensor_view& v, int64_t& low, int64_t& high) noexcept {
  int64_t first = 0, last = 0;
  for (int32_t i = 0; i < v.dims.rank; ++i) {
    if (v.dims[i] == 0) {
      low = high = 0;
      return true;
    }
    int64_t reach = 0;
    if (__builtin_mul_overflow(v.dims[i] - 1, v.strides[i], &reach)) return false;
    if (__builtin_add_overflow(reach < 0 ? first : last, reach, reach < 0 ? &first : &last)) return false;
  }
  low = first;
  return !__builtin_add_overflow(last, int64_t{1}, &high);
}

// Checks a view against itself and against the memory it may touch: `bytes_before` bytes below data and `bytes_after`
// from data on. Errors: dtype, shape, stride (sub-byte and not dense), overflow, buffer, null_pointer.
constexpr status check_view(const tensor_view& v, uint64_t bytes_before, uint64_t bytes_after) noexcept {
  uint64_t count = 0;
  const uint32_t bits = bits_of(v.type);
  if (bits == 0) return status::dtype;
  if (v.dims.rank < 0 || v.dims.rank > limits::max_rank || !v.dims.count(count)) return status::shape;
  if (bits < 8 && !v.is_dense()) return status::stride;
  if (count == 0) return status::ok;
  if (v.data == nullptr) return status::null_pointer;
  int64_t low = 0, high = 0;
  uint64_t below = 0, above = 0;
  if (!offset_range(v, low, high)) return status::overflow;
  if (!bytes_of(v.type, static_cast<uint64_t>(0) - static_cast<uint64_t>(low), below)) return status::overflow;
  if (!bytes_of(v.type, static_cast<uint64_t>(high), above)) return status::overflow;
  return below <= bytes_before && above <= bytes_after ? status::ok : status::buffer;
}

// Copies the elements in row-major order, without gaps; `to` holds bytes_of(type, elements) bytes. A dense view is one
// copy. Errors: as check_view apart from buffer (the caller vouches for the memory), null_pointer.
inline status copy_dense(const tensor_view& v, void* to) noexcept {
  if (const status s = check_view(v, UINT64_MAX, UINT64_MAX); s != status::ok) return s;
  const size_t count = static_cast<size_t>(v.elements());
  if (count == 0) return status::ok;
  if (to == nullptr) return status::null_pointer;
  uint64_t bytes = 0;
  bytes_of(v.type, count, bytes);
  if (v.is_dense()) {
    __builtin_memcpy(to, v.data, static_cast<size_t>(bytes));
    return status::ok;
  }
  const size_t size = bits_of(v.type) / 8;
  int64_t index[limits::max_rank] = {};
  const char* from = static_cast<const char*>(v.data);
  char* out = static_cast<char*>(to);
  for (size_t done = 0; done < count; ++done, out += size) {
    __builtin_memcpy(out, from, size);
    for (int32_t axis = v.dims.rank; axis-- > 0;) {
      const int64_t step = v.strides[axis] * static_cast<int64_t>(size);
      if (++index[axis] < v.dims[axis]) {
        from += step;
        break;
      }
      from -= step * (v.dims[axis] - 1);
      index[axis] = 0;
    }
  }
  return status::ok;
}

}  // namespace quantal
