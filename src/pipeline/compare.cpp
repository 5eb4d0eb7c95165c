// Comparison of two models over the same samples (see pipeline/compare.hpp).
//
// Values of the two graphs are matched by name. In a QDQ model the value that its consumers see is the one behind the
// pair QuantizeLinear -> DequantizeLinear, so that is what is compared:
//
//   model_a:   conv -> X                     model_b:   conv -> X -> Q -> DQ -> X'        X is compared with X'
#include "quantal/pipeline/compare.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <unordered_set>

#include "quantal/exec/session.hpp"
#include "quantal/io/text.hpp"
#include "quantal/ir/index.hpp"
#include "quantal/ops/convert.hpp"
#include "quantal/pipeline/machine.hpp"
#include "quantal/report/error.hpp"

namespace quantal::pipeline {
namespace {

std::string text_of(const shape& s) {
  std::string out = "[";
  for (std::int32_t i = 0; i < s.rank; ++i) out += (i > 0 ? "," : "") + std::to_string(s[i]);
  return out + "]";
}

result<void> add(report::error_sum& sum, const tensor_buffer& a, const tensor_buffer& b, const std::string& name) {
  if (!(a.dims() == b.dims())) {
    return error{status::data_shape, "the models give " + text_of(a.dims()) + " and " + text_of(b.dims()),
                 "output " + io::quote(name), "compare models with the same outputs"};
  }
  auto added = sum.add(a, b);
  if (!added) return std::move(added).failure().at("output " + io::quote(name));
  return {};
}

// Is `label` among the k largest of `row`? Ties count in favour of the lower index, as numpy's argmax has it.
bool hit(const double* row, std::int64_t classes, std::int64_t label, std::int64_t k) {
  if (label < 0 || label >= classes) return false;
  std::int64_t above = 0;
  for (std::int64_t i = 0; i < classes; ++i)
    above += row[i] > row[label] || (row[i] == row[label] && i < label) ? 1 : 0;
  return above < k;
}

struct accuracy {
  std::int64_t right = 0, total = 0;
  double percent() const { return total == 0 ? 0 : 100.0 * static_cast<double>(right) / static_cast<double>(total); }
};

result<void> count_hits(accuracy& acc, const tensor_buffer& logits, const data::feed& f, std::int64_t k) {
  if (!f.label) {
    return error{status::data_missing, "the metric needs labels", io::escape_text(f.origin),
                 "add an array `_label` or pass --labels"};
  }
  if (f.label.type() != dtype::s64)
    return error{status::data_format, "labels are not integers", io::escape_text(f.origin), {}};
  const std::int64_t rows = logits.dims().rank > 0 ? logits.dims()[0] : 1;
  const std::int64_t samples = std::min(f.samples, f.label.elements());
  if (rows < samples || rows == 0 || logits.elements() == 0) {
    return error{status::data_shape,
                 "the first output has " + std::to_string(rows) + " rows for " + std::to_string(samples) + " labels",
                 io::escape_text(f.origin), "top1 and top5 need an output [samples, classes]"};
  }
  QUANTAL_TRY(wide, ops::convert_tensor(logits, dtype::f64));
  const std::int64_t classes = logits.elements() / rows;
  for (std::int64_t i = 0; i < samples; ++i) {
    acc.right += hit(wide.as<double>() + i * classes, classes, f.label.as<std::int64_t>()[i], k) ? 1 : 0;
    ++acc.total;
  }
  return {};
}

// ---- per node ---------------------------------------------------------------------------------------------------

struct compared_value {
  std::string name;      // in model_a, and before Q/DQ in model_b
  std::string seen;      // what model_b's consumers read: behind Q/DQ if there is such a pair
  std::size_t node = 0;  // producer in model_b
  report::error_sum accumulated, isolated;
  bool comparable = true;
  std::unique_ptr<exec::session> part;  // computes `seen` from model_a's values; null: cannot run alone
};

// The value behind X -> QuantizeLinear -> DequantizeLinear, or X.
std::string behind_qdq(const ir::graph& g, const ir::index& names, const std::string& value) {
  for (const ir::use& q : names.uses(value)) {
    if (q.input != 0 || g.nodes[q.node].op_type != "QuantizeLinear" || g.nodes[q.node].outputs.empty()) continue;
    for (const ir::use& d : names.uses(g.nodes[q.node].outputs[0])) {
      if (d.input == 0 && g.nodes[d.node].op_type == "DequantizeLinear" && g.nodes[d.node].has_output(0)) {
        return g.nodes[d.node].outputs[0];
      }
    }
  }
  return value;
}

// The nodes of `g` that compute `target` from the names in `cut` (other than `own`) and constants, in g's order.
std::vector<std::size_t> segment(const ir::graph& g, const ir::index& names, const std::string& target,
                                 const std::string& own, const std::unordered_set<std::string>& cut,
                                 std::unordered_set<std::string>& boundary) {
  std::vector<std::string> todo = {target};
  std::unordered_set<std::size_t> taken;
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name != own && name != target && cut.count(name) != 0) {
      boundary.insert(name);
      continue;
    }
    const std::size_t producer = names.producer(name);
    if (producer == ir::index::none) {
      if (names.is_input(name)) boundary.insert(name);
      continue;
    }
    if (!taken.insert(producer).second) continue;
    for (const std::string& input : g.nodes[producer].inputs) {
      if (!input.empty()) todo.push_back(input);
    }
  }
  std::vector<std::size_t> order(taken.begin(), taken.end());
  std::sort(order.begin(), order.end());
  return order;
}

