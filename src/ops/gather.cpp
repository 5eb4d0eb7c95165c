// Reading and writing by index: Gather, GatherElements, GatherND, ScatterElements (Scatter), ScatterND, Compress,
// TensorScatter. Indices may be negative (from the end) and are checked: an index outside is an error, never a read.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

result<std::size_t> size_of(const eval_context& c, const tensor_buffer& t) {
  if (bits_of(t.type()) < 8) return unsupported_type(c, t.type());
  return static_cast<std::size_t>(bits_of(t.type()) / 8);
}

error bad_index(const eval_context& c, std::int64_t index, std::int64_t n) {
  return c.fail(status::data_format, "index " + std::to_string(index) + " is outside [-" + std::to_string(n) + ", " +
                                         std::to_string(n) + ")");
}

// Into [0, n) in place.
result<void> wrap_indices(const eval_context& c, int_list& indices, std::int64_t n) {
  for (std::int64_t& i : indices) {
    if (i < -n || i >= n) return bad_index(c, i, n);
    if (i < 0) i += n;
  }
  return {};
}

// ---- Gather ----

result<void> eval_gather(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const shape& s = x.dims();
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 0), s.rank));
  QUANTAL_TRY(indices, ints_of(c, 1));
  QUANTAL_CHECK(wrap_indices(c, indices, s[axis]));
  shape dims;
  bool fits = true;
  for (std::int32_t i = 0; i < axis; ++i) fits = dims.push_back(s[i]) && fits;
  for (std::int64_t d : c.input(1).dims()) fits = dims.push_back(d) && fits;
  for (std::int32_t i = axis + 1; i < s.rank; ++i) fits = dims.push_back(s[i]) && fits;
  if (!fits) return c.fail(status::limit, "result rank is above the limit");
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  const std::size_t piece = static_cast<std::size_t>(s.elements(axis + 1, s.rank)) * size;
  const std::int64_t n = s[axis];
  const auto m = static_cast<std::int64_t>(indices.size());
  auto* to = out->mutable_as<std::byte>();
  const auto* from = x.as<std::byte>();
  if (out->bytes() == 0) return {};
  parallel_ranges(c.parallel(), s.elements(0, axis) * m, 1 + static_cast<std::int64_t>(65536 / piece),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      const std::int64_t source = i / m * n + indices[static_cast<std::size_t>(i % m)];
                      std::memcpy(to + static_cast<std::size_t>(i) * piece,
                                  from + static_cast<std::size_t>(source) * piece, piece);
                    }
                  });
  return {};
}

result<void> infer_gather(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  const dim_list* i = dims_of(c, 1);
  const dtype t = elem_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, t);
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
  const auto indices = known_ints(c, 1);
  const ir::dim& n = (*d)[static_cast<std::size_t>(axis)];
  if (indices && n.known()) {
    for (std::int64_t k : *indices) {
      if (k < -n.value || k >= n.value)
        return rule_error(c, "index " + std::to_string(k) + " is outside an axis of " + std::to_string(n.value));
    }
  }
  if (i == nullptr) {
    set_typed(c, 0, t);
    return {};
  }
  dim_list out(d->begin(), d->begin() + axis);
  out.insert(out.end(), i->begin(), i->end());
  out.insert(out.end(), d->begin() + axis + 1, d->end());
  set_typed(c, 0, t, std::move(out));
  const auto* value = c.shape_value(0);
  if (value == nullptr || !indices || d->size() != 1 || i->size() > 1) return {};
  std::vector<ir::dim> picked;
  const auto count = static_cast<std::int64_t>(value->size());
  for (std::int64_t k : *indices) {
    if (k < -count || k >= count) return {};
    picked.push_back((*value)[static_cast<std::size_t>(k < 0 ? k + count : k)]);
  }
  c.set_shape_value(0, std::move(picked));
  return {};
}

// ---- GatherElements, ScatterElements: the index replaces the position along one axis ----

// Offset in `s` of element `i` of a tensor of shape `at`, without the part along `axis`.
std::int64_t offset_beside(const shape& at, const stride_list& strides, std::int32_t axis, std::int64_t i) {
  std::int64_t offset = 0;
  for (std::int32_t k = at.rank - 1; k >= 0; --k) {
    if (k != axis) offset += i % at[k] * strides[static_cast<std::size_t>(k)];
    i /= at[k];
  }
  return offset;
}

result<void> fits_beside(const eval_context& c, const shape& data, const shape& indices, std::int32_t axis) {
  bool fits = indices.rank == data.rank;
  for (std::int32_t i = 0; fits && i < data.rank; ++i) fits = i == axis || indices[i] <= data[i];
  return fits ? result<void>() : c.fail(status::data_shape, "indices do not fit the data outside the axis");
}

