// guarded: the boundary of the library for the one exception its own code can raise: memory runs out.
#pragma once
#include <new>
#include <stdexcept>

#include "quantal/base/result.hpp"

namespace quantal::onnx {

// body() returns a result<T>.
template <class Body>
auto guarded(Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return error{status::out_of_memory, "out of memory", "", "free memory, or use a smaller model"};
}

}  // namespace quantal::onnx
