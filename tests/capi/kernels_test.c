/* The kernels of quantal.h as an engine in C99 uses them. Test names begin with the IDs of docs/reliability: every ID of
   K (arguments) and Q (parameters) that is about the C ABI is here for gemm, conv2d and depthwise (the rest: docs/kernels.md). A rejected call leaves plan, packed
   weights and output as they were (canary 0x55), and diag names the field. */
#include <math.h>
#include <pthread.h>
#include <quantal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

enum { M = 5, N = 19, K = 37, FAMILIES = 3 };

/* One layer of each family, the same arrays behind all. */
typedef struct layer {
  int family; /* 0 gemm, 1 conv2d, 2 depthwise */
  quantal_epilogue epilogue;
  quantal_gemm_desc gemm;
  quantal_conv_desc conv;
  quantal_weights weights;
  float ratios[64];
  int32_t bias[64];
  quantal_multiplier multipliers[64];
  uint64_t plan[256];
  uint64_t in_bytes, out_bytes;
  uint32_t channels;
} layer;

static uint8_t in_data[4096], residual_data[4096];
static int8_t weight_data[8192];
static unsigned char packed_data[1 << 16] __attribute__((aligned(64))), workspace_data[1 << 21] __attribute__((aligned(64)));
static unsigned char out_data[4096 + 64];

static void fill(void) {
  uint32_t state = 1, i;
  for (i = 0; i < sizeof weight_data; ++i) {
    state = state * 1664525u + 1013904223u;
    weight_data[i] = (int8_t)(state >> 24);
    if (i < sizeof in_data) in_data[i] = (uint8_t)(state >> 16);
    if (i < sizeof residual_data) residual_data[i] = (uint8_t)(state >> 8);
  }
}

static void describe(layer *l, int family) {
  uint32_t i;
  memset(l, 0, sizeof *l);
  l->family = family;
  l->epilogue.struct_size = sizeof l->epilogue;
  l->epilogue.ratios = l->ratios;
  l->epilogue.multipliers = l->multipliers;
  l->epilogue.zero_point = 7;
  l->gemm.struct_size = sizeof l->gemm;
  l->gemm.m = M;
  l->gemm.n = N;
  l->gemm.k = K;
  l->gemm.lhs_dtype = l->gemm.out_dtype = QUANTAL_U8;
  l->gemm.rhs_dtype = QUANTAL_S8;
  l->gemm.lhs_zero_point = 120;
  l->gemm.epilogue = &l->epilogue;
  l->conv.struct_size = sizeof l->conv;
  l->conv.batch = 1;
  l->conv.in_h = 6;
  l->conv.in_w = 5;
  l->conv.in_c = family == 2 ? 20 : 8;
  l->conv.out_c = family == 2 ? 20 : 18;
  l->conv.groups = family == 2 ? 20 : 0;
  l->conv.kernel_h = l->conv.kernel_w = 3;
  l->conv.pad_top = l->conv.pad_left = l->conv.pad_bottom = l->conv.pad_right = 1;
  l->conv.in_dtype = l->conv.out_dtype = QUANTAL_U8;
  l->conv.weight_dtype = QUANTAL_S8;
  l->conv.in_zero_point = 120;
  l->conv.epilogue = &l->epilogue;
  l->channels = (uint32_t)(family == 0 ? N : l->conv.out_c);
  l->epilogue.count = l->channels;
  for (i = 0; i < l->channels; ++i) {
    l->ratios[i] = 0.001f + 0.0001f * (float)i;
    l->bias[i] = (int32_t)i * 100 - 700;
    quantal_multiplier_of(l->ratios[i], &l->multipliers[i]);
  }
  l->weights.struct_size = sizeof l->weights;
  l->weights.data = weight_data;
  l->weights.bytes = sizeof weight_data;
  l->weights.bias = l->bias;
  l->weights.epilogue = &l->epilogue;
  l->in_bytes = family == 0 ? M * K : (uint64_t)(6 * 5 * l->conv.in_c);
  l->out_bytes = family == 0 ? M * N : (uint64_t)(6 * 5 * l->conv.out_c);
}

static int32_t size_of(layer *l, size_t *bytes, size_t *alignment) {
  if (l->family == 0) return quantal_gemm_plan_size(&l->gemm, bytes, alignment);
  return (l->family == 1 ? quantal_conv2d_plan_size : quantal_depthwise_plan_size)(&l->conv, bytes, alignment);
}
static int32_t init_in(layer *l, void *plan, size_t bytes, quantal_diag *diag) {
  if (l->family == 0) return quantal_gemm_plan_init(plan, bytes, &l->gemm, diag);
  return (l->family == 1 ? quantal_conv2d_plan_init : quantal_depthwise_plan_init)(plan, bytes, &l->conv, diag);
}
static int32_t init(layer *l) { return init_in(l, l->plan, sizeof l->plan, NULL); }
static int32_t pack(const layer *l, void *packed, size_t bytes) {
  if (l->family == 0) return quantal_gemm_pack(l->plan, &l->weights, packed, bytes, NULL);
  return (l->family == 1 ? quantal_conv2d_pack : quantal_depthwise_pack)(l->plan, &l->weights, packed, bytes, NULL);
}
static int32_t run_on(const layer *l, const void *plan, const quantal_run_buffers *b, const quantal_parallel *p) {
  if (l->family == 0) return quantal_gemm_run(plan, b, p);
  return (l->family == 1 ? quantal_conv2d_run : quantal_depthwise_run)(plan, b, p);
}
static quantal_run_buffers buffers(const layer *l, void *out) {
  quantal_run_buffers b;
  memset(&b, 0, sizeof b);
  b.struct_size = sizeof b;
  b.in = in_data;
  b.in_bytes = l->in_bytes;
  b.packed = packed_data;
  b.packed_bytes = sizeof packed_data;
  b.out = out;
  b.out_bytes = l->out_bytes;
  b.workspace = workspace_data;
  b.workspace_bytes = sizeof workspace_data;
  return b;
}

