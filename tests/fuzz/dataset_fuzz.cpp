// Any text as a dataset yaml and as a list of files.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "quantal/data/dataset.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto d = quantal::data::parse_dataset(text); d && d->train.empty() && d->val.empty()) std::abort();
  if (auto list = quantal::data::parse_list(text)) {
    for (const auto& entry : *list) {
      if (entry.path.size() > 4096 || entry.path.find('\0') != std::string::npos) std::abort();
    }
  }
  return 0;
}