result<void> eval_gather_elements(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const shape& at = c.input(1).dims();
  QUANTAL_TRY(size, size_of(c, x));
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 0), x.dims().rank));
  QUANTAL_CHECK(fits_beside(c, x.dims(), at, axis));
  QUANTAL_TRY(indices, ints_of(c, 1));
  QUANTAL_CHECK(wrap_indices(c, indices, x.dims()[axis]));
  const stride_list strides = dense_strides(x.dims());
  QUANTAL_TRY(out, c.output(0, x.type(), at));
  parallel_ranges(c.parallel(), at.elements(), 8192, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t from = offset_beside(at, strides, axis, i) +
                                indices[static_cast<std::size_t>(i)] * strides[static_cast<std::size_t>(axis)];
      std::memcpy(out->mutable_as<std::byte>() + static_cast<std::size_t>(i) * size,
                  x.as<std::byte>() + static_cast<std::size_t>(from) * size, size);
    }
  });
  return {};
}

result<void> infer_gather_elements(infer_context& c) {
  if (const dim_list* d = dims_of(c, 0)) QUANTAL_CHECK(normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
  const dim_list* i = dims_of(c, 1);
  if (i == nullptr)
    set_typed(c, 0, elem_of(c, 0));
  else
    set_typed(c, 0, elem_of(c, 0), *i);
  return {};
}

// How a scattered value meets what is there.
enum class meeting { replace, add, mul, max, min, unknown };
meeting meeting_of(const ir::node& n) {
  const std::string name = n.get_string("reduction", "none");
  if (name == "none") return meeting::replace;
  if (name == "add") return meeting::add;
  if (name == "mul") return meeting::mul;
  if (name == "max") return meeting::max;
  return name == "min" ? meeting::min : meeting::unknown;
}

template <class T>
T meet(meeting how, T a, T b) {
  const auto wrap = [](T x) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<std::uint64_t>(x);
    else
      return x;
  };
  switch (how) {
    case meeting::add: return static_cast<T>(wrap(a) + wrap(b));
    case meeting::mul: return static_cast<T>(wrap(a) * wrap(b));
    case meeting::max: return b > a || b != b ? b : a;
    case meeting::min: return b < a || b != b ? b : a;
    default: return b;
  }
}

// target[at[i] + k] meets source[i * run + k] for k in [0, run), in the order of i: repeated indices are defined.
result<void> scatter(const eval_context& c, meeting how, std::size_t size, tensor_buffer& target,
                     const tensor_buffer& source, const int_list& at, std::int64_t run) {
  if (how == meeting::unknown) return c.fail(status::unsupported, "unknown attribute 'reduction'");
  if (how == meeting::replace || target.type() == dtype::boolean) {
    if (how != meeting::replace) return unsupported_type(c, target.type());
    const std::size_t piece = static_cast<std::size_t>(run) * size;
    for (std::size_t i = 0; i < at.size(); ++i) {
      std::memcpy(target.mutable_as<std::byte>() + static_cast<std::size_t>(at[i]) * size,
                  source.as<std::byte>() + i * piece, piece);
    }
    return {};
  }
  const bool known = with_number(target.type(), [&](auto tag) {
    using T = decltype(tag);
    for (std::size_t i = 0; i < at.size(); ++i) {
      T* to = target.mutable_as<T>() + at[i];
      const T* from = source.as<T>() + static_cast<std::int64_t>(i) * run;
      for (std::int64_t k = 0; k < run; ++k) to[k] = meet(how, to[k], from[k]);
    }
  });
  return known ? result<void>() : unsupported_type(c, target.type());
}

result<void> eval_scatter_elements(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  const tensor_buffer& x = c.input(0);
  const shape& at = c.input(1).dims();
  const tensor_buffer& updates = c.input(2);
  QUANTAL_TRY(size, size_of(c, x));
  if (!(updates.dims() == at) || updates.type() != x.type())
    return c.fail(status::data_shape, "updates must have the shape of the indices and the type of the data");
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", 0), x.dims().rank));
  QUANTAL_CHECK(fits_beside(c, x.dims(), at, axis));
  QUANTAL_TRY(indices, ints_of(c, 1));
  QUANTAL_CHECK(wrap_indices(c, indices, x.dims()[axis]));
  const stride_list strides = dense_strides(x.dims());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    indices[i] = offset_beside(at, strides, axis, static_cast<std::int64_t>(i)) +
                 indices[i] * strides[static_cast<std::size_t>(axis)];
  }
  QUANTAL_TRY(out, c.output(0, x.type(), x.dims()));
  std::memcpy(out->mutable_data(), x.data(), x.bytes());
  return scatter(c, meeting_of(c.node), size, *out, updates, indices, 1);
}

