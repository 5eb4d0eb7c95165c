// Einsum: sums of products by labelled dimensions, and Det.
//
//   "bij,bjk->bik"   labels of each operand -> labels of the result; a label that the result lacks is summed.
//
// More than two operands are contracted from the left, each time keeping only labels that are still needed. "..."
// stands for the leading dimensions that broadcast; it becomes labels of its own (numbers above 255).
#include <algorithm>
#include <cmath>
#include <map>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/convert.hpp"

namespace quantal::ops {

namespace {

using label_list = std::vector<int>;

struct equation {
  std::vector<label_list> inputs;
  label_list output;
};

constexpr int ellipsis = 256;  // 256 is the innermost of its dimensions, 257 the next...

// Labels of one term; `rank` tells how many dimensions "..." stands for, -1 if that does not matter (the output).
result<label_list> parse_term(const ir::node& n, const std::string& term, std::int32_t rank, std::int32_t dots) {
  label_list labels;
  std::int32_t letters = 0;
  for (char ch : term) letters += ch != '.' ? 1 : 0;
  for (std::size_t i = 0; i < term.size(); ++i) {
    if (term[i] == '.') {
      if (term.compare(i, 3, "...") != 0) return node_error(n, status::model_type, "bad ellipsis in the equation");
      i += 2;
      for (std::int32_t k = rank >= 0 ? rank - letters : dots; k > 0; --k) labels.push_back(ellipsis + k - 1);
    } else if ((term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z')) {
      labels.push_back(term[i]);
    } else {
      return node_error(n, status::model_type, std::string("unexpected '") + term[i] + "' in the equation");
    }
  }
  if (rank >= 0 && static_cast<std::int32_t>(labels.size()) != rank) {
    return node_error(n, status::model_type,
                      "term '" + term + "' does not fit an input of rank " + std::to_string(rank));
  }
  return labels;
}

result<equation> parse(const ir::node& n, const std::vector<std::int32_t>& ranks) {
  std::string text = n.get_string("equation", "");
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const std::size_t arrow = text.find("->");
  const std::string left = text.substr(0, arrow);
  equation e;
  std::size_t at = 0;
  std::int32_t dots = 0;
  for (std::int32_t rank : ranks) {
    if (at > left.size()) return node_error(n, status::model_type, "the equation has fewer terms than the node inputs");
    const std::size_t end = std::min(left.find(',', at), left.size());
    const std::string term = left.substr(at, end - at);
    at = end + 1;
    QUANTAL_TRY(labels, parse_term(n, term, rank, 0));
    for (int l : labels) dots = std::max(dots, l >= ellipsis ? l - ellipsis + 1 : 0);
    e.inputs.push_back(labels);
  }
  if (at <= left.size()) return node_error(n, status::model_type, "the equation has more terms than the node inputs");
  if (arrow != std::string::npos) {
    QUANTAL_TRY(labels, parse_term(n, text.substr(arrow + 2), -1, dots));
    e.output = labels;
  } else {  // labels that occur once, sorted; the ellipsis first
    std::map<int, int> times;
    for (const label_list& term : e.inputs) {
      for (int l : term) ++times[l];
    }
    for (int k = dots; k > 0; --k) e.output.push_back(ellipsis + k - 1);
    for (auto [l, count] : times) {
      if (l < ellipsis && count == 1) e.output.push_back(l);
    }
  }
  return e;
}

using sizes = std::map<int, std::int64_t>;

// Strides of a term over `order`: repeated labels walk the diagonal, dimensions of 1 broadcast.
int_list strides_over(const label_list& order, const label_list& labels, const shape& s) {
  int_list strides(order.size(), 0);
  std::int64_t step = 1;
  for (std::int32_t i = s.rank - 1; i >= 0; --i) {
    for (std::size_t k = 0; k < order.size(); ++k) {
      if (order[k] == labels[static_cast<std::size_t>(i)] && s[i] != 1) strides[k] += step;
    }
    step *= s[i];
  }
  return strides;
}

// out[kept] = sum over the other labels of a * b
template <class T>
void contract(const parallel_for& parallel, const label_list& kept, const label_list& summed, const sizes& size,
              const T* a, const int_list& sa, const T* b, const int_list& sb, T* out) {
  using A = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  std::int64_t outputs = 1;
  std::int64_t terms = 1;
  for (int l : kept) outputs *= size.at(l);
  for (int l : summed) terms *= size.at(l);
  const std::size_t base = kept.size();
  const std::int64_t inner = summed.empty() ? 1 : size.at(summed.back());
  const std::int64_t step_a = summed.empty() ? 0 : sa.back();
  const std::int64_t step_b = summed.empty() ? 0 : sb.back();
  parallel_ranges(parallel, outputs, 1 + 16384 / std::max<std::int64_t>(terms, 1),
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t o = begin; o < end; ++o) {
                      std::int64_t oa = 0;
                      std::int64_t ob = 0;
                      for (std::int64_t i = static_cast<std::int64_t>(base) - 1, rest = o; i >= 0; --i) {
                        const auto u = static_cast<std::size_t>(i);
                        const std::int64_t at = rest % size.at(kept[u]);
                        rest /= size.at(kept[u]);
                        oa += at * sa[u];
                        ob += at * sb[u];
                      }
                      A sum = 0;
                      for (std::int64_t r = 0; r < (terms == 0 ? 0 : terms / inner); ++r) {
                        std::int64_t pa = oa;
                        std::int64_t pb = ob;
                        for (std::int64_t i = static_cast<std::int64_t>(summed.size()) - 2, rest = r; i >= 0; --i) {
                          const auto u = static_cast<std::size_t>(i);
                          const std::int64_t at = rest % size.at(summed[u]);
                          rest /= size.at(summed[u]);
                          pa += at * sa[base + u];
                          pb += at * sb[base + u];
                        }
                        for (std::int64_t i = 0; i < inner; ++i)
                          sum += static_cast<A>(a[pa + i * step_a]) * static_cast<A>(b[pb + i * step_b]);
                      }
                      out[o] = static_cast<T>(sum);
                    }
                  });
}

result<void> eval_einsum(eval_context& c) {
  const std::size_t n = c.input_count();
  QUANTAL_CHECK(require_inputs(c, std::max<std::size_t>(n, 1)));
  std::vector<std::int32_t> ranks;
  for (std::size_t i = 0; i < n; ++i) ranks.push_back(c.input(i).dims().rank);
  QUANTAL_TRY(e, parse(c.node, ranks));
  sizes size;
  const dtype t = c.input(0).type();
  for (std::size_t i = 0; i < n; ++i) {
    if (c.input(i).type() != t) return c.fail(status::model_type, "inputs of different types");
    for (std::int32_t k = 0; k < ranks[i]; ++k) {
      auto [at, fresh] = size.emplace(e.inputs[i][static_cast<std::size_t>(k)], c.input(i).dims()[k]);
      const std::int64_t d = c.input(i).dims()[k];
      if (!fresh && at->second != d && at->second != 1 && d != 1)
        return c.fail(status::data_shape,
                      "a label has two sizes, " + std::to_string(at->second) + " and " + std::to_string(d));
      if (at->second == 1) at->second = d;
    }
  }
  shape dims;
  for (int l : e.output) {
    if (size.find(l) == size.end()) return c.fail(status::model_type, "a label of the result occurs in no input");
    if (!dims.push_back(size.at(l))) return c.fail(status::limit, "result rank is above the limit");
  }
  tensor_buffer left = c.input(0);
  label_list left_labels = e.inputs[0];
  const tensor_buffer one_wide = tensor_buffer::of(shape(), std::vector<double>{1});
  QUANTAL_TRY(one, convert_tensor(one_wide, t));
  for (std::size_t i = 1; i == 1 || i < n; ++i) {
    const bool alone = n == 1;
    const tensor_buffer& right = alone ? one : c.input(i);
    const label_list right_labels = alone ? label_list() : e.inputs[i];
    const bool last = alone || i + 1 == n;
    label_list kept = last ? e.output : label_list();
    label_list summed;
    const auto has = [](const label_list& list, int l) { return std::find(list.begin(), list.end(), l) != list.end(); };
    const label_list* both[] = {&left_labels, &right_labels};
    for (const label_list* list : both) {
      for (int l : *list) {
        if (has(kept, l) || has(summed, l)) continue;
        bool needed = has(e.output, l);
        for (std::size_t k = i + 1; k < n; ++k) needed = needed || has(e.inputs[k], l);
        (needed && !last ? kept : summed).push_back(l);
      }
    }
    label_list order = kept;
    order.insert(order.end(), summed.begin(), summed.end());
    // A label that only later operands have is no label here.
    const int_list sa = strides_over(order, left_labels, left.dims());
    const int_list sb = strides_over(order, right_labels, right.dims());
    shape part;
    for (int l : kept) {
      if (!part.push_back(size.at(l)))
        return c.fail(status::limit, "rank of an intermediate result is above the limit");
    }
    tensor_buffer made;
    tensor_buffer* out = &made;
    if (last) {
      QUANTAL_TRY(final_out, c.output(0, t, dims));
      out = final_out;
    } else {
      QUANTAL_TRY(fresh, tensor_buffer::make(t, part));
      made = fresh;
    }
    const auto run = [&](auto tag) {
      using T = decltype(tag);
      contract<T>(c.parallel(), kept, summed, size, left.as<T>(), sa, right.as<T>(), sb, out->template mutable_as<T>());
    };
    switch (t) {
      case dtype::f32: run(float{}); break;
      case dtype::f64: run(double{}); break;
      case dtype::s32: run(std::int32_t{}); break;
      case dtype::s64: run(std::int64_t{}); break;
      default: return unsupported_type(c, t);
    }
    if (last) break;
    left = made;
    left_labels = kept;
  }
  return {};
}

result<void> infer_einsum(infer_context& c) {
  std::vector<std::int32_t> ranks;
  for (std::size_t i = 0; i < c.node.inputs.size(); ++i) {
    if (dims_of(c, i) == nullptr) {
      set_typed(c, 0, elem_of(c, 0));
      return {};
    }
    ranks.push_back(rank_of(*dims_of(c, i)));
  }
  QUANTAL_TRY(e, parse(c.node, ranks));
  std::map<int, ir::dim> size;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    for (std::size_t k = 0; k < e.inputs[i].size(); ++k) {
      auto [at, fresh] = size.emplace(e.inputs[i][k], (*dims_of(c, i))[k]);
      if (fresh) continue;
      QUANTAL_TRY(d, broadcast_dim(c, at->second, (*dims_of(c, i))[k]));
      at->second = d;
    }
  }
  dim_list out;
  for (int l : e.output) {
    if (size.find(l) == size.end()) return rule_error(c, "a label of the result occurs in no input");
    out.push_back(size[l]);
  }
  set_typed(c, 0, elem_of(c, 0), std::move(out));
  return {};
}

