// The C ABI's matrix product: descriptions checked and turned into kernels/gemm.hpp's plans, in the caller's memory.
#include "quantal/kernels/gemm.hpp"

#include "plan.hpp"
#include "quantal/num/fixed_point.hpp"

namespace quantal::capi {

static_assert(sizeof(quantal_multiplier) == sizeof(fixed_multiplier));

namespace {

struct advice {
  std::int32_t code;
  const char* field;  // where it differs; null: any other
  const char* text;
};
constexpr advice advices[] = {
    {QUANTAL_E_NULL, nullptr, "set this pointer: only biases, residuals, tables and kernel names may be NULL"},
    {QUANTAL_E_STRUCT_SIZE, nullptr, "set struct_size to the sizeof of the struct"},
    {QUANTAL_E_VERSION, nullptr, "zero what lies behind the fields of this version, or link a newer library"},
    {QUANTAL_E_FLAGS, nullptr, "give this struct its own flags only, and 0 in reserved fields"},
    {QUANTAL_E_SHAPE, "k", "give 0 to 2^23 (above 33025, sums that leave s32 saturate)"},
    {QUANTAL_E_SHAPE, "groups", "groups divide in_c and out_c; a depthwise convolution has groups = in_c"},
    {QUANTAL_E_SHAPE, "kernel_h, kernel_w, in_c", "a window has up to 2^23 products, depthwise 33025"},
    {QUANTAL_E_SHAPE, "kernel_h", "the dilated kernel fits into in_h + pad_top + pad_bottom"},
    {QUANTAL_E_SHAPE, "kernel_w", "the dilated kernel fits into in_w + pad_left + pad_right"},
    {QUANTAL_E_SHAPE, nullptr, "give no negative size"},
    {QUANTAL_E_STRIDE, nullptr, "give strides of at least what they step over, or 0 for dense"},
    {QUANTAL_E_OVERFLOW, nullptr, "describe less: sizes up to 2^31 - 1 (m and n 2^48), tensors below 2^60 bytes"},
    {QUANTAL_E_BUFFER, nullptr, "give at least the bytes that plan_size and quantal_plan_get_info say"},
    {QUANTAL_E_OVERLAP, nullptr, "pack into memory that holds nothing which packing reads"},
    {QUANTAL_E_SCRATCH, nullptr, "align packed memory to 64 bytes"},
    {QUANTAL_E_PLAN, "plan",
     "initialise the plan in this process, for this kind of operation, and leave its bytes alone"},
    {QUANTAL_E_PLAN, nullptr, "pack with the epilogue of the plan's description, unchanged"},
    {QUANTAL_E_STATE, nullptr, "call plan_init first"},
    {QUANTAL_E_ARGUMENT, "plan", "align plan memory to 8 bytes"},
    {QUANTAL_E_ARGUMENT, "threads", "give up to 65536"},
    {QUANTAL_E_ARGUMENT, nullptr, "align 4-byte data to 4 bytes; real_bias belongs to F32 products"},
    {QUANTAL_E_SCALE, nullptr, "give a positive, finite, normal float"},
    {QUANTAL_E_ZERO_POINT, nullptr, "give a code of the type: U8 0..255, S8 -128..127"},
    {QUANTAL_E_RANGE, "epilogue.min, epilogue.max", "min <= max, both codes of the output"},
    {QUANTAL_E_RANGE, "epilogue.residual_ratio", "give less than 2^100"},
    {QUANTAL_E_RANGE, nullptr, "give 0 or 2^30..2^31-1 and a shift of -31..30: quantal_multiplier_of makes them"},
    {QUANTAL_E_COUNT, nullptr, "give 1, or one per output channel"},
    {QUANTAL_E_DTYPE, "out_dtype", "give S32, S8, U8 or F32"},
    {QUANTAL_E_DTYPE, nullptr, "give S8 or U8"},
    {QUANTAL_E_CONTRACT, nullptr, "give QUANTAL_FP32_RNE, QUANTAL_FIXED_DOUBLE or QUANTAL_FIXED_SINGLE"},
    {QUANTAL_E_UNSUPPORTED, "kernel",
     "name an ISA of this build that the CPU offers (`quantal cpu` lists them), or NULL"},
    {QUANTAL_E_UNSUPPORTED, "weight_zero_point",
     "this kernel holds weights of zero point 0 (S8) or 128 (U8): force none"},
    {QUANTAL_E_UNSUPPORTED, nullptr,
     "S32 takes no epilogue (NULL), F32 neither residual nor table, and row scales belong to F32 products"},
};

const char* advice_of(std::int32_t code, const std::string& field) noexcept {
  for (const advice& a : advices) {
    if (a.code == code && (a.field == nullptr || field == a.field)) return a.text;
  }
  return "see quantal.h";
}

bool is_code(std::int32_t type) noexcept {
  return type == QUANTAL_S8 || type == QUANTAL_U8;
}
bool holds(std::int32_t type, std::int32_t code) noexcept {
  return type == QUANTAL_U8 ? code >= 0 && code <= 255 : code >= -128 && code <= 127;
}

}  // namespace

std::int32_t plan_failure(std::int32_t code, const std::string& field, quantal_diag* diag) noexcept {
  return fenced(diag, [&] {
    return fail(error{static_cast<status>(code), quantal_strerror(code), field, advice_of(code, field)}, diag);
  });
}

std::string epilogue_field(const quantal_epilogue* from, std::int32_t out, std::int32_t code, std::size_t channel) {
  if (from == nullptr) return "epilogue";
  const quantal_epilogue& e = *from;
  const bool fixed = out != QUANTAL_F32 && e.contract != QUANTAL_FP32_RNE;
  const std::string array = fixed ? "epilogue.multipliers" : "epilogue.ratios";
  const std::string one = array + "[" + std::to_string(channel) + "]";
  const bool in_array = channel != no_channel;
  const bool clamp_is_bad =
      (e.flags & QUANTAL_CLAMP) != 0 && (e.min > e.max || (is_code(out) && (!holds(out, e.min) || !holds(out, e.max))));
  switch (code) {
    case QUANTAL_E_NULL: return array;
    case QUANTAL_E_SCALE: return in_array ? one : "epilogue.residual_ratio";
    case QUANTAL_E_RANGE:
      if (clamp_is_bad) return "epilogue.min, epilogue.max";
      return in_array ? one : fixed ? "epilogue.residual_multiplier" : "epilogue.residual_ratio";
    case QUANTAL_E_ZERO_POINT: return holds(out, e.zero_point) ? "epilogue.residual_zero_point" : "epilogue.zero_point";
    case QUANTAL_E_DTYPE: return "epilogue.residual_dtype";
    case QUANTAL_E_COUNT: return "epilogue.count";
    case QUANTAL_E_CONTRACT: return "epilogue.contract";
    default: return "epilogue";
  }
}

std::int32_t read_epilogue(const quantal_epilogue* from, dtype out, epilogue& to) noexcept {
  if (from == nullptr) return out == dtype::s32 ? QUANTAL_OK : QUANTAL_E_NULL;
  if (out == dtype::s32) return QUANTAL_E_UNSUPPORTED;
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
    // INT32_MIN and INT32_MAX mean "the type's limit" inside: no bound for reals, but outside every type of codes.
    if (out != dtype::f32 && (e.min == INT32_MIN || e.max == INT32_MAX)) return QUANTAL_E_RANGE;
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

std::int32_t read_desc(const quantal_gemm_desc* desc, quantal_gemm_desc& d) noexcept {
  return read_struct(desc, d, sizeof d, QUANTAL_DYNAMIC_LHS);
}

// The field behind a planner's status.
std::string field_of(const quantal_gemm_desc& d, std::int32_t code, std::size_t channel) {
  const auto fits = [](std::int64_t rows, std::int64_t columns, std::int64_t row, std::int64_t column) {
    std::uint64_t bytes = 0;
    return detail::extent(rows, columns, row == 0 ? columns : row, column, 4, bytes);
  };
  switch (code) {
    case QUANTAL_E_DTYPE:
      if (!is_code(d.lhs_dtype)) return "lhs_dtype";
      if (!is_code(d.rhs_dtype)) return "rhs_dtype";
      if (!is_code(d.out_dtype) && d.out_dtype != QUANTAL_S32 && d.out_dtype != QUANTAL_F32) return "out_dtype";
      break;
    case QUANTAL_E_SHAPE: return d.m < 0 ? "m" : d.n < 0 ? "n" : "k";
    case QUANTAL_E_STRIDE:
      if (d.rhs_row_stride < 0) return "rhs_row_stride";
      if (d.rhs_column_stride < 0) return "rhs_column_stride";
      if (d.lhs_stride < 0 || (d.lhs_stride != 0 && d.m > 1 && d.lhs_stride < d.k)) return "lhs_stride";
      if (d.out_stride < 0 || (d.out_stride != 0 && d.m > 1 && d.out_stride < d.n)) return "out_stride";
      return "residual_stride";
    case QUANTAL_E_OVERFLOW:
      if (d.lhs_stride != 0 && !fits(d.m, d.k, d.lhs_stride, 1)) return "lhs_stride";
      if (d.out_stride != 0 && !fits(d.m, d.n, d.out_stride, 1)) return "out_stride";
      if (d.residual_stride != 0 && !fits(d.m, d.n, d.residual_stride, 1)) return "residual_stride";
      if (d.rhs_row_stride != 0 && !fits(d.k, 1, d.rhs_row_stride, 1)) return "rhs_row_stride";
      if (d.rhs_column_stride != 0 && !fits(d.n, 1, d.rhs_column_stride, 1)) return "rhs_column_stride";
      return d.m > d.n ? "m" : "n";
    case QUANTAL_E_ZERO_POINT:
      if ((d.flags & QUANTAL_DYNAMIC_LHS) == 0 && !holds(d.lhs_dtype, d.lhs_zero_point)) return "lhs_zero_point";
      if (!holds(d.rhs_dtype, d.rhs_zero_point)) return "rhs_zero_point";
      break;
    case QUANTAL_E_ARGUMENT:
      if (d.threads > max_threads) return "threads";
      break;
    case QUANTAL_E_UNSUPPORTED:
      if (d.kernel != nullptr && gemm_leaf_of(d.kernel) == nullptr) return "kernel";
      break;
    default: break;
  }
  return epilogue_field(d.epilogue, d.out_dtype, code, channel);
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
  if (d.threads > max_threads) return QUANTAL_E_ARGUMENT;
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
  return read_plan(memory, plan_kind::gemm, plan, is_gemm_leaf);
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
    std::size_t channel = no_channel;
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
    const status s = pack_gemm(*p, to, packed, bytes);
    return s == status::ok ? QUANTAL_OK : plan_failure(code_of(s), pack_field(s, packed, w.data), diag);
  });
}

int32_t quantal_gemm_run(const void* memory, const quantal_run_buffers* buffers, const quantal_parallel* parallel) {
  const gemm_plan* p = nullptr;
  if (const int32_t s = read(memory, p); s != QUANTAL_OK) return s;
  quantal_run_buffers b;
  if (const int32_t s = read_struct(buffers, b, run_buffers_version1, 0); s != QUANTAL_OK) return s;
  parallel_for threads;
  if (const int32_t s = read_parallel(parallel, threads); s != QUANTAL_OK) return s;
  if (p->tasks != 0 && b.workspace == nullptr) return QUANTAL_E_SCRATCH;
  if (!aligned4(b.row_zero_points) || !aligned4(b.row_scales) || !aligned4(b.row_sums) ||
      (!detail::is_code(p->out) && !aligned4(b.out)))
    return QUANTAL_E_ARGUMENT;
  const gemm_buffers to{b.in,       b.in_bytes,       b.packed,          b.packed_bytes,
                        b.out,      b.out_bytes,      b.workspace,       b.workspace_bytes,
                        b.residual, b.residual_bytes, b.row_zero_points, b.row_scales,
                        b.row_sums};
  return code_of(run_gemm(*p, to, threads));
}

}  // extern "C"