result<void> infer_scatter_elements(infer_context& c) {
  if (const dim_list* d = dims_of(c, 0)) QUANTAL_CHECK(normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
  return infer_same(c);
}

// ---- GatherND, ScatterND: the last dimension of the indices is a position ----

// Element offsets of all positions: indices [..., k] into s from dimension `batch` on.
result<int_list> nd_offsets(const eval_context& c, const shape& s, std::int32_t batch, const shape& at) {
  QUANTAL_TRY(indices, ints_of(c, 1));
  const std::int64_t k = at[at.rank - 1];
  const stride_list strides = dense_strides(s);
  const std::int64_t batches = s.elements(0, batch);
  const std::int64_t count = at.elements(0, at.rank - 1);
  int_list offsets(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t offset = batches == 0 ? 0 : i / (count / batches) * s.elements(batch, s.rank);
    for (std::int64_t j = 0; j < k; ++j) {
      const auto axis = static_cast<std::int32_t>(batch + j);
      std::int64_t v = indices[static_cast<std::size_t>(i * k + j)];
      if (v < -s[axis] || v >= s[axis]) return bad_index(c, v, s[axis]);
      offset += (v < 0 ? v + s[axis] : v) * strides[static_cast<std::size_t>(axis)];
    }
    offsets[static_cast<std::size_t>(i)] = offset;
  }
  return offsets;
}

result<void> eval_gather_nd(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& x = c.input(0);
  const shape& s = x.dims();
  const shape& at = c.input(1).dims();
  QUANTAL_TRY(size, size_of(c, x));
  const std::int64_t wanted = c.node.get_int("batch_dims", 0);
  if (at.rank < 1 || wanted < 0 || wanted >= at.rank || wanted >= s.rank)
    return c.fail(status::data_shape, "batch_dims does not fit");
  const auto batch = static_cast<std::int32_t>(wanted);
  if (at[at.rank - 1] < 1 || at[at.rank - 1] > s.rank - batch)
    return c.fail(status::data_shape, "positions have more coordinates than the data");
  const auto depth = batch + static_cast<std::int32_t>(at[at.rank - 1]);
  shape dims;
  bool fits = true;
  for (std::int32_t i = 0; i < at.rank - 1; ++i) fits = (i >= batch || at[i] == s[i]) && dims.push_back(at[i]) && fits;
  for (std::int32_t i = depth; i < s.rank; ++i) fits = dims.push_back(s[i]) && fits;
  if (!fits) return c.fail(status::data_shape, "indices do not fit the data");
  QUANTAL_TRY(offsets, nd_offsets(c, s, batch, at));
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  const std::size_t piece = static_cast<std::size_t>(s.elements(depth, s.rank)) * size;
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    std::memcpy(out->mutable_as<std::byte>() + i * piece,
                x.as<std::byte>() + static_cast<std::size_t>(offsets[i]) * size, piece);
  }
  return {};
}

result<void> infer_gather_nd(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  const dim_list* i = dims_of(c, 1);
  const std::int64_t batch = c.node.get_int("batch_dims", 0);
  if (d == nullptr || i == nullptr || i->empty() || !i->back().known()) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  if (batch < 0 || batch >= rank_of(*i) || i->back().value < 1 || i->back().value > rank_of(*d) - batch) {
    return rule_error(c, "positions have more coordinates than the data");
  }
  dim_list out(i->begin(), i->end() - 1);
  out.insert(out.end(), d->begin() + batch + i->back().value, d->end());
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

result<void> eval_scatter_nd(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 3));
  const tensor_buffer& x = c.input(0);
  const shape& s = x.dims();
  const shape& at = c.input(1).dims();
  const tensor_buffer& updates = c.input(2);
  QUANTAL_TRY(size, size_of(c, x));
  if (at.rank < 1 || at[at.rank - 1] < 1 || at[at.rank - 1] > s.rank || updates.type() != x.type())
    return c.fail(status::data_shape, "indices do not fit the data");
  const auto depth = static_cast<std::int32_t>(at[at.rank - 1]);
  const std::int64_t run = s.elements(depth, s.rank);
  if (updates.elements() != at.elements(0, at.rank - 1) * run)
    return c.fail(status::data_shape, "updates do not fit the indices");
  QUANTAL_TRY(offsets, nd_offsets(c, s, 0, at));
  QUANTAL_TRY(out, c.output(0, x.type(), s));
  std::memcpy(out->mutable_data(), x.data(), x.bytes());
  return scatter(c, meeting_of(c.node), size, *out, updates, offsets, run);
}

// ---- Compress ----

