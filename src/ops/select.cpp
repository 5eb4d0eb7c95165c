// Operators whose output size depends on values, and ordering: TopK, NonZero, Unique, NonMaxSuppression.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

// ---- TopK: equal elements keep the order of their indices ----

template <class T>
void top_k(const shape& s, std::int32_t axis, std::int64_t k, bool largest, const T* x, T* values,
           std::int64_t* indices) {
  const std::int64_t n = s[axis];
  const std::int64_t inner = s.elements(axis + 1, s.rank);
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  for (std::int64_t o = 0; o < s.elements(0, axis) * inner; ++o) {
    const T* p = x + o / inner * n * inner + o % inner;
    std::iota(order.begin(), order.end(), std::int64_t{0});
    // NaN is above every number, as in numpy's order; a strict weak order even so.
    const auto before = [&](std::int64_t a, std::int64_t b) {
      const T u = p[a * inner];
      const T v = p[b * inner];
      const bool nan_u = u != u;
      const bool nan_v = v != v;
      if (nan_u != nan_v) return largest ? nan_u : nan_v;
      if (!nan_u && u != v) return largest ? u > v : u < v;
      return a < b;
    };
    std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
    for (std::int64_t i = 0; i < k; ++i) {
      const std::int64_t to = (o / inner * k + i) * inner + o % inner;
      if (values != nullptr) values[to] = p[order[static_cast<std::size_t>(i)] * inner];
      if (indices != nullptr) indices[to] = order[static_cast<std::size_t>(i)];
    }
  }
}

result<void> eval_top_k(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  QUANTAL_TRY(axis, axis_of(c, c.node.get_int("axis", -1), x.dims().rank));
  std::int64_t k = c.node.get_int("k", 0);
  if (c.opset >= 10) {
    QUANTAL_TRY(given, int_of(c, 1));
    k = given;
  }
  if (k < 0 || k > x.dims()[axis])
    return c.fail(status::data_format, "k = " + std::to_string(k) + " is outside the axis");
  shape dims = x.dims();
  dims[axis] = k;
  tensor_buffer* values = nullptr;
  tensor_buffer* indices = nullptr;
  if (c.node.has_output(0)) {
    QUANTAL_TRY(out, c.output(0, x.type(), dims));
    values = out;
  }
  if (c.node.has_output(1)) {
    QUANTAL_TRY(out, c.output(1, dtype::s64, dims));
    indices = out;
  }
  const bool known = with_number(x.type(), [&](auto tag) {
    using T = decltype(tag);
    top_k<T>(x.dims(), axis, k, c.node.get_int("largest", 1) != 0, x.as<T>(),
             values != nullptr ? values->mutable_as<T>() : nullptr,
             indices != nullptr ? indices->mutable_as<std::int64_t>() : nullptr);
  });
  return known ? result<void>() : unsupported_type(c, x.type());
}

result<void> infer_top_k(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    set_typed(c, 1, dtype::s64);
    return {};
  }
  QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", -1), rank_of(*d)));
  dim_list out = *d;
  ir::dim& n = out[static_cast<std::size_t>(axis)];
  const auto k = c.opset >= 10 ? known_ints(c, 1) : std::optional<int_list>(int_list{c.node.get_int("k", 0)});
  if (k && k->size() == 1) {
    if ((*k)[0] < 0 || (n.known() && (*k)[0] > n.value))
      return rule_error(c, "k = " + std::to_string((*k)[0]) + " is outside the axis");
    n = ir::dim((*k)[0]);
  } else {
    n = ir::dim();
  }
  set_typed(c, 0, elem_of(c, 0), out);
  set_typed(c, 1, dtype::s64, std::move(out));
  return {};
}

// ---- NonZero ----

result<void> eval_non_zero(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const tensor_buffer& x = c.input(0);
  int_list found;
  const bool known = with_number(x.type() == dtype::boolean ? dtype::u8 : x.type(), [&](auto tag) {
    const auto* p = x.as<decltype(tag)>();
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      if (p[i] != 0) found.push_back(i);
    }
  });
  if (!known) return unsupported_type(c, x.type());
  const shape& s = x.dims();
  const std::int32_t rank = std::max(s.rank, 1);  // a scalar counts as [1]
  const auto n = static_cast<std::int64_t>(found.size());
  QUANTAL_TRY(out, c.output(0, dtype::s64, shape(rank, n)));
  for (std::int64_t i = 0; i < n; ++i) {
    std::int64_t at = found[static_cast<std::size_t>(i)];
    for (std::int32_t k = rank - 1; k >= 0; --k) {
      const std::int64_t d = k < s.rank ? s[k] : 1;
      out->mutable_as<std::int64_t>()[k * n + i] = at % d;
      at /= d;
    }
  }
  return {};
}

