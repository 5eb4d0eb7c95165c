// Structural clean-up: passes that move or drop nodes and never touch a number.
//
//   constants_to_initializers   Constant(value) -> y          =>  initializer y
//   remove_identities           x -> Identity/Dropout/... -> y  =>  x
//   remove_dead                 nodes and initializers nobody reads
//
// Dropout is an identity unless its training_mode input is a true constant or a computed value. Cast to the type the
// value already has, Pad by zeros, Transpose by 0,1,2.. and a Transpose undone by the next one go too.
#pragma once
#include "quantal/passes/pass.hpp"

namespace quantal::passes {

result<std::size_t> constants_to_initializers(ir::model& m);
result<std::size_t> remove_identities(ir::model& m);
result<std::size_t> remove_dead(ir::model& m);

}  // namespace quantal::passes
