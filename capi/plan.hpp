// A plan in the caller's memory: a header in front of the C++ plan, which is plain data and points only at its kernel.
//
//   [magic | kind | bytes | version | check | threads][gemm_plan, conv_plan or depthwise_plan]
//
// Every run looks at the header before it believes a byte: all zero is "never initialised" (state), anything else that
// is not a plan of this kind, of this library, unchanged since plan_init, is `plan`. The kernel pointer must be one of
// this process. The checksum costs some ten nanoseconds.
#pragma once
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>

#include "guard.hpp"
#include "quantal/base/parallel.hpp"
#include "quantal/kernels/isa_kernels.hpp"
#include "quantal/kernels/ref/epilogue.hpp"

namespace quantal::capi {

enum class plan_kind : std::uint32_t { gemm = 1, conv2d = 2, depthwise = 3 };

struct plan_header {
  std::uint32_t magic, kind, bytes, version;
  std::uint64_t check, threads;
};
inline constexpr std::uint32_t stored_plan_magic = 0x4e4c5051;  // "QPLN"
inline constexpr std::uint32_t stored_plan_version = 1;
inline constexpr std::size_t plan_alignment = 8;

template <class Plan>
struct stored_plan {
  static_assert(std::is_trivially_copyable_v<Plan> && sizeof(Plan) % 8 == 0 && alignof(Plan) <= plan_alignment);
  plan_header header;
  Plan plan;
};

// Each word counts in a sum and, by its place, in a sum of those sums (Fletcher's idea, in four lanes: two additions a
// word, no multiplication; pairs of lanes, because compilers leave single ones single). The last words may count twice.
template <std::size_t bytes>
std::uint64_t sum_of_words(const void* data) noexcept {
  static_assert(bytes >= 32 && bytes % 8 == 0);
  using pair [[gnu::vector_size(16)]] = std::uint64_t;
  pair sum[2] = {{1, 2}, {3, 4}}, place[2] = {};
  const auto* at = static_cast<const unsigned char*>(data);
  const auto add = [&](std::size_t first, int i) noexcept {
    pair words;
    std::memcpy(&words, at + first + 16 * static_cast<std::size_t>(i), sizeof words);
    sum[i] += words;
    place[i] += sum[i];
  };
#pragma GCC unroll 8
  for (std::size_t i = 0; i + 32 <= bytes; i += 32) add(i, 0), add(i, 1);
  if constexpr (bytes % 32 != 0) add(bytes - 32, 0), add(bytes - 32, 1);
  std::uint64_t all = 0;
  for (int lane = 0; lane < 4; ++lane) {
    all = (all ^ sum[lane / 2][lane % 2]) * 0x9e3779b97f4a7c15u;
    all = ((all << 17 | all >> 47) ^ place[lane / 2][lane % 2]) * 0x9e3779b97f4a7c15u;
  }
  return all;
}

// Copies a finished plan into memory that plan_memory() accepted.
template <class Plan>
void store_plan(void* memory, plan_kind kind, const Plan& plan, std::uint64_t threads) noexcept {
  auto* stored = static_cast<stored_plan<Plan>*>(memory);
  std::memcpy(static_cast<void*>(&stored->plan), &plan, sizeof plan);
  const plan_header header{stored_plan_magic,   static_cast<std::uint32_t>(kind),         sizeof *stored,
                           stored_plan_version, sum_of_words<sizeof plan>(&stored->plan), threads};
  std::memcpy(static_cast<void*>(&stored->header), &header, sizeof header);
}

template <class Plan>
std::int32_t plan_memory(const void* memory, std::size_t bytes) noexcept {
  if (memory == nullptr) return QUANTAL_E_NULL;
  if (bytes < sizeof(stored_plan<Plan>)) return QUANTAL_E_BUFFER;
  return reinterpret_cast<std::uintptr_t>(memory) % plan_alignment == 0 ? QUANTAL_OK : QUANTAL_E_ARGUMENT;
}

// The header of some plan; the kind is the caller's matter.
inline std::int32_t read_header(const void* memory, plan_header& header) noexcept {
  if (memory == nullptr) return QUANTAL_E_NULL;
  if (reinterpret_cast<std::uintptr_t>(memory) % plan_alignment != 0) return QUANTAL_E_PLAN;
  std::memcpy(&header, memory, sizeof header);
  if (header.magic == 0 && header.kind == 0 && header.bytes == 0) return QUANTAL_E_STATE;
  const bool known = header.magic == stored_plan_magic && header.version == stored_plan_version;
  return known ? QUANTAL_OK : QUANTAL_E_PLAN;
}

// The plan in `memory`; `is_kernel(leaf)` says whether the pointer is a kernel of this process.
template <class Plan, class IsKernel>
std::int32_t read_plan(const void* memory, plan_kind kind, const Plan*& plan, IsKernel&& is_kernel) noexcept {
  plan_header header;
  if (const std::int32_t s = read_header(memory, header); s != QUANTAL_OK) return s;
  const auto* stored = static_cast<const stored_plan<Plan>*>(memory);
  if (header.kind != static_cast<std::uint32_t>(kind) || header.bytes != sizeof *stored ||
      header.check != sum_of_words<sizeof(Plan)>(&stored->plan) || !is_kernel(stored->plan.leaf))
    return QUANTAL_E_PLAN;
  plan = &stored->plan;
  return QUANTAL_OK;
}

// Is it a kernel of this build, or one that such a kernel leaves some work to? (Asks neither CPU nor system: plan_init
// has.)
inline bool is_gemm_leaf(const gemm_leaf* leaf) noexcept {
  for (const isa_row& row : isa_list) {
    const isa_kernels* own = compiled_kernels(row.id);
    if (leaf == nullptr || own == nullptr || own->gemm == nullptr) continue;
    if (leaf == own->gemm || leaf == own->gemm->few_rows) return true;
  }
  return false;
}
inline bool is_depthwise_leaf(const depthwise_leaf* leaf) noexcept {
  for (const isa_row& row : isa_list) {
    const isa_kernels* own = compiled_kernels(row.id);
    if (leaf == nullptr || own == nullptr || own->depthwise == nullptr) continue;
    if (leaf == own->depthwise || leaf == own->depthwise->plain_3x3) return true;
  }
  return false;
}

inline constexpr std::uint64_t max_threads = 65536;

// The caller's threads; null: none.
inline std::int32_t read_parallel(const quantal_parallel* in, parallel_for& out) noexcept {
  if (in == nullptr) return QUANTAL_OK;
  quantal_parallel p;
  if (const std::int32_t s = read_struct(in, p, sizeof(quantal_parallel), 0); s != QUANTAL_OK) return s;
  if (p.call == nullptr) return QUANTAL_E_NULL;
  if (p.threads > max_threads) return QUANTAL_E_ARGUMENT;
  out = {p.context, p.call, p.threads == 0 ? 1 : static_cast<std::size_t>(p.threads)};
  return QUANTAL_OK;
}

// The epilogue of a description; `from` may be null where the output is s32. Values are checked by the planner.
std::int32_t read_epilogue(const quantal_epilogue* from, dtype out, epilogue& to) noexcept;

// Where version 1 of the buffers ended.
inline constexpr std::size_t run_buffers_version1 = offsetof(quantal_run_buffers, row_sums);

inline bool aligned4(const void* p) noexcept {
  return reinterpret_cast<std::uintptr_t>(p) % 4 == 0;
}

// The field of the epilogue behind a planner's status; `channel`: what the planner called bad, if anything.
inline constexpr std::size_t no_channel = static_cast<std::size_t>(-1);
std::string epilogue_field(const quantal_epilogue* from, std::int32_t out, std::int32_t code, std::size_t channel);

// The field behind a packer's status.
inline const char* pack_field(status s, const void* packed, const void* weights) noexcept {
  if (s == status::buffer || s == status::scratch || s == status::overlap || packed == nullptr) return "packed";
  return s == status::null_pointer && weights == nullptr ? "weights.data" : "weights.epilogue";
}

// A failure of a planner: the status with a message that names field and index, and what to do.
std::int32_t plan_failure(std::int32_t code, const std::string& field, quantal_diag* diag) noexcept;

}  // namespace quantal::capi