/* A description that must be refused: nothing written, the plan memory too, the field named. */
static int refuses(layer *l, int32_t status, const char *field) {
  unsigned char memory[2048], before[2048];
  quantal_diag diag;
  int32_t got;
  memset(memory, 0x55, sizeof memory);
  memset(before, 0x55, sizeof before);
  memset(&diag, 0, sizeof diag);
  diag.struct_size = sizeof diag;
  got = init_in(l, (void *)(((uintptr_t)memory + 7) & ~(uintptr_t)7), sizeof memory - 8, &diag);
  if (got != status) printf("  family %d: got %s, expected %s\n", l->family, quantal_status_name(got), quantal_status_name(status));
  CHECK(got == status);
  CHECK(memcmp(memory, before, sizeof memory) == 0);
  CHECK(diag.code == status && diag.message[0] != 0);
  CHECK(strstr(diag.message, "see quantal.h") == NULL); /* it says what to do */
  if (field != NULL && strstr(diag.where, field) == NULL) printf("  where: %s, expected %s\n", diag.where, field);
  CHECK(field == NULL || strstr(diag.where, field) != NULL);
  return 1;
}
static int run_refuses(const layer *l, const void *plan, quantal_run_buffers b, int32_t status) {
  size_t i;
  int32_t got;
  memset(out_data, 0x55, sizeof out_data);
  got = run_on(l, plan, &b, NULL);
  if (got != status) printf("  family %d: got %s, expected %s\n", l->family, quantal_status_name(got), quantal_status_name(status));
  for (i = 0; i < sizeof out_data; ++i) CHECK(out_data[i] == 0x55);
  return got == status;
}

#define REFUSED(l, family, change, status, field)                              \
  do {                                                                         \
    describe(&l, family);                                                      \
    change;                                                                    \
    CHECK(refuses(&l, status, field));                                         \
  } while (0)

/* Output and input of a whole layer, ready for use. */
static int32_t ready(layer *l, int family, quantal_run_buffers *b) {
  int32_t s;
  describe(l, family);
  s = init(l);
  if (s == QUANTAL_OK) s = pack(l, packed_data, sizeof packed_data);
  *b = buffers(l, out_data);
  return s;
}

/* The meaning, in the plainest C: one output channel of one position. */
static int32_t code_of(const layer *l, int64_t acc, uint32_t channel) {
  const float x = (float)(int32_t)acc * l->ratios[channel];
  const float y = nearbyintf(x) + 7.0f;
  return y < 0 ? 0 : y > 255 ? 255 : (int32_t)y;
}
static int results_are_right(const layer *l, const unsigned char *out) {
  int64_t y, x, ky, kx, c;
  uint32_t o;
  if (l->family == 0) {
    for (y = 0; y < M; ++y)
      for (o = 0; o < N; ++o) {
        int64_t acc = l->bias[o];
        for (c = 0; c < K; ++c) acc += (in_data[y * K + c] - 120) * weight_data[c * N + o];
        CHECK(out[y * N + o] == code_of(l, acc, o));
      }
    return 1;
  }
  for (y = 0; y < 6; ++y)
    for (x = 0; x < 5; ++x)
      for (o = 0; o < l->channels; ++o) {
        int64_t acc = l->bias[o], depth = l->family == 2 ? 1 : l->conv.in_c;
        for (ky = 0; ky < 3; ++ky)
          for (kx = 0; kx < 3; ++kx)
            for (c = 0; c < depth; ++c) {
              const int64_t iy = y + ky - 1, ix = x + kx - 1, channel = l->family == 2 ? o : c;
              if (iy < 0 || ix < 0 || iy >= 6 || ix >= 5) continue;
              acc += (in_data[(iy * 5 + ix) * l->conv.in_c + channel] - 120) * weight_data[((o * 3 + ky) * 3 + kx) * depth + c];
            }
        CHECK(out[(y * 5 + x) * l->channels + o] == code_of(l, acc, o));
      }
  return 1;
}

static int plan_pack_run(void) {
  layer l;
  quantal_run_buffers b;
  quantal_plan_info info;
  size_t bytes, alignment;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    CHECK(size_of(&l, &bytes, &alignment) == QUANTAL_OK);
    CHECK(bytes <= sizeof l.plan && alignment == 8);
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(quantal_plan_get_info(l.plan, &info) == QUANTAL_OK);
    CHECK(info.in_bytes == l.in_bytes && info.out_bytes == l.out_bytes && info.kernel[0] != 0);
    CHECK(info.packed_bytes <= sizeof packed_data && info.workspace_bytes <= sizeof workspace_data);
    b.packed_bytes = info.packed_bytes; /* exactly what the plan says */
    b.workspace_bytes = info.workspace_bytes;
    memset(out_data, 0x55, sizeof out_data);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    CHECK(results_are_right(&l, out_data));
    CHECK(out_data[l.out_bytes] == 0x55);
  }
  return 1;
}

static int K1_null_pointers(void) {
  layer l;
  quantal_run_buffers b, c;
  quantal_plan_info info;
  size_t bytes, alignment;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.epilogue = NULL; l.conv.epilogue = NULL, QUANTAL_E_NULL, NULL);
    REFUSED(l, family, l.epilogue.ratios = NULL, QUANTAL_E_NULL, NULL);
    describe(&l, family);
    CHECK(init_in(&l, NULL, 4096, NULL) == QUANTAL_E_NULL);
    CHECK(size_of(&l, NULL, &alignment) == QUANTAL_E_NULL && size_of(&l, &bytes, NULL) == QUANTAL_E_NULL);
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    c = b, c.in = NULL;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_NULL));
    c = b, c.packed = NULL;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_NULL));
    c = b, c.out = NULL;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_NULL));
    CHECK(run_refuses(&l, NULL, b, QUANTAL_E_NULL));
    CHECK(pack(&l, NULL, 1 << 20) == QUANTAL_E_NULL);
    l.weights.data = NULL;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_NULL);
    CHECK(quantal_plan_get_info(NULL, &info) == QUANTAL_E_NULL);
  }
  CHECK(quantal_gemm_plan_init(l.plan, sizeof l.plan, NULL, NULL) == QUANTAL_E_NULL);
  return 1;
}

