// Operators that move elements as they are, by their size in bytes: Transpose, Concat, Expand, Tile, DepthToSpace,
// SpaceToDepth, ReverseSequence. Sub-byte types are unpacked first (in_bytes). Split and Slice: slice.cpp.
#include <algorithm>
#include <cstring>

#include "element_size.hpp"
#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

// ---- Transpose ----

result<std::vector<std::int32_t>> permutation_of(const ir::node& n, std::int32_t rank) {
  std::vector<std::int32_t> perm;
  if (n.find("perm") == nullptr) {
    for (std::int32_t i = rank - 1; i >= 0; --i) perm.push_back(i);
    return perm;
  }
  bool seen[limits::max_rank] = {};
  for (std::int64_t p : n.get_ints("perm")) {
    if (p < 0 || p >= rank || seen[p])
      return node_error(n, status::model_type, "attribute 'perm' is no permutation of the axes");
    seen[p] = true;
    perm.push_back(static_cast<std::int32_t>(p));
  }
  if (static_cast<std::int32_t>(perm.size()) != rank) {
    return node_error(
        n, status::model_type,
        "attribute 'perm' has " + std::to_string(perm.size()) + " axes, the input " + std::to_string(rank));
  }
  return perm;
}

result<void> eval_transpose(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(perm, permutation_of(c.node, x.dims().rank));
  const stride_list from = dense_strides(x.dims());
  shape dims;
  stride_list strides{};
  bool same_order = true;  // only dimensions of 1 move
  std::int32_t last = -1;
  for (std::size_t i = 0; i < perm.size(); ++i) {
    dims.push_back(x.dims()[perm[i]]);
    strides[i] = from[static_cast<std::size_t>(perm[i])];
    if (x.dims()[perm[i]] == 1) continue;
    same_order = same_order && perm[i] > last;
    last = perm[i];
  }
  if (same_order) return c.forward(0, x.reshaped(dims));
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  gather_strided(c.parallel(), size, dims, strides, x.data(), out->mutable_data());
  return {};
}

result<void> infer_transpose(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  QUANTAL_TRY(perm, permutation_of(c.node, rank_of(*d)));
  dim_list out;
  for (std::int32_t p : perm) out.push_back((*d)[static_cast<std::size_t>(p)]);
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- Concat ----

result<void> eval_concat(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, std::max<std::size_t>(1, c.input_count())));
  const tensor_buffer& first = c.input(0);
  QUANTAL_TRY(size, size_of(c, first));
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 1), first.dims().rank));
  shape dims = first.dims();
  dims[axis] = 0;
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const tensor_buffer& x = c.input(i);
    bool fits = x.type() == first.type() && x.dims().rank == dims.rank;
    for (std::int32_t k = 0; fits && k < dims.rank; ++k) fits = k == axis || x.dims()[k] == dims[k];
    if (!fits)
      return c.fail(status::data_shape,
                    "input " + std::to_string(i) + " does not fit the others outside axis " + std::to_string(axis));
    dims[axis] += x.dims()[axis];
  }
  QUANTAL_TRY(out, c.output(0, first.type(), dims));
  const stride_list strides = dense_strides(dims);
  auto* to = out->mutable_as<std::byte>();
  for (std::size_t i = 0; i < c.input_count(); ++i) {
    const tensor_buffer& x = c.input(i);
    scatter_strided(c.parallel(), size, x.dims(), strides, x.data(), to);
    to += static_cast<std::size_t>(x.dims().elements(axis, dims.rank)) * size;
  }
  return {};
}

