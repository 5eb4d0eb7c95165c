// The C ABI's matrix product: descriptions checked and turned into kernels/gemm.hpp's plans, in the caller's memory.
#include "quantal/kernels/gemm.hpp"

#include "plan.hpp"
#include "quantal/num/fixed_point.hpp"

namespace quantal::capi {

static_assert(sizeof(quantal_multiplier) == sizeof(fixed_multiplier));

std::int32_t plan_failure(std::int32_t code, const std::string& field, quantal_diag* diag) noexcept {
  return fenced(diag, [&] {
    return fail(error{static_cast<status>(code), quantal_strerror(code), field, "see quantal.h"}, diag);
  });
}

std::int32_t read_epilogue(const quantal_epilogue* from, dtype out, epilogue& to) noexcept {
  if (from == nullptr) return out == dtype::s32 ? QUANTAL_OK : QUANTAL_E_NULL;
  quantal_epilogue e;
  if (const std::int32_t s = read_struct(from, e, sizeof e, QUANTAL_CLAMP | QUANTAL_ROW_SCALES); s != QUANTAL_OK)
    return s;
  if (e.reserved != 0) return QUANTAL_E_FLAGS;
  if (!aligned4(e.ratios) || !aligned4(e.multipliers)) return QUANTAL_E_ARGUMENT;
  to.requant.rule = static_cast<contract>(e.contract);
  to.requant.ratios = e.ratios;
  to.requant.multipliers = reinterpret_cast<const fixed_multiplier*>(e.multipliers);
  to.requant.count = static_cast<std::size_t>(e.count);
  to.requant.zero_point = e.zero_point;
  if ((e.flags & QUANTAL_CLAMP) != 0) {
    // INT32_MIN and INT32_MAX mean "the type's limit" inside: as a clamp they lie outside every type.
    if (e.min == INT32_MIN || e.max == INT32_MAX) return QUANTAL_E_RANGE;
    to.requant.min = e.min;
    to.requant.max = e.max;
  }
  to.residual.type = static_cast<dtype>(e.residual_dtype);
  to.residual.zero_point = e.residual_zero_point;
  to.residual.ratio = e.residual_ratio;
  to.residual.multiplier = {e.residual_multiplier.multiplier, e.residual_multiplier.shift};
  to.table = e.table;
  to.row_scales = (e.flags & QUANTAL_ROW_SCALES) != 0;
  return QUANTAL_OK;
}

namespace {

bool is_kernel(const gemm_leaf* leaf) noexcept {
  std::size_t count = 0;
  const gemm_leaf* const* list = gemm_leaves(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (leaf != nullptr && (leaf == list[i] || leaf == list[i]->few_rows)) return true;
  }
  return false;
}

std::int32_t read_desc(const quantal_gemm_desc* desc, quantal_gemm_desc& d) noexcept {
  return read_struct(desc, d, sizeof d, QUANTAL_DYNAMIC_LHS);
}

// The field behind a planner's status.
std::string field_of(const quantal_gemm_desc& d, std::int32_t code, std::size_t channel) {
  const auto code_type = [](std::int32_t t) { return t == QUANTAL_S8 || t == QUANTAL_U8; };
  const auto inside = [](std::int32_t z, std::int32_t t) {
    return t == QUANTAL_U8 ? z >= 0 && z <= 255 : z >= -128 && z <= 127;
  };
  switch (code) {
    case QUANTAL_E_DTYPE:
      return !code_type(d.lhs_dtype) ? "lhs_dtype" : !code_type(d.rhs_dtype) ? "rhs_dtype" : "out_dtype";
    case QUANTAL_E_SHAPE: return d.m < 0 ? "m" : d.n < 0 ? "n" : "k";
    case QUANTAL_E_STRIDE:
      if (d.lhs_stride != 0 && d.lhs_stride < d.k) return "lhs_stride";
      if (d.out_stride != 0 && d.out_stride < d.n) return "out_stride";
      if (d.residual_stride != 0 && d.residual_stride < d.n) return "residual_stride";
      return d.rhs_row_stride < 0 ? "rhs_row_stride" : "rhs_column_stride";
    case QUANTAL_E_ZERO_POINT:
      if ((d.flags & QUANTAL_DYNAMIC_LHS) == 0 && !inside(d.lhs_zero_point, d.lhs_dtype)) return "lhs_zero_point";
      return !inside(d.rhs_zero_point, d.rhs_dtype) ? "rhs_zero_point" : "epilogue.zero_point";
    case QUANTAL_E_SCALE: return "epilogue.ratios[" + std::to_string(channel) + "]";
    case QUANTAL_E_RANGE: return "epilogue, channel " + std::to_string(channel);
    case QUANTAL_E_COUNT: return "epilogue.count";
    case QUANTAL_E_CONTRACT: return "epilogue.contract";
    case QUANTAL_E_UNSUPPORTED: return d.kernel != nullptr ? "kernel" : "epilogue";
    default: return "desc";
  }
}

std::int32_t make_plan(const quantal_gemm_desc& d, gemm_plan& plan, std::size_t& channel) noexcept {
  gemm_desc to;
  to.shape = {d.m, d.n, d.k};
  to.lhs = static_cast<dtype>(d.lhs_dtype);
  to.rhs = static_cast<dtype>(d.rhs_dtype);
  to.out = static_cast<dtype>(d.out_dtype);
  to.lhs_stride = d.lhs_stride;
  to.out_stride = d.out_stride;
  to.residual_stride = d.residual_stride;
  to.rhs_row_stride = d.rhs_row_stride;
  to.rhs_column_stride = d.rhs_column_stride;
  to.lhs_zero_point = d.lhs_zero_point;
  to.rhs_zero_point = d.rhs_zero_point;
  to.dynamic_lhs = (d.flags & QUANTAL_DYNAMIC_LHS) != 0;
  if (const std::int32_t s = read_epilogue(d.epilogue, to.out, to.finish); s != QUANTAL_OK) return s;
  if (d.threads > 65536) return QUANTAL_E_ARGUMENT;
  const gemm_leaf* leaf = d.kernel == nullptr ? &best_gemm_leaf(to.shape) : gemm_leaf_of(d.kernel);
  if (leaf == nullptr) return QUANTAL_E_UNSUPPORTED;
  return code_of(plan_gemm(to, *leaf, d.threads == 0 ? 1 : d.threads, plan, &channel));
}

std::uint64_t extent(std::int64_t rows, std::int64_t columns, std::int64_t row, std::int64_t column,
                     std::uint64_t element) noexcept {
  std::uint64_t bytes = 0;
  detail::extent(rows, columns, row, column, element, bytes);
  return bytes;
}
std::uint64_t weight_bytes(const gemm_plan& p) noexcept {
  return extent(p.shape.k, p.shape.n, p.rhs_row_stride, p.rhs_column_stride, 1);
}

std::int32_t read(const void* memory, const gemm_plan*& plan) noexcept {
  return read_plan(memory, plan_kind::gemm, plan, is_kernel);
}

}  // namespace

// For quantal_plan_get_info.
std::int32_t gemm_info(const void* memory, std::uint64_t threads, quantal_plan_info& info) noexcept {
  const gemm_plan* p = nullptr;
  if (const std::int32_t s = read(memory, p); s != QUANTAL_OK) return s;
  info.packed_bytes = p->packed_bytes;
  info.workspace_bytes = gemm_workspace_bytes(*p, static_cast<std::size_t>(threads));
  info.tasks = p->tasks;
  info.in_bytes = extent(p->shape.m, p->shape.k, p->lhs_stride, 1, 1);
  info.out_bytes = extent(p->shape.m, p->shape.n, p->out_stride, 1, detail::is_code(p->out) ? 1 : 4);
  info.weight_bytes = weight_bytes(*p);
  info.residual_bytes =
      p->store.residual_type == dtype::none ? 0 : extent(p->shape.m, p->shape.n, p->residual_stride, 1, 1);
  info.kernel = kernel_name(*p);
  return QUANTAL_OK;
}

}  // namespace quantal::capi

