#include "quantal/ops/elementwise.hpp"

#include "quantal/ops/arguments.hpp"

namespace quantal::ops {

namespace {

constexpr std::int64_t grain = 16384;  // elements per task: some ten microseconds

// Both operands' strides over the broadcast shape, neighbouring dimensions joined where both allow it.
struct plan {
  std::int64_t dim[limits::max_rank] = {};
  std::int64_t a[limits::max_rank] = {};
  std::int64_t b[limits::max_rank] = {};
  std::int32_t rank = 0;
};

void strides_over(const shape& s, const shape& out, std::int64_t* strides) {
  std::int64_t step = 1;
  for (std::int32_t i = out.rank - 1, j = s.rank - 1; i >= 0; --i, --j) {
    const std::int64_t d = j >= 0 ? s[j] : 1;
    strides[i] = d == 1 ? 0 : step;
    step *= d;
  }
}

plan make_plan(const shape& a, const shape& b, const shape& out) {
  std::int64_t sa[limits::max_rank];
  std::int64_t sb[limits::max_rank];
  strides_over(a, out, sa);
  strides_over(b, out, sb);
  plan p;
  for (std::int32_t i = 0; i < out.rank; ++i) {
    if (out[i] == 1) continue;
    const std::int32_t last = p.rank - 1;
    if (last >= 0 && p.a[last] == sa[i] * out[i] && p.b[last] == sb[i] * out[i]) {
      p.dim[last] *= out[i];
      p.a[last] = sa[i];
      p.b[last] = sb[i];
    } else {
      p.dim[p.rank] = out[i];
      p.a[p.rank] = sa[i];
      p.b[p.rank++] = sb[i];
    }
  }
  if (p.rank == 0) {
    p.dim[0] = 1;
    p.rank = 1;
  }
  return p;
}

// Offsets of row `r` (all dimensions but the last).
void row_offsets(const plan& p, std::int64_t r, std::int64_t& a, std::int64_t& b) {
  a = 0;
  b = 0;
  for (std::int32_t i = p.rank - 2; i >= 0; --i) {
    const std::int64_t at = r % p.dim[i];
    r /= p.dim[i];
    a += at * p.a[i];
    b += at * p.b[i];
  }
}

}  // namespace

void broadcast_into(const parallel_for& parallel, const tensor_buffer& a, const tensor_buffer& b, tensor_buffer& out,
                    binary_loop loop) {
  const std::int64_t total = out.elements();
  if (total == 0) return;
  const plan p = make_plan(a.dims(), b.dims(), out.dims());
  const std::int64_t inner = p.dim[p.rank - 1];
  const std::int64_t rows = total / inner;
  const std::ptrdiff_t sa = p.a[p.rank - 1];
  const std::ptrdiff_t sb = p.b[p.rank - 1];
  const std::size_t in_size = bits_of(a.type()) / 8;
  const std::size_t b_size = bits_of(b.type()) / 8;
  const std::size_t out_size = bits_of(out.type()) / 8;
  const auto* pa = a.as<std::byte>();
  const auto* pb = b.as<std::byte>();
  auto* po = out.mutable_as<std::byte>();
  auto run = [&](std::int64_t row, std::int64_t begin, std::int64_t end) {
    std::int64_t oa = 0;
    std::int64_t ob = 0;
    row_offsets(p, row, oa, ob);
    loop(pa + static_cast<std::size_t>(oa + begin * sa) * in_size, sa,
         pb + static_cast<std::size_t>(ob + begin * sb) * b_size, sb,
         po + static_cast<std::size_t>(row * inner + begin) * out_size, static_cast<std::size_t>(end - begin));
  };
  if (rows == 1) {
    parallel_ranges(parallel, inner, grain, [&](std::int64_t begin, std::int64_t end) { run(0, begin, end); });
  } else {
    parallel_ranges(parallel, rows, 1 + grain / inner, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) run(r, 0, inner);
    });
  }
}

result<void> run_binary(eval_context& c, const tensor_buffer& a, const tensor_buffer& b, dtype out_type,
                        binary_loop loop) {
  QUANTAL_TRY(dims, broadcast_shape(c, a.dims(), b.dims()));
  QUANTAL_TRY(out, c.output(0, out_type, dims));
  broadcast_into(c.parallel(), a, b, *out, loop);
  return {};
}

result<void> run_unary(eval_context& c, const tensor_buffer& x, dtype out_type, unary_loop loop,
                       const double* parameters) {
  QUANTAL_TRY(out, c.output(0, out_type, x.dims()));
  const std::size_t in_size = bits_of(x.type()) / 8;
  const std::size_t out_size = bits_of(out_type) / 8;
  const auto* from = x.as<std::byte>();
  auto* to = out->mutable_as<std::byte>();
  parallel_ranges(c.parallel(), x.elements(), grain / 4, [&](std::int64_t begin, std::int64_t end) {
    const auto b = static_cast<std::size_t>(begin);
    loop(from + b * in_size, to + b * out_size, static_cast<std::size_t>(end - begin), parameters);
  });
  return {};
}

}  // namespace quantal::ops
