// The C ABI's door to DLPack: tensor/dlpack.hpp behind a plain struct. What is written out owns itself: the deleter
// frees it and tells the owner of the memory.
#include "quantal/tensor/dlpack.hpp"

#include "guard.hpp"

using namespace quantal;
using namespace quantal::capi;

namespace {

struct owned {
  dlpack::exported tensor;
  void (*release)(void*);
  void* owner;
};

void free_owned(void* p) {
  const owned copy = *static_cast<owned*>(p);
  delete static_cast<owned*>(p);
  if (copy.release != nullptr) copy.release(copy.owner);
}

std::int32_t view_of(const quantal_view* in, tensor_view& out) noexcept {
  quantal_view v;
  if (const std::int32_t s = read_struct(in, v, sizeof(quantal_view), QUANTAL_VIEW_READ_ONLY); s != QUANTAL_OK)
    return s;
  if (v.rank < 0) return QUANTAL_E_SHAPE;
  if (v.rank > limits::max_rank) return QUANTAL_E_LIMIT;
  out.data = v.data;
  out.type = static_cast<dtype>(v.dtype);
  for (std::int32_t i = 0; i < v.rank; ++i) {
    out.dims.push_back(v.dims[i]);
    out.strides[i] = v.strides[i];
  }
  out.read_only = (v.flags & QUANTAL_VIEW_READ_ONLY) != 0;
  return QUANTAL_OK;
}

}  // namespace

extern "C" {

int32_t quantal_dlpack_read(const void* managed, int32_t major, quantal_view* view) {
  if (managed == nullptr || view == nullptr) return QUANTAL_E_NULL;
  if (major != 0 && major != 1) return QUANTAL_E_VERSION;
  tensor_view v;
  const status s = major == 0 ? dlpack::import_tensor(static_cast<const dlpack::managed_tensor*>(managed), v)
                              : dlpack::import_tensor(static_cast<const dlpack::managed_tensor_versioned*>(managed), v);
  if (s != status::ok) return code_of(s);
  quantal_view out = {};
  out.flags = v.read_only ? QUANTAL_VIEW_READ_ONLY : 0;
  out.dtype = static_cast<std::int32_t>(v.type);
  out.rank = v.dims.rank;
  out.data = v.data;
  for (std::int32_t i = 0; i < v.dims.rank; ++i) {
    out.dims[i] = v.dims[i];
    out.strides[i] = v.strides[i];
  }
  return write_struct(out, view, sizeof(quantal_view));
}

int32_t quantal_dlpack_write(const quantal_view* view, int32_t major, void (*release)(void*), void* owner,
                             void** managed) {
  if (managed == nullptr) return QUANTAL_E_NULL;
  if (major != 0 && major != 1) return QUANTAL_E_VERSION;
  tensor_view v;
  if (const std::int32_t s = view_of(view, v); s != QUANTAL_OK) return s;
  if (v.read_only && major == 0) return QUANTAL_E_UNSUPPORTED;
  auto* made = new (std::nothrow) owned{{}, release, owner};
  if (made == nullptr) return QUANTAL_E_OUT_OF_MEMORY;
  if (const status s = dlpack::export_view(v, made->tensor, free_owned, made); s != status::ok) {
    delete made;
    return code_of(s);
  }
  *managed = major == 0 ? static_cast<void*>(&made->tensor.v0) : static_cast<void*>(&made->tensor.v1);
  return QUANTAL_OK;
}

}  // extern "C"
