/* The C interface as a C99 program sees it. Test names begin with the IDs of docs/reliability (K: arguments, Q: quantization
   parameters, D: data, A: binary interface). Every rejected call must leave its outputs as they were.

   usage: capi_test digits.onnx calib.npz */
#include <math.h>
#include <quantal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static const char *model_path, *data_path;

/* A valid description of a 2 x 3 array, per tensor; tests spoil one field each. */
static const int64_t dims_2x3[2] = {2, 3};
static const float scale_half[1] = {0.5f};
static const int32_t zero_3[1] = {3};
static const float x_2x3[6] = {-1.0f, -0.25f, 0.0f, 0.25f, 0.75f, 100.0f};

static quantal_quant_desc desc(void) {
  quantal_quant_desc d;
  memset(&d, 0, sizeof d);
  d.struct_size = sizeof d;
  d.dtype = QUANTAL_S8;
  d.rank = 2;
  d.dims = dims_2x3;
  d.axis = -1;
  d.scales = scale_half;
  d.zero_points = zero_3;
  d.count = 1;
  return d;
}

/* quantize must fail with this status and write nothing. */
static int rejects(const quantal_quant_desc *d, int32_t status) {
  unsigned char canary[64];
  size_t i;
  int32_t got;
  memset(canary, 0x55, sizeof canary);
  got = quantal_quantize(d, x_2x3, sizeof x_2x3, canary, sizeof canary);
  for (i = 0; i < sizeof canary; ++i) CHECK(canary[i] == 0x55);
  if (got != status) printf("  got %s, expected %s\n", quantal_status_name(got), quantal_status_name(status));
  return got == status;
}

static int quantize_and_back(void) {
  quantal_quant_desc d = desc();
  int8_t q[6];
  float back[6];
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, q, sizeof q) == QUANTAL_OK);
  /* round half to even of x / 0.5, plus 3: -2, -0.5 -> 0, 0, 0.5 -> 0, 1.5 -> 2, 200 saturates */
  CHECK(q[0] == 1 && q[1] == 3 && q[2] == 3 && q[3] == 3 && q[4] == 5 && q[5] == 127);
  CHECK(quantal_dequantize(&d, q, sizeof q, back, sizeof back) == QUANTAL_OK);
  CHECK(back[0] == -1.0f && back[4] == 1.0f && back[5] == 62.0f);
  return 1;
}

static int quantize_per_axis(void) {
  const float scales[3] = {0.5f, 1.0f, 2.0f};
  const int32_t zeros[3] = {0, 10, -10};
  quantal_quant_desc d = desc();
  int8_t q[6];
  d.axis = 1;
  d.scales = scales;
  d.zero_points = zeros;
  d.count = 3;
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, q, sizeof q) == QUANTAL_OK);
  CHECK(q[0] == -2 && q[1] == 10 && q[2] == -10 && q[3] == 0 && q[4] == 11 && q[5] == 40);
  d.axis = 0; /* now 2 scales are needed */
  return rejects(&d, QUANTAL_E_COUNT);
}

static int worked_example(void) {
  float scale = 0;
  int32_t zero = 99;
  CHECK(quantal_choose_params(-2, 2, QUANTAL_S8, "torch", 0, &scale, &zero) == QUANTAL_OK && zero == -1);
  CHECK(quantal_choose_params(-2, 2, QUANTAL_S8, "onnxruntime", 0, &scale, &zero) == QUANTAL_OK && zero == 0);
  CHECK(quantal_choose_params(-1.3, 2.7, QUANTAL_U8, NULL, 0, &scale, &zero) == QUANTAL_OK && zero == 83);
  CHECK(fabsf(scale - 0.015686275f) < 1e-9f);
  CHECK(quantal_choose_params(0, 0, QUANTAL_U8, NULL, 0, &scale, &zero) == QUANTAL_OK && scale == 1.0f && zero == 0);
  return 1;
}