static int K2_no_bias_is_zero(void) {
  layer l;
  quantal_run_buffers b;
  unsigned char first[4096];
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    describe(&l, family);
    memset(l.bias, 0, sizeof l.bias);
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    b = buffers(&l, out_data);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    memcpy(first, out_data, l.out_bytes);
    l.weights.bias = NULL;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK && run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    CHECK(memcmp(first, out_data, l.out_bytes) == 0);
  }
  return 1;
}

/* Every struct of a family's calls, one at a time, as version 1 of another size: `size` in its struct_size, `tail` behind it. */
enum { DESC, EPILOGUE, WEIGHTS, BUFFERS, PARALLEL, INFO, STRUCTS };
static void here(void *context, size_t count, quantal_task_fn task, void *argument) {
  size_t i;
  (void)context;
  for (i = 0; i < count; ++i) task(argument, i);
}
static int32_t with_struct(int family, int which, uint32_t size, unsigned char tail) {
  static uint64_t room[128];
  unsigned char *const bytes = (unsigned char *)room;
  layer l;
  quantal_run_buffers b;
  quantal_parallel p;
  quantal_plan_info info;
  const void *from;
  size_t known;
  int32_t s;
  if (ready(&l, family, &b) != QUANTAL_OK) return -1000;
  memset(&p, 0, sizeof p);
  memset(&info, 0, sizeof info);
  p.call = here;
  switch (which) {
    case DESC: from = family == 0 ? (void *)&l.gemm : (void *)&l.conv, known = family == 0 ? sizeof l.gemm : sizeof l.conv; break;
    case EPILOGUE: from = &l.epilogue, known = sizeof l.epilogue; break;
    case WEIGHTS: from = &l.weights, known = sizeof l.weights; break;
    case BUFFERS: from = &b, known = sizeof b; break;
    case PARALLEL: from = &p, known = sizeof p; break;
    default: from = &info, known = sizeof info; break;
  }
  memset(room, 0, sizeof room);
  memcpy(bytes, from, known);
  bytes[known + 3] = tail;
  if (size == 1) size = (uint32_t)(which == BUFFERS ? offsetof(quantal_run_buffers, row_sums) : known) - 8; /* older than version 1 */
  if (size == 2) size = (uint32_t)known + 8; /* newer */
  memcpy(bytes, &size, sizeof size);
  memset(out_data, 0x55, sizeof out_data);
  switch (which) {
    case DESC:
      if (family == 0) return quantal_gemm_plan_init(l.plan, sizeof l.plan, (quantal_gemm_desc *)room, NULL);
      return (family == 1 ? quantal_conv2d_plan_init : quantal_depthwise_plan_init)(l.plan, sizeof l.plan, (quantal_conv_desc *)room, NULL);
    case EPILOGUE:
      l.gemm.epilogue = l.conv.epilogue = l.weights.epilogue = (quantal_epilogue *)room;
      s = init(&l);
      return s == pack(&l, packed_data, sizeof packed_data) ? s : -1000; /* both read it */
    case WEIGHTS:
      if (family == 0) return quantal_gemm_pack(l.plan, (quantal_weights *)room, packed_data, sizeof packed_data, NULL);
      return (family == 1 ? quantal_conv2d_pack : quantal_depthwise_pack)(l.plan, (quantal_weights *)room, packed_data, sizeof packed_data, NULL);
    case BUFFERS: return run_on(&l, l.plan, (quantal_run_buffers *)room, NULL);
    case PARALLEL: return run_on(&l, l.plan, &b, (quantal_parallel *)room);
    default: return quantal_plan_get_info(l.plan, (quantal_plan_info *)room);
  }
}

static int K3_struct_sizes(void) {
  layer l;
  quantal_run_buffers b;
  size_t i;
  int family, which;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.struct_size = 0; l.conv.struct_size = 0, QUANTAL_E_STRUCT_SIZE, "desc");
    REFUSED(l, family, l.gemm.struct_size = 8; l.conv.struct_size = 8, QUANTAL_E_STRUCT_SIZE, "desc");
    REFUSED(l, family, l.epilogue.struct_size = 4, QUANTAL_E_STRUCT_SIZE, NULL);
    for (which = 0; which < STRUCTS; ++which) {
      const int writes = which == INFO; /* its tail is the caller's */
      CHECK(with_struct(family, which, 0, 0) == QUANTAL_E_STRUCT_SIZE);
      CHECK(with_struct(family, which, 1, 0) == QUANTAL_E_STRUCT_SIZE);
      CHECK(with_struct(family, which, UINT32_MAX, 0) == QUANTAL_E_STRUCT_SIZE);
      if (!writes) CHECK(with_struct(family, which, 2, 1) == QUANTAL_E_VERSION);
      for (i = 0; i < sizeof out_data; ++i) CHECK(out_data[i] == 0x55);
      CHECK(with_struct(family, which, 2, 0) == QUANTAL_OK);
    }
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    b.struct_size = offsetof(quantal_run_buffers, row_sums); /* a program built before there were any */
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    b.struct_size = 0;
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_STRUCT_SIZE));
  }
  return 1;
}

static int K4_flags_and_reserved(void) {
  layer l;
  quantal_run_buffers b;
  quantal_parallel p;
  size_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.flags = 1; l.conv.flags = 1, QUANTAL_E_FLAGS, "desc");
    REFUSED(l, family, l.epilogue.flags = 1u << 31, QUANTAL_E_FLAGS, NULL);
    REFUSED(l, family, l.epilogue.reserved = 3, QUANTAL_E_FLAGS, NULL);
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    b.flags = 2;
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_FLAGS));
    b.flags = 0;
    memset(&p, 0, sizeof p);
    p.struct_size = sizeof p;
    p.call = here;
    p.flags = 1;
    memset(out_data, 0x55, sizeof out_data);
    CHECK(run_on(&l, l.plan, &b, &p) == QUANTAL_E_FLAGS && out_data[0] == 0x55);
    memset(packed_data, 0x55, sizeof packed_data);
    l.weights.flags = 4;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_FLAGS);
    for (i = 0; i < sizeof packed_data; ++i) CHECK(packed_data[i] == 0x55);
  }
  return 1;
}

