#include "quantal/passes/correct_bias.hpp"

namespace quantal::passes {

std::int32_t mean_axis_of(const ir::node& n, std::int32_t input_rank) noexcept {
  if (n.is("Conv")) return input_rank >= 3 ? 1 : -1;
  if (n.is("Gemm")) return n.get_int("transA", 0) == 0 && input_rank == 2 ? 1 : -1;
  return -1;
}

std::vector<double> mean_error(const ir::node& n, const tensor_buffer& weight, const tensor_buffer& codes,
                               std::span<const float> scales, std::span<const double> means) {
  const shape& d = weight.dims();
  const bool conv = n.is("Conv");
  if (d.rank < 2 || (!conv && d.rank != 2)) return {};
  const bool rows_are_outputs = conv || n.get_int("transB", 0) != 0;
  const std::int64_t outputs = d[rows_are_outputs ? 0 : 1];
  const std::int64_t inputs = d[rows_are_outputs ? 1 : 0];  // of one group
  const std::int64_t taps = d.elements(2, d.rank);
  const std::int64_t groups = conv ? n.get_int("group", 1) : 1;
  if (groups < 1 || outputs % groups != 0 || static_cast<std::int64_t>(means.size()) != inputs * groups) return {};
  if (scales.size() != 1 && scales.size() != static_cast<std::size_t>(outputs)) return {};
  const float* w = weight.as<float>();
  const std::int8_t* q = codes.as<std::int8_t>();
  std::vector<double> error(static_cast<std::size_t>(outputs), 0.0);
  for (std::int64_t o = 0; o < outputs; ++o) {
    const double scale = static_cast<double>(scales.size() == 1 ? scales[0] : scales[static_cast<std::size_t>(o)]);
    const std::int64_t first = o / (outputs / groups) * inputs;
    double sum = 0;
    for (std::int64_t i = 0; i < inputs; ++i) {
      double difference = 0;
      for (std::int64_t t = 0; t < taps; ++t) {
        const std::int64_t at = rows_are_outputs ? (o * inputs + i) * taps + t : i * outputs + o;
        difference += scale * q[at] - static_cast<double>(w[at]);
      }
      sum += difference * means[static_cast<std::size_t>(first + i)];
    }
    error[static_cast<std::size_t>(o)] = sum;
  }
  return error;
}

}  // namespace quantal::passes