static int K1_null_pointers(void) {
  quantal_quant_desc d = desc();
  int8_t q[6];
  float scale;
  int32_t zero;
  char *json = NULL;
  quantal_session *session = NULL;
  quantal_job job;
  memset(&job, 0, sizeof job);
  job.struct_size = sizeof job;
  CHECK(quantal_quantize(NULL, x_2x3, sizeof x_2x3, q, sizeof q) == QUANTAL_E_NULL);
  CHECK(quantal_quantize(&d, NULL, sizeof x_2x3, q, sizeof q) == QUANTAL_E_NULL);
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, NULL, sizeof q) == QUANTAL_E_NULL);
  d.dims = NULL;
  CHECK(rejects(&d, QUANTAL_E_NULL));
  d = desc();
  d.scales = NULL;
  CHECK(rejects(&d, QUANTAL_E_NULL));
  CHECK(quantal_choose_params(0, 1, QUANTAL_U8, NULL, 0, NULL, &zero) == QUANTAL_E_NULL);
  CHECK(quantal_choose_params(0, 1, QUANTAL_U8, NULL, 0, &scale, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_quantize_file(NULL, "a", "b", NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_quantize_file(&job, NULL, "b", NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_session_create_file(NULL, 0, &session, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_session_create_file(model_path, 0, NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_session_run(NULL, NULL, 0, NULL, 0, NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_compare(&job, model_path, model_path, NULL, NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_compare(&job, NULL, model_path, NULL, &json, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_cpu(NULL) == QUANTAL_E_NULL);
  CHECK(json == NULL && session == NULL);
  quantal_free(NULL);
  quantal_session_free(NULL);
  quantal_results_free(NULL);
  return 1;
}

static int K2_optional_zero_points(void) {
  quantal_quant_desc d = desc();
  int8_t q[6];
  d.zero_points = NULL;
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, q, sizeof q) == QUANTAL_OK);
  return q[0] == -2 && q[2] == 0 && q[5] == 127;
}

static int K3_struct_sizes(void) {
  struct {
    quantal_quant_desc d;
    unsigned char tail[8];
  } newer;
  quantal_quant_desc d = desc();
  int8_t q[6];
  d.struct_size = 0;
  CHECK(rejects(&d, QUANTAL_E_STRUCT_SIZE));
  d.struct_size = sizeof d - 8;
  CHECK(rejects(&d, QUANTAL_E_STRUCT_SIZE));
  d.struct_size = 1u << 30;
  CHECK(rejects(&d, QUANTAL_E_STRUCT_SIZE));
  memset(&newer, 0, sizeof newer);
  newer.d = desc();
  newer.d.struct_size = sizeof newer;
  CHECK(quantal_quantize(&newer.d, x_2x3, sizeof x_2x3, q, sizeof q) == QUANTAL_OK); /* asks for nothing new */
  newer.tail[3] = 1;
  return rejects(&newer.d, QUANTAL_E_VERSION);
}

static int K4_flags_and_reserved(void) {
  quantal_quant_desc d = desc();
  quantal_job job;
  float scale = 7;
  int32_t zero = 7;
  d.flags = 1;
  CHECK(rejects(&d, QUANTAL_E_FLAGS));
  d = desc();
  d.reserved = 1;
  CHECK(rejects(&d, QUANTAL_E_FLAGS));
  CHECK(quantal_choose_params(0, 1, QUANTAL_U8, NULL, 1u << 31, &scale, &zero) == QUANTAL_E_FLAGS && scale == 7 && zero == 7);
  memset(&job, 0, sizeof job);
  job.struct_size = sizeof job;
  job.flags = 1u << 20;
  return quantal_quantize_file(&job, model_path, "never.onnx", NULL, NULL) == QUANTAL_E_FLAGS;
}

static int K5_empty_and_negative_shapes(void) {
  const int64_t empty[2] = {0, 3}, negative[2] = {2, -3};
  quantal_quant_desc d = desc();
  d.dims = empty;
  CHECK(quantal_quantize(&d, NULL, 0, NULL, 0) == QUANTAL_OK); /* nothing to do */
  d.dims = negative;
  CHECK(rejects(&d, QUANTAL_E_SHAPE));
  d = desc();
  d.rank = 9;
  CHECK(rejects(&d, QUANTAL_E_SHAPE));
  d.rank = -1;
  CHECK(rejects(&d, QUANTAL_E_SHAPE));
  d = desc();
  d.axis = 2;
  CHECK(rejects(&d, QUANTAL_E_SHAPE));
  d.axis = -2;
  return rejects(&d, QUANTAL_E_SHAPE);
}

static int K7_sizes_that_overflow(void) {
  const int64_t huge[2] = {INT64_C(1) << 40, INT64_C(1) << 40}, wrap[2] = {INT64_C(1) << 62, 4};
  quantal_quant_desc d = desc();
  d.dims = huge;
  CHECK(rejects(&d, QUANTAL_E_OVERFLOW));
  d.dims = wrap;
  return rejects(&d, QUANTAL_E_OVERFLOW);
}

static int K8_short_buffers(void) {
  quantal_quant_desc d = desc();
  int8_t q[6];
  memset(q, 0x55, sizeof q);
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3 - 1, q, sizeof q) == QUANTAL_E_BUFFER);
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, q, sizeof q - 1) == QUANTAL_E_BUFFER);
  return q[0] == 0x55 && q[5] == 0x55;
}

static int K9_misaligned_pointers(void) {
  quantal_quant_desc d = desc();
  unsigned char x_bytes[sizeof x_2x3 + 64], q_bytes[64];
  int8_t expected[6];
  int16_t wide[6];
  size_t offset;
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, expected, sizeof expected) == QUANTAL_OK);
  for (offset = 1; offset < 64; ++offset) {
    memcpy(x_bytes + offset, x_2x3, sizeof x_2x3);
    CHECK(quantal_quantize(&d, (const float *)(const void *)(x_bytes + offset), sizeof x_2x3, q_bytes + offset % 50, 6) == QUANTAL_OK);
    CHECK(memcmp(q_bytes + offset % 50, expected, 6) == 0);
  }
  d.dtype = QUANTAL_S16;
  CHECK(quantal_quantize(&d, x_2x3, sizeof x_2x3, q_bytes + 1, sizeof wide) == QUANTAL_OK);
  memcpy(wide, q_bytes + 1, sizeof wide);
  return wide[0] == 1 && wide[5] == 203;
}

