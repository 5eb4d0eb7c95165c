// compare: how far two models are apart on the same samples, per output and per node.
//
//   sqnr_db = 10 log10( sum a^2 / sum (a - b)^2 )      a: model_a's value, b: model_b's      (infinite: bit-identical)
//
// Sums run over all samples in double precision, so the figure is that of the whole data set, not a mean of batches.
// Per node, two figures: `accumulated` is the value in the full model_b against model_a (errors of all nodes before it
// included); `isolated` feeds the node's part of model_b with model_a's values, so that only its own error remains.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/data/source.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/pipeline/quantize.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::pipeline {

struct compare_options {
  std::string metric;  // "" | "top1" | "top5": share of samples whose label is among the k largest of output 0
  bool per_node = false;
  std::size_t threads = 0;
};

struct node_quality {
  std::string node, op, value;
  double accumulated_db = 0;
  std::optional<double> isolated_db;  // absent: the node's part cannot run alone (control flow)
};

// JSON keys of `quantal compare --json` are these fields.
struct compare_report {
  std::string model_a, model_b;
  std::int64_t samples = 0;
  std::vector<output_quality> outputs;
  std::string metric;
  std::optional<double> metric_a, metric_b;  // percent
  std::vector<node_quality> nodes;           // in execution order of model_b
  double seconds = 0;
  std::int64_t peak_rss_bytes = 0;
};

// Both models are fed by the names of model_a's inputs; outputs are matched by name, or by position where names differ.
// Errors: model_type (different numbers of outputs), data_shape (outputs of different shapes), data_missing (no
// samples, or no labels for the metric), usage (unknown metric), what the sessions report.
result<compare_report> compare(std::shared_ptr<const ir::model> a, std::shared_ptr<const ir::model> b,
                               data::source& samples, const compare_options& options, const progress_fn& progress = {});

// Inputs of a model that a caller must feed: graph inputs that are no initializers.
std::vector<ir::value_info> fed_inputs(const ir::model& m);

}  // namespace quantal::pipeline
