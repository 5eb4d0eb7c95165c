// Finding the peers at start, before rows are added.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "../problem.hpp"

namespace bench {

// Loads the modules peer_*.so of a folder and starts `script` with each interpreter. Returns "name: version" of each.
std::vector<std::string> find_peers(const std::string& module_folder, const std::string& script,
                                    const std::vector<std::string>& pythons);

// Adds the row `<name>/peer:<peer>` for every peer that is present and has this kind of operation.
void add_peer_rows(const std::string& name, kind what, const std::function<problem_ptr()>& make);

}  // namespace bench