static int K10_overlap(void) {
  quantal_quant_desc d = desc();
  float buffer[6];
  memcpy(buffer, x_2x3, sizeof buffer);
  CHECK(quantal_quantize(&d, buffer, sizeof buffer, buffer, sizeof buffer) == QUANTAL_E_OVERLAP);
  return memcmp(buffer, x_2x3, sizeof buffer) == 0;
}

static int Q_scales(void) {
  const float bad[] = {0.0f, -0.0f, -1.0f, NAN, INFINITY, -INFINITY, 1e-45f, 1e-40f};
  quantal_quant_desc d = desc();
  size_t i;
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    d.scales = &bad[i];
    CHECK(rejects(&d, QUANTAL_E_SCALE));
  }
  return 1;
}

static int Q8_zero_points(void) {
  const struct {
    int32_t dtype, zero;
  } bad[] = {{QUANTAL_S8, -129}, {QUANTAL_S8, 128}, {QUANTAL_U8, -1}, {QUANTAL_U8, 256}, {QUANTAL_S4, -9}, {QUANTAL_S4, 8}, {QUANTAL_U16, 65536}};
  quantal_quant_desc d = desc();
  size_t i;
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    d.dtype = bad[i].dtype;
    d.zero_points = &bad[i].zero;
    CHECK(rejects(&d, QUANTAL_E_ZERO_POINT));
  }
  return 1;
}

static int Q9_counts(void) {
  quantal_quant_desc d = desc();
  d.count = 0;
  CHECK(rejects(&d, QUANTAL_E_COUNT));
  d.count = 2;
  CHECK(rejects(&d, QUANTAL_E_COUNT));
  d.count = UINT64_MAX;
  return rejects(&d, QUANTAL_E_COUNT);
}