using namespace quantal;
using namespace quantal::capi;

extern "C" {

int32_t quantal_multiplier_of(double ratio, quantal_multiplier* out) {
  if (out == nullptr) return QUANTAL_E_NULL;
  fixed_multiplier m;
  const status s = fixed_multiplier_of(ratio, m);
  if (s == status::ok) *out = {m.multiplier, m.shift};
  return code_of(s);
}

int32_t quantal_gemm_plan_size(const quantal_gemm_desc* desc, size_t* bytes, size_t* alignment) {
  quantal_gemm_desc d;
  if (bytes == nullptr || alignment == nullptr) return QUANTAL_E_NULL;
  if (const int32_t s = read_desc(desc, d); s != QUANTAL_OK) return s;
  *bytes = sizeof(stored_plan<gemm_plan>);
  *alignment = plan_alignment;
  return QUANTAL_OK;
}

int32_t quantal_gemm_plan_init(void* memory, size_t bytes, const quantal_gemm_desc* desc, quantal_diag* diag) {
  return fenced(diag, [&]() -> int32_t {
    quantal_gemm_desc d;
    if (const int32_t s = read_desc(desc, d); s != QUANTAL_OK) return plan_failure(s, "desc", diag);
    if (const int32_t s = plan_memory<gemm_plan>(memory, bytes); s != QUANTAL_OK) return plan_failure(s, "plan", diag);
    gemm_plan plan;
    std::size_t channel = 0;
    if (const int32_t s = make_plan(d, plan, channel); s != QUANTAL_OK)
      return plan_failure(s, field_of(d, s, channel), diag);
    store_plan(memory, plan_kind::gemm, plan, d.threads == 0 ? 1 : d.threads);
    return QUANTAL_OK;
  });
}

int32_t quantal_gemm_pack(const void* memory, const quantal_weights* weights, void* packed, size_t bytes,
                          quantal_diag* diag) {
  return fenced(diag, [&]() -> int32_t {
    const gemm_plan* p = nullptr;
    if (const int32_t s = read(memory, p); s != QUANTAL_OK) return plan_failure(s, "plan", diag);
    quantal_weights w;
    if (const int32_t s = read_struct(weights, w, sizeof w, 0); s != QUANTAL_OK)
      return plan_failure(s, "weights", diag);
    gemm_weights to{w.data, w.bias, w.real_bias, {}};
    if (const int32_t s = read_epilogue(w.epilogue, p->out, to.finish); s != QUANTAL_OK)
      return plan_failure(s, "weights.epilogue", diag);
    if (!aligned4(w.bias) || !aligned4(w.real_bias) || (w.real_bias != nullptr && p->out != dtype::f32))
      return plan_failure(QUANTAL_E_ARGUMENT, "weights.bias", diag);
    const std::uint64_t needed = weight_bytes(*p);
    if (w.data != nullptr && w.bytes < needed) return plan_failure(QUANTAL_E_BUFFER, "weights.bytes", diag);
    if (packed != nullptr && bytes >= p->packed_bytes && detail::overlap(w.data, needed, packed, p->packed_bytes))
      return plan_failure(QUANTAL_E_OVERLAP, "packed", diag);
    const status s = pack_gemm(*p, to, packed, bytes);
    return s == status::ok ? QUANTAL_OK : plan_failure(code_of(s), pack_field(s, packed, w.data), diag);
  });
}

int32_t quantal_gemm_run(const void* memory, const quantal_run_buffers* buffers, const quantal_parallel* parallel) {
  const gemm_plan* p = nullptr;
  if (const int32_t s = read(memory, p); s != QUANTAL_OK) return s;
  quantal_run_buffers b;
  if (const int32_t s = read_struct(buffers, b, sizeof b, 0); s != QUANTAL_OK) return s;
  parallel_for threads;
  if (const int32_t s = read_parallel(parallel, threads); s != QUANTAL_OK) return s;
  if (p->tasks != 0 && b.workspace == nullptr) return QUANTAL_E_SCRATCH;
  if (!aligned4(b.row_zero_points) || !aligned4(b.row_scales) || (!detail::is_code(p->out) && !aligned4(b.out)))
    return QUANTAL_E_ARGUMENT;
  const gemm_buffers to{b.in,       b.in_bytes,       b.packed,          b.packed_bytes,
                        b.out,      b.out_bytes,      b.workspace,       b.workspace_bytes,
                        b.residual, b.residual_bytes, b.row_zero_points, b.row_scales};
  return code_of(run_gemm(*p, to, threads));
}

}  // extern "C"
