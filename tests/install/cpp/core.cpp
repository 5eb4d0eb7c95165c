// The header-only core, as an engine uses it: no library is linked.
#include <cstdio>
#include <quantal/core.hpp>

int main() {
  quantal::quant_params p;
  quantal::choose_options options;
  options.type = quantal::dtype::s8;
  options.preset = quantal::find_preset("torch");
  if (quantal::choose_params(-2.0, 2.0, options, p) != quantal::status::ok) return 1;
  std::printf("core: scale %.9g, zero point %d\n", static_cast<double>(p.scale), static_cast<int>(p.zero_point));
  return p.zero_point == -1 ? 0 : 2;
}