static int Q16_types(void) {
  quantal_quant_desc d = desc();
  float scale = 7;
  int32_t zero = 7;
  d.dtype = QUANTAL_F32;
  CHECK(rejects(&d, QUANTAL_E_DTYPE));
  d.dtype = 12345;
  CHECK(rejects(&d, QUANTAL_E_DTYPE));
  CHECK(quantal_choose_params(0, 1, QUANTAL_F32, NULL, 0, &scale, &zero) == QUANTAL_E_DTYPE);
  CHECK(quantal_choose_params(0, 1, QUANTAL_U8, "nobody", 0, &scale, &zero) == QUANTAL_E_ARGUMENT);
  CHECK(quantal_choose_params(2, 1, QUANTAL_U8, NULL, 0, &scale, &zero) == QUANTAL_E_RANGE);
  CHECK(quantal_choose_params(0, INFINITY, QUANTAL_U8, NULL, 0, &scale, &zero) == QUANTAL_E_RANGE);
  CHECK(quantal_choose_params(NAN, 1, QUANTAL_U8, NULL, 0, &scale, &zero) == QUANTAL_E_NAN);
  return scale == 7 && zero == 7;
}

static int Q17_packed_codes(void) {
  const int64_t dims[1] = {3};
  const float x[3] = {-8.0f, 7.0f, 3.0f}, one = 1.0f;
  float back[3];
  unsigned char q[2] = {0xff, 0xff};
  quantal_quant_desc d = desc();
  d.dtype = QUANTAL_S4;
  d.rank = 1;
  d.dims = dims;
  d.scales = &one;
  d.zero_points = NULL;
  CHECK(quantal_quantize(&d, x, sizeof x, q, 1) == QUANTAL_E_BUFFER);
  CHECK(quantal_quantize(&d, x, sizeof x, q, 2) == QUANTAL_OK);
  CHECK(q[0] == 0x78 && q[1] == 0x03); /* the first element in the low bits, padding is zero */
  CHECK(quantal_dequantize(&d, q, 2, back, sizeof back) == QUANTAL_OK);
  return back[0] == -8.0f && back[1] == 7.0f && back[2] == 3.0f;
}

static int D1_nan_and_infinity(void) {
  const int64_t dims[1] = {3};
  const float x[3] = {NAN, INFINITY, -INFINITY};
  quantal_quant_desc d = desc();
  int8_t q[3];
  d.rank = 1;
  d.dims = dims;
  CHECK(quantal_quantize(&d, x, sizeof x, q, sizeof q) == QUANTAL_OK);
  CHECK(q[0] == 3 && q[1] == 127 && q[2] == -128); /* NaN becomes the zero point */
  d.preset = "onnxruntime";
  CHECK(quantal_quantize(&d, x, sizeof x, q, sizeof q) == QUANTAL_OK);
  return q[0] == -128;
}

static int names_and_texts(void) {
  int32_t code;
  int known = 0;
  for (code = -100; code <= 1; ++code) {
    CHECK(quantal_status_name(code) != NULL && quantal_strerror(code) != NULL && quantal_strerror(code)[0] != 0);
    if (strcmp(quantal_status_name(code), "unknown") != 0) ++known;
  }
  CHECK(known == 39);
  CHECK(strcmp(quantal_status_name(QUANTAL_E_DATA_SHAPE), "data_shape") == 0);
  CHECK(quantal_dtype_from_name("S8") == QUANTAL_S8 && quantal_dtype_from_name("int8") == QUANTAL_S8);
  CHECK(quantal_dtype_from_name("s9") == QUANTAL_DTYPE_NONE && quantal_dtype_from_name(NULL) == QUANTAL_DTYPE_NONE);
  CHECK(strcmp(quantal_dtype_name(QUANTAL_U16), "u16") == 0 && strcmp(quantal_dtype_name(999), "?") == 0);
  CHECK(quantal_dtype_bits(QUANTAL_S4) == 4 && quantal_dtype_bits(999) == 0);
  return quantal_version() == 100u * QUANTAL_VERSION_MINOR + 10000u * QUANTAL_VERSION_MAJOR + QUANTAL_VERSION_PATCH;
}

