// Col2Im, MaxUnpool: values put back to where a window or a pooling took them from. Source: ONNX spec.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

// ---- Col2Im: adds overlapping blocks [N, C * prod(block), L] into an image ----

struct blocks {
  int_list image, block, dilations, strides, pads, counts;
};

result<blocks> blocks_of(const ir::node& n, const int_list& image, const int_list& block) {
  blocks b{image, block, n.get_ints("dilations"), n.get_ints("strides"), n.get_ints("pads"), {}};
  const std::size_t r = image.size();
  if (b.dilations.empty()) b.dilations.assign(r, 1);
  if (b.strides.empty()) b.strides.assign(r, 1);
  if (b.pads.empty()) b.pads.assign(2 * r, 0);
  if (r < 1 || r + 2 > static_cast<std::size_t>(limits::max_rank) || block.size() != r || b.dilations.size() != r ||
      b.strides.size() != r || b.pads.size() != 2 * r) {
    return node_error(n, status::model_type, "image and block shape, strides, dilations and pads differ in length");
  }
  for (std::size_t i = 0; i < r; ++i) {
    for (std::int64_t v : {image[i], block[i], b.dilations[i], b.strides[i]}) {
      if (v < 1 || v > INT32_MAX)
        return node_error(n, status::model_type, "size, stride or dilation " + std::to_string(v) + " is out of range");
    }
    for (std::int64_t v : {b.pads[i], b.pads[i + r]}) {
      if (v < 0 || v > INT32_MAX)
        return node_error(n, status::model_type, "pad " + std::to_string(v) + " is out of range");
    }
    const std::int64_t room = image[i] + b.pads[i] + b.pads[i + r] - b.dilations[i] * (block[i] - 1) - 1;
    b.counts.push_back(room < 0 ? 0 : room / b.strides[i] + 1);
  }
  return b;
}

