// quantal/quantal.hpp: the whole C++ library: models in and out, execution, samples, quantization. Link
// quantal::quantal.
//
//   auto model = quantal::onnx::read_file("m.onnx");                       // result<ir::model>
//   auto report = quantal::pipeline::quantize_file("m.onnx", "m_int8.onnx", config, samples.get());
#pragma once
#include "quantal/core.hpp"
#include "quantal/data/source.hpp"
#include "quantal/exec/session.hpp"
#include "quantal/onnx/onnx.hpp"
#include "quantal/pipeline/compare.hpp"
#include "quantal/pipeline/json.hpp"
#include "quantal/pipeline/quantize.hpp"
