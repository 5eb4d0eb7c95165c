/* The observers of quantal.h as a C99 program sees them. Test names begin with the IDs of docs/reliability where one applies
   (K: arguments, Q: quantization parameters, D: data). A rejected call leaves every output at its canary 0x55 and the
   observer as it was (its saved text does not change). */
#include <math.h>
#include <quantal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { N = 6000 };
static float values[N];
static const int64_t dims_all[1] = {N}, dims_3d[3] = {2, 3, 1000};
static const char *const methods[] = {"minmax", "moving_average", "percentile", "percentile_symmetric", "entropy",
                                      "entropy_onnxruntime", "mse", "histogram", "octav", "stddev", "scale", "max", "qat_shift"};
enum { METHODS = sizeof methods / sizeof methods[0] };

/* Two exponential tails, the left one half as long, and an outlier. */
static void fill(void) {
  uint32_t state = 1;
  int i;
  for (i = 0; i < N; ++i) {
    double u;
    state = state * 1664525u + 1013904223u;
    u = ((state >> 8) + 0.5) / 16777216.0;
    values[i] = (float)(u < 0.5 ? 0.5 * log(2 * u) : -log(2 * (1 - u)));
  }
  values[17] = 40.0f;
}

static quantal_tensor tensor(const float *data, const int64_t *dims, int32_t rank) {
  quantal_tensor t;
  int32_t i;
  memset(&t, 0, sizeof t);
  t.struct_size = sizeof t;
  t.dtype = QUANTAL_F32;
  t.rank = rank;
  t.dims = dims;
  t.data = data;
  t.bytes = sizeof(float);
  for (i = 0; i < rank; ++i) t.bytes *= (uint64_t)dims[i];
  return t;
}

static quantal_observer_options options(void) {
  quantal_observer_options o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  return o;
}

static quantal_observer *observer(const char *method, const quantal_observer_options *o) {
  quantal_observer *made = NULL;
  return quantal_observer_create(method, o, &made, NULL) == QUANTAL_OK ? made : NULL;
}

/* 1: both observers hold the same statistics. */
static int same(const quantal_observer *a, const quantal_observer *b) {
  char *x = NULL, *y = NULL;
  const int equal = quantal_observer_save(a, &x, NULL) == QUANTAL_OK && quantal_observer_save(b, &y, NULL) == QUANTAL_OK && strcmp(x, y) == 0;
  quantal_free(x);
  quantal_free(y);
  return equal;
}

static int every_method_gives_a_range(void) {
  int i;
  for (i = 0; i < METHODS; ++i) {
    quantal_observer *o = observer(methods[i], NULL);
    quantal_tensor t = tensor(values, dims_all, 1);
    double min = 7, max = -7;
    int32_t candidates = -1, zero = 99;
    float scale = -1;
    CHECK(o != NULL && quantal_observer_observe(o, &t, NULL) == QUANTAL_OK);
    CHECK(quantal_observer_count(o) == 1);
    CHECK(quantal_observer_ranges(o, QUANTAL_U8, 0, &min, &max, &candidates, 1, NULL) == QUANTAL_OK);
    CHECK(min < -1 && max > 1 && max <= 64 && candidates >= 0);
    if (strcmp(methods[i], "minmax") == 0) CHECK(max == 40.0 && candidates == 0);
    if (strcmp(methods[i], "max") == 0) CHECK(max == 40.0 && min == -40.0);
    if (strcmp(methods[i], "qat_shift") == 0) CHECK(max == 64.0 && min == -64.0);
    if (strcmp(methods[i], "scale") == 0) CHECK(fabs(max - 34.0) < 1e-5);
    if (strcmp(methods[i], "mse") == 0) CHECK(candidates > 1);
    if (strcmp(methods[i], "octav") == 0) CHECK(max < 40.0);
    CHECK(quantal_observer_params(o, QUANTAL_U8, NULL, 0, &scale, &zero, 1, NULL) == QUANTAL_OK);
    CHECK(fabs(scale * 255.0 - (max - min)) < 1e-3 && zero >= 0 && zero <= 255);
    CHECK(quantal_observer_params(o, QUANTAL_S8, "torch", QUANTAL_SYMMETRIC, &scale, &zero, 1, NULL) == QUANTAL_OK && zero == 0);
    quantal_observer_free(o);
  }
  return 1;
}

