#include "quantal/passes/select.hpp"

#include <algorithm>

namespace quantal::passes {

// Linear-time matching with one remembered star: no recursion, no backtracking blow-up.
bool glob_match(std::string_view glob, std::string_view text) noexcept {
  std::size_t g = 0, t = 0, star = std::string_view::npos, mark = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      mark = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

bool matches(const std::vector<std::string>& globs, const ir::node& n) noexcept {
  return std::any_of(globs.begin(), globs.end(), [&](const std::string& glob) {
    if (glob_match(glob, n.op_type) || (!n.name.empty() && glob_match(glob, n.name))) return true;
    return n.name.empty() && n.has_output(0) && glob_match(glob, n.outputs[0]);
  });
}

}  // namespace quantal::passes