// ---- Det: Gaussian elimination with pivots, in f64 ----

double determinant(std::vector<double> m, std::size_t n) {
  double det = 1;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t r = k + 1; r < n; ++r) pivot = std::abs(m[r * n + k]) > std::abs(m[pivot * n + k]) ? r : pivot;
    if (m[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(m.begin() + static_cast<std::ptrdiff_t>(k * n),
                       m.begin() + static_cast<std::ptrdiff_t>((k + 1) * n),
                       m.begin() + static_cast<std::ptrdiff_t>(pivot * n));
      det = -det;
    }
    det *= m[k * n + k];
    for (std::size_t r = k + 1; r < n; ++r) {
      const double f = m[r * n + k] / m[k * n + k];
      for (std::size_t j = k; j < n; ++j) m[r * n + j] -= f * m[k * n + j];
    }
  }
  return det;
}

result<void> eval_det(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  const shape& s = c.input(0).dims();
  if (s.rank < 2 || s[s.rank - 1] != s[s.rank - 2])
    return c.fail(status::data_shape, "input must hold square matrices");
  QUANTAL_TRY(x, convert_tensor(c.input(0), dtype::f64));
  shape dims = s;
  dims.rank -= 2;
  QUANTAL_TRY(wide, tensor_buffer::make(dtype::f64, dims));
  const std::int64_t n = s[s.rank - 1];
  for (std::int64_t i = 0; i < dims.elements(); ++i) {
    const double* p = x.as<double>() + i * n * n;
    wide.mutable_as<double>()[i] = determinant(std::vector<double>(p, p + n * n), static_cast<std::size_t>(n));
  }
  QUANTAL_TRY(out, convert_tensor(wide, c.input(0).type()));
  return c.forward(0, out);
}

result<void> infer_det(infer_context& c) {
  const dim_list* d = dims_of(c, 0);
  if (d == nullptr) {
    set_typed(c, 0, elem_of(c, 0));
    return {};
  }
  if (d->size() < 2) return rule_error(c, "input must hold square matrices");
  QUANTAL_CHECK(merge_dim(c, d->back(), (*d)[d->size() - 2]));
  set_typed(c, 0, elem_of(c, 0), dim_list(d->begin(), d->end() - 2));
  return {};
}

constexpr op_def table[] = {
    {"Einsum", 12, infer_einsum, in_wide<eval_einsum>},
    {"Det", 11, infer_det, eval_det},
};

}  // namespace

op_list einsum_ops() {
  return table;
}

}  // namespace quantal::ops