result<void> eval_col2im(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  QUANTAL_TRY(image, ints_of(c, 1));
  QUANTAL_TRY(block, ints_of(c, 2));
  QUANTAL_TRY(b, blocks_of(c.node, image, block));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  const std::size_t r = b.image.size();
  std::uint64_t taps_count = 1;
  std::uint64_t positions = 1;
  for (std::size_t i = 0; i < r; ++i) {
    if (!checked_mul(taps_count, static_cast<std::uint64_t>(b.block[i]), taps_count) ||
        !checked_mul(positions, static_cast<std::uint64_t>(b.counts[i]), positions))
      return c.fail(status::data_shape, "block sizes overflow");
  }
  const auto k = static_cast<std::int64_t>(taps_count);
  if (x.dims().rank != 3 || k < 1 || x.dims()[1] % k != 0 || static_cast<std::uint64_t>(x.dims()[2]) != positions)
    return c.fail(status::data_shape, "input does not fit the blocks");
  shape dims(x.dims()[0], x.dims()[1] / k);
  std::int64_t plane = 1;
  for (std::int64_t d : b.image) {
    dims.push_back(d);
    plane *= d;
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  std::memset(out->mutable_data(), 0, out->bytes());
  const std::int64_t l = x.dims()[2];
  for (std::int64_t row = 0; row < x.dims()[0] * x.dims()[1]; ++row) {
    float* to = out->mutable_as<float>() + row / k * plane;
    for (std::int64_t p = 0; p < l; ++p) {
      std::int64_t offset = 0;
      std::int64_t step = 1;
      bool inside = true;
      for (std::size_t i = r, tap = static_cast<std::size_t>(row % k), at = static_cast<std::size_t>(p); i-- > 0;) {
        const auto in_block = static_cast<std::int64_t>(tap % static_cast<std::size_t>(b.block[i]));
        const auto in_grid = static_cast<std::int64_t>(at % static_cast<std::size_t>(b.counts[i]));
        tap /= static_cast<std::size_t>(b.block[i]);
        at /= static_cast<std::size_t>(b.counts[i]);
        const std::int64_t v = in_grid * b.strides[i] - b.pads[i] + in_block * b.dilations[i];
        inside = inside && v >= 0 && v < b.image[i];
        offset += v * step;
        step *= b.image[i];
      }
      if (inside) to[offset] += x.as<float>()[row * l + p];
    }
  }
  return {};
}

result<void> infer_col2im(infer_context& c) {
  const auto image = known_ints(c, 1);
  const auto block = known_ints(c, 2);
  const dim_list* x = dims_of(c, 0);
  if (!image || !block) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  QUANTAL_TRY(b, blocks_of(c.node, *image, *block));
  dim_list out(2);
  if (x != nullptr && x->size() == 3) {
    out[0] = (*x)[0];
    std::int64_t k = 1;
    for (std::int64_t v : b.block) k = k > INT32_MAX ? k : k * v;
    if ((*x)[1].known()) out[1] = ir::dim((*x)[1].value / k);
  }
  for (std::int64_t d : b.image) out.push_back(ir::dim(d));
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- MaxUnpool: values back to the positions that MaxPool gave ----

// Shape of the tensor that was pooled, as kernel, strides and pads tell it: indices count in this one.
result<shape> pooled_from(const eval_context& c, const shape& s) {
  shape dims = s;
  const int_list kernel = c.node.get_ints("kernel_shape");
  int_list strides = c.node.get_ints("strides");
  int_list pads = c.node.get_ints("pads");
  const auto r = static_cast<std::size_t>(s.rank - 2);
  if (strides.empty()) strides.assign(r, 1);
  if (pads.empty()) pads.assign(2 * r, 0);
  if (kernel.size() != r || strides.size() != r || pads.size() != 2 * r) {
    return c.fail(status::model_type, "kernel, strides or pads do not fit the input");
  }
  const auto in_range = [](std::int64_t v, std::int64_t least) { return v >= least && v <= INT32_MAX; };
  for (std::size_t i = 0; i < r; ++i) {
    std::int64_t& d = dims[static_cast<std::int32_t>(i) + 2];
    if (!in_range(kernel[i], 1) || !in_range(strides[i], 1) || !in_range(pads[i], 0) || !in_range(pads[i + r], 0) ||
        !in_range(d, 0)) {
      return c.fail(status::model_type, "kernel, stride or pad is out of range");
    }
    d = (d - 1) * strides[i] + kernel[i] - pads[i] - pads[i + r];
  }
  return dims;
}

result<void> eval_max_unpool(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  if (x.type() != dtype::f32) return unsupported_type(c, x.type());
  QUANTAL_TRY(at, ints_of(c, 1));
  if (x.dims().rank < 3 || !(c.input(1).dims() == x.dims())) {
    return c.fail(status::data_shape, "values and indices must have one shape");
  }
  QUANTAL_TRY(from, pooled_from(c, x.dims()));
  shape dims = from;
  if (c.has_input(2)) {
    QUANTAL_TRY(given, ints_of(c, 2));
    if (static_cast<std::int32_t>(given.size()) != dims.rank)
      return c.fail(status::data_shape, "output_shape does not fit");
    std::copy(given.begin(), given.end(), dims.dims);
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  std::memset(out->mutable_data(), 0, out->bytes());
  for (std::size_t i = 0; i < at.size(); ++i) {
    std::int64_t rest = at[i];
    std::int64_t to = 0;
    std::int64_t step = 1;
    bool inside = rest >= 0;
    for (std::int32_t k = dims.rank - 1; k >= 0; --k) {
      if (from[k] <= 0) return c.fail(status::data_shape, "pads leave nothing of the pooled tensor");
      inside = inside && rest % from[k] < dims[k];
      to += rest % from[k] * step;
      rest /= from[k];
      step *= dims[k];
    }
    if (!inside || rest != 0)
      return c.fail(status::data_format, "index " + std::to_string(at[i]) + " is outside the result");
    out->mutable_as<float>()[to] = x.as<float>()[i];
  }
  return {};
}

result<void> infer_max_unpool(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr)
    set_typed(c, 0, elem_of(c, 0));
  else
    set_typed(c, 0, elem_of(c, 0), unknown_dims(rank_of(*d)));
  return {};
}

constexpr op_def table[] = {
    {"Col2Im", 18, infer_col2im, in_wide<eval_col2im>},
    {"MaxUnpool", 9, infer_max_unpool, in_wide<eval_max_unpool>},
};

}  // namespace

op_list unpool_ops() {
  return table;
}

}  // namespace quantal::ops
