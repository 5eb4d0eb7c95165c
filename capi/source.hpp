// A data source over the caller's pull callback, and tensors to and from the C structs.
#pragma once
#include <memory>

#include "quantal.h"
#include "quantal/data/source.hpp"
#include "quantal/exec/session.hpp"

namespace quantal::capi {

// At most `feeds` feeds (-1: all). Without a rewind callback the first feeds are copied, up to 64 MiB, and a rewound
// source gives those: enough to measure a result on, bounded in memory.
std::unique_ptr<data::source> pull_source(quantal_pull_fn pull, quantal_rewind_fn rewind, void* context,
                                          std::int64_t feeds, std::vector<ir::value_info> inputs);

// A tensor that refers to the caller's memory. Errors: null_pointer, struct_size, dtype, shape, overflow, buffer.
result<exec::named_tensor> tensor_of(const quantal_tensor* t, const char* what);
// Entry i of an array whose stride is the first entry's struct_size.
const quantal_tensor* tensor_at(const quantal_tensor* first, std::uint64_t i) noexcept;

}  // namespace quantal::capi