static int K5_shapes(void) {
  layer l;
  quantal_run_buffers b;
  uint32_t o;
  int family;
  REFUSED(l, 0, l.gemm.m = -1, QUANTAL_E_SHAPE, "m");
  REFUSED(l, 0, l.gemm.n = -1, QUANTAL_E_SHAPE, "n");
  REFUSED(l, 0, l.gemm.k = -1, QUANTAL_E_SHAPE, "k");
  for (family = 1; family < FAMILIES; ++family) {
    REFUSED(l, family, l.conv.in_h = -6, QUANTAL_E_SHAPE, "in_h");
    REFUSED(l, family, l.conv.kernel_w = 0, QUANTAL_E_SHAPE, "kernel_w");
    REFUSED(l, family, l.conv.stride_w = -1, QUANTAL_E_SHAPE, "stride_w");
    REFUSED(l, family, l.conv.groups = 7, QUANTAL_E_SHAPE, "groups");
    REFUSED(l, family, l.conv.kernel_h = 9, QUANTAL_E_SHAPE, "kernel_h");
    describe(&l, family);
    l.conv.batch = 0; /* nothing to do */
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    b = buffers(&l, out_data);
    memset(out_data, 0x55, sizeof out_data);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK && out_data[0] == 0x55);
  }
  describe(&l, 0);
  l.gemm.m = 0;
  CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
  b = buffers(&l, out_data);
  memset(out_data, 0x55, sizeof out_data);
  CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK && out_data[0] == 0x55);
  describe(&l, 0);
  l.gemm.k = 0; /* the bias alone */
  l.gemm.rhs_row_stride = l.gemm.rhs_column_stride = 0;
  CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
  b = buffers(&l, out_data);
  CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
  for (o = 0; o < N; ++o) CHECK(out_data[o] == code_of(&l, l.bias[o], o));
  return 1;
}

static int K6_strides(void) {
  layer l;
  int family;
  REFUSED(l, 0, l.gemm.lhs_stride = K - 1, QUANTAL_E_STRIDE, "lhs_stride");
  REFUSED(l, 0, l.gemm.out_stride = N - 1, QUANTAL_E_STRIDE, "out_stride");
  REFUSED(l, 0, l.gemm.residual_stride = -1, QUANTAL_E_STRIDE, "residual_stride");
  REFUSED(l, 0, l.gemm.rhs_row_stride = -N, QUANTAL_E_STRIDE, "rhs_row_stride");
  REFUSED(l, 0, l.gemm.rhs_column_stride = -1, QUANTAL_E_STRIDE, "rhs_column_stride");
  for (family = 1; family < FAMILIES; ++family) {
    REFUSED(l, family, l.conv.in_strides[0] = l.conv.in_strides[1] = l.conv.in_strides[2] = 1, QUANTAL_E_STRIDE, "in_strides");
    REFUSED(l, family, l.conv.out_strides[2] = -1, QUANTAL_E_STRIDE, "out_strides");
    REFUSED(l, family, l.conv.residual_strides[0] = -1, QUANTAL_E_STRIDE, "residual_strides");
    REFUSED(l, family, l.conv.weight_strides[1] = -9, QUANTAL_E_STRIDE, "weight_strides");
  }
  return 1;
}

static int K7_overflow(void) {
  layer l;
  int family;
  static unsigned char pixels[64], pooled[64];
  quantal_pool_desc pool;
  REFUSED(l, 0, l.gemm.m = INT64_MAX, QUANTAL_E_OVERFLOW, "m");
  REFUSED(l, 0, l.gemm.m = INT64_MAX; l.gemm.n = l.gemm.k = 0, QUANTAL_E_OVERFLOW, "m"); /* beside an empty dimension */
  REFUSED(l, 0, l.gemm.n = INT64_MAX; l.gemm.m = 0; l.gemm.k = 64, QUANTAL_E_OVERFLOW, "n");
  REFUSED(l, 0, l.gemm.lhs_stride = INT64_MAX / 2, QUANTAL_E_OVERFLOW, "lhs_stride");
  REFUSED(l, 0, l.gemm.rhs_column_stride = INT64_MAX / 2, QUANTAL_E_OVERFLOW, "rhs_column_stride");
  for (family = 1; family < FAMILIES; ++family) {
    REFUSED(l, family, l.conv.batch = INT64_MAX, QUANTAL_E_OVERFLOW, "batch");
    REFUSED(l, family, l.conv.dilation_h = INT32_MAX, QUANTAL_E_OVERFLOW, "dilation_h");
    REFUSED(l, family, l.conv.batch = l.conv.in_h = l.conv.in_w = INT32_MAX, QUANTAL_E_OVERFLOW, "batch, in_h, in_w, in_c");
    REFUSED(l, family, l.conv.in_strides[0] = INT64_MAX / 2; l.conv.batch = 9, QUANTAL_E_OVERFLOW, "in_strides");
    REFUSED(l, family, l.conv.weight_strides[0] = INT64_MAX / 2, QUANTAL_E_OVERFLOW, "weight_strides");
  }
  memset(&pool, 0, sizeof pool); /* 2^41 taps, which nobody counts one by one */
  pool.struct_size = sizeof pool;
  pool.batch = pool.in_w = pool.channels = pool.kernel_w = 1;
  pool.in_h = INT32_MAX;
  pool.kernel_h = 1000;
  pool.dilation_h = 2;
  pool.dtype = QUANTAL_U8;
  CHECK(quantal_max_pool(&pool, pixels, sizeof pixels, pooled, sizeof pooled, NULL) == QUANTAL_E_BUFFER);
  return 1;
}

