// tensor_buffer: a dense, row-major tensor that owns (or shares) its memory. Host only.
//
// Copying a tensor_buffer shares the bytes; `mutable_data` is for the one who made it. Memory is 64-byte aligned
// when made here; wrapped memory keeps its own alignment. dtype::string keeps its elements in
// `strings()` instead of bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/tensor/dtype.hpp"
#include "quantal/tensor/shape.hpp"

namespace quantal {

class tensor_buffer {
 public:
  tensor_buffer() = default;  // type() == dtype::none: no tensor

  // Allocates; the bytes are not initialised. Errors: shape, overflow, limit, out_of_memory.
  static result<tensor_buffer> make(dtype type, const shape& dims);
  // Refers to memory that `owner` keeps alive. `data` holds bytes_of(type, dims) bytes.
  static tensor_buffer wrap(dtype type, const shape& dims, void* data, std::shared_ptr<const void> owner);
  static tensor_buffer make_strings(const shape& dims, std::vector<std::string> elements);
  // Small constants: of(dtype::s64, shape(2), {1, 2}) and scalars.
  template <class T>
  static tensor_buffer of(const shape& dims, const std::vector<T>& values);

  dtype type() const noexcept { return type_; }
  const shape& dims() const noexcept { return dims_; }
  int64_t elements() const noexcept { return dims_.elements(); }
  size_t bytes() const noexcept { return bytes_; }
  explicit operator bool() const noexcept { return type_ != dtype::none; }

  const void* data() const noexcept { return data_; }
  void* mutable_data() noexcept { return data_; }
  template <class T> const T* as() const noexcept { return static_cast<const T*>(data_); }
  template <class T> T* mutable_as() noexcept { return static_cast<T*>(data_); }
  const std::vector<std::string>& strings() const noexcept { return *strings_; }

  // The same bytes under another shape with as many elements (the caller checks).
  tensor_buffer reshaped(const shape& dims) const;
  // A deep copy.
  result<tensor_buffer> clone() const;
  // Does anyone else share these bytes?
  bool unique() const noexcept { return owner_.use_count() == 1; }
  const std::shared_ptr<const void>& owner() const noexcept { return owner_; }

 private:
  dtype type_ = dtype::none;
  shape dims_;
  void* data_ = nullptr;
  size_t bytes_ = 0;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<std::vector<std::string>> strings_;
};

template <class T>
tensor_buffer tensor_buffer::of(const shape& dims, const std::vector<T>& values) {
  auto copy = std::make_shared<std::vector<T>>(values);
  return wrap(dtype_of<T>::value, dims, copy->data(), copy);
}

}  // namespace quantal