result<void> infer_non_zero(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  set_typed(c, 0, dtype::s64, {d != nullptr ? ir::dim(std::max(rank_of(*d), 1)) : ir::dim(), ir::dim()});
  return {};
}

// ---- Unique: of elements, or of slices along an axis ----

result<void> eval_unique(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const bool flat = c.node.find("axis") == nullptr;
  const tensor_buffer x = flat ? c.input(0).reshaped(shape(c.input(0).elements())) : c.input(0);
  const shape& s = x.dims();
  QUANTAL_TRY(axis, axis_of(c, flat ? 0 : c.node.get_int("axis", 0), s.rank));
  const std::int64_t n = s[axis];
  const std::int64_t inner = s.elements(axis + 1, s.rank);
  const std::int64_t outer = s.elements(0, axis);
  int_list order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  int_list first;  // slice that stands for each group
  int_list inverse(static_cast<std::size_t>(n));
  int_list counts;
  const dtype t = x.type() == dtype::boolean ? dtype::u8 : x.type();
  const bool known = with_number(t, [&](auto tag) {
    const auto* p = x.as<decltype(tag)>();
    const auto compare = [&](std::int64_t a, std::int64_t b) {
      for (std::int64_t o = 0; o < outer; ++o) {
        for (std::int64_t i = 0; i < inner; ++i) {
          const auto u = p[(o * n + a) * inner + i];
          const auto v = p[(o * n + b) * inner + i];
          const bool nan_u = u != u;
          const bool nan_v = v != v;
          if (nan_u != nan_v) return nan_v ? -1 : 1;
          if (!nan_u && u != v) return u < v ? -1 : 1;
        }
      }
      return 0;
    };
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return compare(a, b) < 0; });
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (i == 0 || compare(order[i - 1], order[i]) != 0) {
        first.push_back(order[i]);
        counts.push_back(0);
      }
      inverse[static_cast<std::size_t>(order[i])] = static_cast<std::int64_t>(first.size()) - 1;
      ++counts.back();
    }
  });
  if (!known) return unsupported_type(c, x.type());
  const auto m = static_cast<std::int64_t>(first.size());
  if (c.node.get_int("sorted", 1) == 0) {  // in order of first appearance
    int_list by_position(first.size());
    std::iota(by_position.begin(), by_position.end(), std::int64_t{0});
    std::sort(by_position.begin(), by_position.end(), [&](std::int64_t a, std::int64_t b) {
      return first[static_cast<std::size_t>(a)] < first[static_cast<std::size_t>(b)];
    });
    int_list rank(first.size());
    int_list new_first;
    int_list new_counts;
    for (std::size_t i = 0; i < by_position.size(); ++i) {
      const auto g = static_cast<std::size_t>(by_position[i]);
      rank[g] = static_cast<std::int64_t>(i);
      new_first.push_back(first[g]);
      new_counts.push_back(counts[g]);
    }
    for (std::int64_t& i : inverse) i = rank[static_cast<std::size_t>(i)];
    first = std::move(new_first);
    counts = std::move(new_counts);
  }
  shape dims = s;
  dims[axis] = m;
  const std::size_t piece = static_cast<std::size_t>(inner) * (bits_of(x.type()) / 8);
  QUANTAL_TRY(out, c.output(0, x.type(), dims));
  for (std::int64_t o = 0; o < outer; ++o) {
    for (std::int64_t i = 0; i < m; ++i) {
      std::memcpy(out->mutable_as<std::byte>() + static_cast<std::size_t>(o * m + i) * piece,
                  x.as<std::byte>() + static_cast<std::size_t>(o * n + first[static_cast<std::size_t>(i)]) * piece,
                  piece);
    }
  }
  const int_list* lists[] = {&first, &inverse, &counts};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!c.node.has_output(i + 1)) continue;
    QUANTAL_TRY(list, c.output(i + 1, dtype::s64, shape(static_cast<std::int64_t>(lists[i]->size()))));
    std::copy(lists[i]->begin(), lists[i]->end(), list->mutable_as<std::int64_t>());
  }
  return {};
}

