/* Uses the installed C interface: parameters of a range, a small array there and back. */
#include <quantal.h>
#include <stdio.h>
#include <string.h>

int main(void) {
  const float x[4] = {-2.0f, 0.0f, 1.3f, 2.0f};
  const int64_t dims[1] = {4};
  float scale = 0, back[4];
  int32_t zero_point = 0, status;
  int8_t q[4];
  quantal_quant_desc d;
  if (quantal_abi_version() < QUANTAL_ABI_VERSION) return 1;
  status = quantal_choose_params(-2.0, 2.0, QUANTAL_S8, "torch", 0, &scale, &zero_point);
  if (status != QUANTAL_OK) return 2;
  memset(&d, 0, sizeof d);
  d.struct_size = sizeof d;
  d.dtype = QUANTAL_S8;
  d.rank = 1;
  d.dims = dims;
  d.axis = -1;
  d.scales = &scale;
  d.zero_points = &zero_point;
  d.count = 1;
  if (quantal_quantize(&d, x, sizeof x, q, sizeof q) != QUANTAL_OK) return 3;
  if (quantal_dequantize(&d, q, sizeof q, back, sizeof back) != QUANTAL_OK) return 4;
  printf("quantal %s: scale %.9g, zero point %d, 1.3 -> %d -> %.5f\n", quantal_version_string(), (double)scale, (int)zero_point, q[2],
         (double)back[2]);
  return zero_point == -1 && q[2] == 82 && q[1] == -1 ? 0 : 5;
}