static int K8_short_buffers(void) {
  layer l;
  quantal_run_buffers b, c;
  quantal_plan_info info;
  size_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(quantal_plan_get_info(l.plan, &info) == QUANTAL_OK);
    c = b, c.in_bytes = l.in_bytes - 1;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_BUFFER));
    c = b, c.out_bytes = l.out_bytes - 1;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_BUFFER));
    c = b, c.packed_bytes = info.packed_bytes - 1;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_BUFFER));
    memset(packed_data, 0x55, sizeof packed_data);
    CHECK(pack(&l, packed_data, (size_t)info.packed_bytes - 1) == QUANTAL_E_BUFFER);
    l.weights.bytes = info.weight_bytes - 1;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_BUFFER);
    for (i = 0; i < sizeof packed_data; ++i) CHECK(packed_data[i] == 0x55);
    CHECK(init_in(&l, l.plan, 64, NULL) == QUANTAL_E_BUFFER);
  }
  /* rows with a stride: the last row needs only its k elements */
  describe(&l, 0);
  l.gemm.lhs_stride = K + 9;
  CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
  b = buffers(&l, out_data);
  b.in_bytes = (M - 1) * (K + 9) + K;
  CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
  b.in_bytes -= 1;
  CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_BUFFER));
  return 1;
}

static int K9_misaligned_pointers(void) {
  static uint8_t shifted[4096 + 64];
  layer l;
  quantal_run_buffers b;
  unsigned char first[4096];
  size_t offset;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK && run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    memcpy(first, out_data, l.out_bytes);
    for (offset = 1; offset < 64; ++offset) {
      memcpy(shifted + offset, in_data, l.in_bytes);
      b.in = shifted + offset;
      b.out = out_data + offset;
      memset(out_data, 0x55, sizeof out_data);
      CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
      CHECK(memcmp(first, out_data + offset, l.out_bytes) == 0 && out_data[offset - 1] == 0x55);
    }
    l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_F32; /* four-byte outputs must be aligned, and it is said */
    l.weights.epilogue = &l.epilogue;
    l.epilogue.zero_point = 0;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    b = buffers(&l, out_data + 1);
    b.out_bytes = l.out_bytes * 4;
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_ARGUMENT));
  }
  return 1;
}

static int K10_overlap(void) {
  layer l;
  quantal_run_buffers b, c;
  size_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    c = b, c.in = out_data;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_OVERLAP));
    c = b, c.in = out_data + 1;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_OVERLAP));
    c = b, c.out = workspace_data;
    CHECK(run_on(&l, l.plan, &c, NULL) == QUANTAL_E_OVERLAP);
    c = b, c.out = packed_data;
    CHECK(run_on(&l, l.plan, &c, NULL) == QUANTAL_E_OVERLAP);
    c = b, c.packed = workspace_data;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_OVERLAP));
    /* a residual that is the output itself is fine, a shifted one is not */
    l.epilogue.residual_dtype = QUANTAL_U8;
    l.epilogue.residual_ratio = 0.5f;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    b.residual = out_data;
    b.residual_bytes = l.out_bytes;
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    b.residual = out_data + 1;
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_OVERLAP));
    b.residual = workspace_data; /* it would be overwritten before it is read */
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_OVERLAP));
    b.residual = NULL;
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_NULL));
  }
  for (family = 0; family < FAMILIES; ++family) { /* packing must not read what it writes */
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    memset(packed_data, 0x55, sizeof packed_data);
    l.weights.bias = (const int32_t *)(packed_data + 64);
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_OVERLAP);
    l.weights.bias = l.bias;
    l.weights.data = packed_data + 1;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_OVERLAP);
    for (i = 0; i < sizeof packed_data; ++i) CHECK(packed_data[i] == 0x55);
  }
  return 1;
}

static int K11_scratch(void) {
  layer l;
  quantal_run_buffers b, c;
  quantal_plan_info info;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    CHECK(quantal_plan_get_info(l.plan, &info) == QUANTAL_OK);
    c = b, c.workspace = NULL;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_SCRATCH));
    c = b, c.workspace = workspace_data + 1;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_SCRATCH));
    c = b, c.workspace_bytes = info.workspace_bytes - 1;
    CHECK(run_refuses(&l, l.plan, c, QUANTAL_E_SCRATCH));
    CHECK(pack(&l, packed_data + 8, sizeof packed_data - 8) == QUANTAL_E_SCRATCH);
  }
  return 1;
}

static int K12_corrupt_plans(void) {
  layer l;
  quantal_run_buffers b;
  uint64_t copy[256];
  size_t bytes, alignment, i;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK && size_of(&l, &bytes, &alignment) == QUANTAL_OK);
    memcpy(copy, l.plan, sizeof copy); /* moved: works */
    CHECK(run_on(&l, copy, &b, NULL) == QUANTAL_OK && results_are_right(&l, out_data));
    for (i = 0; i < bytes; ++i) { /* any byte but the unchecked thread count of the header */
      if (i >= 24 && i < 32) continue;
      memcpy(copy, l.plan, sizeof copy);
      ((unsigned char *)copy)[i] ^= 0x41;
      CHECK(run_refuses(&l, copy, b, QUANTAL_E_PLAN));
    }
    CHECK(run_refuses(&l, (unsigned char *)l.plan + 1, b, QUANTAL_E_PLAN));
    packed_data[0] ^= 1; /* not packed weights */
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_PLAN));
  }
  for (family = 0; family < FAMILIES; ++family) { /* weights packed for other plans */
    describe(&l, family);
    l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_S32;
    l.gemm.epilogue = l.conv.epilogue = l.weights.epilogue = NULL;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    describe(&l, family);
    CHECK(init(&l) == QUANTAL_OK);
    b = buffers(&l, out_data);
    CHECK(run_refuses(&l, l.plan, b, QUANTAL_E_PLAN));
    l.gemm.rhs_dtype = l.conv.weight_dtype = QUANTAL_U8;
    l.gemm.rhs_zero_point = l.conv.weight_zero_point = 128;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    describe(&l, family);
    CHECK(init(&l) == QUANTAL_OK && run_refuses(&l, l.plan, b, QUANTAL_E_PLAN));
    l.epilogue.contract = QUANTAL_FIXED_DOUBLE; /* and an epilogue that is not the plan's */
    memset(packed_data, 0x55, sizeof packed_data);
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_PLAN);
    for (i = 0; i < sizeof packed_data; ++i) CHECK(packed_data[i] == 0x55);
  }
  CHECK(ready(&l, 1, &b) == QUANTAL_OK); /* a plan of another kind */
  CHECK(quantal_gemm_run(l.plan, &b, NULL) == QUANTAL_E_PLAN && quantal_depthwise_run(l.plan, &b, NULL) == QUANTAL_E_PLAN);
  return 1;
}

