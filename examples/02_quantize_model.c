/* A whole model, from C: a file in, a smaller file out, with progress and a readable error.

   ./02_quantize_model digits/digits.onnx digits/calib.npz digits_int8.onnx */
#include <quantal.h>
#include <stdio.h>

static int32_t show(void *context, const char *stage, int64_t done, int64_t total) {
  (void)context;
  if (total > 0) fprintf(stderr, "\r%-10s %3d %%", stage, (int)(100 * done / total));
  return 0; /* anything else stops the job */
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: 02_quantize_model MODEL DATA OUTPUT\n");
    return 2;
  }
  const quantal_job job = {.struct_size = sizeof job, .quant_type = "per_channel_int8", .data = argv[2], .progress = show};
  quantal_diag diag = {.struct_size = sizeof diag};
  char *report = NULL;
  const int32_t status = quantal_quantize_file(&job, argv[1], argv[3], &report, &diag);
  fprintf(stderr, "\n");
  if (status != QUANTAL_OK) {
    fprintf(stderr, "%s: %s\n", quantal_status_name(status), diag.message);
    return 1;
  }
  printf("%.600s...\n", report); /* JSON: sizes, coverage with reasons, quality */
  quantal_free(report);
  return 0;
}
