// Limits that readers and planners enforce before they allocate. A file above one gets status::limit.
#pragma once
#include <stdint.h>

namespace quantal::limits {

inline constexpr int32_t max_rank = 8;
inline constexpr uint64_t max_name = 1024;                       // bytes of a node, value or tensor name that is quoted in a message
inline constexpr int32_t max_depth = 64;                         // nested subgraphs, nested messages
inline constexpr uint64_t max_file = uint64_t{1} << 36;          // bytes of one file
inline constexpr uint64_t max_tensor_bytes = uint64_t{1} << 36;  // bytes of one tensor
inline constexpr uint64_t max_nodes = 10'000'000;
inline constexpr uint64_t max_inflate_ratio = 1000;              // uncompressed : compressed size of a zip entry

}  // namespace quantal::limits
