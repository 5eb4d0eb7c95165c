#include "quantal/tensor/buffer.hpp"

#include <cstring>
#include <new>

namespace quantal {

namespace {
constexpr std::size_t alignment = 64;
}

result<tensor_buffer> tensor_buffer::make(dtype type, const shape& dims) {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  if (!dims.count(count)) return error{status::shape, "tensor has a negative or overflowing shape", "", ""};
  if (type == dtype::none) return error{status::dtype, "tensor has no element type", "", ""};
  if (!bytes_of(type, count, bytes)) return error{status::overflow, "tensor size overflows", "", ""};
  if (bytes > limits::max_tensor_bytes) {
    return error{status::limit, "tensor of " + std::to_string(bytes) + " bytes is above the limit", "", ""};
  }
  if (type == dtype::string) {
    return make_strings(dims, std::vector<std::string>(static_cast<std::size_t>(count)));
  }
  std::size_t size = static_cast<std::size_t>(bytes);
  void* memory = ::operator new(size == 0 ? 1 : size, std::align_val_t{alignment}, std::nothrow);
  if (memory == nullptr) {
    return error{status::out_of_memory, "out of memory for a tensor of " + std::to_string(bytes) + " bytes", "", ""};
  }
  std::shared_ptr<const void> owner(memory, [](const void* p) {
    ::operator delete(const_cast<void*>(p), std::align_val_t{alignment});
  });
  return wrap(type, dims, memory, std::move(owner));
}

tensor_buffer tensor_buffer::wrap(dtype type, const shape& dims, void* data, std::shared_ptr<const void> owner) {
  tensor_buffer t;
  t.type_ = type;
  t.dims_ = dims;
  t.data_ = data;
  std::uint64_t bytes = 0;
  bytes_of(type, static_cast<std::uint64_t>(dims.elements()), bytes);
  t.bytes_ = static_cast<std::size_t>(bytes);
  t.owner_ = std::move(owner);
  return t;
}

tensor_buffer tensor_buffer::make_strings(const shape& dims, std::vector<std::string> elements) {
  tensor_buffer t;
  t.type_ = dtype::string;
  t.dims_ = dims;
  t.strings_ = std::make_shared<std::vector<std::string>>(std::move(elements));
  t.owner_ = t.strings_;
  return t;
}

tensor_buffer tensor_buffer::reshaped(const shape& dims) const {
  tensor_buffer t = *this;
  t.dims_ = dims;
  return t;
}

result<tensor_buffer> tensor_buffer::clone() const {
  if (type_ == dtype::string) return make_strings(dims_, *strings_);
  QUANTAL_TRY(copy, make(type_, dims_));
  if (bytes_ > 0) std::memcpy(copy.data_, data_, bytes_);
  return std::move(copy);
}

}  // namespace quantal
