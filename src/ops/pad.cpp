// Pad (constant, reflect, edge, wrap; negative pads cut) and CenterCropPad.
//
//   out[i] = x[i - begin]   inside; outside: a constant, or x at the mirrored, clamped or wrapped position
//
// Each axis has a table of source positions (-1: the constant), so that modes differ only in how the table is made.
// Pads are an attribute below opset 11 (Pad-1 calls it `paddings`), then an input.
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

enum class pad_mode { constant, reflect, edge, wrap, unknown };

pad_mode mode_of(const ir::node& n) {
  const std::string mode = n.get_string("mode", "constant");
  if (mode == "constant") return pad_mode::constant;
  if (mode == "reflect") return pad_mode::reflect;
  if (mode == "edge") return pad_mode::edge;
  return mode == "wrap" ? pad_mode::wrap : pad_mode::unknown;
}

constexpr std::int64_t widest = std::int64_t{1} << 40;  // above any tensor that fits: keeps sums from overflowing

// Pads for all axes [begin..., end...] from the list for `axes`.
result<int_list> spread(const ir::node& n, const int_list& pads, const std::optional<int_list>& axes,
                        std::int32_t rank) {
  const auto r = static_cast<std::size_t>(rank);
  const std::size_t count = axes ? axes->size() : r;
  if (pads.size() != 2 * count) {
    return node_error(
        n, status::model_type,
        std::to_string(pads.size()) + " pads for " + std::to_string(count) + " axes: two per axis are needed");
  }
  for (std::int64_t p : pads) {
    if (p > widest || p < -widest)
      return node_error(n, status::model_type, "pad " + std::to_string(p) + " is out of range");
  }
  if (!axes) return pads;
  QUANTAL_CHECK(normalize_axes(n, *axes, rank));
  int_list all(2 * r, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto a = static_cast<std::size_t>((*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i]);
    all[a] = pads[i];
    all[a + r] = pads[i + count];
  }
  return all;
}

// Source position of each of an axis's output positions.
std::vector<std::int64_t> positions(pad_mode mode, std::int64_t n, std::int64_t begin, std::int64_t out) {
  std::vector<std::int64_t> from(static_cast<std::size_t>(out));
  for (std::int64_t i = 0; i < out; ++i) {
    std::int64_t at = i - begin;
    if (at < 0 || at >= n) {
      switch (mode) {
        case pad_mode::edge: at = at < 0 ? 0 : n - 1; break;
        case pad_mode::wrap: at = (at % n + n) % n; break;
        case pad_mode::reflect: {
          const std::int64_t period = n > 1 ? 2 * (n - 1) : 1;
          at = (at % period + period) % period;
          if (at >= n) at = period - at;
          break;
        }
        default: at = -1; break;
      }
    }
    from[static_cast<std::size_t>(i)] = at;
  }
  return from;
}

template <class T>
void pad_rows(const parallel_for& parallel, const shape& x, const shape& out,
              const std::vector<std::vector<std::int64_t>>& table, const T* from, T* to, T fill) {
  const stride_list strides = dense_strides(x);
  const std::int32_t last = out.rank - 1;
  const std::int64_t inner = out[last];
  const std::vector<std::int64_t>& columns = table[static_cast<std::size_t>(last)];
  // The middle of a row is a copy: where positions go up by one.
  std::int64_t begin = 0;
  while (begin < inner && columns[static_cast<std::size_t>(begin)] != 0) ++begin;
  std::int64_t run = 0;
  while (begin + run < inner && columns[static_cast<std::size_t>(begin + run)] == run) ++run;
  parallel_ranges(parallel, out.elements() / inner, 1 + 16384 / inner, [&](std::int64_t first, std::int64_t end) {
    for (std::int64_t row = first; row < end; ++row) {
      std::int64_t offset = 0;
      bool outside = false;
      for (std::int64_t i = last - 1, rest = row; i >= 0; --i) {
        const auto axis = static_cast<std::int32_t>(i);
        const std::int64_t at = table[static_cast<std::size_t>(i)][static_cast<std::size_t>(rest % out[axis])];
        outside = outside || at < 0;
        offset += at * strides[static_cast<std::size_t>(i)];
        rest /= out[axis];
      }
      T* q = to + row * inner;
      if (outside) {
        std::fill_n(q, inner, fill);
        continue;
      }
      const T* p = from + offset;
      const auto one = [&](std::int64_t i) {
        const std::int64_t at = columns[static_cast<std::size_t>(i)];
        q[i] = at < 0 ? fill : p[at];
      };
      for (std::int64_t i = 0; i < begin; ++i) one(i);
      if (run > 0) std::memcpy(q + begin, p, static_cast<std::size_t>(run) * sizeof(T));
      for (std::int64_t i = begin + run; i < inner; ++i) one(i);
    }
  });
}

