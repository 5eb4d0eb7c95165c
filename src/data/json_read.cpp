#include "json_read.hpp"

#include <cmath>
#include <set>
#include <vector>

#include "quantal/io/text.hpp"

namespace quantal::data {

namespace {

constexpr int max_depth = 16;

// Nesting by brackets outside strings: what a parser would have to keep. Malformed text is the parser's to report.
bool too_deep(std::span<const std::byte> bytes) noexcept {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const char c = static_cast<char>(bytes[i]);
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
      continue;
    }
    if (c == '"')
      in_string = true;
    else if (c == '{' || c == '[') {
      if (++depth > max_depth) return true;
    } else if (c == '}' || c == ']')
      --depth;
  }
  return false;
}

error syntax(const std::string& name, const std::string& what, std::size_t byte) {
  return {status::model_syntax, what, name + ": byte " + std::to_string(byte), "make the file again"};
}

}  // namespace

result<nlohmann::json> parse_json(std::span<const std::byte> bytes, const std::string& name) {
  using nlohmann::json;
  if (bytes.size() > max_json_bytes)
    return error{status::limit, "JSON file of " + std::to_string(bytes.size()) + " bytes is larger than the limit",
                 name, "split it"};
  if (too_deep(bytes))
    return error{status::limit, "JSON is nested deeper than " + std::to_string(max_depth), name, "make the file again"};
  std::vector<std::set<std::string>> keys;
  std::string duplicate;
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start)
      keys.emplace_back();
    else if (event == json::parse_event_t::object_end && !keys.empty())
      keys.pop_back();
    else if (event == json::parse_event_t::key && !keys.empty() && duplicate.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) duplicate = io::quote(key);
    }
    return true;
  };
  try {
    const auto* text = reinterpret_cast<const char*>(bytes.data());
    json dom = json::parse(text, text + bytes.size(), watch);
    if (!duplicate.empty())
      return error{status::model_syntax, "the key " + duplicate + " occurs twice", name, "make the file again"};
    return dom;
  } catch (const json::parse_error& e) {
    return syntax(name, "not valid JSON", e.byte);
  } catch (const json::exception&) {
    return error{status::model_syntax, "not valid JSON: a number or text is out of range", name, "make the file again"};
  } catch (const std::bad_alloc&) {
    return error{status::out_of_memory, "not enough memory for this JSON file", name, {}};
  }
}

error json_place::wrong(const std::string& what) const {
  return {status::model_syntax, what, where_, "make the file again"};
}

result<json_place> json_place::at(const char* key) const {
  if (!has(key)) return wrong(std::string("the key ") + key + " is missing");
  return json_place((*value_)[key], where_ + "." + key);
}

json_place json_place::named(const std::string& key, const nlohmann::json& child) const {
  return {child, where_ + "." + io::quote(key)};
}

json_place json_place::item(std::size_t i) const {
  return {(*value_)[i], where_ + "[" + std::to_string(i) + "]"};
}

result<double> json_place::number() const {
  if (!value_->is_number()) return wrong("expected a number");
  const double v = value_->get<double>();
  if (!std::isfinite(v)) return wrong("expected a finite number");
  return v;
}

result<std::uint64_t> json_place::count() const {
  if (!value_->is_number_unsigned()) return wrong("expected an integer that is not negative");
  return value_->get<std::uint64_t>();
}

result<std::int64_t> json_place::integer(std::int64_t low, std::int64_t high) const {
  const bool fits =
      value_->is_number_integer() &&
      (!value_->is_number_unsigned() || value_->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX));
  if (!fits || value_->get<std::int64_t>() < low || value_->get<std::int64_t>() > high)
    return wrong("expected an integer from " + std::to_string(low) + " to " + std::to_string(high));
  return value_->get<std::int64_t>();
}

result<std::string> json_place::text() const {
  if (!value_->is_string()) return wrong("expected text");
  return value_->get<std::string>();
}

result<std::size_t> json_place::array(std::size_t most) const {
  if (!value_->is_array()) return wrong("expected an array");
  if (value_->size() > most)
    return error{
        status::limit,
        "array of " + std::to_string(value_->size()) + " elements, at most " + std::to_string(most) + " are allowed",
        where_, "make the file again"};
  return value_->size();
}

result<void> json_place::object() const {
  if (!value_->is_object()) return wrong("expected an object");
  return {};
}

}  // namespace quantal::data