result<void> infer_unique(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (c.node.find("axis") == nullptr) {
    set_typed(c, 0, elem_of(c, 0), unknown_dims(1));
  } else if (d != nullptr) {
    QUANTAL_TRY(axis, normalize_axis(c.node, c.node.get_int("axis", 0), rank_of(*d)));
    dim_list out = *d;
    out[static_cast<std::size_t>(axis)] = ir::dim();
    set_typed(c, 0, elem_of(c, 0), std::move(out));
  } else {
    set_typed(c, 0, elem_of(c, 0));
  }
  for (std::size_t i = 1; i < 4; ++i) set_typed(c, i, dtype::s64, unknown_dims(1));
  return {};
}

// ---- NonMaxSuppression: greedy, per batch and class; boxes [B, N, 4], scores [B, C, N] ----

struct box {
  float y1, x1, y2, x2;
  float area() const { return (y2 - y1) * (x2 - x1); }
};

box box_at(const float* p, bool center) {
  if (center) return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};  // x, y, width, height
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

bool overlaps(const box& a, const box& b, float threshold) {
  const float h = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const float w = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (h <= 0 || w <= 0) return false;
  const float joint = h * w;
  const float all = a.area() + b.area() - joint;
  return all > 0 && joint / all > threshold;
}

result<float> number_of(const eval_context& c, std::size_t i, float fallback) {
  if (!c.has_input(i)) return fallback;
  if (c.input(i).type() != dtype::f32 || c.input(i).elements() != 1)
    return c.fail(status::data_shape, "input " + std::to_string(i) + " must be one f32 number");
  return *c.input(i).as<float>();
}

result<void> eval_suppression(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 2));
  const tensor_buffer& boxes = c.input(0);
  const tensor_buffer& scores = c.input(1);
  const shape& b = boxes.dims();
  const shape& s = scores.dims();
  if (boxes.type() != dtype::f32 || scores.type() != dtype::f32) return unsupported_type(c, boxes.type());
  if (b.rank != 3 || s.rank != 3 || b[2] != 4 || b[0] != s[0] || b[1] != s[2])
    return c.fail(status::data_shape, "boxes must be [B, N, 4] and scores [B, C, N]");
  std::int64_t most = 0;
  if (c.has_input(2)) {
    QUANTAL_TRY(given, int_of(c, 2));
    most = given;
  }
  QUANTAL_TRY(threshold, number_of(c, 3, 0));
  QUANTAL_TRY(least, number_of(c, 4, -INFINITY));
  const bool center = c.node.get_int("center_point_box", 0) != 0;
  int_list picked;
  const std::int64_t n = b[1];
  for (std::int64_t g = 0; g < s[0] * s[1]; ++g) {
    const float* score = scores.as<float>() + g * n;
    const float* corners = boxes.as<float>() + g / s[1] * n * 4;
    int_list order;
    for (std::int64_t i = 0; i < n; ++i) {
      if (score[i] > least || (!c.has_input(4) && score[i] == score[i])) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t x, std::int64_t y) { return score[x] > score[y]; });
    std::vector<box> kept;
    for (std::int64_t i : order) {
      if (static_cast<std::int64_t>(kept.size()) >= most) break;
      const box candidate = box_at(corners + i * 4, center);
      if (std::any_of(kept.begin(), kept.end(), [&](const box& k) { return overlaps(k, candidate, threshold); }))
        continue;
      kept.push_back(candidate);
      for (std::int64_t v : {g / s[1], g % s[1], i}) picked.push_back(v);
    }
  }
  QUANTAL_TRY(out, c.output(0, dtype::s64, shape(static_cast<std::int64_t>(picked.size() / 3), 3)));
  std::copy(picked.begin(), picked.end(), out->mutable_as<std::int64_t>());
  return {};
}

result<void> infer_suppression(infer_context& c) {
  set_typed(c, 0, dtype::s64, {ir::dim(), ir::dim(3)});
  return {};
}

constexpr op_def table[] = {
    {"TopK", 1, infer_top_k, in_wide<eval_top_k>},
    {"NonZero", 9, infer_non_zero, in_wide<eval_non_zero>},
    {"Unique", 11, infer_unique, in_wide<eval_unique>},
    {"NonMaxSuppression", 10, infer_suppression, eval_suppression},
};

}  // namespace

op_list select_ops() {
  return table;
}

}  // namespace quantal::ops