result<void> pad(eval_context& c, const int_list& pads, pad_mode mode, const void* fill) {
  tensor_buffer x = c.input(0);
  if (x.dims().rank == 0) return c.forward(0, x);
  const shape& s = x.dims();
  shape dims;
  std::vector<std::vector<std::int64_t>> table;
  for (std::int32_t i = 0; i < s.rank; ++i) {
    const std::int64_t begin = pads[static_cast<std::size_t>(i)];
    const std::int64_t end = pads[static_cast<std::size_t>(i + s.rank)];
    const std::int64_t d = s[i] + begin + end;
    if (d < 0) return c.fail(status::data_shape, "pads cut more than axis " + std::to_string(i) + " has");
    // Negative pads cut first: what lies beyond a cut is no source any more.
    if (mode != pad_mode::constant && d > 0 &&
        s[i] + std::min<std::int64_t>(begin, 0) + std::min<std::int64_t>(end, 0) <= 0) {
      return c.fail(status::data_shape, "nothing is left of axis " + std::to_string(i) + " to pad from");
    }
    dims.push_back(d);
  }
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  if (dims.elements() == 0) return {};
  for (std::int32_t i = 0; i < s.rank; ++i) {
    const std::int64_t begin = pads[static_cast<std::size_t>(i)];
    const std::int64_t end = pads[static_cast<std::size_t>(i + s.rank)];
    const std::int64_t cut = std::max<std::int64_t>(-begin, 0);
    const std::int64_t left = s[i] - cut - std::max<std::int64_t>(-end, 0);
    auto from = positions(mode, std::max<std::int64_t>(left, 0), std::max<std::int64_t>(begin, 0), dims[i]);
    for (std::int64_t& at : from) at = at < 0 ? at : at + cut;
    table.push_back(std::move(from));
  }
  const auto run = [&](auto tag) {
    using T = decltype(tag);
    T value;
    std::memcpy(&value, fill, sizeof(T));
    pad_rows<T>(c.parallel(), s, dims, table, x.as<T>(), out->template mutable_as<T>(), value);
  };
  switch (bits_of(x.type())) {
    case 8: run(std::uint8_t{}); break;
    case 16: run(std::uint16_t{}); break;
    case 32: run(std::uint32_t{}); break;
    case 64: run(std::uint64_t{}); break;
    default: return unsupported_type(c, x.type());
  }
  return {};
}

result<std::optional<int_list>> optional_ints(const eval_context& c, std::size_t i) {
  if (!c.has_input(i)) return std::optional<int_list>();
  QUANTAL_TRY(list, ints_of(c, i));
  return std::optional<int_list>(std::move(list));
}

