// This machine and its kernels (see pipeline/machine.hpp).
#include "quantal/pipeline/machine.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "quantal/exec/thread_pool.hpp"
#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/float_table.hpp"
#include "quantal/kernels/selftest.hpp"
#include "quantal/kernels/selftest_codes.hpp"
#include "quantal/kernels/selftest_conv.hpp"
#include "quantal/kernels/selftest_gemm.hpp"

namespace quantal::pipeline {
namespace {

// The self-test's parts beside selftest_sums.
struct kernel_sums {
  std::uint32_t gemm = selftest_gemm_expected, codes = selftest_codes_expected, conv = selftest_conv_expected,
                depthwise = selftest_depthwise_expected;
  friend bool operator==(const kernel_sums&, const kernel_sums&) = default;
};

// "integer-numbers-params-elementwise-gemm-codes-conv-depthwise", eight digits each.
std::string text_of(const selftest_sums& sums, const kernel_sums& kernels) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint32_t part : {sums.integer, sums.numbers, sums.params, sums.elementwise, kernels.gemm,
                                   kernels.codes, kernels.conv, kernels.depthwise}) {
    if (!out.empty()) out += '-';
    for (int shift = 28; shift >= 0; shift -= 4) out += digits[(part >> shift) & 15u];
  }
  return out;
}

// What an ISA runs: its own kernels, or its nearest ancestor's.
template <class T>
const T& kernels_of(isa id, const T* (*own)(const char*) noexcept) {
  while (own(name_of(id)) == nullptr) id = parent_of(id);
  return *own(name_of(id));
}

}  // namespace

std::string cpu_model() {
  std::FILE* f = std::fopen("/proc/cpuinfo", "r");
  if (f == nullptr) return {};
  char line[512];
  std::string model;
  while (model.empty() && std::fgets(line, sizeof line, f) != nullptr) {
    if (std::strncmp(line, "model name", 10) != 0) continue;
    const char* colon = std::strchr(line, ':');
    if (colon != nullptr) model = colon + 1;
  }
  std::fclose(f);
  while (!model.empty() && (model.back() == '\n' || model.back() == ' ')) model.pop_back();
  return model.empty() || model[0] != ' ' ? model : model.substr(1);
}

std::int64_t peak_rss_bytes() noexcept {
  std::FILE* f = std::fopen("/proc/self/status", "r");
  if (f == nullptr) return 0;
  char line[256];
  long long kilobytes = 0;
  while (std::fgets(line, sizeof line, f) != nullptr) {
    if (std::sscanf(line, "VmHWM: %lld", &kilobytes) == 1) break;
  }
  std::fclose(f);
  return static_cast<std::int64_t>(kilobytes) * 1024;
}

std::string cpu_json(int indent) {
  nlohmann::ordered_json isas = nlohmann::ordered_json::array();
  std::size_t count = 0;
  const isa_state* states = isa_states(count);
  for (std::size_t i = 0; i < count; ++i) {
    isas.push_back({{"name", states[i].name},
                    {"needs", states[i].needs},
                    {"available", states[i].available},
                    {"compiled", states[i].compiled},
                    {"used", states[i].used}});
  }
  const nlohmann::ordered_json j = {
      {"model", cpu_model()}, {"cores", exec::usable_cores()},
      {"isa", best_isa()},    {"cap", isa_cap().name},
      {"isas", isas},         {"kernels", {{"elementwise", elementwise().isa}, {"float", kernels::floats().isa}}}};
  return j.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string selftest_checksum() {
  return text_of(selftest_expected, {});
}

std::vector<selftest_row> selftest() {
  std::vector<selftest_row> rows;
  std::size_t count = 0;
  const isa_state* states = isa_states(count);
  for (std::size_t i = 0; i < count; ++i) {
    selftest_row row;
    row.isa = states[i].name;
    row.ran = states[i].available && states[i].compiled;
    if (row.ran) {
      const selftest_sums sums = quantal::selftest(kernels_of(states[i].id, elementwise_of));
      const gemm_leaf& products = kernels_of(states[i].id, gemm_leaf_of);
      const kernel_sums kernels{selftest_gemm(products), selftest_codes(kernels_of(states[i].id, integer_kernels_of)),
                                selftest_conv(products),
                                selftest_depthwise(kernels_of(states[i].id, depthwise_leaf_of))};
      row.checksum = text_of(sums, kernels);
      row.passed = sums == selftest_expected && kernels == kernel_sums{};
    }
    rows.push_back(row);
  }
  return rows;
}

bool passed(const std::vector<selftest_row>& rows) noexcept {
  return std::all_of(rows.begin(), rows.end(), [](const selftest_row& r) { return !r.ran || r.passed; });
}

std::string selftest_json(const std::vector<selftest_row>& rows) {
  nlohmann::ordered_json isas = nlohmann::ordered_json::array();
  for (const selftest_row& r : rows)
    isas.push_back({{"isa", r.isa}, {"ran", r.ran}, {"checksum", r.checksum}, {"passed", r.passed}});
  const nlohmann::ordered_json j = {{"passed", passed(rows)}, {"checksum", selftest_checksum()}, {"isas", isas}};
  return j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace quantal::pipeline