/* ---- models ---- */

static int32_t count_calls(void *context, const char *stage, int64_t done, int64_t total) {
  (void)done;
  (void)total;
  if (stage != NULL) ++*(int *)context;
  return 0;
}
static int32_t stop_at_once(void *context, const char *stage, int64_t done, int64_t total) {
  (void)context;
  (void)stage;
  (void)done;
  (void)total;
  return 1;
}

static int exists(const char *path) {
  FILE *f = fopen(path, "rb");
  if (f != NULL) fclose(f);
  return f != NULL;
}

static int quantize_file(void) {
  quantal_diag diag;
  quantal_job job;
  char *json = NULL;
  int calls = 0;
  memset(&diag, 0, sizeof diag);
  diag.struct_size = sizeof diag;
  memset(&job, 0, sizeof job);
  job.struct_size = sizeof job;
  job.quant_type = "per_channel_int8";
  job.data = data_path;
  job.threads = 1;
  job.progress = count_calls;
  job.progress_context = &calls;
  if (quantal_quantize_file(&job, model_path, "capi_out.onnx", &json, &diag) != QUANTAL_OK) {
    printf("  %s\n", diag.message);
    return 0;
  }
  CHECK(exists("capi_out.onnx") && calls > 0);
  CHECK(json != NULL && strstr(json, "\"quantization_type\": \"per_channel_int8\"") != NULL && strstr(json, "\"integer_macs\"") != NULL);
  quantal_free(json);
  json = NULL;
  job.data = NULL; /* samples are required */
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_DATA_MISSING);
  CHECK(strstr(diag.message, "calibration data required for per_channel_int8") != NULL && diag.code == QUANTAL_E_DATA_MISSING);
  job.data = data_path;
  job.progress = stop_at_once;
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_CANCELLED);
  job.progress = NULL;
  CHECK(quantal_quantize_file(&job, "no_such_model.onnx", "capi_never.onnx", &json, &diag) == QUANTAL_E_NOT_FOUND);
  CHECK(quantal_quantize_file(&job, "capi_out.onnx", "./capi_out.onnx", &json, &diag) == QUANTAL_E_USAGE); /* P2 */
  CHECK(quantal_quantize_file(&job, model_path, data_path, &json, &diag) == QUANTAL_E_USAGE);
  job.eval_data = "capi_out.onnx";
  CHECK(quantal_quantize_file(&job, model_path, "capi_out.onnx", &json, &diag) == QUANTAL_E_USAGE);
  job.eval_data = NULL;
  job.target = "ANY";
  job.activation_type = "U8";
  job.workers = -1;
  CHECK(quantal_quantize_file(&job, model_path, "capi_any.onnx", &json, &diag) == QUANTAL_OK);
  quantal_free(json);
  json = NULL;
  job.workers = -2;
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_ARGUMENT);
  job.workers = 0;
  job.target = "foo";
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_USAGE);
  job.target = NULL;
  job.quant_type = "int9";
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_USAGE);
  job.quant_type = "static_int8";
  job.activation_observer = "percentile";
  job.percentile = 400;
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) != QUANTAL_OK);
  job.percentile = 99;
  job.reserved = 1;
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_ARGUMENT);
  job.reserved = 0;
  job.eval_data = "no_such_data.npz";
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) == QUANTAL_E_NOT_FOUND);
  job.eval_data = NULL;
  job.data = NULL;
  job.imgsz = "8";
  CHECK(quantal_quantize_file(&job, model_path, "capi_never.onnx", &json, &diag) != QUANTAL_OK);
  job.data = data_path;
  job.struct_size = (uint32_t)offsetof(quantal_job, labels); /* a caller of version 1: what follows is not read */
  CHECK(quantal_quantize_file(&job, model_path, "capi_out.onnx", NULL, &diag) == QUANTAL_OK);
  CHECK(json == NULL && !exists("capi_never.onnx"));
  remove("capi_out.onnx");
  return 1;
}

