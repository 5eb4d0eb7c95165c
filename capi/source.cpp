// Samples that the caller pulls (see source.hpp).
#include "source.hpp"

#include <algorithm>

#include "guard.hpp"
#include "quantal/base/checked.hpp"
#include "quantal/io/text.hpp"

namespace quantal::capi {
namespace {

constexpr std::uint64_t kept_bytes_limit = std::uint64_t{64} << 20;

result<std::unique_ptr<data::feed>> feed_of(const quantal_feed& f, std::int64_t number) {
  const std::string where = "feed " + std::to_string(number);
  if (f.tensors == nullptr || f.count == 0)
    return error{status::data_missing, "the callback gave a feed without tensors", where, {}};
  if (f.count > 100'000) return error{status::count, "the callback gave too many tensors", where, {}};
  auto out = std::make_unique<data::feed>();
  out->origin = where;
  for (std::uint64_t i = 0; i < f.count; ++i) {
    auto t = tensor_of(tensor_at(f.tensors, i), "tensor");
    if (!t) return std::move(t).failure().at(where);
    // The caller's memory may change after its next pull, and readers may still hold the tensor.
    QUANTAL_TRY(copy, t->value.clone());
    if (t->name == "_label") {
      out->label = std::move(copy);
      continue;
    }
    out->inputs.emplace_back(t->name, std::move(copy));
  }
  if (out->inputs.empty()) return error{status::data_missing, "the callback gave a feed without inputs", where, {}};
  const shape& first = out->inputs[0].second.dims();
  out->samples = f.samples > 0 ? f.samples : first.rank > 0 ? first[0] : 1;
  return out;
}

// The caller's callbacks as what data::from_pull wants.
class pulled {
 public:
  pulled(quantal_pull_fn pull, quantal_rewind_fn start_over, void* context, std::int64_t feeds)
      : pull_(pull), rewind_(start_over), context_(context), limit_(feeds) {}

  result<std::unique_ptr<data::feed>> next() {
    if (limit_ >= 0 && given_ >= limit_) return std::unique_ptr<data::feed>();
    if (replay_) {
      if (static_cast<std::size_t>(given_) >= kept_.size()) return std::unique_ptr<data::feed>();
      return std::make_unique<data::feed>(kept_[static_cast<std::size_t>(given_++)]);
    }
    quantal_feed f = {};
    f.struct_size = sizeof f;
    const std::int32_t more = pull_(context_, &f);
    if (more < 0) return error{status::cancelled, "the sample callback stopped", "feed " + std::to_string(given_), {}};
    if (more == 0) return std::unique_ptr<data::feed>();
    if (f.struct_size < sizeof f)
      return error{status::struct_size, "the callback changed struct_size", "quantal_feed", {}};
    QUANTAL_TRY(out, feed_of(f, given_));
    ++given_;
    if (rewind_ == nullptr) keep(*out);
    return std::move(out);
  }

  result<void> rewind() {
    if (given_ == 0 && !replay_) return {};  // nothing was taken yet
    given_ = 0;
    if (rewind_ == nullptr) {
      replay_ = true;
      return {};
    }
    if (rewind_(context_) != 0) return error{status::cancelled, "the rewind callback failed", {}, {}};
    return {};
  }

 private:
  void keep(const data::feed& f) {
    if (full_) return;
    std::uint64_t bytes = kept_bytes_;
    for (const auto& [name, value] : f.inputs) bytes += value.bytes();
    full_ = bytes > kept_bytes_limit && !kept_.empty();
    if (full_) return;
    kept_bytes_ = bytes;
    kept_.push_back(f);  // shares the bytes: feeds are not changed
  }

  quantal_pull_fn pull_;
  quantal_rewind_fn rewind_;
  void* context_;
  std::int64_t limit_, given_ = 0;
  std::vector<data::feed> kept_;
  std::uint64_t kept_bytes_ = 0;
  bool full_ = false, replay_ = false;
};

}  // namespace

std::unique_ptr<data::source> pull_source(quantal_pull_fn pull, quantal_rewind_fn rewind, void* context,
                                          std::int64_t feeds, std::vector<ir::value_info> inputs) {
  auto state = std::make_shared<pulled>(pull, rewind, context, feeds);
  return data::from_pull([state] { return state->next(); }, std::move(inputs), [state] { return state->rewind(); });
}

const quantal_tensor* tensor_at(const quantal_tensor* first, std::uint64_t i) noexcept {
  return reinterpret_cast<const quantal_tensor*>(reinterpret_cast<const unsigned char*>(first) +
                                                 i * first->struct_size);
}

result<exec::named_tensor> tensor_of(const quantal_tensor* in, const char* what) {
  quantal_tensor t;
  if (const std::int32_t s = read_struct(in, t, sizeof(quantal_tensor), 0); s != QUANTAL_OK) {
    return error{static_cast<status>(s), std::string(what) + " is not a quantal_tensor", {}, "set struct_size"};
  }
  if (t.name == nullptr) return error{status::null_pointer, std::string(what) + " has no name", {}, {}};
  const std::string where = io::quote(t.name);
  if (t.rank < 0 || t.rank > limits::max_rank)
    return error{status::shape, "rank " + std::to_string(t.rank), where, "ranks are 0 to 8"};
  if (t.rank > 0 && t.dims == nullptr) return error{status::null_pointer, "dims is NULL", where, {}};
  if (quantal_dtype_bits(t.dtype) == 0)
    return error{status::dtype, "unknown element type " + std::to_string(t.dtype), where, {}};
  shape dims;
  for (std::int32_t i = 0; i < t.rank; ++i) {
    if (t.dims[i] < 0) return error{status::shape, "dimension " + std::to_string(i) + " is negative", where, {}};
    dims.push_back(t.dims[i]);
  }
  std::uint64_t elements = 0, bytes = 0;
  if (!dims.count(elements) || !bytes_of(static_cast<dtype>(t.dtype), elements, bytes))
    return error{status::overflow, "too many elements", where, {}};
  if (bytes > 0 && t.data == nullptr) return error{status::null_pointer, "data is NULL", where, {}};
  if (t.bytes != bytes) {
    return error{status::buffer,
                 "data has " + std::to_string(t.bytes) + " bytes, the shape needs " + std::to_string(bytes),
                 where,
                 {}};
  }
  const auto type = static_cast<dtype>(t.dtype);
  tensor_buffer value = tensor_buffer::wrap(type, dims, const_cast<void*>(t.data), nullptr);
  const std::uintptr_t alignment = bits_of(type) > 8 ? bits_of(type) / 8 : 1;
  if (reinterpret_cast<std::uintptr_t>(t.data) % alignment != 0) {  // a copy is aligned
    QUANTAL_TRY(copy, value.clone());
    value = copy;
  }
  return exec::named_tensor{t.name, std::move(value)};
}

}  // namespace quantal::capi
