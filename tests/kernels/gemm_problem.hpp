// A matrix product with everything that goes into it, made from a seed: for tests that compare a leaf with the
// reference. All buffers come from a `memory`, so that a test decides what lies around them.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "quantal/kernels/gemm.hpp"

namespace quantal_test {

using namespace quantal;

// Where buffers come from; they live until the next reset().
struct memory {
  virtual ~memory() = default;
  virtual std::uint8_t* take(std::uint64_t bytes, std::uint64_t alignment) = 0;
  virtual void reset() = 0;
  virtual bool intact() const { return true; }  // nothing was written beside a buffer
};

struct heap_memory : memory {
  struct release {
    void operator()(std::uint8_t* p) const { std::free(p); }
  };
  std::vector<std::unique_ptr<std::uint8_t, release>> blocks;

  std::uint8_t* take(std::uint64_t bytes, std::uint64_t) override {
    blocks.emplace_back(
        static_cast<std::uint8_t*>(std::aligned_alloc(64, static_cast<std::size_t>(round_up(bytes + 1, 64)))));
    return blocks.back().get();
  }
  void reset() override { blocks.clear(); }
};

// xorshift32 (Marsaglia): the same on every machine.
class generator {
 public:
  explicit generator(std::uint32_t seed) : state_(seed * 2654435761u + 1) {}
  std::uint32_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }
  std::int32_t pick(std::int32_t low, std::int32_t high) {
    return low + static_cast<std::int32_t>(next() % static_cast<std::uint32_t>(high - low + 1));
  }
  bool one_in(std::int32_t n) { return pick(1, n) == 1; }
  std::int32_t code_of(dtype type) { return type == dtype::u8 ? pick(0, 255) : pick(-128, 127); }

 private:
  std::uint32_t state_;
};

// What varies beside the shape.
struct gemm_kind {
  dtype lhs = dtype::u8, rhs = dtype::s8, out = dtype::s32;
  contract rule = contract::fp32_rne;
  dtype residual = dtype::none;
  bool table = false, dynamic_lhs = false, row_scales = false;
  bool extremes = false;  // codes are the largest and the smallest of their type only
  bool gaps = false;      // rows are further apart than they are long
};

inline bool to_codes(const gemm_kind& k) {
  return k.out == dtype::u8 || k.out == dtype::s8;
}

inline gemm_kind any_kind(generator& r) {
  constexpr dtype codes[] = {dtype::u8, dtype::s8}, outs[] = {dtype::s32, dtype::u8, dtype::s8, dtype::f32};
  gemm_kind k;
  k.lhs = codes[r.pick(0, 1)];
  k.rhs = codes[r.pick(0, 1)];
  k.out = outs[r.pick(0, 3)];
  if (to_codes(k)) {
    k.rule = static_cast<contract>(r.pick(0, 2));
    if (r.one_in(3)) k.residual = codes[r.pick(0, 1)];
    k.table = r.one_in(4);
  }
  k.dynamic_lhs = r.one_in(4);
  k.row_scales = k.out == dtype::f32 && r.one_in(2);
  k.extremes = r.one_in(5);
  k.gaps = r.one_in(3);
  return k;
}

