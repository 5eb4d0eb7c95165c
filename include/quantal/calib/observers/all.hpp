// The observers, by name. To add one: its file, its line here.
#pragma once
#include <memory>
#include <string_view>

#include "quantal/calib/observers/histogram.hpp"
#include "quantal/calib/observers/min_max.hpp"
#include "quantal/calib/observers/moments.hpp"
#include "quantal/calib/observers/moving_average.hpp"
#include "quantal/calib/observers/tool_histogram.hpp"

namespace quantal::calib {

struct observer_row {
  const char* name;
  std::unique_ptr<observer> (*make)(const method_options&);
};

template <class Observer>
std::unique_ptr<observer> make(const method_options& options) {
  return std::make_unique<Observer>(options);
}

inline constexpr observer_row observer_table[] = {
    {"min_max", &make<min_max_observer>},
    {"moving_average", &make<moving_average_observer>},
    {"moments", &make<moments_observer>},
    {"histogram", &make<histogram_observer>},
    {"tool_histogram", &make<tool_histogram_observer>},
};

// nullptr: no such observer.
inline std::unique_ptr<observer> make_observer(std::string_view name, const method_options& options = {}) {
  for (const observer_row& row : observer_table)
    if (name == row.name) return row.make(options);
  return nullptr;
}

}  // namespace quantal::calib
