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

constexpr selftest_words expected = {
    selftest_expected.integer, selftest_expected.numbers, selftest_expected.params, selftest_expected.elementwise,
    selftest_gemm_expected,    selftest_codes_expected,   selftest_conv_expected,   selftest_depthwise_expected};

std::string text_of(std::uint32_t word) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", static_cast<unsigned>(word));
  return text;
}

std::string text_of(const selftest_words& parts) {
  quantal::detail::crc32 all;
  for (const std::uint32_t part : parts) all.add(part);
  return text_of(all.value());
}

nlohmann::ordered_json json_of(const selftest_words& parts) {
  nlohmann::ordered_json j = nlohmann::ordered_json::object();
  for (std::size_t i = 0; i < parts.size(); ++i) j[selftest_parts[i]] = text_of(parts[i]);
  return j;
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
  return text_of(expected);
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
      row.parts = {sums.integer,
                   sums.numbers,
                   sums.params,
                   sums.elementwise,
                   selftest_gemm(products),
                   selftest_codes(kernels_of(states[i].id, integer_kernels_of)),
                   selftest_conv(products),
                   selftest_depthwise(kernels_of(states[i].id, depthwise_leaf_of))};
      row.checksum = text_of(row.parts);
      row.passed = row.parts == expected;
      for (std::size_t part = 0; part < expected.size(); ++part)
        if (row.parts[part] != expected[part])
          row.differs += std::string(row.differs.empty() ? "" : " ") + selftest_parts[part];
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
  for (const selftest_row& r : rows) {
    nlohmann::ordered_json parts = r.ran ? json_of(r.parts) : nlohmann::ordered_json::object();
    isas.push_back(
        {{"isa", r.isa}, {"ran", r.ran}, {"checksum", r.checksum}, {"parts", std::move(parts)}, {"passed", r.passed}});
  }
  const nlohmann::ordered_json j = {
      {"passed", passed(rows)}, {"checksum", selftest_checksum()}, {"parts", json_of(expected)}, {"isas", isas}};
  return j.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace quantal::pipeline
