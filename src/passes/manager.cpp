#include "quantal/ir/verify.hpp"
#include "quantal/passes/clean_up.hpp"
#include "quantal/passes/fold_affine.hpp"
#include "quantal/passes/fold_constants.hpp"
#include "quantal/passes/fold_pads.hpp"
#include "quantal/passes/pass.hpp"
#include "quantal/passes/recognise_activations.hpp"

namespace quantal::passes {

const std::vector<pass>& simplify() {
  static const std::vector<pass> list = {
      {"constants_to_initializers", "Constant nodes become initializers", constants_to_initializers},
      {"remove_identities", "Identity, inference Dropout, no-op Cast, Pad and Transpose go", remove_identities},
      {"fold_constants", "what does not depend on the inputs is computed", fold_constants},
      // Before fold_affine, which would take the division by 6 out of a hard-swish into the next Conv.
      {"recognise_activations", "decomposed hard-swish, hard-sigmoid, clip become one operator", recognise_activations},
      {"join_matmul_add", "MatMul and the bias added to it become Gemm", join_matmul_add},
      {"fold_gemm_factors", "alpha, beta and the shape of C move into weights and bias", fold_gemm_factors},
      {"fold_batch_norm", "BatchNormalization moves into weights and bias", fold_batch_norm},
      {"fold_affine", "per-channel Mul, Add, Sub, Div, Neg move into weights and bias", fold_affine},
      {"fold_pads", "zero padding moves into the Conv that reads it", fold_pads},
      {"remove_dead", "nodes and constants that nobody reads go", remove_dead},
  };
  return list;
}

result<std::size_t> run(ir::model& m, const std::vector<pass>& list, int rounds) {
  std::size_t total = 0;
  for (int round = 0; round < rounds; ++round) {
    std::size_t changes = 0;
    for (const pass& p : list) {
      auto done = p.run(m);
      if (!done) return std::move(done).failure().at(std::string("pass ") + p.name);
      if (auto sound = ir::verify(m); !sound) return std::move(sound).failure().at(std::string("after pass ") + p.name);
      changes += *done;
    }
    total += changes;
    if (changes == 0) break;
  }
  return total;
}

}  // namespace quantal::passes