result<void> infer_concat(infer_context& c) {
  const std::size_t n = c.node.inputs.size();
  dtype t = dtype::none;
  const dim_list* any = nullptr;
  for (std::size_t i = 0; i < n; ++i) {
    if (elem_of(c, i) != dtype::none) {
      if (t != dtype::none && t != elem_of(c, i)) return rule_error(c, "inputs of different types");
      t = elem_of(c, i);
    }
    if (dims_of(c, i) != nullptr) any = dims_of(c, i);
  }
  if (any == nullptr) {
    set_typed(c, 0, t);
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", 1), rank_of(*any)));
  const auto a = static_cast<std::size_t>(axis);
  dim_list out = *any;
  ir::dim sum(0);
  for (std::size_t i = 0; i < n; ++i) {
    const dim_list* d = dims_of(c, i);
    if (d == nullptr) {
      sum = ir::dim();
      continue;
    }
    if (d->size() != out.size())
      return rule_error(c, "inputs of rank " + std::to_string(out.size()) + " and " + std::to_string(d->size()));
    for (std::size_t k = 0; k < out.size(); ++k) {
      if (k == a) continue;
      QUANTAL_TRY(merged, merge_dim(c, out[k], (*d)[k]));
      out[k] = merged;
    }
    const ir::dim& part = (*d)[a];
    if (sum.known() && part.known())
      sum.value += part.value;
    else if (sum.known() && sum.value == 0)
      sum = part.known() ? part : ir::dim(part.symbol);
    else if (!(part.known() && part.value == 0))
      sum = ir::dim();
  }
  out[a] = sum;
  set_typed(c, 0, t, std::move(out));
  std::vector<ir::dim> value;
  bool complete = any->size() == 1;
  for (std::size_t i = 0; i < n && complete; ++i) {
    const dim_list* d = dims_of(c, i);
    if (c.shape_value(i) != nullptr) {
      value.insert(value.end(), c.shape_value(i)->begin(), c.shape_value(i)->end());
    } else if (d != nullptr && (*d)[0].known() && (*d)[0].value <= 64) {
      value.resize(value.size() + static_cast<std::size_t>((*d)[0].value));  // so many unknown elements
    } else {
      complete = false;
    }
  }
  if (complete && is_integer(t)) c.set_shape_value(0, std::move(value));
  return {};
}

// ---- Expand, Tile ----

result<void> eval_expand(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(wanted, ints_of(c, 1));
  shape target;
  for (std::int64_t d : wanted) {
    if (d < 0) return c.fail(status::data_shape, "negative dimension " + std::to_string(d));
    if (!target.push_back(d)) return c.fail(status::limit, "target rank is above the limit");
  }
  QUANTAL_TRY(dims, broadcast_shape(c, x.dims(), target));
  if (dims == x.dims()) return c.forward(0, x);
  const stride_list from = dense_strides(x.dims());
  stride_list strides{};
  for (std::int32_t i = 0; i < x.dims().rank; ++i) {
    const auto to = static_cast<std::size_t>(i + dims.rank - x.dims().rank);
    strides[to] = x.dims()[i] == 1 ? 0 : from[static_cast<std::size_t>(i)];
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  gather_strided(c.parallel(), size, dims, strides, x.data(), out->mutable_data());
  return {};
}

result<void> infer_expand(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  dim_list wanted;
  if (const auto numbers = known_ints(c, 1)) {
    for (std::int64_t v : *numbers) {
      if (v < 0) return rule_error(c, "negative dimension " + std::to_string(v));
      wanted.push_back(ir::dim(v));
    }
  } else if (c.shape_value(1) != nullptr) {
    wanted = *c.shape_value(1);
  } else {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  QUANTAL_TRY(out, broadcast_dims(c, *d, wanted));
  set_typed(c, 0, elem_of(c, 0), out);
  if (c.shape_value(0) != nullptr && c.shape_value(0)->size() == 1 && out.size() == 1 && out[0].known() &&
      out[0].value <= 64) {
    c.set_shape_value(0, std::vector<ir::dim>(static_cast<std::size_t>(out[0].value), (*c.shape_value(0))[0]));
  }
  return {};
}

result<int_list> tile_repeats(const eval_context& c, std::int32_t rank) {
  if (c.opset >= 6) return ints_of(c, 1);
  QUANTAL_TRY(times, convert_tensor(c.input(1), dtype::s64));  // Tile-1: tiles and axis, as numbers of any type
  QUANTAL_TRY(axis_tensor, convert_tensor(c.input(2), dtype::s64));
  if (times.elements() != 1 || axis_tensor.elements() != 1)
    return c.fail(status::data_shape, "tiles and axis must be scalars");
  QUANTAL_TRY(axis, axis_of(c, *axis_tensor.as<std::int64_t>(), rank));
  int_list repeats(static_cast<std::size_t>(rank), 1);
  repeats[static_cast<std::size_t>(axis)] = *times.as<std::int64_t>();
  return repeats;
}

result<void> eval_tile(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, c.opset >= 6 ? 2 : 3));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(repeats, tile_repeats(c, x.dims().rank));
  if (static_cast<std::int32_t>(repeats.size()) != x.dims().rank)
    return c.fail(status::data_shape, "one repeat per axis is needed");
  shape dims = x.dims();
  for (std::int32_t i = 0; i < dims.rank; ++i) {
    const std::int64_t r = repeats[static_cast<std::size_t>(i)];
    if (r < 0 || (dims[i] > 0 && r > INT64_MAX / dims[i]))
      return c.fail(status::data_shape, "repeat " + std::to_string(r) + " is out of range");
    dims[i] *= r;
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  if (dims.elements() == 0) return {};
  // The first block is laid strided, then each axis repeats what is there, from the inside.
  scatter_strided(c.parallel(), size, x.dims(), dense_strides(dims), x.data(), out->mutable_data());
  auto* p = out->mutable_as<std::byte>();
  for (std::int32_t axis = dims.rank - 1; axis >= 0; --axis) {
    const std::int64_t times = repeats[static_cast<std::size_t>(axis)];
    const std::size_t piece = static_cast<std::size_t>(x.dims()[axis] * dims.elements(axis + 1, dims.rank)) * size;
    // Outer positions that hold data so far: those of the first block.
    const shape outer = x.dims();
    const stride_list strides = dense_strides(dims);
    for (std::int64_t o = 0; o < outer.elements(0, axis) && times > 1; ++o) {
      std::int64_t at = 0;
      for (std::int64_t i = axis - 1, rest = o; i >= 0; --i) {
        at += rest % outer[static_cast<std::int32_t>(i)] * strides[static_cast<std::size_t>(i)];
        rest /= outer[static_cast<std::int32_t>(i)];
      }
      std::byte* base = p + static_cast<std::size_t>(at) * size;
      for (std::int64_t t = 1; t < times; ++t) std::memcpy(base + static_cast<std::size_t>(t) * piece, base, piece);
    }
  }
  return {};
}

result<void> infer_tile(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr || c.opset < 6) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  const auto repeats = known_ints(c, 1);
  dim_list out = *d;
  if (repeats && repeats->size() != out.size()) return rule_error(c, "one repeat per axis is needed");
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (!repeats) {
      out[i] = ir::dim();
      continue;
    }
    if ((*repeats)[i] < 0) return rule_error(c, "repeat " + std::to_string((*repeats)[i]) + " is negative");
    const ir::dim pair[] = {out[i], ir::dim((*repeats)[i])};
    out[i] = product(pair);
  }
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- DepthToSpace, SpaceToDepth: a reshape, a transpose, a reshape ----

template <bool to_space>
result<void> eval_blocks(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  const shape& s = x.dims();
  const std::int64_t b = c.node.get_int("blocksize", 0);
  if (s.rank != 4) return c.fail(status::data_shape, "input must be [N, C, H, W]");
  if (b < 1 || b > INT32_MAX) return c.fail(status::model_type, "blocksize " + std::to_string(b) + " is out of range");
  if (to_space ? s[1] % (b * b) != 0 : s[2] % b != 0 || s[3] % b != 0)
    return c.fail(status::data_shape, "blocksize does not divide the input");
  const std::int64_t ch = to_space ? s[1] / (b * b) : s[1];
  const std::int64_t h = to_space ? s[2] : s[2] / b;
  const std::int64_t w = to_space ? s[3] : s[3] / b;
  const bool crd = c.node.get_string("mode", "DCR") == "CRD";
  if (to_space) {
    // Source seen as [N, b, b, ch, h, w] (DCR) or [N, ch, b, b, h, w] (CRD); target as [N, ch, h, b, w, b].
    const std::int64_t plane = h * w;
    const shape dims6(s[0], ch, h, b, w, b);
    stride_list st{};
    st[0] = s[1] * plane;
    st[1] = crd ? b * b * plane : plane;
    st[2] = w;
    st[3] = crd ? b * plane : b * ch * plane;
    st[4] = 1;
    st[5] = crd ? plane : ch * plane;
    QUANTAL_TRY(out, c.output(0, x.type(), shape(s[0], ch, h * b, w * b)));
    gather_strided(c.parallel(), size, dims6, st, x.data(), out->mutable_data());
    return {};
  }
  // Target [N, b, b, C, h, w] (DCR) or [N, C, b, b, h, w] (CRD) from source [N, C, h, b, w, b].
  const shape dims6 = crd ? shape(s[0], ch, b, b, h, w) : shape(s[0], b, b, ch, h, w);
  stride_list st{};
  st[0] = s[1] * s[2] * s[3];
  st[crd ? 1 : 3] = s[2] * s[3];
  st[crd ? 2 : 1] = s[3];
  st[crd ? 3 : 2] = 1;
  st[4] = b * s[3];
  st[5] = b;
  QUANTAL_TRY(out, c.output(0, x.type(), shape(s[0], ch * b * b, h, w)));
  gather_strided(c.parallel(), size, dims6, st, x.data(), out->mutable_data());
  return {};
}

template <bool to_space>
result<void> infer_blocks(infer_context& c) {
  const std::int64_t b = c.node.get_int("blocksize", 0);
  if (b < 1 || b > INT32_MAX) return rule_error(c, "blocksize " + std::to_string(b) + " is out of range");
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0), unknown_dims(4));
    return {};
  }
  if (d->size() != 4) return rule_error(c, "input must be [N, C, H, W]");
  dim_list out = *d;
  for (std::size_t i = 1; i < 4; ++i) {
    const std::int64_t factor = i == 1 ? b * b : b;
    const bool divide = (i == 1) == to_space;
    if (!out[i].known()) {
      out[i] = factor == 1 ? out[i] : ir::dim();
    } else if (divide) {
      if (out[i].value % factor != 0)
        return rule_error(c, "blocksize does not divide dimension " + std::to_string(out[i].value));
      out[i] = ir::dim(out[i].value / factor);
    } else {
      const ir::dim pair[] = {out[i], ir::dim(factor)};
      out[i] = product(pair);
    }
  }
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- ReverseSequence ----

