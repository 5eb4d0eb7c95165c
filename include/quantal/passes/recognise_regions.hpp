// recognise_regions: arithmetic that must stay in float, found by its shape in the graph, and given a name for reports.
//
//   LayerNorm    x - mean(x) -> square -> mean -> +eps -> sqrt -> div (-> * gamma -> + beta)
//   GELU         x * (1 + erf(x / sqrt 2)) / 2, and the tanh form
//   softmax      exp(x - max) / sum(exp)
//   spectrum     a linear filter bank over the raw signal whose result is squared: STFT, CQT, mel front ends
//
// Why float: the interior of a LayerNorm spans the square of the range of x, the interior of a softmax e^range; 8 bits
// over either leave nothing of the small values (measured: -3 dB with, 24 dB without, on a text model). A spectrum's
// power spans 60 dB and more before the logarithm, 8 bits hold 48. Operators outside the patterns are free to be
// integers.
#pragma once
#include <string>
#include <vector>

#include "quantal/ir/graph.hpp"

namespace quantal::passes {

// For each node of the main graph: the region's name, or "".
std::vector<std::string> recognise_regions(const ir::graph& g);

}  // namespace quantal::passes
