// The C ABI's convolutions: one description for both, kernels/conv.hpp and kernels/depthwise.hpp behind it. The two
// differ in their plan type and its three functions, nothing else.
#include "quantal/kernels/conv.hpp"

#include "plan.hpp"
#include "quantal/kernels/depthwise.hpp"

namespace quantal::capi {

std::int32_t gemm_info(const void* memory, std::uint64_t threads, quantal_plan_info& info) noexcept;

namespace {

struct conv2d_family {
  using plan_type = conv_plan;
  static constexpr plan_kind kind = plan_kind::conv2d;
  static bool is_kernel(const gemm_leaf* leaf) noexcept { return is_gemm_leaf(leaf); }
  static bool knows(const char* kernel) noexcept { return kernel == nullptr || gemm_leaf_of(kernel) != nullptr; }
  static status plan(const conv_desc& d, const char* kernel, std::size_t width, conv_plan& out,
                     std::size_t* channel) noexcept {
    conv_layout layout;
    if (const status s = check_conv(d, layout, channel); s != status::ok) return s;
    const gemm_leaf* leaf = kernel == nullptr ? &best_gemm_leaf(product_of(layout)) : gemm_leaf_of(kernel);
    return leaf == nullptr ? status::unsupported : plan_conv(d, *leaf, width, out, channel);
  }
  static status pack(const conv_plan& p, const void* weights, const std::int32_t* bias, const epilogue& e, void* packed,
                     std::uint64_t bytes) noexcept {
    return pack_conv(p, weights, bias, e, packed, bytes);
  }
  static status run(const conv_plan& p, const conv_buffers& b, const parallel_for& parallel) noexcept {
    return run_conv(p, b, parallel);
  }
  static std::uint64_t workspace(const conv_plan& p, std::size_t width) noexcept {
    return conv_workspace_bytes(p, width);
  }
};

struct depthwise_family {
  using plan_type = depthwise_plan;
  static constexpr plan_kind kind = plan_kind::depthwise;
  static bool is_kernel(const depthwise_leaf* leaf) noexcept { return is_depthwise_leaf(leaf); }
  static bool knows(const char* kernel) noexcept { return kernel == nullptr || depthwise_leaf_of(kernel) != nullptr; }
  static status plan(const conv_desc& d, const char* kernel, std::size_t width, depthwise_plan& out,
                     std::size_t* channel) noexcept {
    if (kernel != nullptr) {
      const depthwise_leaf* leaf = depthwise_leaf_of(kernel);
      return leaf == nullptr ? status::unsupported : plan_depthwise(d, *leaf, width, out, channel);
    }
    const status s = plan_depthwise(d, best_depthwise_leaf(), width, out, channel);
    return s != status::unsupported ? s : plan_depthwise(d, best_depthwise_leaf(true), width, out, channel);
  }
  static status pack(const depthwise_plan& p, const void* weights, const std::int32_t* bias, const epilogue& e,
                     void* packed, std::uint64_t bytes) noexcept {
    return pack_depthwise(p, weights, bias, e, packed, bytes);
  }
  static status run(const depthwise_plan& p, const conv_buffers& b, const parallel_for& parallel) noexcept {
    return run_depthwise(p, b, parallel);
  }
  static std::uint64_t workspace(const depthwise_plan& p, std::size_t width) noexcept {
    return depthwise_workspace_bytes(p, width);
  }
};

std::int32_t read_conv_desc(const quantal_conv_desc* desc, quantal_conv_desc& d) noexcept {
  if (const std::int32_t s = read_struct(desc, d, sizeof d, 0); s != QUANTAL_OK) return s;
  for (std::int64_t* x : {&d.stride_h, &d.stride_w, &d.dilation_h, &d.dilation_w, &d.groups}) {
    if (*x == 0) *x = 1;
  }
  return QUANTAL_OK;
}

image_strides strides_of(const std::int64_t (&s)[3]) noexcept {
  return {s[0], s[1], s[2]};
}

std::int32_t to_core(const quantal_conv_desc& d, conv_desc& to) noexcept {
  to.shape = {d.batch,    d.in_h,       d.in_w,       d.in_c,    d.out_c,    d.kernel_h,   d.kernel_w,  d.stride_h,
              d.stride_w, d.dilation_h, d.dilation_w, d.pad_top, d.pad_left, d.pad_bottom, d.pad_right, d.groups};
  to.in = static_cast<dtype>(d.in_dtype);
  to.weights = static_cast<dtype>(d.weight_dtype);
  to.out = static_cast<dtype>(d.out_dtype);
  to.in_strides = strides_of(d.in_strides);
  to.out_strides = strides_of(d.out_strides);
  to.residual_strides = strides_of(d.residual_strides);
  for (int i = 0; i < 4; ++i) to.weight_strides[i] = d.weight_strides[i];
  to.in_zero_point = d.in_zero_point;
  to.weight_zero_point = d.weight_zero_point;
  return read_epilogue(d.epilogue, to.out, to.finish);
}

// The tensor whose strides, or whose size where it is dense, are at fault.
std::string tensor_at_fault(const conv_desc& d, status code) {
  const conv_shape& s = d.shape;
  const auto given = [](const image_strides& x) { return x.image != 0 || x.row != 0 || x.pixel != 0; };
  const auto bad = [&](std::int64_t h, std::int64_t w, std::int64_t c, image_strides strides) {
    std::uint64_t elements = 0;
    return detail::resolve_strides(s.batch, h, w, c, strides, elements) == code;
  };
  if (bad(s.in_h, s.in_w, s.in_c, d.in_strides)) return given(d.in_strides) ? "in_strides" : "batch, in_h, in_w, in_c";
  if (bad(s.out_h(), s.out_w(), s.out_c, d.out_strides)) return given(d.out_strides) ? "out_strides" : "batch, out_c";
  if (bad(s.out_h(), s.out_w(), s.out_c, d.residual_strides)) return "residual_strides";
  for (const std::int64_t x : d.weight_strides) {
    if (x != 0) return "weight_strides";
  }
  return "kernel_h, kernel_w, in_c, out_c";
}

// The field behind a planner's status; `to` is the description as the planner got it.
template <class Family>
std::string field_of(const quantal_conv_desc& d, const conv_desc& to, std::int32_t code, std::size_t channel) {
  const auto code_type = [](std::int32_t t) { return t == QUANTAL_S8 || t == QUANTAL_U8; };
  const auto inside = [](std::int32_t z, std::int32_t t) {
    return t == QUANTAL_U8 ? z >= 0 && z <= 255 : z >= -128 && z <= 127;
  };
  struct named {
    const char* name;
    std::int64_t value, least;
  };
  const named sizes[] = {{"batch", d.batch, 0},
                         {"in_h", d.in_h, 0},
                         {"in_w", d.in_w, 0},
                         {"in_c", d.in_c, 0},
                         {"out_c", d.out_c, 0},
                         {"kernel_h", d.kernel_h, 1},
                         {"kernel_w", d.kernel_w, 1},
                         {"stride_h", d.stride_h, 1},
                         {"stride_w", d.stride_w, 1},
                         {"dilation_h", d.dilation_h, 1},
                         {"dilation_w", d.dilation_w, 1},
                         {"pad_top", d.pad_top, 0},
                         {"pad_left", d.pad_left, 0},
                         {"pad_bottom", d.pad_bottom, 0},
                         {"pad_right", d.pad_right, 0},
                         {"groups", d.groups, 1}};
  const conv_shape& shape = to.shape;
  switch (code) {
    case QUANTAL_E_DTYPE:
      if (!code_type(d.in_dtype)) return "in_dtype";
      if (!code_type(d.weight_dtype)) return "weight_dtype";
      if (!code_type(d.out_dtype) && d.out_dtype != QUANTAL_S32 && d.out_dtype != QUANTAL_F32) return "out_dtype";
      break;
    case QUANTAL_E_SHAPE:
      for (const named& n : sizes) {
        if (n.value < n.least) return n.name;
      }
      if (d.in_c % d.groups != 0 || d.out_c % d.groups != 0) return "groups";
      if (d.in_h + d.pad_top + d.pad_bottom < shape.window_h()) return "kernel_h";
      if (d.in_w + d.pad_left + d.pad_right < shape.window_w()) return "kernel_w";
      return Family::kind == plan_kind::depthwise && d.in_c != d.groups ? "groups" : "kernel_h, kernel_w, in_c";
    case QUANTAL_E_STRIDE: return tensor_at_fault(to, status::stride);
    case QUANTAL_E_OVERFLOW:
      for (const named& n : sizes) {
        if (n.value > INT32_MAX) return n.name;
      }
      if (d.kernel_h > INT32_MAX / d.dilation_h) return "dilation_h";
      if (d.kernel_w > INT32_MAX / d.dilation_w) return "dilation_w";
      return tensor_at_fault(to, status::overflow);
    case QUANTAL_E_ZERO_POINT:
      if (!inside(d.in_zero_point, d.in_dtype)) return "in_zero_point";
      if (!inside(d.weight_zero_point, d.weight_dtype)) return "weight_zero_point";
      break;
    case QUANTAL_E_UNSUPPORTED:
      if (!Family::knows(d.kernel)) return "kernel";
      if (check_epilogue(to.finish, to.out, static_cast<std::size_t>(shape.out_c)) == status::ok &&
          !to.finish.row_scales)
        return "weight_zero_point";
      break;
    default: break;
  }
  return epilogue_field(d.epilogue, d.out_dtype, code, channel);
}

template <class Family>
std::int32_t read(const void* memory, const typename Family::plan_type*& plan) noexcept {
  return read_plan(memory, Family::kind, plan, Family::is_kernel);
}

template <class Family>
std::int32_t plan_size(const quantal_conv_desc* desc, std::size_t* bytes, std::size_t* alignment) noexcept {
  quantal_conv_desc d;
  if (bytes == nullptr || alignment == nullptr) return QUANTAL_E_NULL;
  if (const std::int32_t s = read_conv_desc(desc, d); s != QUANTAL_OK) return s;
  *bytes = sizeof(stored_plan<typename Family::plan_type>);
  *alignment = plan_alignment;
  return QUANTAL_OK;
}

template <class Family>
std::int32_t plan_init(void* memory, std::size_t bytes, const quantal_conv_desc* desc, quantal_diag* diag) noexcept {
  return fenced(diag, [&]() -> std::int32_t {
    using plan_type = typename Family::plan_type;
    quantal_conv_desc d;
    if (const std::int32_t s = read_conv_desc(desc, d); s != QUANTAL_OK) return plan_failure(s, "desc", diag);
    if (const std::int32_t s = plan_memory<plan_type>(memory, bytes); s != QUANTAL_OK)
      return plan_failure(s, "plan", diag);
    conv_desc to;
    if (const std::int32_t s = to_core(d, to); s != QUANTAL_OK)
      return plan_failure(s, epilogue_field(d.epilogue, d.out_dtype, s, no_channel), diag);
    if (d.threads > max_threads) return plan_failure(QUANTAL_E_ARGUMENT, "threads", diag);
    const std::size_t width = d.threads == 0 ? 1 : d.threads;
    plan_type plan;
    std::size_t channel = no_channel;
    const std::int32_t s = code_of(Family::plan(to, d.kernel, width, plan, &channel));
    if (s != QUANTAL_OK) return plan_failure(s, field_of<Family>(d, to, s, channel), diag);
    store_plan(memory, Family::kind, plan, width);
    return QUANTAL_OK;
  });
}

template <class Family>
std::int32_t pack(const void* memory, const quantal_weights* weights, void* packed, std::size_t bytes,
                  quantal_diag* diag) noexcept {
  return fenced(diag, [&]() -> std::int32_t {
    const typename Family::plan_type* p = nullptr;
    if (const std::int32_t s = read<Family>(memory, p); s != QUANTAL_OK) return plan_failure(s, "plan", diag);
    const conv_layout& l = p->layout;
    quantal_weights w;
    if (const std::int32_t s = read_struct(weights, w, sizeof w, 0); s != QUANTAL_OK)
      return plan_failure(s, "weights", diag);
    epilogue e;
    if (const std::int32_t s = read_epilogue(w.epilogue, l.out, e); s != QUANTAL_OK)
      return plan_failure(s, "weights.epilogue", diag);
    if (!aligned4(w.bias) || w.real_bias != nullptr) return plan_failure(QUANTAL_E_ARGUMENT, "weights.bias", diag);
    if (w.data != nullptr && w.bytes < l.weight_elements) return plan_failure(QUANTAL_E_BUFFER, "weights.bytes", diag);
    const status s = Family::pack(*p, w.data, w.bias, e, packed, bytes);
    return s == status::ok ? QUANTAL_OK : plan_failure(code_of(s), pack_field(s, packed, w.data), diag);
  });
}

template <class Family>
std::int32_t run(const void* memory, const quantal_run_buffers* buffers, const quantal_parallel* parallel) noexcept {
  const typename Family::plan_type* p = nullptr;
  if (const std::int32_t s = read<Family>(memory, p); s != QUANTAL_OK) return s;
  quantal_run_buffers b;
  if (const std::int32_t s = read_struct(buffers, b, run_buffers_version1, 0); s != QUANTAL_OK) return s;
  parallel_for threads;
  if (const std::int32_t s = read_parallel(parallel, threads); s != QUANTAL_OK) return s;
  if (p->layout.out_elements != 0 && b.workspace == nullptr) return QUANTAL_E_SCRATCH;
  if (!detail::is_code(p->layout.out) && !aligned4(b.out)) return QUANTAL_E_ARGUMENT;
  const conv_buffers to{b.in,  b.in_bytes,  b.packed,    b.packed_bytes,   b.residual, b.residual_bytes,
                        b.out, b.out_bytes, b.workspace, b.workspace_bytes};
  return code_of(Family::run(*p, to, threads));
}

template <class Family>
std::int32_t info_of(const void* memory, std::uint64_t threads, quantal_plan_info& info) noexcept {
  const typename Family::plan_type* p = nullptr;
  if (const std::int32_t s = read<Family>(memory, p); s != QUANTAL_OK) return s;
  info.packed_bytes = p->packed_bytes;
  info.workspace_bytes = Family::workspace(*p, static_cast<std::size_t>(threads));
  info.tasks = p->tasks;
  info.in_bytes = p->layout.in_elements;
  info.out_bytes = p->layout.out_elements * (detail::is_code(p->layout.out) ? 1 : 4);
  info.weight_bytes = p->layout.weight_elements;
  info.residual_bytes = p->layout.residual_elements;
  info.kernel = p->leaf->isa;
  return QUANTAL_OK;
}

}  // namespace
}  // namespace quantal::capi

