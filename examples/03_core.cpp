// The header-only core: an engine chooses parameters, quantizes, and rescales a sum of products as its integer kernels
// would. Nothing is linked; the same headers compile for a microcontroller.
#include <cstdint>
#include <cstdio>
#include <quantal/core.hpp>

int main() {
  using namespace quantal;
  quant_params x_params, w_params;
  choose_options weights;
  weights.type = dtype::s8;
  weights.symmetric = true;
  if (choose_params(-1.3, 2.7, {}, x_params) != status::ok) return 1;  // u8, affine
  if (choose_params(-0.5, 0.4, weights, w_params) != status::ok) return 1;

  const float x[3] = {1.0f, -0.25f, 2.5f}, w[3] = {0.25f, -0.5f, 0.125f};
  std::uint8_t qx[3];
  std::int8_t qw[3];
  if (quantize(x, 3, x_params, dtype::u8, qx) != status::ok) return 1;
  if (quantize(w, 3, w_params, dtype::s8, qw) != status::ok) return 1;

  float exact = 0;
  std::int32_t sum = 0;  // what an integer kernel accumulates
  for (int i = 0; i < 3; ++i) {
    exact += x[i] * w[i];
    sum += (qx[i] - x_params.zero_point) * qw[i];
  }
  const float integer = static_cast<float>(sum) * (x_params.scale * w_params.scale);
  std::printf("dot product: %.4f in float, %.4f in integers\n", static_cast<double>(exact), static_cast<double>(integer));
  return integer > exact - 0.02f && integer < exact + 0.02f ? 0 : 1;
}
