// quantal cpu: what this machine offers and which kernels run here. quantal selftest: do they compute what they must.
#include "quantal/kernels/cpu.hpp"
#include "output.hpp"
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
  std::string text = "CPU: " + io::escape_text(pipeline::cpu_model()) + ", " +
                     std::to_string(pipeline::usable_cores()) + " cores usable\n" +
                     table({"instruction set", "needs", "available", "built", "used"}, rows) + "Kernels: elementwise " +
                     elementwise().isa + ", float " + kernels::floats().isa + "\n";
  if (isa_cap().code != status::ok)
    print_warning("QUANTAL_ISA=" + io::escape_text(isa_cap().name) + " is no instruction set of the list: ignored");
  QUANTAL_CHECK(print(text));
  return 0;
}

result<int> selftest(const common_options& common) {
  bool passed = true;
  std::string json;
  std::vector<std::vector<std::string>> cells;
  for (const pipeline::selftest_row& row : pipeline::selftest()) {
    passed = passed && (!row.ran || row.passed);
    json += (json.empty() ? "" : ", ") + std::string("{\"isa\": ") + io::json_string(row.isa) +
            ", \"ran\": " + (row.ran ? "true" : "false") + ", \"checksum\": \"" + row.checksum +
            "\", \"passed\": " + (row.passed ? "true" : "false") + "}";
    cells.push_back({row.isa, row.ran ? row.checksum : "-",
                     !row.ran     ? "not on this CPU or not in this build"
                     : row.passed ? "ok"
                                  : "DIFFERENT"});
  }
  const std::string expected = pipeline::selftest_checksum();
  QUANTAL_CHECK(print(common.json ? "{\"passed\": " + std::string(passed ? "true" : "false") + ", \"checksum\": \"" +
                                        expected + "\", \"isas\": [" + json + "]}\n"
                                  : table({"instruction set", "checksum", "result"}, cells) +
                                        "Expected on every CPU: " + expected + "\n"));
  if (!passed)
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
