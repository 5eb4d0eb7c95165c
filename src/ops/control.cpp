// If, Loop, Scan: run their subgraphs through the context (exec supplies run_subgraph; outer names are visible there).
//
//   Loop:  (iteration, condition, carried...) -> (condition, carried..., one slice per scan output)
//   Scan:  (state..., slice of each scan input) -> (state..., slice of each scan output)
//
// Slices are stacked along a new axis. Only tensors are carried: sequences are not supported.
#include <algorithm>
#include <cstring>

#include "quantal/ops/all.hpp"
#include "quantal/ops/arguments.hpp"
#include "quantal/ops/strided.hpp"

namespace quantal::ops {

namespace {

using tensors = std::vector<tensor_buffer>;

result<const ir::graph*> graph_of(const ir::node& n, std::string_view name) {
  const ir::graph* g = n.get_graph(name);
  if (g == nullptr) return node_error(n, status::model_type, "attribute '" + std::string(name) + "' is missing");
  return g;
}

result<bool> flag_of(const eval_context& c, const tensor_buffer& t) {
  if (t.type() != dtype::boolean || t.elements() != 1)
    return c.fail(status::data_shape, "a condition must be one boolean");
  return *t.as<std::uint8_t>() != 0;
}

// What holds for both: equal dimensions stay.
ir::value_type common(const ir::value_type& a, const ir::value_type& b) {
  if (!a.is_tensor() || !b.is_tensor() || a.elem != b.elem) return {};
  ir::value_type t = ir::value_type::tensor(a.elem);
  if (!a.has_rank() || !b.has_rank() || a.dims->size() != b.dims->size()) return t;
  t.dims = *a.dims;
  for (std::size_t i = 0; i < t.dims->size(); ++i) {
    if (!((*a.dims)[i] == (*b.dims)[i])) (*t.dims)[i] = ir::dim();
  }
  return t;
}

// ---- If ----

result<void> eval_if(eval_context& c) {
  QUANTAL_CHECK(require_inputs(c, 1));
  QUANTAL_TRY(yes, flag_of(c, c.input(0)));
  QUANTAL_TRY(branch, graph_of(c.node, yes ? "then_branch" : "else_branch"));
  QUANTAL_TRY(values, c.run_subgraph(*branch, {}));
  if (values.size() < c.node.outputs.size())
    return c.fail(status::model_graph, "a branch has fewer outputs than the node");
  for (std::size_t i = 0; i < c.node.outputs.size(); ++i) QUANTAL_CHECK(c.forward(i, std::move(values[i])));
  return {};
}

result<void> infer_if(infer_context& c) {
  QUANTAL_TRY(then_branch, graph_of(c.node, "then_branch"));
  QUANTAL_TRY(else_branch, graph_of(c.node, "else_branch"));
  const tensor_buffer* condition = c.constant(0);
  const bool known = condition != nullptr && condition->type() == dtype::boolean && condition->elements() == 1;
  const bool yes = known && *condition->as<std::uint8_t>() != 0;
  std::vector<ir::value_type> types;
  if (!known || yes) {
    QUANTAL_TRY(found, c.infer_subgraph(*then_branch, {}));
    types = std::move(found);
  }
  if (!known || !yes) {
    QUANTAL_TRY(found, c.infer_subgraph(*else_branch, {}));
    if (known) types = std::move(found);
    for (std::size_t i = 0; !known && i < std::min(types.size(), found.size()); ++i)
      types[i] = common(types[i], found[i]);
  }
  for (std::size_t i = 0; i < types.size(); ++i) c.set_output(i, std::move(types[i]));
  return {};
}

// ---- stacking slices ----

// Shape of a scan output that never got a slice: what the body states, unknown dimensions 0.
shape stated_shape(const ir::value_info& v) {
  shape s;
  if (v.type.has_rank()) {
    for (const ir::dim& d : *v.type.dims) s.push_back(d.known() ? d.value : 0);
  }
  return s;
}

result<void> stack(eval_context& c, std::size_t output, const tensors& slices, std::int64_t axis, bool reverse,
                   const ir::value_info& stated) {
  const auto n = static_cast<std::int64_t>(slices.size());
  const shape each = n > 0 ? slices[0].dims() : stated_shape(stated);
  const dtype type = n > 0 ? slices[0].type() : stated.type.elem;
  if (each.rank == limits::max_rank) return c.fail(status::limit, "result rank is above the limit");
  if (bits_of(type) < 8) return unsupported_type(c, type);
  QUANTAL_TRY(at, axis_of(c, axis, each.rank + 1));
  shape dims;
  for (std::int32_t i = 0; i <= each.rank; ++i) dims.push_back(i == at ? n : each[i < at ? i : i - 1]);
  QUANTAL_TRY(out, c.output(output, type, dims));
  const std::size_t size = bits_of(type) / 8;
  const stride_list all = dense_strides(dims);
  stride_list strides{};
  for (std::int32_t i = 0; i < each.rank; ++i)
    strides[static_cast<std::size_t>(i)] = all[static_cast<std::size_t>(i < at ? i : i + 1)];
  for (std::int64_t k = 0; k < n; ++k) {
    const tensor_buffer& slice = slices[static_cast<std::size_t>(reverse ? n - 1 - k : k)];
    if (!(slice.dims() == each) || slice.type() != type)
      return c.fail(status::data_shape, "slices of different shapes cannot be stacked");
    const auto offset = static_cast<std::size_t>(k * all[static_cast<std::size_t>(at)]);
    scatter_strided(c.parallel(), size, each, strides, slice.data(), out->mutable_as<std::byte>() + offset * size);
  }
  return {};
}

// ---- Loop ----

result<void> eval_loop(eval_context& c) {
  QUANTAL_TRY(body, graph_of(c.node, "body"));
  std::int64_t trips = INT64_MAX;
  if (c.has_input(0)) {
    QUANTAL_TRY(m, int_of(c, 0));
    trips = m;
  }
  bool go = true;
  if (c.has_input(1)) {
    QUANTAL_TRY(first, flag_of(c, c.input(1)));
    go = first;
  }
  const std::size_t carried = c.input_count() > 2 ? c.input_count() - 2 : 0;
  if (body->outputs.size() < 1 + carried || body->inputs.size() != 2 + carried) {
    return c.fail(status::model_graph, "the body's inputs or outputs do not fit the node");
  }
  const std::size_t scans = body->outputs.size() - 1 - carried;
  tensors state(2 + carried);
  for (std::size_t i = 0; i < carried; ++i) state[2 + i] = c.input(2 + i);
  std::vector<tensors> slices(scans);
  for (std::int64_t k = 0; k < trips && go; ++k) {
    state[0] = tensor_buffer::of(shape(), std::vector<std::int64_t>{k});
    QUANTAL_TRY(flag, tensor_buffer::make(dtype::boolean, shape()));
    *flag.mutable_as<std::uint8_t>() = 1;
    state[1] = flag;
    QUANTAL_TRY(values, c.run_subgraph(*body, state));
    if (values.size() < body->outputs.size()) return c.fail(status::model_graph, "the body gave too few values");
    QUANTAL_TRY(more, flag_of(c, values[0]));
    go = more;
    for (std::size_t i = 0; i < carried; ++i) state[2 + i] = std::move(values[1 + i]);
    for (std::size_t i = 0; i < scans; ++i) slices[i].push_back(std::move(values[1 + carried + i]));
  }
  for (std::size_t i = 0; i < carried; ++i) {
    if (c.node.has_output(i)) QUANTAL_CHECK(c.forward(i, state[2 + i]));
  }
  for (std::size_t i = 0; i < scans; ++i) {
    if (c.node.has_output(carried + i)) {
      QUANTAL_CHECK(stack(c, carried + i, slices[i], 0, false, body->outputs[1 + carried + i]));
    }
  }
  return {};
}

ir::value_type with_leading(const ir::value_type& t, ir::dim n, std::size_t axis = 0) {
  ir::value_type out = t;
  if (out.has_rank() && axis <= out.dims->size())
    out.dims->insert(out.dims->begin() + static_cast<std::ptrdiff_t>(axis), std::move(n));
  else
    out.dims.reset();
  return out;
}

result<void> infer_loop(infer_context& c) {
  QUANTAL_TRY(body, graph_of(c.node, "body"));
  const std::size_t carried = c.node.inputs.size() > 2 ? c.node.inputs.size() - 2 : 0;
  std::vector<ir::value_type> in(2 + carried);
  in[0] = ir::value_type::tensor(dtype::s64, dim_list{});
  in[1] = ir::value_type::tensor(dtype::boolean, dim_list{});
  for (std::size_t i = 0; i < carried; ++i) in[2 + i] = c.input(2 + i);
  // What changes from one iteration to the next is not known; the second round sees that.
  for (int round = 0; round < 2; ++round) {
    QUANTAL_TRY(out, c.infer_subgraph(*body, in));
    for (std::size_t i = 0; i < carried && i + 1 < out.size(); ++i) in[2 + i] = common(in[2 + i], out[1 + i]);
    if (round == 0) continue;
    for (std::size_t i = 0; i < carried; ++i) c.set_output(i, in[2 + i]);
    for (std::size_t i = 1 + carried; i < out.size(); ++i) c.set_output(i - 1, with_leading(out[i], ir::dim()));
  }
  return {};
}

// ---- Scan ----

struct scan_plan {
  const ir::graph* body = nullptr;
  std::size_t states = 0, scans = 0, outputs = 0;
  int_list in_axes, in_directions, out_axes, out_directions;
};

result<scan_plan> plan_of(const ir::node& n, std::int64_t opset) {
  QUANTAL_TRY(body, graph_of(n, "body"));
  scan_plan p;
  p.body = body;
  const std::size_t inputs = n.inputs.size() - (opset < 9 && !n.inputs.empty() ? 1 : 0);
  const std::int64_t scans = n.get_int("num_scan_inputs", 0);
  if (scans < 1 || static_cast<std::size_t>(scans) > inputs)
    return node_error(n, status::model_type, "attribute 'num_scan_inputs' is out of range");
  p.scans = static_cast<std::size_t>(scans);
  p.states = inputs - p.scans;
  if (body->inputs.size() != inputs || body->outputs.size() < p.states)
    return node_error(n, status::model_graph, "the body does not fit the node");
  p.outputs = body->outputs.size() - p.states;
  p.in_axes = n.get_ints("scan_input_axes");
  p.in_directions = n.get_ints(opset < 9 ? "directions" : "scan_input_directions");
  p.out_axes = n.get_ints("scan_output_axes");
  p.out_directions = n.get_ints("scan_output_directions");
  p.in_axes.resize(p.scans);
  p.in_directions.resize(p.scans);
  p.out_axes.resize(p.outputs);
  p.out_directions.resize(p.outputs);
  return p;
}

// One slice of x along `axis`, without that axis.
result<tensor_buffer> slice_of(eval_context& c, const tensor_buffer& x, std::int32_t axis, std::int64_t k) {
  shape dims;
  stride_list strides{};
  const stride_list all = dense_strides(x.dims());
  for (std::int32_t i = 0; i < x.dims().rank; ++i) {
    if (i == axis) continue;
    strides[static_cast<std::size_t>(dims.rank)] = all[static_cast<std::size_t>(i)];
    dims.push_back(x.dims()[i]);
  }
  if (bits_of(x.type()) < 8) return unsupported_type(c, x.type());
  const std::size_t size = bits_of(x.type()) / 8;
  QUANTAL_TRY(out, tensor_buffer::make(x.type(), dims));
  gather_strided(c.parallel(), size, dims, strides,
                 x.as<std::byte>() + static_cast<std::size_t>(k * all[static_cast<std::size_t>(axis)]) * size,
                 out.mutable_data());
  return std::move(out);
}

// Runs over `x`; final states and slices of the outputs.
result<void> run_scan(eval_context& c, const scan_plan& p, tensors& state, const tensors& x,
                      std::vector<tensors>& slices) {
  std::vector<std::int32_t> axes;
  for (std::size_t i = 0; i < p.scans; ++i) {
    QUANTAL_TRY(axis, axis_of(c, p.in_axes[i], x[i].dims().rank));
    axes.push_back(axis);
    if (x[i].dims()[axis] != x[0].dims()[axes[0]])
      return c.fail(status::data_shape, "scan inputs of different lengths");
  }
  const std::int64_t n = x[0].dims()[axes[0]];
  for (std::int64_t k = 0; k < n; ++k) {
    tensors feed = state;
    for (std::size_t i = 0; i < p.scans; ++i) {
      QUANTAL_TRY(slice, slice_of(c, x[i], axes[i], p.in_directions[i] != 0 ? n - 1 - k : k));
      feed.push_back(std::move(slice));
    }
    QUANTAL_TRY(values, c.run_subgraph(*p.body, feed));
    if (values.size() < p.states + p.outputs) return c.fail(status::model_graph, "the body gave too few values");
    for (std::size_t i = 0; i < p.states; ++i) state[i] = std::move(values[i]);
    for (std::size_t i = 0; i < p.outputs; ++i) slices[i].push_back(std::move(values[p.states + i]));
  }
  return {};
}

result<void> eval_scan(eval_context& c) {
  QUANTAL_TRY(p, plan_of(c.node, c.opset));
  QUANTAL_CHECK(require_inputs(c, p.states + p.scans));
  tensors state;
  tensors x;
  for (std::size_t i = 0; i < p.states; ++i) state.push_back(c.input(i));
  for (std::size_t i = 0; i < p.scans; ++i) x.push_back(c.input(p.states + i));
  std::vector<tensors> slices(p.outputs);
  QUANTAL_CHECK(run_scan(c, p, state, x, slices));
  for (std::size_t i = 0; i < p.states; ++i) {
    if (c.node.has_output(i)) QUANTAL_CHECK(c.forward(i, state[i]));
  }
  for (std::size_t i = 0; i < p.outputs; ++i) {
    if (c.node.has_output(p.states + i)) {
      QUANTAL_CHECK(
          stack(c, p.states + i, slices[i], p.out_axes[i], p.out_directions[i] != 0, p.body->outputs[p.states + i]));
    }
  }
  return {};
}

// Scan-8: the first axis is the batch, the second the scan; optional lengths come first.
result<void> eval_scan_batched(eval_context& c) {
  if (c.has_input(0))
    return c.fail(status::unsupported, "Scan-8 with sequence lengths is not supported",
                  "convert the model to opset 9 or later");
  QUANTAL_TRY(p, plan_of(c.node, c.opset));
  const std::size_t inputs = p.states + p.scans;
  for (std::size_t i = 1; i <= inputs; ++i) {
    if (!c.has_input(i) || c.input(i).dims().rank < 1 || c.input(i).dims()[0] != c.input(1).dims()[0])
      return c.fail(status::data_shape, "inputs of different batch sizes");
  }
  std::vector<tensors> results(p.states + p.outputs);
  for (std::int64_t b = 0; b < c.input(1).dims()[0]; ++b) {
    tensors state;
    tensors x;
    for (std::size_t i = 0; i < inputs; ++i) {
      QUANTAL_TRY(part, slice_of(c, c.input(1 + i), 0, b));
      (i < p.states ? state : x).push_back(std::move(part));
    }
    std::vector<tensors> slices(p.outputs);
    QUANTAL_CHECK(run_scan(c, p, state, x, slices));
    for (std::size_t i = 0; i < p.states; ++i) results[i].push_back(state[i]);
    for (std::size_t i = 0; i < p.outputs; ++i) {
      // A stack of its own: [scan, ...].
      if (slices[i].empty()) return c.fail(status::data_shape, "Scan-8 over an empty axis");
      shape dims(static_cast<std::int64_t>(slices[i].size()));
      for (std::int64_t d : slices[i][0].dims()) dims.push_back(d);
      QUANTAL_TRY(whole, tensor_buffer::make(slices[i][0].type(), dims));
      for (std::size_t k = 0; k < slices[i].size(); ++k) {
        if (slices[i][k].bytes() != slices[i][0].bytes())
          return c.fail(status::data_shape, "slices of different shapes cannot be stacked");
        std::memcpy(whole.mutable_as<std::byte>() + k * slices[i][0].bytes(), slices[i][k].data(),
                    slices[i][k].bytes());
      }
      results[p.states + i].push_back(std::move(whole));
    }
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (c.node.has_output(i)) QUANTAL_CHECK(stack(c, i, results[i], 0, false, p.body->outputs[i]));
  }
  return {};
}

result<void> infer_scan(infer_context& c) {
  QUANTAL_TRY(p, plan_of(c.node, c.opset));
  std::vector<ir::value_type> in;
  ir::dim length;
  for (std::size_t i = 0; i < p.states; ++i) in.push_back(c.input(i));
  for (std::size_t i = 0; i < p.scans; ++i) {
    ir::value_type t = c.input(p.states + i);
    if (t.has_rank()) {
      QUANTAL_TRY(axis, normalize_axis(c.node, p.in_axes[i], rank_of(*t.dims)));
      QUANTAL_TRY(merged, merge_dim(c, length, (*t.dims)[static_cast<std::size_t>(axis)]));
      length = merged;
      t.dims->erase(t.dims->begin() + axis);
    }
    in.push_back(std::move(t));
  }
  QUANTAL_TRY(out, c.infer_subgraph(*p.body, in));
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (i < p.states) {
      c.set_output(i, out[i]);
    } else {
      const std::int64_t axis = p.out_axes[i - p.states];
      const std::int64_t rank = out[i].has_rank() ? rank_of(*out[i].dims) + 1 : 0;
      if (rank != 0) QUANTAL_CHECK(normalize_axis(c.node, axis, static_cast<std::int32_t>(rank)));
      c.set_output(i, with_leading(out[i], length, static_cast<std::size_t>(axis < 0 ? axis + rank : axis)));
    }
  }
  return {};
}

constexpr op_def table[] = {
    {"If", 1, infer_if, eval_if},
    {"Loop", 1, infer_loop, eval_loop},
    {"Scan", 8, infer_nothing, eval_scan_batched, {}, "", 8},
    {"Scan", 9, infer_scan, eval_scan},
};

}  // namespace

op_list control_ops() {
  return table;
}

}  // namespace quantal::ops
