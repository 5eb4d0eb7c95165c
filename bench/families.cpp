// cases.json -> rows. A gate names families, shapes and, where it holds for one ISA only, that ISA; a run measures the
// rows of the gates of its ISA and of those without one. A shape that stands in two gates is one row.
#include "families.hpp"

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

namespace bench {

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
    for (const std::string family : gate["families"]) {
      for (const std::string shape : cases["shapes"][gate["shapes"].get<std::string>()]) {
        if (!added.emplace(family, shape).second) continue;
        if (family.rfind("gemm", 0) == 0 || family == "gemv" || family == "overhead" || family == "pack")
          add_gemm_rows(family, isa, shape);
        else if (family.rfind("conv", 0) == 0 || family == "depthwise")
          add_conv_rows(family, isa, shape);
        else if (family == "quantize" || family == "dequantize" || family == "observer")
          add_array_rows(family, shape);
      }
    }
  }
  return true;
}

}  // namespace bench
