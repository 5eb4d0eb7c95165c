// quantal/core.hpp: the header-only core for engines: number formats, quantization parameters, quantize, dequantize,
// requantize. Link nothing; on a microcontroller include the parts you need instead. See examples/ for use.
#pragma once
#include "quantal/num/fixed_point.hpp"
#include "quantal/num/float16.hpp"
#include "quantal/num/float8.hpp"
#include "quantal/num/int4.hpp"
#include "quantal/quant/affine.hpp"
#include "quantal/quant/choose.hpp"
#include "quantal/quant/fake_quant.hpp"
#include "quantal/quant/preset.hpp"
#include "quantal/quant/requant.hpp"
#include "quantal/quant/requant_plan.hpp"
#include "quantal/tensor/dtype.hpp"
#include "quantal/tensor/shape.hpp"
#include "quantal/version.hpp"
