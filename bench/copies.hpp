// What moving bytes costs: rows of memcpy and of a plain loop, for limit/... and beside kernels that mostly move data.
#pragma once
#include <string>

namespace bench {

// Both rows read bytes / 2 and write as many: `bytes` is what the compared call reads and writes in all.
void add_copies(const std::string& memcpy_name, const std::string& loop_name, std::size_t bytes);

}  // namespace bench
