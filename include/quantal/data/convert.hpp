// Fitting arrays to a model's inputs: the conversions that lose nothing the user meant, and errors for the rest.
//
//   to float      from bool, integers, floats: the value itself (u8 200 -> 200.0; scaling is the model's or an image
//                 option's business); f64 -> f32 -> f16, bf16 round to nearest even, overflow to infinity
//   to integer    from integers and bool, every value checked against the target's range
//   else          an error: float data for an integer input, complex, strings
#pragma once
#include <string>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::data {

// The same values in another type; shares the bytes if the type is right already. Errors: data_format.
result<tensor_buffer> convert(const tensor_buffer& value, dtype to);

// `value` as the input wants it: rank and known dimensions are checked, the type is converted. `where` names file and
// sample. Errors: data_shape, data_format.
result<tensor_buffer> fit(const ir::value_info& input, tensor_buffer value, const std::string& where);

// "[N, 3, 224, 224]", "[1, ?]", for messages.
std::string text_of(const shape& dims);
std::string text_of(const ir::value_type& type);

}  // namespace quantal::data
