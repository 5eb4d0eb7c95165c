// The verbs of the command line, one file each. A verb declares its options into `args` and returns what to run; the
// returned function gives an exit code or an error, which main() prints as one line.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "args.hpp"
#include "quantal/base/result.hpp"

namespace quantal::cli {

// What every verb has.
struct common_options {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  std::int64_t threads = 0;
};

using action = std::function<result<int>(const common_options&)>;

action quantize_verb(args& a);
action calibrate_verb(args& a);
action inspect_verb(args& a);
action run_verb(args& a);
action compare_verb(args& a);
action cpu_verb(args& a);
action selftest_verb(args& a);

}  // namespace quantal::cli