static int K13_call_order(void) {
  layer l;
  quantal_run_buffers b;
  uint64_t zeros[256];
  int family;
  memset(zeros, 0, sizeof zeros);
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    CHECK(run_refuses(&l, zeros, b, QUANTAL_E_STATE));
    CHECK(init(&l) == QUANTAL_OK && init(&l) == QUANTAL_OK); /* twice is fine */
    l.ratios[0] = 0;                                         /* a failed init leaves the old plan */
    CHECK(init(&l) == QUANTAL_E_SCALE);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    memset(l.plan, 0, sizeof l.plan); /* a failed first init leaves memory that says so */
    CHECK(init(&l) == QUANTAL_E_SCALE && run_refuses(&l, l.plan, b, QUANTAL_E_STATE));
  }
  return 1;
}

static int K14_depths_beyond_s32(void) {
  layer l;
  REFUSED(l, 0, l.gemm.k = INT64_C(1) << 40; l.gemm.m = 1; l.gemm.n = 1, QUANTAL_E_SHAPE, "k");
  describe(&l, 0);
  l.gemm.k = 70000; /* above the bound of one s32 sum: split, exactly */
  CHECK(init(&l) == QUANTAL_OK);
  describe(&l, 1);
  l.conv.in_c = 70000;
  CHECK(init(&l) == QUANTAL_OK);
  REFUSED(l, 1, l.conv.in_c = INT64_C(1) << 24, QUANTAL_E_SHAPE, "kernel_h, kernel_w");
  return 1;
}

typedef struct job {
  const layer *l;
  unsigned char *out, *workspace;
  size_t workspace_bytes;
  int32_t status;
} job;
static void *run_job(void *argument) {
  job *j = argument;
  quantal_run_buffers b = buffers(j->l, j->out);
  int i;
  b.workspace = j->workspace;
  b.workspace_bytes = j->workspace_bytes;
  for (i = 0; i < 50 && j->status == QUANTAL_OK; ++i) j->status = run_on(j->l, j->l->plan, &b, NULL);
  return NULL;
}
static void backwards(void *context, size_t count, quantal_task_fn task, void *argument) {
  ++*(int *)context;
  while (count-- > 0) task(argument, count);
}

static int K15_one_plan_many_threads(void) {
  static unsigned char outs[4][4096];
  layer l;
  quantal_run_buffers b;
  quantal_parallel p;
  pthread_t threads[4];
  job jobs[4];
  int family, i, calls = 0;
  for (family = 0; family < FAMILIES; ++family) {
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    for (i = 0; i < 4; ++i) {
      jobs[i].l = &l;
      jobs[i].out = outs[i];
      jobs[i].workspace = workspace_data + i * (sizeof workspace_data / 4);
      jobs[i].workspace_bytes = sizeof workspace_data / 4;
      jobs[i].status = QUANTAL_OK;
      CHECK(pthread_create(&threads[i], NULL, run_job, &jobs[i]) == 0);
    }
    for (i = 0; i < 4; ++i) CHECK(pthread_join(threads[i], NULL) == 0);
    for (i = 0; i < 4; ++i) CHECK(jobs[i].status == QUANTAL_OK && results_are_right(&l, outs[i]));
    /* tasks in any order, on the caller's hook */
    l.gemm.threads = l.conv.threads = 4;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    memset(&p, 0, sizeof p);
    p.struct_size = sizeof p;
    p.call = backwards;
    p.context = &calls;
    p.threads = 4;
    CHECK(run_on(&l, l.plan, &b, &p) == QUANTAL_OK && results_are_right(&l, out_data));
    p.call = NULL;
    CHECK(run_on(&l, l.plan, &b, &p) == QUANTAL_E_NULL);
  }
  CHECK(calls > 0);
  return 1;
}

static int K17_forced_kernels(void) {
  static const char *const names[] = {"ref", TEST_KERNELS}; /* the ISAs of the build */
  layer l;
  quantal_run_buffers b;
  size_t i;
  int family, ran = 0;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.kernel = l.conv.kernel = "mmx", QUANTAL_E_UNSUPPORTED, "kernel");
    for (i = 0; i < sizeof names / sizeof *names; ++i) {
      int32_t s;
      describe(&l, family);
      l.gemm.kernel = l.conv.kernel = names[i];
      s = init(&l);
      if (s == QUANTAL_E_UNSUPPORTED) continue; /* this CPU or build has it not */
      CHECK(s == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
      b = buffers(&l, out_data);
      CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK && results_are_right(&l, out_data));
      ++ran;
    }
  }
  printf("  %d forced kernels gave the same bytes\n", ran);
  CHECK(ran >= FAMILIES);
  return 1;
}

static int K18_workspace_contents_do_not_matter(void) {
  static const int fills[] = {0x00, 0xFF, 0xA5};
  layer l;
  quantal_run_buffers b;
  int family, i;
  for (family = 0; family < FAMILIES; ++family) {
    for (i = 0; i < 3; ++i) {
      CHECK(ready(&l, family, &b) == QUANTAL_OK);
      memset(packed_data, fills[i], sizeof packed_data);
      CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
      memset(workspace_data, fills[i], sizeof workspace_data);
      CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK && results_are_right(&l, out_data));
    }
  }
  return 1;
}