struct pull_state {
  float pixels[2][64];
  int64_t dims[4];
  quantal_tensor tensor;
  int given, rewinds;
};

static int32_t pull(void *context, quantal_feed *feed) {
  struct pull_state *s = context;
  int i;
  if (s->given == 8) return 0;
  for (i = 0; i < 128; ++i) (&s->pixels[0][0])[i] = (float)((i * 7 + s->given * 13) % 17) / 16.0f;
  s->dims[0] = 2;
  s->dims[1] = 1;
  s->dims[2] = s->dims[3] = 8;
  memset(&s->tensor, 0, sizeof s->tensor);
  s->tensor.struct_size = sizeof s->tensor;
  s->tensor.name = "x";
  s->tensor.dtype = QUANTAL_F32;
  s->tensor.rank = 4;
  s->tensor.dims = s->dims;
  s->tensor.data = s->pixels;
  s->tensor.bytes = sizeof s->pixels;
  feed->tensors = &s->tensor;
  feed->count = 1;
  ++s->given;
  return 1;
}
static int32_t rewind_pull(void *context) {
  struct pull_state *s = context;
  s->given = 0;
  ++s->rewinds;
  return 0;
}
static int32_t pull_fails(void *context, quantal_feed *feed) {
  (void)context;
  (void)feed;
  return -1;
}

static void *read_all(const char *path, size_t *bytes) {
  FILE *f = fopen(path, "rb");
  void *data = NULL;
  long size;
  if (f == NULL) return NULL;
  if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) > 0 && fseek(f, 0, SEEK_SET) == 0) {
    data = malloc((size_t)size);
    if (data != NULL && fread(data, 1, (size_t)size, f) != (size_t)size) {
      free(data);
      data = NULL;
    }
    *bytes = (size_t)size;
  }
  fclose(f);
  return data;
}

static int quantize_memory_with_pull(void) {
  struct pull_state s;
  quantal_job job;
  size_t bytes = 0, first_bytes = 0, second_bytes = 0;
  void *model = read_all(model_path, &bytes), *first = NULL, *second = NULL;
  char *json = NULL;
  quantal_diag diag;
  int32_t status;
  memset(&diag, 0, sizeof diag);
  diag.struct_size = sizeof diag;
  memset(&s, 0, sizeof s);
  memset(&job, 0, sizeof job);
  job.struct_size = sizeof job;
  job.quant_type = "static_int8";
  job.pull = pull;
  job.rewind = rewind_pull;
  job.pull_context = &s;
  CHECK(model != NULL);
  status = quantal_quantize_memory(&job, model, bytes, &first, &first_bytes, &json, &diag);
  if (status != QUANTAL_OK) printf("  %s\n", diag.message);
  CHECK(status == QUANTAL_OK && first != NULL && first_bytes > 0 && json != NULL);
  CHECK(strstr(json, "\"samples\": 16") != NULL);
  quantal_free(json);
  s.given = 0;
  job.rewind = NULL; /* the library keeps the feeds: the same result */
  CHECK(quantal_quantize_memory(&job, model, bytes, &second, &second_bytes, NULL, &diag) == QUANTAL_OK);
  CHECK(first_bytes == second_bytes && memcmp(first, second, first_bytes) == 0);
  quantal_free(first);
  quantal_free(second);
  second = NULL;
  job.pull = pull_fails;
  CHECK(quantal_quantize_memory(&job, model, bytes, &second, &second_bytes, NULL, &diag) == QUANTAL_E_CANCELLED && second == NULL);
  CHECK(quantal_quantize_memory(&job, model, bytes / 2, &second, &second_bytes, NULL, &diag) != QUANTAL_OK && second == NULL);
  free(model);
  return 1;
}