result<void> eval_reverse_sequence(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(lengths, ints_of(c, 1));
  const std::int64_t batch_axis = c.node.get_int("batch_axis", 1);
  const std::int64_t time_axis = c.node.get_int("time_axis", 0);
  const shape& s = x.dims();
  if (s.rank < 2 || batch_axis + time_axis != 1 || batch_axis < 0 || batch_axis > 1) {
    return c.fail(status::model_type, "batch_axis and time_axis must be 0 and 1, or 1 and 0");
  }
  const std::int64_t batches = s[static_cast<std::int32_t>(batch_axis)];
  const std::int64_t times = s[static_cast<std::int32_t>(time_axis)];
  if (static_cast<std::int64_t>(lengths.size()) != batches)
    return c.fail(status::data_shape, "one length per batch is needed");
  QUANTAL_TRY(out, c.output(0, x.type(), s));
  const std::size_t piece = static_cast<std::size_t>(s.elements(2, s.rank)) * size;
  for (std::int64_t b = 0; b < batches; ++b) {
    const std::int64_t n = lengths[static_cast<std::size_t>(b)];
    if (n < 0 || n > times) return c.fail(status::data_format, "length " + std::to_string(n) + " is out of range");
    for (std::int64_t t = 0; t < times; ++t) {
      const std::int64_t from = t < n ? n - 1 - t : t;
      const auto at = [&](std::int64_t k) {
        return static_cast<std::size_t>(batch_axis == 0 ? b * times + k : k * batches + b) * piece;
      };
      std::memcpy(out->mutable_as<std::byte>() + at(t), x.as<std::byte>() + at(from), piece);
    }
  }
  return {};
}

constexpr quant_rule pass{.kind = quant_kind::passthrough};

constexpr op_def table[] = {
    {"Transpose", 1, infer_transpose, in_bytes<eval_transpose>, pass},
    {"Concat", 1, infer_concat, in_bytes<eval_concat>, {.kind = quant_kind::merge}},
    {"Expand", 8, infer_expand, in_bytes<eval_expand>, pass},
    {"Tile", 1, infer_tile, in_bytes<eval_tile>, pass},
    {"DepthToSpace", 1, infer_blocks<true>, in_bytes<eval_blocks<true>>, pass},
    {"SpaceToDepth", 1, infer_blocks<false>, in_bytes<eval_blocks<false>>, pass},
    {"ReverseSequence", 10, infer_same, in_bytes<eval_reverse_sequence>, pass},
};

}  // namespace

op_list move_ops() {
  return table;
}

}  // namespace quantal::ops