// A session for one value's part of model_b; null where the part has subgraphs or cannot be made.
std::unique_ptr<exec::session> part_session(const ir::model& b, const ir::index& names, const compared_value& v,
                                            const std::unordered_set<std::string>& cut,
                                            const std::unordered_map<std::string, tensor_buffer>& values,
                                            const exec::session_options& options) {
  std::unordered_set<std::string> boundary;
  const std::vector<std::size_t> nodes = segment(b.graph, names, v.seen, v.name, cut, boundary);
  auto m = std::make_shared<ir::model>();
  m->ir_version = b.ir_version;
  m->opsets = b.opsets;
  m->functions = b.functions;
  std::unordered_set<std::string> constants;
  for (const std::size_t i : nodes) {
    for (const ir::attribute& a : b.graph.nodes[i].attributes) {
      if (std::holds_alternative<ir::graph_box>(a.value)) return nullptr;
    }
    m->graph.nodes.push_back(b.graph.nodes[i]);
    for (const std::string& input : b.graph.nodes[i].inputs) {
      if (names.is_initializer(input) && boundary.count(input) == 0 && constants.insert(input).second) {
        if (const ir::constant* c = b.graph.initializer(input)) m->graph.initializers.push_back(*c);
      }
    }
  }
  for (const std::string& name : boundary) {
    const auto value = values.find(name);
    if (value == values.end()) return nullptr;
    m->graph.inputs.push_back({name, ir::value_type::tensor(value->second.type()), {}, {}});
  }
  m->graph.name = "part";
  m->graph.outputs.push_back({v.seen, ir::value_type::tensor(dtype::f32), {}, {}});
  auto session = exec::session::create(m, options);
  return session ? std::make_unique<exec::session>(*std::move(session)) : nullptr;
}

class node_comparison {
 public:
  node_comparison(std::shared_ptr<const ir::model> a, std::shared_ptr<const ir::model> b,
                  const exec::session_options& options)
      : b_(std::move(b)), names_(b_->graph), options_(options) {
    std::unordered_set<std::string> made_by_a;
    for (const ir::node& n : a->graph.nodes) made_by_a.insert(n.outputs.begin(), n.outputs.end());
    for (std::size_t i = 0; i < b_->graph.nodes.size(); ++i) {
      const ir::node& n = b_->graph.nodes[i];
      if (n.op_type == "QuantizeLinear" || n.op_type == "DequantizeLinear" || n.op_type == "Constant") continue;
      for (const std::string& name : n.outputs) {
        if (name.empty() || made_by_a.count(name) == 0) continue;
        values_.push_back({name, behind_qdq(b_->graph, names_, name), i, {}, {}, true, nullptr});
        cut_.insert(name);
      }
    }
    for (const ir::value_info& input : fed_inputs(*b_)) cut_.insert(input.name);
  }

  // Takes model_a's values while it runs.
  exec::observe_fn keep() {
    kept_.clear();
    return [this](std::string_view name, const tensor_buffer& value) {
      const std::string key(name);
      if (cut_.count(key) == 0) return;
      if (auto copy = value.clone()) kept_[key] = *std::move(copy);
    };
  }
  // Compares model_b's values while it runs.
  exec::observe_fn accumulate() {
    return [this](std::string_view name, const tensor_buffer& value) {
      for (compared_value& v : values_) {
        if (v.seen != name) continue;
        const auto reference = kept_.find(v.name);
        if (reference == kept_.end()) continue;
        if (!add(v.accumulated, reference->second, value, v.name)) v.comparable = false;
      }
    };
  }
  // Runs every value's part of model_b on model_a's values.
  result<void> isolate() {
    if (!prepared_) {
      for (compared_value& v : values_) v.part = part_session(*b_, names_, v, cut_, kept_, options_);
      prepared_ = true;
    }
    for (compared_value& v : values_) {
      const auto reference = kept_.find(v.name);
      if (v.part == nullptr || reference == kept_.end()) continue;
      std::vector<exec::named_tensor> feeds;
      for (const ir::value_info& input : v.part->inputs()) feeds.push_back({input.name, kept_[input.name]});
      auto out = v.part->run(feeds);
      if (!out || out->empty() || !add(v.isolated, reference->second, (*out)[0].value, v.name)) v.part.reset();
    }
    return {};
  }
  std::vector<node_quality> rows() const {
    std::vector<node_quality> out;
    for (const compared_value& v : values_) {
      if (!v.comparable || v.accumulated.count() == 0) continue;
      const ir::node& n = b_->graph.nodes[v.node];
      node_quality row{n.label(), n.op_type, v.name, v.accumulated.sqnr_db(), {}};
      if (v.part != nullptr) row.isolated_db = v.isolated.sqnr_db();
      out.push_back(std::move(row));
    }
    return out;
  }

