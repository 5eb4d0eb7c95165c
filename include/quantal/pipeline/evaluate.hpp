// evaluate: what quantization cost, measured by running the models on the same samples.
//
// Outputs are compared in full, with those of the model as it was given: a simplification that changes a result shows.
// Values inside are compared with the simplified float model, which has the same. They are compared on at most
// `elements_per_value` elements of each feed, spread evenly (a stride that is odd, so that it does not lock onto a
// channel): all values of the float run would have to be kept until the quantized run reaches them, and this memory
// must not grow with the model's activations.
#pragma once
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "quantal/pipeline/quantize.hpp"

namespace quantal::pipeline {

struct evaluation {
  std::vector<output_quality> outputs;
  std::unordered_map<std::string, double> values;  // SQNR in dB by the name of the float model's value
  std::int64_t samples = 0;
};

// `pairs`: names of values in the float model `reference` and their counterparts in the quantized model. Uses at most
// `limit` samples. A `given` model that cannot be run (operators of an old opset) is replaced by `reference`.
result<evaluation> evaluate(std::shared_ptr<const ir::model> given, std::shared_ptr<const ir::model> reference,
                            std::shared_ptr<const ir::model> quantized,
                            const std::vector<std::pair<std::string, std::string>>& pairs, data::source& samples,
                            std::int64_t limit, std::size_t threads, const progress_fn& progress = {});

}  // namespace quantal::pipeline
