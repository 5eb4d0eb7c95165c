#include "product_rules.hpp"

#include <algorithm>

#include "quantal/ops/arguments.hpp"
#include "window.hpp"

namespace quantal::ops {

result<void> infer_conv(infer_context& c, std::size_t x_input, std::size_t w_input, dtype type) {
  const dim_list* x = dims_of(c, x_input);
  const dim_list* w = dims_of(c, w_input);
  if (x == nullptr) return set_typed(c, 0, type), result<void>{};
  if (x->size() < 3) return rule_error(c, "X has rank " + std::to_string(x->size()) + ", at least 3 is needed");
  if (w != nullptr && w->size() != x->size()) return rule_error(c, "X and W differ in rank");
  dim_list y = unknown_dims(rank_of(*x));
  y[0] = (*x)[0];
  int_list kernel = c.node.get_ints("kernel_shape");
  if (w != nullptr) {
    y[1] = (*w)[0];
    const std::int64_t groups = c.node.get_int("group", 1);
    if (groups < 1) return rule_error(c, "group is " + std::to_string(groups));
    if ((*x)[1].known() && (*w)[1].known() && (*w)[1].value != (*x)[1].value / groups) {
      return rule_error(c, "X has " + std::to_string((*x)[1].value) + " channels in " + std::to_string(groups) +
                               " groups, W takes " + std::to_string((*w)[1].value));
    }
    if (kernel.empty() && std::all_of(w->begin() + 2, w->end(), [](const ir::dim& d) { return d.known(); })) {
      for (std::size_t i = 2; i < w->size(); ++i) kernel.push_back((*w)[i].value);
    }
  }
  if (!kernel.empty()) {
    QUANTAL_TRY(attributes, read_window(c.node, rank_of(*x) - 2, kernel));
    QUANTAL_TRY(spatial, window_dims(c, attributes, *x));
    std::copy(spatial.begin(), spatial.end(), y.begin() + 2);
  }
  set_typed(c, 0, type, std::move(y));
  return {};
}

result<void> infer_matmul(infer_context& c, std::size_t a_input, std::size_t b_input, dtype type) {
  const dim_list* a = dims_of(c, a_input);
  const dim_list* b = dims_of(c, b_input);
  if (a == nullptr || b == nullptr) return set_typed(c, 0, type), result<void>{};
  if (a->empty() || b->empty()) return rule_error(c, "MatMul of a scalar");
  QUANTAL_CHECK(merge_dim(c, a->back(), b->size() == 1 ? (*b)[0] : (*b)[b->size() - 2]));
  const auto batch_of = [](const dim_list& d) { return d.size() < 2 ? dim_list{} : dim_list(d.begin(), d.end() - 2); };
  QUANTAL_TRY(dims, broadcast_dims(c, batch_of(*a), batch_of(*b)));
  if (a->size() > 1) dims.push_back((*a)[a->size() - 2]);
  if (b->size() > 1) dims.push_back(b->back());
  set_typed(c, 0, type, std::move(dims));
  return {};
}

}  // namespace quantal::ops
