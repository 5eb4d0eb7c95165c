// result<T>: a value or an error. The library neither throws across its boundary, nor aborts, nor prints.
//
// An error says what is wrong, where (file, node, tensor, sample) and what to do about it; the CLI prints
// it as one line `quantal: error: <what> (<where>): <advice>`. Host only (std::string): ranks 0 to 4 use
// `status` alone where they must run on a microcontroller.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "quantal/base/status.hpp"

namespace quantal {

struct error {
  status code = status::internal;
  std::string what;    // what is wrong, without a trailing full stop
  std::string where;   // place: file, node, tensor, option; may be empty
  std::string advice;  // what to do; may be empty

  // Adds an outer place in front of the inner one: "model.onnx: node conv1".
  error at(const std::string& outer) && {
    where = where.empty() ? outer : outer + ": " + where;
    return std::move(*this);
  }
  std::string message() const {
    std::string text = what;
    if (!where.empty()) text += " (" + where + ")";
    if (!advice.empty()) text += ": " + advice;
    return text;
  }
};

template <class T>
class [[nodiscard]] result {
 public:
  result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  result(quantal::error failure) : state_(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const quantal::error& failure() const& { return std::get<1>(state_); }
  quantal::error&& failure() && { return std::get<1>(std::move(state_)); }

 private:
  std::variant<T, quantal::error> state_;
};

template <>
class [[nodiscard]] result<void> {
 public:
  result() = default;
  result(quantal::error failure) : failure_(std::move(failure)) {}

  explicit operator bool() const noexcept { return !failure_.has_value(); }
  const quantal::error& failure() const& { return *failure_; }
  quantal::error&& failure() && { return *std::move(failure_); }

 private:
  std::optional<quantal::error> failure_;
};

}  // namespace quantal

// QUANTAL_TRY(x, call());   declares x from call()'s value, or returns its error.
// QUANTAL_CHECK(call());    returns call()'s error, if any.
#define QUANTAL_TRY(name, expression)                              \
  auto name##_result = (expression);                               \
  if (!name##_result) return std::move(name##_result).failure();   \
  auto& name = *name##_result
#define QUANTAL_CHECK(expression)                                              \
  do {                                                                         \
    if (auto quantal_check = (expression); !quantal_check)                     \
      return std::move(quantal_check).failure();                               \
  } while (false)