result<void> eval_pad(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  const pad_mode mode = mode_of(c.node);
  if (mode == pad_mode::unknown) return c.fail(status::unsupported, "unknown attribute 'mode'");
  QUANTAL_TRY(given, ints_argument(c, 1, c.opset < 2 ? "paddings" : "pads"));
  if (!given) return c.fail(status::model_graph, "no pads");
  QUANTAL_TRY(axes, optional_ints(c, 3));
  QUANTAL_TRY(pads, spread(c.node, *given, axes, x.dims().rank));
  std::uint64_t fill = 0;
  if (c.opset < 11) {
    const double value = static_cast<double>(c.node.get_float("value", 0));
    if (!convert_elements(dtype::f64, &value, x.type(), &fill, 1)) return unsupported_type(c, x.type());
  } else if (c.has_input(2)) {
    const tensor_buffer& v = c.input(2);
    if (v.type() != x.type() || v.elements() != 1 || v.bytes() > sizeof(fill)) {
      return c.fail(status::data_shape, "the padding value must be one element of the input's type");
    }
    std::memcpy(&fill, v.data(), v.bytes());
  }
  return pad(c, pads, mode, &fill);
}

result<void> infer_pad(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (mode_of(c.node) == pad_mode::unknown) return rule_error(c, "unknown attribute 'mode'");
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  bool given = false;
  const auto list = ints_argument(c, 1, c.opset < 2 ? "paddings" : "pads", given);
  const auto axes = known_ints(c, 3);
  if (!list || (c.node.has_input(3) && !axes)) {
    set_typed(c, 0, elem_of(c, 0), unknown_dims(rank_of(*d)));
    return {};
  }
  QUANTAL_TRY(pads, spread(c.node, *list, axes, rank_of(*d)));
  dim_list out = *d;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::int64_t more = pads[i] + pads[i + out.size()];
    if (more == 0) continue;
    if (!out[i].known()) {
      out[i] = ir::dim();
      continue;
    }
    if (out[i].value + more < 0) return rule_error(c, "pads cut more than axis " + std::to_string(i) + " has");
    out[i] = ir::dim(out[i].value + more);
  }
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- CenterCropPad: per axis, the middle of what is too large, zeros around what is too small ----

result<void> eval_center(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const shape& s = c.input(0).dims();
  QUANTAL_TRY(target, ints_of(c, 1));
  int_list axes = c.node.get_ints("axes");
  if (c.node.find("axes") == nullptr) {
    for (std::int32_t i = 0; i < s.rank; ++i) axes.push_back(i);
  }
  if (axes.size() != target.size()) return c.fail(status::data_shape, "one size per axis is needed");
  QUANTAL_CHECK(normalize_axes(c.node, axes, s.rank));
  int_list pads(2 * static_cast<std::size_t>(s.rank), 0);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<std::int32_t>(axes[i] < 0 ? axes[i] + s.rank : axes[i]);
    if (target[i] < 0 || target[i] > widest)
      return c.fail(status::data_shape, "size " + std::to_string(target[i]) + " is out of range");
    const std::int64_t more = target[i] - s[a];
    // Odd remainders: cropping starts at the lower middle, padding puts the extra element behind.
    const std::int64_t before = more >= 0 ? more / 2 : -(-more / 2);
    pads[static_cast<std::size_t>(a)] = before;
    pads[static_cast<std::size_t>(a + s.rank)] = more - before;
  }
  const std::uint64_t zero = 0;
  return pad(c, pads, pad_mode::constant, &zero);
}

result<void> infer_center(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  dim_list out = *d;
  const auto target = known_ints(c, 1);
  int_list axes = c.node.get_ints("axes");
  if (c.node.find("axes") == nullptr) {
    for (std::int32_t i = 0; i < rank_of(*d); ++i) axes.push_back(i);
  }
  QUANTAL_CHECK(normalize_axes(c.node, axes, rank_of(*d)));
  if (target && target->size() != axes.size()) return rule_error(c, "one size per axis is needed");
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto a = static_cast<std::size_t>(axes[i] < 0 ? axes[i] + rank_of(*d) : axes[i]);
    out[a] = target && (*target)[i] >= 0 ? ir::dim((*target)[i]) : ir::dim();
  }
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

constexpr op_def table[] = {
    {"Pad", 1, infer_pad, in_bytes<eval_pad>, {.kind = quant_kind::passthrough}},
    {"CenterCropPad", 18, infer_center, in_bytes<eval_center>},
};

}  // namespace

op_list pad_ops() {
  return table;
}

}  // namespace quantal::ops