static int sessions(void) {
  quantal_session *session = NULL;
  quantal_results *results = NULL;
  quantal_value_info info;
  quantal_tensor feed, out;
  quantal_diag diag;
  float x[64] = {0};
  int64_t dims[4] = {1, 1, 8, 8};
  memset(&diag, 0, sizeof diag);
  diag.struct_size = sizeof diag;
  memset(&info, 0, sizeof info);
  memset(&feed, 0, sizeof feed);
  memset(&out, 0, sizeof out);
  CHECK(quantal_session_create_file(model_path, 1, &session, &diag) == QUANTAL_OK);
  CHECK(quantal_session_input_count(session) == 1 && quantal_session_output_count(session) == 1);
  CHECK(quantal_session_input(session, 0, &info) == QUANTAL_E_STRUCT_SIZE);
  info.struct_size = sizeof info;
  CHECK(quantal_session_input(session, 1, &info) == QUANTAL_E_ARGUMENT);
  CHECK(quantal_session_input(session, 0, &info) == QUANTAL_OK);
  CHECK(strcmp(info.name, "x") == 0 && info.dtype == QUANTAL_F32 && info.rank == 4 && info.dims[0] == -1 && info.dims[3] == 8);
  CHECK(quantal_session_run(session, NULL, 0, NULL, 0, &results, &diag) == QUANTAL_E_DATA_MISSING && results == NULL);
  CHECK(diag.message[0] != 0);
  feed.struct_size = sizeof feed;
  feed.name = "x";
  feed.dtype = QUANTAL_F32;
  feed.rank = 4;
  feed.dims = dims;
  feed.data = x;
  feed.bytes = sizeof x - 4;
  CHECK(quantal_session_run(session, &feed, 1, NULL, 0, &results, &diag) == QUANTAL_E_BUFFER);
  feed.bytes = sizeof x;
  dims[3] = 9;
  CHECK(quantal_session_run(session, &feed, 1, NULL, 0, &results, &diag) == QUANTAL_E_BUFFER);
  dims[3] = 4;
  dims[0] = 2;
  CHECK(quantal_session_run(session, &feed, 1, NULL, 0, &results, &diag) == QUANTAL_E_DATA_SHAPE && results == NULL);
  dims[3] = 8;
  dims[0] = 1;
  CHECK(quantal_session_run(session, &feed, 1, NULL, 0, &results, &diag) == QUANTAL_OK);
  out.struct_size = sizeof out;
  CHECK(quantal_results_count(results) == 1 && quantal_results_get(results, 0, &out) == QUANTAL_OK);
  CHECK(strcmp(out.name, "logits") == 0 && out.dtype == QUANTAL_F32 && out.rank == 2 && out.dims[1] == 10 && out.bytes == 40);
  CHECK(quantal_results_get(results, 1, &out) == QUANTAL_E_ARGUMENT);
  quantal_results_free(results);
  quantal_session_free(session);
  session = NULL;
  CHECK(quantal_session_create_memory("not a model", 11, 1, &session, &diag) == QUANTAL_E_MODEL_SYNTAX && session == NULL);
  CHECK(quantal_session_create_file("no_such_model.onnx", 1, &session, &diag) == QUANTAL_E_NOT_FOUND && session == NULL);
  return quantal_session_create_file(model_path, -1, &session, &diag) == QUANTAL_E_ARGUMENT;
}

static int compare_and_cpu(void) {
  quantal_job job;
  char *json = NULL;
  memset(&job, 0, sizeof job);
  job.struct_size = sizeof job;
  CHECK(quantal_compare(&job, model_path, model_path, NULL, &json, NULL) == QUANTAL_E_DATA_MISSING && json == NULL);
  job.data = data_path;
  CHECK(quantal_compare(&job, model_path, model_path, "top7", &json, NULL) == QUANTAL_E_USAGE && json == NULL);
  CHECK(quantal_compare(&job, model_path, model_path, "top1", &json, NULL) == QUANTAL_OK);
  CHECK(strstr(json, "\"sqnr_db\": null") != NULL && strstr(json, "\"drop\": 0") != NULL && strstr(json, "\"samples\": 200") != NULL);
  quantal_free(json);
  CHECK(quantal_cpu(&json) == QUANTAL_OK && strstr(json, "\"isa\"") != NULL);
  quantal_free(json);
  CHECK(quantal_selftest(&json) == QUANTAL_OK && strstr(json, "\"passed\": true") != NULL);
  quantal_free(json);
  CHECK(quantal_selftest(NULL) == QUANTAL_OK);
  return 1;
}