result<void> eval_compress(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& cond = c.input(1);
  if (cond.type() != dtype::boolean) return c.fail(status::model_type, "condition must be boolean");
  QUANTAL_TRY(size, size_of(c, c.input(0)));
  const bool flat = c.node.find("axis") == nullptr;
  const tensor_buffer x = flat ? c.input(0).reshaped(shape(c.input(0).elements())) : c.input(0);
  const shape& s = x.dims();
  QUANTAL_TRY(axis, axis_of(c, flat ? 0 : c.node.get_int("axis", 0), s.rank));
  int_list kept;
  for (std::int64_t i = 0; i < cond.elements(); ++i) {
    if (cond.as<std::uint8_t>()[i] == 0) continue;
    if (i >= s[axis]) return c.fail(status::data_shape, "condition is longer than the axis");
    kept.push_back(i);
  }
  shape dims = s;
  dims[axis] = static_cast<std::int64_t>(kept.size());
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  const std::size_t piece = static_cast<std::size_t>(s.elements(axis + 1, s.rank)) * size;
  auto* to = out->mutable_as<std::byte>();
  for (std::int64_t o = 0; o < s.elements(0, axis); ++o) {
    for (std::int64_t k : kept) {
      std::memcpy(to, x.as<std::byte>() + static_cast<std::size_t>(o * s[axis] + k) * piece, piece);
      to += piece;
    }
  }
  return {};
}

result<void> infer_compress(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (c.node.find("axis") == nullptr || d == nullptr) {
    set_typed(c, 0, elem_of(c, 0), unknown_dims(d == nullptr && c.node.find("axis") != nullptr ? 0 : 1));
    if (d == nullptr && c.node.find("axis") != nullptr) set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
  dim_list out = *d;
  out[static_cast<std::size_t>(axis)] = ir::dim();
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- TensorScatter: writes new keys or values of each batch into a cache along one axis ----

result<void> eval_tensor_scatter(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& cache = c.input(0);
  const tensor_buffer& update = c.input(1);
  const shape& s = cache.dims();
  QUANTAL_TRY(size, size_of(c, cache));
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", -2), s.rank));
  bool fits = axis > 0 && update.type() == cache.type() && update.dims().rank == s.rank;
  for (std::int32_t i = 0; fits && i < s.rank; ++i)
    fits = i == axis ? update.dims()[i] <= s[i] : update.dims()[i] == s[i];
  if (!fits) return c.fail(status::data_shape, "update does not fit the cache");
  int_list start(static_cast<std::size_t>(s[0]), 0);
  if (c.has_input(2)) {
    QUANTAL_TRY(given, ints_of(c, 2));
    start = std::move(given);
  }
  if (static_cast<std::int64_t>(start.size()) != s[0])
    return c.fail(status::data_shape, "one write position per batch is needed");
  const std::string mode = c.node.get_string("mode", "linear");
  if (mode != "linear" && mode != "circular")
    return c.fail(status::model_type, "attribute 'mode' must be linear or circular");
  QUANTAL_TRY(out, c.output(0, cache.type(), s));
  std::memcpy(out->mutable_data(), cache.data(), cache.bytes());
  const std::int64_t n = s[axis];
  const std::int64_t m = update.dims()[axis];
  const std::int64_t middle = s.elements(1, axis);
  const std::size_t piece = static_cast<std::size_t>(s.elements(axis + 1, s.rank)) * size;
  for (std::int64_t o = 0; o < s[0] * middle; ++o) {
    const std::int64_t first = start[static_cast<std::size_t>(o / middle)];
    if (first < 0 || first >= std::max<std::int64_t>(n, 1) || (mode == "linear" && first > n - m)) {
      return c.fail(status::data_format, "write position " + std::to_string(first) + " is out of range");
    }
    for (std::int64_t k = 0; k < m; ++k) {
      std::memcpy(out->mutable_as<std::byte>() + static_cast<std::size_t>(o * n + (first + k) % n) * piece,
                  update.as<std::byte>() + static_cast<std::size_t>(o * m + k) * piece, piece);
    }
  }
  return {};
}

constexpr op_def table[] = {
    {"Gather", 1, infer_gather, in_bytes<eval_gather>, {.kind = quant_kind::table, .data_input = 1, .weight_input = 0}},
    {"GatherElements", 11, infer_gather_elements, in_bytes<eval_gather_elements>, {.kind = quant_kind::passthrough}},
    {"GatherND", 11, infer_gather_nd, in_bytes<eval_gather_nd>, {.kind = quant_kind::passthrough}},
    {"Scatter", 9, infer_scatter_elements, in_bytes<eval_scatter_elements>, {}, "", 10},
    {"ScatterElements", 11, infer_scatter_elements, in_wide<eval_scatter_elements>},
    {"ScatterND", 11, infer_same, in_wide<eval_scatter_nd>},
    {"Compress", 9, infer_compress, in_bytes<eval_compress>},
    {"TensorScatter", 24, infer_same, in_bytes<eval_tensor_scatter>},
};

}  // namespace

op_list gather_ops() {
  return table;
}

}  // namespace quantal::ops