using namespace quantal;
using namespace quantal::capi;

extern "C" {

int32_t quantal_conv2d_plan_size(const quantal_conv_desc* desc, size_t* bytes, size_t* alignment) {
  return plan_size<conv2d_family>(desc, bytes, alignment);
}
int32_t quantal_conv2d_plan_init(void* plan, size_t bytes, const quantal_conv_desc* desc, quantal_diag* diag) {
  return plan_init<conv2d_family>(plan, bytes, desc, diag);
}
int32_t quantal_conv2d_pack(const void* plan, const quantal_weights* weights, void* packed, size_t bytes,
                            quantal_diag* diag) {
  return pack<conv2d_family>(plan, weights, packed, bytes, diag);
}
int32_t quantal_conv2d_run(const void* plan, const quantal_run_buffers* buffers, const quantal_parallel* parallel) {
  return run<conv2d_family>(plan, buffers, parallel);
}
int32_t quantal_depthwise_plan_size(const quantal_conv_desc* desc, size_t* bytes, size_t* alignment) {
  return plan_size<depthwise_family>(desc, bytes, alignment);
}
int32_t quantal_depthwise_plan_init(void* plan, size_t bytes, const quantal_conv_desc* desc, quantal_diag* diag) {
  return plan_init<depthwise_family>(plan, bytes, desc, diag);
}
int32_t quantal_depthwise_pack(const void* plan, const quantal_weights* weights, void* packed, size_t bytes,
                               quantal_diag* diag) {
  return pack<depthwise_family>(plan, weights, packed, bytes, diag);
}
int32_t quantal_depthwise_run(const void* plan, const quantal_run_buffers* buffers, const quantal_parallel* parallel) {
  return run<depthwise_family>(plan, buffers, parallel);
}

int32_t quantal_plan_get_info(const void* plan, quantal_plan_info* info) {
  plan_header header;
  if (const int32_t s = read_header(plan, header); s != QUANTAL_OK) return s;
  quantal_plan_info found{};
  int32_t s = QUANTAL_E_PLAN;
  if (header.threads == 0 || header.threads > 65536) return s;
  switch (static_cast<plan_kind>(header.kind)) {
    case plan_kind::gemm: s = gemm_info(plan, header.threads, found); break;
    case plan_kind::conv2d: s = info_of<conv2d_family>(plan, header.threads, found); break;
    case plan_kind::depthwise: s = info_of<depthwise_family>(plan, header.threads, found); break;
  }
  return s == QUANTAL_OK ? write_struct(found, info, sizeof(quantal_plan_info)) : s;
}

}  // extern "C"