static int released;
static void count_release(void *owner) { *(int *)owner += 1; }

/* What quantal_dlpack_write makes is opaque here; the frameworks that take it are in tests/python/dlpack_test.py. */
static int dlpack(void) {
  float x[6] = {0, 1, 2, 3, 4, 5};
  int32_t major;
  for (major = 0; major <= 1; ++major) {
    quantal_view in, out;
    void *managed = NULL;
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    in.struct_size = out.struct_size = sizeof in;
    in.dtype = QUANTAL_F32;
    in.rank = 2;
    in.data = x + 5;
    in.dims[0] = 2;
    in.dims[1] = 3;
    in.strides[0] = -3;
    in.strides[1] = -1;
    in.flags = major == 1 ? QUANTAL_VIEW_READ_ONLY : 0;
    CHECK(quantal_dlpack_write(&in, major, count_release, &released, &managed) == QUANTAL_OK && managed != NULL);
    CHECK(quantal_dlpack_read(managed, major, &out) == QUANTAL_OK);
    CHECK(memcmp(&in, &out, sizeof in) == 0);
    CHECK(quantal_dlpack_read(managed, 2, &out) == QUANTAL_E_VERSION);
    CHECK(quantal_dlpack_read(NULL, major, &out) == QUANTAL_E_NULL);
    CHECK(quantal_dlpack_read(managed, major, NULL) == QUANTAL_E_NULL);
    out.struct_size = 8;
    CHECK(quantal_dlpack_read(managed, major, &out) == QUANTAL_E_STRUCT_SIZE);
    /* Where the deleter is on a 64-bit system: the last member of version 0, the third of version 1. */
    if (sizeof(void *) == 8) {
      void (*deleter)(void *);
      memcpy(&deleter, (char *)managed + (major == 0 ? 56 : 16), sizeof deleter);
      deleter(managed);
      CHECK(released == major + 1);
    }
    in.flags = QUANTAL_VIEW_READ_ONLY;
    managed = NULL;
    if (major == 0) CHECK(quantal_dlpack_write(&in, 0, NULL, NULL, &managed) == QUANTAL_E_UNSUPPORTED);
    in.rank = 9;
    CHECK(quantal_dlpack_write(&in, 1, NULL, NULL, &managed) == QUANTAL_E_LIMIT && managed == NULL);
  }
  return 1;
}

static int A_short_diag_is_left_alone(void) {
  quantal_diag diag;
  quantal_session *session = NULL;
  memset(&diag, 0x55, sizeof diag);
  diag.struct_size = 8;
  CHECK(quantal_session_create_file("no_such_model.onnx", 1, &session, &diag) == QUANTAL_E_NOT_FOUND);
  return diag.message[0] == 0x55 && diag.where[255] == 0x55;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  model_path = argv[1];
  data_path = argv[2];
  RUN(quantize_and_back);
  RUN(quantize_per_axis);
  RUN(worked_example);
  RUN(K1_null_pointers);
  RUN(K2_optional_zero_points);
  RUN(K3_struct_sizes);
  RUN(K4_flags_and_reserved);
  RUN(K5_empty_and_negative_shapes);
  RUN(K7_sizes_that_overflow);
  RUN(K8_short_buffers);
  RUN(K9_misaligned_pointers);
  RUN(K10_overlap);
  RUN(Q_scales);
  RUN(Q8_zero_points);
  RUN(Q9_counts);
  RUN(Q16_types);
  RUN(Q17_packed_codes);
  RUN(D1_nan_and_infinity);
  RUN(names_and_texts);
  RUN(quantize_file);
  RUN(quantize_memory_with_pull);
  RUN(sessions);
  RUN(compare_and_cpu);
  RUN(dlpack);
  RUN(A_short_diag_is_left_alone);
  return finish();
}