class gemm_problem {
 public:
  gemm_problem(gemm_shape s, const gemm_kind& kind, std::uint32_t seed, memory& from) : m_(from), r_(seed) {
    d.shape = s;
    d.lhs = kind.lhs;
    d.rhs = kind.rhs;
    d.out = kind.out;
    const std::int64_t gap = kind.gaps ? r_.pick(1, 9) : 0;
    d.lhs_stride = s.k + gap;
    d.out_stride = s.n + gap;
    d.residual_stride = s.n + 2 * gap;
    d.rhs_row_stride = kind.gaps ? 1 : s.n;  // transposed weights
    d.rhs_column_stride = kind.gaps ? s.k + gap : 1;
    d.lhs_zero_point = r_.code_of(kind.lhs);
    d.rhs_zero_point = r_.one_in(2) ? 0 : r_.code_of(kind.rhs);
    d.dynamic_lhs = kind.dynamic_lhs;
    make_epilogue(kind);
    lhs_bytes = extent(s.m, s.k, d.lhs_stride);
    lhs = codes(lhs_bytes, kind.extremes);
    rhs = codes(kind.gaps ? extent(s.n, s.k, d.rhs_column_stride) : extent(s.k, s.n, s.n), kind.extremes);
    residual_bytes = kind.residual == dtype::none ? 0 : extent(s.m, s.n, d.residual_stride);
    residual = kind.residual == dtype::none ? nullptr : codes(residual_bytes, kind.extremes);
    out_bytes = extent(s.m, s.n, d.out_stride) * (to_codes(kind) ? 1 : 4);
  }

  // The same inputs, with outputs and workspace from elsewhere.
  gemm_problem(const gemm_problem& other, memory& from)
      : d(other.d),
        lhs_bytes(other.lhs_bytes),
        residual_bytes(other.residual_bytes),
        out_bytes(other.out_bytes),
        lhs(other.lhs),
        rhs(other.rhs),
        residual(other.residual),
        bias(other.bias),
        zeros(other.zeros),
        ratios(other.ratios),
        scales(other.scales),
        m_(from),
        r_(0) {}

  // The product by `leaf`; gaps between rows hold 0x55. Not ok: empty.
  std::vector<std::uint8_t> run(const gemm_leaf& leaf, std::size_t width = 1, const parallel_for& lanes = {},
                                const gemm_blocking& forced = {}) {
    gemm_plan plan;
    error = plan_gemm(d, leaf, width, plan, nullptr, forced);
    if (error != status::ok) return {};
    std::uint8_t* packed = m_.take(plan.packed_bytes, 64);
    error = pack_gemm(plan, weights(), packed, plan.packed_bytes);
    if (error != status::ok) return {};
    return run(plan, packed, width, lanes);
  }

  std::vector<std::uint8_t> run(const gemm_plan& plan, const std::uint8_t* packed, std::size_t width = 1,
                                const parallel_for& lanes = {}) {
    gemm_buffers b;
    b.lhs = lhs;
    b.lhs_bytes = lhs_bytes;
    b.packed = packed;
    b.packed_bytes = plan.packed_bytes;
    b.out_bytes = out_bytes;
    b.workspace_bytes = gemm_workspace_bytes(plan, width);
    b.residual = residual;
    b.residual_bytes = residual_bytes;
    b.row_zero_points = d.dynamic_lhs ? zeros : nullptr;
    b.row_scales = d.finish.row_scales ? scales : nullptr;
    b.out = m_.take(out_bytes, 4);
    b.workspace = m_.take(b.workspace_bytes, 64);
    std::memset(b.out, 0x55, static_cast<std::size_t>(out_bytes));
    std::memset(b.workspace, 0xa5, static_cast<std::size_t>(b.workspace_bytes));
    error = run_gemm(plan, b, lanes);
    if (error != status::ok) return {};
    const std::uint8_t* bytes = static_cast<const std::uint8_t*>(b.out);
    return {bytes, bytes + out_bytes};
  }

  std::vector<std::uint8_t> reference() const {
    std::vector<std::uint8_t> wanted(static_cast<std::size_t>(out_bytes), 0x55);
    const ref::gemm_extras extras{
        bias,     real_bias(),      d.dynamic_lhs ? zeros : nullptr, d.finish.row_scales ? scales : nullptr,
        residual, d.residual_stride};
    ref::gemm(d.shape, {lhs, d.lhs, d.lhs_stride, 1, d.lhs_zero_point},
              {rhs, d.rhs, d.rhs_row_stride, d.rhs_column_stride, d.rhs_zero_point}, extras, d.finish, d.out,
              wanted.data(), d.out_stride);
    return wanted;
  }

