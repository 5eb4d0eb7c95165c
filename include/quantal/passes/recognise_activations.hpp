// recognise_activations: activations that an exporter wrote as arithmetic become one operator again.
//
//   x * Clip(x + 3, 0, 6) / 6            =>  HardSwish(x)          (Mul by 1/6, and the factor on either side, too)
//   x * HardSigmoid(x; 1/6, 1/2)         =>  HardSwish(x)
//   Clip(x + 3, 0, 6) / 6                =>  HardSigmoid(x; 1/6, 1/2)
//   Min(Max(x, a), b), Max(x, 0)         =>  Clip(x, a, b), Relu(x)
//
// One operator has one range to calibrate: inside a decomposed hard-swish, 8 bits would be spent on values (x + 3,
// x * clip) that no one needs. HardSwish exists from opset 14; below it x * HardSigmoid(x) is written.
// The trap: a constant [1, 1, 1] beside an x of lower rank raises the rank of the result; such a graph stays.
// Source of the definitions: ONNX spec, HardSwish-14, HardSigmoid-6.
#pragma once
#include "quantal/passes/pass.hpp"

namespace quantal::passes {

result<std::size_t> recognise_activations(ir::model& m);

}  // namespace quantal::passes
