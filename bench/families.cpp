// cases.json -> rows. A gate names families, shapes and, where it holds for one ISA only, that ISA; a run measures the
// rows of the gates of its ISA and of those without one. A shape that stands in two gates is one row.
#include "families.hpp"

#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

namespace bench {
namespace {

const std::map<std::string, add_rows*> families = {
    {"gemm_u8s8", add_gemm_rows},     {"gemm_s8s8", add_gemm_rows},      {"gemv", add_gemm_rows},
    {"overhead", add_gemm_rows},      {"pack", add_gemm_rows},           {"conv_u8s8", add_conv_rows},
    {"conv_s8s8", add_conv_rows},     {"conv_u8s8_zp", add_conv_rows},   {"depthwise", add_depthwise_rows},
    {"quantize", add_quantize_rows},  {"dequantize", add_quantize_rows}, {"observer", add_observer_rows},
    {"requantize", add_codes_rows},   {"add", add_codes_rows},           {"multiply", add_codes_rows},
    {"look_up", add_codes_rows},      {"max_pool", add_codes_rows},      {"average_pool", add_codes_rows},
    {"dynamic_rows", add_codes_rows}, {"gemm_residual", add_gemm_rows},  {"gemm_fixed", add_gemm_rows},
    {"pack_rows", add_gemm_rows},
};

}  // namespace

bool add_all_rows(const std::string& cases_path, const std::string& isa) {
  std::ifstream file(cases_path);
  const nlohmann::json cases = nlohmann::json::parse(file, nullptr, false, true);
  if (!cases.is_object()) {
    std::cerr << "cannot read " << cases_path << "\n";
    return false;
  }
  add_limit_rows(isa);
  std::set<std::pair<std::string, std::string>> added;
  for (const auto& gate : cases["gates"]) {
    if (gate.contains("isa") && gate["isa"] != isa) continue;
    for (const std::string name : gate["families"]) {
      const auto family = families.find(name);
      if (family == families.end()) {
        std::cerr << cases_path << ": no rows of a family \"" << name << "\"\n";
        return false;
      }
      for (const std::string shape : cases["shapes"][gate["shapes"].get<std::string>()])
        if (added.emplace(name, shape).second) family->second(name, isa, shape);
    }
  }
  return true;
}

}  // namespace bench