static int Q1_to_Q4_scales(void) {
  const float bad[] = {0.0f, -0.0f, -1.0f, NAN, INFINITY, -INFINITY, 1e-45f};
  layer l;
  size_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family)
    for (i = 0; i < sizeof bad / sizeof *bad; ++i) REFUSED(l, family, l.ratios[3] = bad[i], QUANTAL_E_SCALE, "ratios[3]");
  return 1;
}
static int Q5_to_Q7_multipliers(void) {
  const quantal_multiplier bad[] = {{-1, 0}, {1 << 29, 0}, {1 << 30, 31}, {1 << 30, 40}, {1 << 30, -32}, {1 << 30, INT32_MIN}};
  quantal_multiplier m = {77, 77};
  layer l;
  size_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family)
    for (i = 0; i < sizeof bad / sizeof *bad; ++i)
      REFUSED(l, family, l.epilogue.contract = QUANTAL_FIXED_DOUBLE; l.multipliers[2] = bad[i], QUANTAL_E_RANGE, "2");
  CHECK(quantal_multiplier_of(1e12, &m) == QUANTAL_E_RANGE && m.multiplier == 77);
  CHECK(quantal_multiplier_of(0.0, &m) == QUANTAL_E_SCALE && quantal_multiplier_of(0.5, NULL) == QUANTAL_E_NULL);
  CHECK(quantal_multiplier_of(0.5, &m) == QUANTAL_OK && m.multiplier == 1 << 30 && m.shift == 0);
  return 1;
}
static int Q8_zero_points(void) {
  layer l;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.lhs_zero_point = l.conv.in_zero_point = 256, QUANTAL_E_ZERO_POINT, family == 0 ? "lhs_zero_point" : "in_zero_point");
    REFUSED(l, family, l.gemm.rhs_zero_point = l.conv.weight_zero_point = -129, QUANTAL_E_ZERO_POINT, family == 0 ? "rhs_zero_point" : "weight_zero_point");
    REFUSED(l, family, l.epilogue.zero_point = -1, QUANTAL_E_ZERO_POINT, "epilogue");
  }
  return 1;
}
static int Q9_counts(void) {
  layer l;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.epilogue.count = 2, QUANTAL_E_COUNT, "count");
    REFUSED(l, family, l.epilogue.count = 0, QUANTAL_E_COUNT, "count");
  }
  return 1;
}
static int Q10_clamps(void) {
  layer l;
  quantal_run_buffers b;
  uint64_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.epilogue.flags = QUANTAL_CLAMP; l.epilogue.min = 9; l.epilogue.max = 8, QUANTAL_E_RANGE, NULL);
    REFUSED(l, family, l.epilogue.flags = QUANTAL_CLAMP; l.epilogue.max = 256, QUANTAL_E_RANGE, NULL);
    REFUSED(l, family, l.epilogue.flags = QUANTAL_CLAMP; l.epilogue.min = INT32_MIN; l.epilogue.max = 9, QUANTAL_E_RANGE, NULL);
    describe(&l, family);
    l.epilogue.flags = QUANTAL_CLAMP; /* a ReLU6, say */
    l.epilogue.min = 7;
    l.epilogue.max = 100;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    b = buffers(&l, out_data);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    for (i = 0; i < l.out_bytes; ++i) CHECK(out_data[i] >= 7 && out_data[i] <= 100);
  }
  return 1;
}
/* F32: min and max are numbers. S32: no epilogue at all. */
static int Q10_clamps_of_sums_and_reals(void) {
  layer l;
  quantal_run_buffers b;
  float x, low, high;
  uint64_t i;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_S32, QUANTAL_E_UNSUPPORTED, "epilogue");
    REFUSED(l, family, l.gemm.kernel = l.conv.kernel = "ref"; l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_S32, QUANTAL_E_UNSUPPORTED, "epilogue");
    REFUSED(l, family, l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_F32; l.epilogue.flags = QUANTAL_CLAMP; l.epilogue.min = 7,
            QUANTAL_E_RANGE, "epilogue.min, epilogue.max");
    describe(&l, family);
    l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_F32;
    l.epilogue.flags = QUANTAL_CLAMP;
    l.epilogue.max = 6;
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    b = buffers(&l, out_data);
    b.out_bytes = 4 * l.out_bytes;
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    for (low = 9, high = -9, i = 0; i < l.out_bytes; ++i) {
      memcpy(&x, out_data + 4 * i, 4);
      low = x < low ? x : low;
      high = x > high ? x : high;
    }
    CHECK(low == 0.0f && high == 6.0f);
    l.epilogue.max = INT32_MAX; /* ReLU: no upper bound */
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    for (low = high = 0, i = 0; i < l.out_bytes; ++i) {
      memcpy(&x, out_data + 4 * i, 4);
      low = x < low ? x : low;
      high = x > high ? x : high;
    }
    CHECK(low == 0.0f && high > 6.0f);
  }
  return 1;
}
static int Q12_contracts(void) {
  layer l;
  quantal_run_buffers b;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.epilogue.contract = 3, QUANTAL_E_CONTRACT, "contract");
    CHECK(ready(&l, family, &b) == QUANTAL_OK);
    l.epilogue.contract = QUANTAL_FIXED_SINGLE; /* packing must follow the plan */
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_PLAN);
    CHECK(init(&l) == QUANTAL_OK && pack(&l, packed_data, sizeof packed_data) == QUANTAL_OK);
    CHECK(run_on(&l, l.plan, &b, NULL) == QUANTAL_OK);
    describe(&l, family); /* all of it */
    CHECK(init(&l) == QUANTAL_OK);
    l.epilogue.zero_point = 8;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_PLAN);
    l.epilogue.zero_point = 7;
    l.ratios[1] *= 2;
    CHECK(pack(&l, packed_data, sizeof packed_data) == QUANTAL_E_PLAN);
  }
  return 1;
}
static int Q16_types(void) {
  layer l;
  int family;
  for (family = 0; family < FAMILIES; ++family) {
    REFUSED(l, family, l.gemm.lhs_dtype = l.conv.in_dtype = QUANTAL_S16, QUANTAL_E_DTYPE, family == 0 ? "lhs_dtype" : "in_dtype");
    REFUSED(l, family, l.gemm.rhs_dtype = l.conv.weight_dtype = QUANTAL_S4, QUANTAL_E_DTYPE, family == 0 ? "rhs_dtype" : "weight_dtype");
    REFUSED(l, family, l.gemm.out_dtype = l.conv.out_dtype = QUANTAL_F16, QUANTAL_E_DTYPE, "out_dtype");
  }
  return 1;
}

