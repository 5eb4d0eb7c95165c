/* Scale and zero point of a range, and an array to 8 bits and back. Why do tools disagree about [-2, 2]?
   One formula, two precisions: zero_point = qmin - round(min / scale) is -127.5 in double and -127.49999 in single.

   cc -std=c99 01_numbers.c $(pkg-config --cflags --libs quantal) */
#include <quantal.h>
#include <stdio.h>

int main(void) {
  const char *presets[] = {"torch", "onnxruntime"};
  const float x[4] = {-2.0f, 0.0f, 1.3f, 2.0f};
  const int64_t dims[1] = {4};
  for (int i = 0; i < 2; ++i) {
    float scale, back[4];
    int32_t zero_point;
    int8_t q[4];
    if (quantal_choose_params(-2.0, 2.0, QUANTAL_S8, presets[i], 0, &scale, &zero_point) != QUANTAL_OK) return 1;
    const quantal_quant_desc desc = {
        .struct_size = sizeof desc, .dtype = QUANTAL_S8, .rank = 1, .dims = dims, .axis = -1,
        .scales = &scale, .zero_points = &zero_point, .count = 1, .preset = presets[i]};
    int32_t status = quantal_quantize(&desc, x, sizeof x, q, sizeof q);
    if (status == QUANTAL_OK) status = quantal_dequantize(&desc, q, sizeof q, back, sizeof back);
    if (status != QUANTAL_OK) {
      fprintf(stderr, "%s\n", quantal_strerror(status));
      return 1;
    }
    printf("%-12s scale %.9g, zero point %2d: 1.3 -> %d -> %.5f\n", presets[i], (double)scale, (int)zero_point, q[2], (double)back[2]);
  }
  return 0;
}
