#include "quantal/passes/fold_pads.hpp"

#include <algorithm>

#include "quantal/passes/edit.hpp"

namespace quantal::passes {

namespace {

// Full pads [begin..., end...] of a Pad node that pads with constant zeros; nullopt if it does another thing.
std::optional<std::vector<std::int64_t>> zero_pads(const editor& e, const ir::node& n) {
  if (n.get_string("mode", "constant") != "constant" || n.has_input(3)) return std::nullopt;
  if (n.has_input(2) && e.scalar(n.inputs[2]) != 0.0F) return std::nullopt;
  if (n.get_float("value", 0) != 0) return std::nullopt;
  if (n.has_input(1)) return e.ints(n.inputs[1]);
  const auto pads = n.get_ints("pads");
  return pads.empty() ? std::nullopt : std::optional(pads);
}

}  // namespace

result<std::size_t> fold_pads(ir::model& m) {
  return sweep(m.graph, [](editor& e) -> result<void> {
    for (ir::node& n : e.g.nodes) {
      if (!n.is("Pad") || e.touched(n)) continue;
      ir::node* conv = e.only_reader(n.outputs[0]);
      const auto pads = zero_pads(e, n);
      if (conv == nullptr || !conv->is("Conv") || conv->inputs[0] != n.outputs[0] || !pads) continue;
      const std::string mode = conv->get_string("auto_pad", "NOTSET");
      if (mode != "NOTSET" && mode != "VALID") continue;
      const std::size_t rank = pads->size() / 2;
      if (rank < 3 || std::any_of(pads->begin(), pads->end(), [](std::int64_t p) { return p < 0; })) continue;
      if ((*pads)[0] != 0 || (*pads)[1] != 0 || (*pads)[rank] != 0 || (*pads)[rank + 1] != 0) continue;
      std::vector<std::int64_t> own = conv->get_ints("pads");
      own.resize(2 * (rank - 2), 0);
      for (std::size_t i = 0; i < rank - 2; ++i) {
        own[i] += (*pads)[i + 2];
        own[rank - 2 + i] += (*pads)[rank + 2 + i];
      }
      conv->set(ir::attribute("pads", own));
      conv->erase("auto_pad");
      conv->inputs[0] = n.inputs[0];
      e.touch(*conv);
      e.erase(n);
      e.count();
    }
    return {};
  });
}

}  // namespace quantal::passes
