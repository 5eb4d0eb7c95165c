// Between tensor_buffer (owns) and tensor_view (refers): a view costs nothing, a buffer of a view is a dense copy. Host
// only.
#pragma once
#include "quantal/tensor/buffer.hpp"
#include "quantal/tensor/view.hpp"

namespace quantal {

// A dense view; it must not outlive the buffer. dtype::string has no bytes to view: type none.
inline tensor_view view_of(tensor_buffer& buffer) noexcept {
  tensor_view v;
  if (make_view(buffer.type(), buffer.dims(), buffer.mutable_data(), buffer.bytes(), v) != status::ok) return {};
  return v;
}
inline tensor_view view_of(const tensor_buffer& buffer) noexcept {
  tensor_view v;
  void* data = const_cast<void*>(buffer.data());  // marked read_only below
  if (make_view(buffer.type(), buffer.dims(), data, buffer.bytes(), v) != status::ok) return {};
  v.read_only = true;
  return v;
}

// Errors: those of copy_dense and of tensor_buffer::make.
inline result<tensor_buffer> copy_of(const tensor_view& v) {
  QUANTAL_TRY(made, tensor_buffer::make(v.type, v.dims));
  if (const status s = copy_dense(v, made.mutable_data()); s != status::ok) {
    return error{s, "the tensor's strides or memory cannot be read", "", "pass a dense array"};
  }
  return std::move(made);
}

}  // namespace quantal
