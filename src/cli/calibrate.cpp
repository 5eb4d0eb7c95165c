// quantal calibrate: only the statistics, for later or for another machine; --merge joins what shards have seen.
#include "inputs.hpp"
#include "output.hpp"
#include "verbs.hpp"

namespace quantal::cli {

action calibrate_verb(args& a) {
  a.anything();
  return [](const common_options&) -> result<int> {
    return error{status::unsupported, "quantal calibrate is not available yet", {}, {}};
  };
}

}  // namespace quantal::cli
