// json_read: JSON of unknown origin into a DOM, bounded, with places for errors. The only user of nlohmann_json's
// parser in data/.
//
// Refused: more than 512 MiB, nesting beyond 16, duplicate keys (readers disagree on which one counts), invalid UTF-8,
// NaN and overflowing numbers. `json_place` walks the DOM and turns what is missing or of the wrong kind into an error
// that says where: "calib.json: tensors.'conv1'.histogram.counts[3]".
#pragma once
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "quantal/base/result.hpp"

namespace quantal::data {

inline constexpr std::uint64_t max_json_bytes = std::uint64_t{1} << 29;

result<nlohmann::json> parse_json(std::span<const std::byte> bytes, const std::string& name);

// A value of the DOM and where it stands. Valid as long as the DOM.
class json_place {
 public:
  json_place(const nlohmann::json& value, std::string where) : value_(&value), where_(std::move(where)) {}

  const nlohmann::json& value() const noexcept { return *value_; }
  const std::string& where() const noexcept { return where_; }
  error wrong(const std::string& what) const;

  bool has(const char* key) const { return value_->is_object() && value_->contains(key); }
  result<json_place> at(const char* key) const;  // a key that must be there
  json_place named(const std::string& key, const nlohmann::json& child) const;
  json_place item(std::size_t i) const;  // of an array, i in range

  result<double> number() const;        // finite
  result<std::uint64_t> count() const;  // an integer >= 0
  result<std::int64_t> integer(std::int64_t low, std::int64_t high) const;
  result<std::string> text() const;
  result<std::size_t> array(std::size_t most) const;  // its length
  result<void> object() const;

 private:
  const nlohmann::json* value_;
  std::string where_;
};

}  // namespace quantal::data