  gemm_weights weights() const { return {rhs, bias, real_bias(), d.finish}; }

  gemm_desc d;
  std::uint64_t lhs_bytes = 0, residual_bytes = 0, out_bytes = 0;
  const std::uint8_t *lhs = nullptr, *rhs = nullptr, *residual = nullptr;
  const std::int32_t *bias = nullptr, *zeros = nullptr;
  const float *ratios = nullptr, *scales = nullptr;
  status error = status::ok;

 private:
  static std::uint64_t extent(std::int64_t rows, std::int64_t columns, std::int64_t stride) {
    return rows == 0 || columns == 0 ? 0 : static_cast<std::uint64_t>((rows - 1) * stride + columns);
  }
  const float* real_bias() const { return d.out == dtype::f32 ? ratios : nullptr; }

  template <class T, class Make>
  const T* array(std::int64_t count, Make make) {
    T* at = reinterpret_cast<T*>(m_.take(static_cast<std::uint64_t>(count) * sizeof(T), alignof(T)));
    for (std::int64_t i = 0; i < count; ++i) at[i] = make();
    return at;
  }
  const std::uint8_t* codes(std::uint64_t bytes, bool extremes) {
    return array<std::uint8_t>(static_cast<std::int64_t>(bytes), [&] {
      constexpr std::uint8_t ends[] = {0x80, 0x7f, 0xff, 0x00};
      return extremes ? ends[r_.pick(0, 3)] : static_cast<std::uint8_t>(r_.next() >> 8);
    });
  }
  fixed_multiplier multiplier_of(float ratio) {
    fixed_multiplier m;
    if (fixed_multiplier_of(ratio, m) != status::ok) error = status::internal;
    return m;
  }

  void make_epilogue(const gemm_kind& kind) {
    const std::int64_t n = d.shape.n, m = d.shape.m;
    const float unit = 1e-3F / static_cast<float>(1 + d.shape.k);
    ratios = array<float>(n, [&] { return unit * static_cast<float>(r_.pick(1, 3000)); });
    std::int64_t c = 0;
    const fixed_multiplier* multipliers = array<fixed_multiplier>(n, [&] { return multiplier_of(ratios[c++]); });
    bias = array<std::int32_t>(
        n, [&] { return kind.extremes ? (r_.one_in(2) ? INT32_MAX : INT32_MIN) : r_.pick(-9999, 9999); });
    zeros = array<std::int32_t>(m, [&] { return r_.code_of(kind.lhs); });
    scales = array<float>(m, [&] { return 1e-3F * static_cast<float>(r_.pick(1, 3000)); });
    requantizer& q = d.finish.requant;
    q.rule = kind.rule;
    q.ratios = ratios;
    q.multipliers = multipliers;
    q.count = static_cast<std::size_t>(n);
    q.zero_point = to_codes(kind) ? r_.code_of(kind.out) : 0;
    if (kind.out != dtype::s32) {
      q.min = r_.one_in(4) ? q.zero_point : INT32_MIN;  // a fused ReLU
      const std::int32_t most = kind.out == dtype::u8 ? 255 : 127;
      q.max = r_.one_in(4) ? to_codes(kind) ? r_.pick(q.zero_point, most) : 6 : INT32_MAX;
    }
    residual_input& second = d.finish.residual;
    second.type = kind.residual;
    if (kind.residual != dtype::none) {
      second.zero_point = r_.code_of(kind.residual);
      second.ratio = 1e-3F * static_cast<float>(r_.pick(1, 4000));
      second.multiplier = multiplier_of(second.ratio);
    }
    if (kind.table)
      d.finish.table = array<std::uint8_t>(256, [&] { return static_cast<std::uint8_t>(r_.next() >> 8); });
    d.finish.row_scales = kind.row_scales;
  }

  memory& m_;
  generator r_;
};

}  // namespace quantal_test