/* The sums are exact, so any split merges into the statistics of one run. */
static int shards_merge_into_one_run(void) {
  static const char *const mergeable[] = {"minmax", "stddev", "mse"};
  int i;
  for (i = 0; i < 3; ++i) {
    quantal_observer *whole = observer(mergeable[i], NULL), *a = observer(mergeable[i], NULL), *b = observer(mergeable[i], NULL);
    const int64_t left[1] = {1237}, right[1] = {N - 1237};
    quantal_tensor all = tensor(values, dims_all, 1), l = tensor(values, left, 1), r = tensor(values + 1237, right, 1);
    CHECK(whole != NULL && a != NULL && b != NULL);
    CHECK(quantal_observer_observe(whole, &all, NULL) == QUANTAL_OK);
    CHECK(quantal_observer_observe(a, &r, NULL) == QUANTAL_OK && quantal_observer_observe(b, &l, NULL) == QUANTAL_OK);
    CHECK(!same(a, whole));
    CHECK(quantal_observer_merge(a, b, NULL) == QUANTAL_OK);
    CHECK(same(a, whole));
    quantal_observer_free(whole);
    quantal_observer_free(a);
    quantal_observer_free(b);
  }
  return 1;
}

static int per_channel(void) {
  quantal_observer_options o = options();
  quantal_observer *seen;
  quantal_tensor t = tensor(values, dims_3d, 3);
  double min[3], max[3];
  float scales[3];
  int32_t zeros[3], c, k;
  o.flags = QUANTAL_PER_CHANNEL;
  o.axis = 1;
  seen = observer("minmax", &o);
  CHECK(seen != NULL && quantal_observer_observe(seen, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_count(seen) == 3);
  CHECK(quantal_observer_ranges(seen, QUANTAL_S8, QUANTAL_SYMMETRIC, min, max, NULL, 3, NULL) == QUANTAL_OK);
  for (c = 0; c < 3; ++c) {
    double low = 1e9, high = -1e9;
    for (k = 0; k < 2000; ++k) {
      const double v = values[(k / 1000 * 3 + c) * 1000 + k % 1000];
      low = v < low ? v : low;
      high = v > high ? v : high;
    }
    CHECK(min[c] == low && max[c] == high);
  }
  CHECK(quantal_observer_params(seen, QUANTAL_S8, NULL, QUANTAL_SYMMETRIC, scales, zeros, 3, NULL) == QUANTAL_OK);
  CHECK(scales[0] == 40.0f / 127 && zeros[2] == 0);
  quantal_observer_free(seen);
  return 1;
}

static int saved_statistics_are_clipped_by_another_method(void) {
  quantal_observer *o = observer("histogram", NULL), *back = NULL, *again = observer("histogram", NULL);
  quantal_tensor t = tensor(values, dims_all, 1);
  char *json = NULL;
  double min = 0, max = 0, low = 0, high = 0;
  CHECK(o != NULL && again != NULL && quantal_observer_observe(o, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_save(o, &json, NULL) == QUANTAL_OK && json != NULL);
  CHECK(quantal_observer_load(json, strlen(json), "percentile", NULL, &back, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_ranges(back, QUANTAL_U8, 0, &min, &max, NULL, 1, NULL) == QUANTAL_OK && max <= 40 && max > 5);
  quantal_observer_free(back);
  back = NULL;
  CHECK(quantal_observer_load(json, strlen(json), NULL, NULL, &back, NULL) == QUANTAL_OK); /* its own method, and it goes on */
  CHECK(quantal_observer_observe(back, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_observe(again, &t, NULL) == QUANTAL_OK && quantal_observer_observe(again, &t, NULL) == QUANTAL_OK);
  CHECK(same(back, again));
  CHECK(quantal_observer_ranges(back, QUANTAL_U8, 0, &low, &high, NULL, 1, NULL) == QUANTAL_OK && high > 5);
  quantal_free(json);
  quantal_observer_free(o);
  quantal_observer_free(back);
  quantal_observer_free(again);
  return 1;
}

/* The call fails with this status, and outputs and observer are as before. */
static int rejects_ranges(const quantal_observer *o, int32_t dtype, uint32_t flags, uint64_t count, int32_t status) {
  unsigned char canary[3][64];
  size_t i;
  int32_t got;
  memset(canary, 0x55, sizeof canary);
  got = quantal_observer_ranges(o, dtype, flags, (double *)(void *)canary[0], (double *)(void *)canary[1], (int32_t *)(void *)canary[2], count, NULL);
  if (got == status) got = quantal_observer_params(o, dtype, NULL, flags, (float *)(void *)canary[0], (int32_t *)(void *)canary[1], count, NULL);
  for (i = 0; i < sizeof canary; ++i) CHECK(((unsigned char *)canary)[i] == 0x55);
  if (got != status) printf("  got %s, expected %s\n", quantal_status_name(got), quantal_status_name(status));
  return got == status;
}

static int K1_null_pointers(void) {
  quantal_observer *o = observer("minmax", NULL), *made = NULL;
  quantal_tensor t = tensor(values, dims_all, 1);
  double x = 7;
  float s = 7;
  int32_t z = 7;
  char *json = NULL;
  CHECK(o != NULL);
  CHECK(quantal_observer_create(NULL, NULL, &made, NULL) == QUANTAL_E_NULL && made == NULL);
  CHECK(quantal_observer_create("minmax", NULL, NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_observe(NULL, &t, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_observe(o, NULL, NULL) == QUANTAL_E_NULL);
  t.dims = NULL;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_NULL);
  t = tensor(NULL, dims_all, 1);
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_merge(o, NULL, NULL) == QUANTAL_E_NULL && quantal_observer_merge(NULL, o, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_count(NULL) == 0);
  CHECK(quantal_observer_ranges(NULL, QUANTAL_U8, 0, &x, &x, NULL, 1, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_ranges(o, QUANTAL_U8, 0, NULL, &x, NULL, 1, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_ranges(o, QUANTAL_U8, 0, &x, NULL, NULL, 1, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_params(NULL, QUANTAL_U8, NULL, 0, &s, &z, 1, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_params(o, QUANTAL_U8, NULL, 0, NULL, &z, 1, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_params(o, QUANTAL_U8, NULL, 0, &s, NULL, 1, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_save(NULL, &json, NULL) == QUANTAL_E_NULL && quantal_observer_save(o, NULL, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_load(NULL, 3, NULL, NULL, &made, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_observer_load("{}", 2, NULL, NULL, NULL, NULL) == QUANTAL_E_NULL);
  CHECK(x == 7 && s == 7 && z == 7 && json == NULL && made == NULL);
  quantal_observer_free(NULL);
  quantal_observer_free(o);
  return 1;
}

static int K3_K4_options_that_are_refused(void) {
  quantal_observer *const untouched = (quantal_observer *)(void *)values;
  quantal_observer *made = untouched;
  quantal_diag diag;
  int i;
  for (i = 0; i < 12; ++i) {
    quantal_observer_options o = options();
    int32_t status = QUANTAL_E_ARGUMENT;
    switch (i) {
      case 0: o.struct_size = 0, status = QUANTAL_E_STRUCT_SIZE; break;
      case 1: o.struct_size = sizeof o - 8, status = QUANTAL_E_STRUCT_SIZE; break;
      case 2: o.flags = 1, status = QUANTAL_E_FLAGS; break;
      case 3: o.reserved = 1, status = QUANTAL_E_FLAGS; break;
      case 4: o.flags = QUANTAL_PER_CHANNEL, o.axis = -1, status = QUANTAL_E_SHAPE; break;
      case 5: o.flags = QUANTAL_PER_CHANNEL, o.axis = 8, status = QUANTAL_E_SHAPE; break;
      case 6: o.bins = 1; break;
      case 7: o.quantized_bins = -5; break;
      case 8: o.percentile = 100.5; break;
      case 9: o.percentile = NAN; break;
      case 10: o.averaging_constant = 1.5; break;
      default: o.stddev = -1; break;
    }
    memset(&diag, 0, sizeof diag);
    diag.struct_size = sizeof diag;
    CHECK(quantal_observer_create("percentile", &o, &made, &diag) == status && made == untouched);
    CHECK(diag.code == status && diag.message[0] != 0);
  }
  CHECK(quantal_observer_create("perzentil", NULL, &made, &diag) == QUANTAL_E_ARGUMENT && made == untouched);
  CHECK(strstr(diag.message, "percentile") != NULL); /* names what there is */
  return 1;
}

static int K5_K8_tensors_that_are_refused(void) {
  quantal_observer *o = observer("mse", NULL), *before = observer("mse", NULL);
  const int64_t negative[1] = {-4}, huge[2] = {INT64_C(1) << 40, INT64_C(1) << 40}, empty[1] = {0};
  quantal_tensor t = tensor(values, dims_all, 1);
  CHECK(o != NULL && before != NULL);
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_OK && quantal_observer_observe(before, &t, NULL) == QUANTAL_OK);
  t.struct_size = 4;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_STRUCT_SIZE);
  t = tensor(values, dims_all, 1);
  t.flags = 1;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_FLAGS);
  t = tensor(values, dims_all, 1);
  t.rank = 9;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_SHAPE);
  t.rank = -1;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_SHAPE);
  t = tensor(values, dims_all, 1);
  t.dims = negative;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_SHAPE);
  t.dims = huge;
  t.rank = 2;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_SHAPE);
  t = tensor(values, dims_all, 1);
  t.bytes -= 1;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_BUFFER);
  t = tensor(values, dims_all, 1);
  t.data = (const char *)values + 1;
  t.bytes -= 4;
  CHECK(quantal_observer_observe(o, &t, NULL) != QUANTAL_OK); /* K9: misaligned, and too short */
  t = tensor(values, dims_all, 1);
  t.dtype = QUANTAL_S8;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_DTYPE);
  t.dtype = 12345;
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_E_DTYPE);
  CHECK(same(o, before));
  t = tensor(values, empty, 1);
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_OK && same(o, before)); /* nothing to see */
  quantal_observer_free(o);
  quantal_observer_free(before);
  return 1;
}

static int Q9_Q16_ranges_that_are_refused(void) {
  quantal_observer *o = observer("percentile", NULL);
  quantal_tensor t = tensor(values, dims_all, 1);
  unsigned char canary[2][8];
  size_t i;
  CHECK(o != NULL);
  CHECK(rejects_ranges(o, QUANTAL_U8, 0, 1, QUANTAL_E_CALIBRATION)); /* nothing was observed */
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_OK);
  CHECK(rejects_ranges(o, QUANTAL_U8, 0, 0, QUANTAL_E_COUNT));
  CHECK(rejects_ranges(o, QUANTAL_U8, 0, 2, QUANTAL_E_COUNT));
  CHECK(rejects_ranges(o, QUANTAL_F32, 0, 1, QUANTAL_E_DTYPE));
  CHECK(rejects_ranges(o, -3, 0, 1, QUANTAL_E_DTYPE));
  CHECK(rejects_ranges(o, QUANTAL_U8, 1u << 30, 1, QUANTAL_E_FLAGS));
  memset(canary, 0x55, sizeof canary);
  CHECK(quantal_observer_params(o, QUANTAL_U8, "tensorflow", 0, (float *)(void *)canary[0], (int32_t *)(void *)canary[1], 1, NULL) == QUANTAL_E_ARGUMENT);
  for (i = 0; i < sizeof canary; ++i) CHECK(((unsigned char *)canary)[i] == 0x55);
  quantal_observer_free(o);
  return 1;
}

static int merges_that_are_refused_change_nothing(void) {
  quantal_observer_options few = options(), channels = options();
  quantal_observer *o = observer("mse", NULL), *before = observer("mse", NULL), *other, *average = observer("moving_average", NULL);
  quantal_tensor t = tensor(values, dims_all, 1);
  CHECK(o != NULL && before != NULL && average != NULL);
  CHECK(quantal_observer_observe(o, &t, NULL) == QUANTAL_OK && quantal_observer_observe(before, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_observe(average, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_merge(average, average, NULL) == QUANTAL_E_UNSUPPORTED);
  CHECK(quantal_observer_merge(o, average, NULL) == QUANTAL_E_CALIBRATION);
  few.bins = 64;
  other = observer("mse", &few);
  CHECK(other != NULL && quantal_observer_merge(o, other, NULL) == QUANTAL_E_CALIBRATION);
  quantal_observer_free(other);
  channels.flags = QUANTAL_PER_CHANNEL;
  other = observer("mse", &channels);
  CHECK(other != NULL && quantal_observer_merge(o, other, NULL) == QUANTAL_E_COUNT);
  CHECK(same(o, before));
  quantal_observer_free(other);
  quantal_observer_free(o);
  quantal_observer_free(before);
  quantal_observer_free(average);
  return 1;
}

static int channels_that_change_are_refused(void) {
  quantal_observer_options o = options();
  const int64_t more[3] = {1, 4, 1000};
  quantal_tensor t = tensor(values, dims_3d, 3), u = tensor(values, more, 3);
  quantal_observer *seen;
  o.flags = QUANTAL_PER_CHANNEL;
  o.axis = 1;
  seen = observer("minmax", &o);
  CHECK(seen != NULL && quantal_observer_observe(seen, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_observe(seen, &u, NULL) == QUANTAL_E_COUNT);
  t.rank = 1;
  t.bytes = 8;
  CHECK(quantal_observer_observe(seen, &t, NULL) == QUANTAL_E_SHAPE); /* no such axis */
  CHECK(quantal_observer_count(seen) == 3);
  quantal_observer_free(seen);
  return 1;
}

static int damaged_texts_are_refused(void) {
  quantal_observer *const untouched = (quantal_observer *)(void *)values;
  quantal_observer *o = observer("mse", NULL), *made = untouched;
  quantal_tensor t = tensor(values, dims_all, 1);
  quantal_observer_options channels = options();
  char *json = NULL, *copy;
  size_t bytes, i;
  int loaded = 0, refused = 0;
  CHECK(o != NULL && quantal_observer_observe(o, &t, NULL) == QUANTAL_OK && quantal_observer_save(o, &json, NULL) == QUANTAL_OK);
  bytes = strlen(json);
  CHECK(quantal_observer_load(json, bytes, "moving_average", NULL, &made, NULL) == QUANTAL_OK && made != untouched);
  {
    double x = 7;
    CHECK(quantal_observer_ranges(made, QUANTAL_U8, 0, &x, &x, NULL, 1, NULL) == QUANTAL_E_CALIBRATION && x == 7); /* not what it needs */
  }
  quantal_observer_free(made);
  made = untouched;
  CHECK(quantal_observer_load(json, bytes, "none such", NULL, &made, NULL) == QUANTAL_E_ARGUMENT);
  channels.flags = QUANTAL_PER_CHANNEL;
  CHECK(quantal_observer_load(json, bytes, NULL, &channels, &made, NULL) == QUANTAL_E_COUNT);
  CHECK(quantal_observer_load("", 0, NULL, NULL, &made, NULL) == QUANTAL_E_MODEL_SYNTAX);
  CHECK(made == untouched);
  copy = malloc(bytes);
  CHECK(copy != NULL);
  for (i = 0; i < bytes; i += 7) { /* cut off, and one bit turned */
    int32_t s = quantal_observer_load(json, i, NULL, NULL, &made, NULL);
    CHECK(s != QUANTAL_OK && s != QUANTAL_E_INTERNAL && made == untouched);
    memcpy(copy, json, bytes);
    copy[i] ^= 1 << i % 7;
    s = quantal_observer_load(copy, bytes, NULL, NULL, &made, NULL);
    CHECK(s != QUANTAL_E_INTERNAL && (s == QUANTAL_OK) == (made != untouched));
    if (s == QUANTAL_OK) quantal_observer_free(made);
    made = untouched;
    s == QUANTAL_OK ? ++loaded : ++refused;
  }
  CHECK(refused > loaded);
  free(copy);
  quantal_free(json);
  quantal_observer_free(o);
  return 1;
}

static int D1_nan_and_infinity(void) {
  float x[9] = {1, 2, -3, 0.5f, 0, 0, 0, 0, 0};
  const int64_t nine[1] = {9}, one[1] = {1};
  quantal_tensor t = tensor(x, nine, 1), only = tensor(x + 4, one, 1);
  quantal_observer *o = observer("minmax", NULL), *nothing = observer("mse", NULL);
  double min = 0, max = 0;
  float scale = 0;
  int32_t zero = 9;
  x[4] = NAN;
  x[5] = INFINITY;
  x[6] = -INFINITY;
  CHECK(o != NULL && nothing != NULL && quantal_observer_observe(o, &t, NULL) == QUANTAL_OK);
  CHECK(quantal_observer_ranges(o, QUANTAL_U8, 0, &min, &max, NULL, 1, NULL) == QUANTAL_OK && min == -3 && max == 2);
  CHECK(quantal_observer_observe(nothing, &only, NULL) == QUANTAL_OK); /* nothing finite: any scale serves */
  CHECK(quantal_observer_params(nothing, QUANTAL_U8, NULL, 0, &scale, &zero, 1, NULL) == QUANTAL_OK && scale == 1.0f && zero == 0);
  quantal_observer_free(o);
  quantal_observer_free(nothing);
  return 1;
}

int main(void) {
  fill();
  RUN(every_method_gives_a_range);
  RUN(shards_merge_into_one_run);
  RUN(per_channel);
  RUN(saved_statistics_are_clipped_by_another_method);
  RUN(K1_null_pointers);
  RUN(K3_K4_options_that_are_refused);
  RUN(K5_K8_tensors_that_are_refused);
  RUN(Q9_Q16_ranges_that_are_refused);
  RUN(merges_that_are_refused_change_nothing);
  RUN(channels_that_change_are_refused);
  RUN(damaged_texts_are_refused);
  RUN(D1_nan_and_infinity);
  return finish();
}
