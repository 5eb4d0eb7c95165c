// This machine and its kernels (see pipeline/machine.hpp).
#include "quantal/pipeline/machine.hpp"

#include <sched.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "quantal/kernels/cpu.hpp"
#include "quantal/kernels/elementwise.hpp"
#include "quantal/kernels/float_table.hpp"

namespace quantal::pipeline {
namespace {

// CRC-32 (IEEE 802.3, reflected), bit by bit: the self-test needs no speed.
std::uint32_t crc32(std::uint32_t crc, const void* data, std::size_t bytes) noexcept {
  const auto* p = static_cast<const unsigned char*>(data);
  crc = ~crc;
  for (std::size_t i = 0; i < bytes; ++i) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1u)));
  }
  return ~crc;
}

// Inputs that reach every rounding case: all exponents near the range, exact ties, infinities, NaN, denormals.
std::vector<float> test_values() {
  std::vector<float> x;
  std::uint32_t state = 12345;
  for (int i = 0; i < 4099; ++i) {  // a prime: every kernel has a tail
    state = state * 1664525u + 1013904223u;
    const auto q = static_cast<std::int32_t>(state >> 20) - 2048;
    x.push_back(static_cast<float>(q) * 0.0625f);
  }
  const float special[] = {0.0f,
                           -0.0f,
                           0.5f,
                           -0.5f,
                           1.5f,
                           -1.5f,
                           127.5f,
                           -128.5f,
                           1e30f,
                           -1e30f,
                           1e-40f,
                           __builtin_inff(),
                           -__builtin_inff(),
                           __builtin_nanf("")};
  x.insert(x.end(), std::begin(special), std::end(special));
  return x;
}

std::uint32_t checksum_of(const elementwise_table& t) {
  const std::vector<float> x = test_values();
  const std::size_t n = x.size();
  std::vector<std::int8_t> s(n);
  std::vector<std::uint8_t> u(n);
  std::vector<float> y(n);
  std::uint32_t crc = 0;
  for (const float scale : {1.0f, 0.5f, 0.0478515625f, 3.0f}) {
    const quantize_run signed_run{{scale, -3}, {-128, 127}, false, false},
        unsigned_run{{scale, 131}, {0, 255}, false, false};
    t.quantize_s8(x.data(), n, signed_run, s.data());
    crc = crc32(crc, s.data(), n);
    t.quantize_u8(x.data(), n, unsigned_run, u.data());
    crc = crc32(crc, u.data(), n);
    t.dequantize_s8(s.data(), n, signed_run.params, y.data());
    crc = crc32(crc, y.data(), n * sizeof(float));
    t.dequantize_u8(u.data(), n, unsigned_run.params, y.data());
    crc = crc32(crc, y.data(), n * sizeof(float));
    t.fake_quantize(x.data(), n, signed_run, y.data());
    crc = crc32(crc, y.data(), n * sizeof(float));
  }
  const min_max range = t.min_max_of(x.data(), n);
  crc = crc32(crc, &range.min, sizeof range.min);
  return crc32(crc, &range.max, sizeof range.max);
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

std::size_t usable_cores() noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<std::size_t>(CPU_COUNT(&set));
  const unsigned n = std::thread::hardware_concurrency();
  return n == 0 ? 1 : n;
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
      {"model", cpu_model()}, {"cores", usable_cores()},
      {"isa", best_isa()},    {"cap", isa_cap().name},
      {"isas", isas},         {"kernels", {{"elementwise", elementwise().isa}, {"float", kernels::floats().isa}}}};
  return j.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::vector<selftest_row> selftest() {
  std::vector<selftest_row> rows;
  std::size_t count = 0;
  const isa_state* states = isa_states(count);
  for (std::size_t i = 0; i < count; ++i) {
    selftest_row row;
    row.isa = states[i].name;
    const elementwise_table* t = states[i].available && states[i].compiled ? elementwise_of(states[i].name) : nullptr;
    row.ran = t != nullptr;
    if (row.ran) {
      row.checksum = checksum_of(*t);
      row.passed = row.checksum == selftest_checksum;
    }
    rows.push_back(row);
  }
  return rows;
}

}  // namespace quantal::pipeline