static int elementwise(void) {
  const int32_t sums[6] = {1000, -1000, 5, INT32_MAX, INT32_MIN, 15};
  const float x[6] = {-1.0f, 0.0f, 4.1f, 0.0f, 0.0f, 0.0f};
  uint8_t table[256], u[8], in[12] = {1, 9, 3, 4, 5, 250, 7, 8, 2, 2, 2, 2};
  int8_t s[8];
  float scales[2];
  int32_t zeros[2], row_sums[2], i;
  quantal_epilogue e;
  quantal_codes_desc d;
  quantal_pool_desc p;
  layer l;
  describe(&l, 0);
  e = l.epilogue;
  e.count = 1;
  l.ratios[0] = 0.1f;
  memset(s, 0x55, sizeof s);
  CHECK(quantal_requantize(&e, QUANTAL_S8, sums, NULL, 2, 3, s, 6) == QUANTAL_OK);
  CHECK(s[0] == 107 && s[1] == -93 && s[2] == 7 && s[3] == 127 && s[4] == -128 && s[5] == 9 && s[6] == 0x55);
  CHECK(quantal_requantize(&e, QUANTAL_S8, sums, NULL, 2, 3, s, 5) == QUANTAL_E_BUFFER);
  CHECK(quantal_requantize(&e, QUANTAL_S16, sums, NULL, 2, 3, s, 6) == QUANTAL_E_DTYPE);
  memset(&d, 0, sizeof d);
  d.struct_size = sizeof d;
  d.in_dtype = d.out_dtype = QUANTAL_U8;
  d.ratio = d.other_ratio = 0.5f;
  CHECK(quantal_add(&d, in, in + 6, u, 6) == QUANTAL_OK && u[0] == 4 && u[1] == 8 && u[5] == 126);
  CHECK(quantal_multiply(&d, in, in + 6, u, 6) == QUANTAL_OK && u[0] == 4 && u[1] == 36 && u[5] == 250);
  CHECK(quantal_rescale(&d, in, u, 6) == QUANTAL_OK && u[0] == 0 && u[1] == 4 && u[5] == 125);
  CHECK(quantal_add(&d, in, in + 6, in + 1, 6) == QUANTAL_E_OVERLAP);
  d.ratio = 0;
  CHECK(quantal_add(&d, in, in + 6, u, 6) == QUANTAL_E_SCALE);
  CHECK(quantal_fill_table(QUANTAL_U8, 1.0f, 0, QUANTAL_U8, 2.0f, 0, NULL, NULL, table) == QUANTAL_E_NULL);
  for (i = 0; i < 256; ++i) table[i] = (uint8_t)(255 - i);
  CHECK(quantal_look_up(table, in, u, 6) == QUANTAL_OK && u[0] == 254 && u[5] == 5);
  memset(&p, 0, sizeof p);
  p.struct_size = sizeof p;
  p.batch = 1;
  p.in_h = 2;
  p.in_w = 6;
  p.channels = 1;
  p.kernel_h = p.kernel_w = p.stride_h = p.stride_w = 2;
  p.dtype = QUANTAL_U8;
  p.in_scale = p.out_scale = 1.0f;
  CHECK(quantal_max_pool(&p, in, 12, u, 3, NULL) == QUANTAL_OK && u[0] == 9 && u[1] == 4 && u[2] == 250);
  CHECK(quantal_average_pool(&p, in, 12, u, 3, NULL) == QUANTAL_OK && u[0] == 6 && u[1] == 3 && u[2] == 65);
  CHECK(quantal_average_pool(&p, in, 11, u, 3, NULL) == QUANTAL_E_BUFFER);
  p.pad_left = 2;
  CHECK(quantal_max_pool(&p, in, 12, u, 3, NULL) == QUANTAL_E_SHAPE);
  CHECK(quantal_quantize_rows(QUANTAL_U8, x, 2, 3, u, 6, scales, zeros, row_sums) == QUANTAL_OK);
  CHECK(fabsf(scales[0] - 0.02f) < 1e-6f && zeros[0] == 50 && u[0] == 0 && u[1] == 50 && u[2] == 255 && row_sums[0] == 305);
  CHECK(scales[1] == 1.0f && zeros[1] == 0 && row_sums[1] == 0);
  return 1;
}

int main(void) {
  fill();
  RUN(plan_pack_run);
  RUN(K1_null_pointers);
  RUN(K2_no_bias_is_zero);
  RUN(K3_struct_sizes);
  RUN(K4_flags_and_reserved);
  RUN(K5_shapes);
  RUN(K6_strides);
  RUN(K7_overflow);
  RUN(K8_short_buffers);
  RUN(K9_misaligned_pointers);
  RUN(K10_overlap);
  RUN(K11_scratch);
  RUN(K12_corrupt_plans);
  RUN(K13_call_order);
  RUN(K14_depths_beyond_s32);
  RUN(K15_one_plan_many_threads);
  RUN(K17_forced_kernels);
  RUN(K18_workspace_contents_do_not_matter);
  RUN(Q1_to_Q4_scales);
  RUN(Q5_to_Q7_multipliers);
  RUN(Q8_zero_points);
  RUN(Q9_counts);
  RUN(Q10_clamps);
  RUN(Q10_clamps_of_sums_and_reals);
  RUN(Q12_contracts);
  RUN(Q16_types);
  RUN(elementwise);
  return finish();
}
