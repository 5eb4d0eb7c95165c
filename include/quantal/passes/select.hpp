// select: does a node belong to what --include and --exclude name? Globs (`*`, `?`) over node names, op types, and, for
// nodes without a name, the first output's name.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "quantal/ir/graph.hpp"

namespace quantal::passes {

bool glob_match(std::string_view glob, std::string_view text) noexcept;
bool matches(const std::vector<std::string>& globs, const ir::node& n) noexcept;

}  // namespace quantal::passes
