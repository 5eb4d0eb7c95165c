// quantal cpu: what this machine offers and which kernels run here. quantal selftest: do they compute what they must.
#include "quantal/kernels/cpu.hpp"
#include "output.hpp"
#include "quantal/exec/thread_pool.hpp"
#include "quantal/io/text.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/float_table.hpp"
#include "quantal/pipeline/machine.hpp"
#include "verbs.hpp"

namespace quantal::cli {
namespace {

result<int> cpu(const common_options& common) {
  if (common.json) {
    QUANTAL_CHECK(print(pipeline::cpu_json() + "\n"));
    return 0;
  }
  std::vector<std::vector<std::string>> rows;
  std::size_t count = 0;
  const isa_state* states = isa_states(count);
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back({states[i].name, states[i].needs, states[i].available ? "yes" : "no",
                    states[i].compiled ? "yes" : "no",
                    states[i].used      ? "yes"
                    : states[i].allowed ? "no"
                                        : "no (QUANTAL_ISA)"});
  }
  std::string text = "CPU: " + io::escape_text(pipeline::cpu_model()) + ", " + std::to_string(exec::usable_cores()) +
                     " cores usable\n" + table({"instruction set", "needs", "available", "built", "used"}, rows) +
                     "Kernels: elementwise " + elementwise().isa + ", float " + kernels::floats().isa + "\n";
  if (isa_cap().code != status::ok)
    print_warning("QUANTAL_ISA=" + io::escape_text(isa_cap().name) + " is no instruction set of the list: ignored");
  QUANTAL_CHECK(print(text));
  return 0;
}

result<int> selftest(const common_options& common) {
  const std::vector<pipeline::selftest_row> tested = pipeline::selftest();
  std::vector<std::vector<std::string>> cells;
  for (const pipeline::selftest_row& row : tested)
    cells.push_back({row.isa, row.ran ? row.checksum : "-",
                     !row.ran     ? "not on this CPU or not in this build"
                     : row.passed ? "ok"
                                  : "DIFFERENT: " + row.differs});
  QUANTAL_CHECK(print(common.json ? pipeline::selftest_json(tested) + "\n"
                                  : table({"instruction set", "checksum", "result"}, cells) +
                                        "Expected on every CPU: " + pipeline::selftest_checksum() + "\n"));
  if (!pipeline::passed(tested))
    return error{status::internal, "a kernel computes something else than the reference", "selftest",
                 "please report this"};
  return 0;
}

}  // namespace

action cpu_verb(args& a) {
  a.example("quantal cpu --json");
  return [](const common_options& common) { return cpu(common); };
}

action selftest_verb(args& a) {
  a.example("quantal selftest");
  return [](const common_options& common) { return selftest(common); };
}

}  // namespace quantal::cli
