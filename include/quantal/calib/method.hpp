// method: the one-word choices of every interface (minmax, percentile, entropy...), each a pair of observer and clip
// method.
//
//   const method* m = find_method("Percentile");            // case-insensitive; nullptr: no such method
//   auto seen = m->make_observer(options);
//   QUANTAL_CHECK(seen->observe(x, count)); ...             // batch after batch
//   QUANTAL_TRY(r, m->clip(seen->stats(), options, target));
//
// Any method clips any statistics that hold the parts it needs; those of the observer `histogram` hold the parts of all
// but moving_average (order) and avgmax (channels).
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "quantal/calib/clip/all.hpp"

namespace quantal::calib {

inline std::span<const method* const> methods() noexcept {
  return method_table;
}

inline bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char x = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] - 'A' + 'a') : a[i];
    const char y = b[i] >= 'A' && b[i] <= 'Z' ? static_cast<char>(b[i] - 'A' + 'a') : b[i];
    if (x != y) return false;
  }
  return true;
}

inline const method* find_method(std::string_view name) noexcept {
  for (const method* m : methods())
    if (equal_ignoring_case(name, m->name)) return m;
  return nullptr;
}

// "minmax, moving_average, ..." for messages.
inline std::string method_names() {
  std::string out;
  for (const method* m : methods()) out += (out.empty() ? "" : ", ") + std::string(m->name);
  return out;
}

}  // namespace quantal::calib