 private:
  std::shared_ptr<const ir::model> b_;
  ir::index names_;
  exec::session_options options_;
  std::vector<compared_value> values_;
  std::unordered_set<std::string> cut_;
  std::unordered_map<std::string, tensor_buffer> kept_;
  bool prepared_ = false;
};

std::vector<exec::named_tensor> feeds_of(const data::feed& f) {
  std::vector<exec::named_tensor> out;
  for (const auto& [name, value] : f.inputs) out.push_back({name, value});
  return out;
}

// Position of model_b's output that belongs to output i of model_a.
std::size_t partner(const std::vector<exec::named_tensor>& b, const std::string& name, std::size_t i) {
  for (std::size_t k = 0; k < b.size(); ++k) {
    if (b[k].name == name) return k;
  }
  return i;
}

}  // namespace

std::vector<ir::value_info> fed_inputs(const ir::model& m) {
  std::unordered_set<std::string> defaults;
  for (const ir::constant& c : m.graph.initializers) defaults.insert(c.name);
  std::vector<ir::value_info> out;
  for (const ir::value_info& input : m.graph.inputs) {
    if (defaults.count(input.name) == 0) out.push_back(input);
  }
  return out;
}

result<compare_report> compare(std::shared_ptr<const ir::model> a, std::shared_ptr<const ir::model> b,
                               data::source& samples, const compare_options& options, const progress_fn& progress) {
  const auto start = std::chrono::steady_clock::now();
  compare_report report;
  report.metric = io::lower(options.metric);
  const std::int64_t k = report.metric == "top5" ? 5 : 1;
  if (!report.metric.empty() && report.metric != "top1" && report.metric != "top5") {
    return error{status::usage, "unknown metric " + io::quote(options.metric), "--metric", "use top1 or top5"};
  }
  exec::session_options session_options;
  session_options.threads = options.threads;
  QUANTAL_TRY(first, exec::session::create(a, session_options));
  QUANTAL_TRY(second, exec::session::create(b, session_options));
  if (first.outputs().size() != second.outputs().size()) {
    return error{status::model_type,
                 "the models have " + std::to_string(first.outputs().size()) + " and " +
                     std::to_string(second.outputs().size()) + " outputs",
                 {},
                 "compare models with the same outputs"};
  }
  std::optional<node_comparison> nodes;
  if (options.per_node) nodes.emplace(a, b, session_options);

  std::vector<report::error_sum> sums(first.outputs().size());
  accuracy right_a, right_b;
  const std::int64_t total = samples.samples();
  for (;;) {
    QUANTAL_TRY(feed, samples.next());
    if (feed == nullptr) break;
    const std::vector<exec::named_tensor> feeds = feeds_of(*feed);
    exec::run_options run_a, run_b;
    if (nodes) run_a.observe = nodes->keep(), run_b.observe = nodes->accumulate();
    auto x = first.run(feeds, run_a);
    if (!x) return std::move(x).failure().at(io::escape_text(feed->origin));
    auto y = second.run(feeds, run_b);
    if (!y) return std::move(y).failure().at(io::escape_text(feed->origin));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      auto added = add(sums[i], (*x)[i].value, (*y)[partner(*y, (*x)[i].name, i)].value, (*x)[i].name);
      if (!added) return std::move(added).failure().at(io::escape_text(feed->origin));
    }
    if (!options.metric.empty()) {
      QUANTAL_CHECK(count_hits(right_a, (*x)[0].value, *feed, k));
      QUANTAL_CHECK(count_hits(right_b, (*y)[partner(*y, (*x)[0].name, 0)].value, *feed, k));
    }
    if (nodes) QUANTAL_CHECK(nodes->isolate());
    report.samples += feed->samples;
    if (progress && !progress("compare", report.samples, total)) return error{status::cancelled, "cancelled", {}, {}};
  }
  if (report.samples == 0)
    return error{status::data_missing, "there are no samples", "--data", "pass files with at least one sample"};
  for (std::size_t i = 0; i < sums.size(); ++i) {
    report.outputs.push_back({first.outputs()[i].name, sums[i].sqnr_db(), sums[i].cosine(), sums[i].max_abs_error()});
  }
  if (!options.metric.empty()) report.metric_a = right_a.percent(), report.metric_b = right_b.percent();
  if (nodes) report.nodes = nodes->rows();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  report.peak_rss_bytes = peak_rss_bytes();
  return report;
}

}  // namespace quantal::pipeline
