/* A small inference engine in C99 with its own tensors, memory and threads, which borrows only Quantal's kernels: a 3x3
   convolution, then a product, both planned once and run often. engine.cpp is the same network on the header-only core;
   both print the same bytes.

     one arena:  [plan][plan][packed weights][packed weights][image][features][logits][workspace]
     threads:    two, started for each operator (a real engine keeps a pool) */
#include <pthread.h>
#include <quantal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 12, IN_C = 4, MID_C = 24, CLASSES = 10, THREADS = 2, FLAT = SIDE * SIDE * MID_C };

/* The engine's memory: one block, handed out in order. */
static unsigned char *arena;
static size_t arena_used, arena_size = (size_t)4 << 20;
static void *take(size_t bytes) {
  void *p = arena + arena_used;
  arena_used += (bytes + 63) / 64 * 64;
  return arena_used <= arena_size ? p : NULL;
}

/* The engine's threads. */
typedef struct worker { quantal_task_fn task; void *argument; size_t first, count; } worker;
static void *work(void *p) {
  const worker *w = p;
  size_t i;
  for (i = w->first; i < w->count; i += THREADS) w->task(w->argument, i);
  return NULL;
}
static void parallel_for(void *context, size_t count, quantal_task_fn task, void *argument) {
  pthread_t threads[THREADS];
  worker workers[THREADS];
  size_t i;
  int started[THREADS];
  (void)context;
  for (i = 0; i < THREADS; ++i) {
    const worker w = {task, argument, i, count};
    workers[i] = w;
    started[i] = pthread_create(&threads[i], NULL, work, &workers[i]) == 0;
    if (!started[i]) work(&workers[i]);
  }
  for (i = 0; i < THREADS; ++i)
    if (started[i]) pthread_join(threads[i], NULL);
}

static int fail(const char *what, int32_t status, const quantal_diag *diag) {
  fprintf(stderr, "%s: %s %s\n", what, quantal_strerror(status), diag->message);
  return 1;
}

int main(void) {
  static int8_t conv_w[MID_C * 9 * IN_C], fc_w[FLAT * CLASSES];
  static int32_t conv_bias[MID_C], fc_bias[CLASSES];
  static float conv_ratio[MID_C], fc_ratio[1] = {0.0004f};
  quantal_epilogue conv_end = {.struct_size = sizeof conv_end}, fc_end = {.struct_size = sizeof fc_end};
  quantal_conv_desc conv = {.struct_size = sizeof conv};
  quantal_gemm_desc fc = {.struct_size = sizeof fc};
  quantal_weights w = {.struct_size = sizeof w};
  quantal_run_buffers run = {.struct_size = sizeof run};
  quantal_plan_info conv_info = {.struct_size = sizeof conv_info}, fc_info = {.struct_size = sizeof fc_info};
  quantal_parallel threads = {.struct_size = sizeof threads};
  quantal_diag diag = {.struct_size = sizeof diag};
  size_t conv_bytes, fc_bytes, alignment;
  void *conv_plan, *fc_plan, *conv_packed, *fc_packed, *workspace;
  uint8_t *image, *features, *logits;
  uint32_t state = 1, i;
  int32_t s;

  for (i = 0; i < sizeof conv_w; ++i) conv_w[i] = (int8_t)((state = state * 1664525u + 1013904223u) >> 24);
  for (i = 0; i < sizeof fc_w; ++i) fc_w[i] = (int8_t)((state = state * 1664525u + 1013904223u) >> 24);
  for (i = 0; i < MID_C; ++i) conv_bias[i] = (int32_t)i * 50 - 600, conv_ratio[i] = 0.002f + 0.0001f * (float)i;
  for (i = 0; i < CLASSES; ++i) fc_bias[i] = (int32_t)i * 100;

  conv_end.ratios = conv_ratio;
  conv_end.count = MID_C;
  conv_end.zero_point = 10;
  conv_end.flags = QUANTAL_CLAMP; /* a fused ReLU */
  conv_end.min = 10;
  conv_end.max = 255;
  conv.batch = 1;
  conv.in_h = conv.in_w = SIDE;
  conv.in_c = IN_C;
  conv.out_c = MID_C;
  conv.kernel_h = conv.kernel_w = 3;
  conv.pad_top = conv.pad_left = conv.pad_bottom = conv.pad_right = 1;
  conv.in_dtype = conv.out_dtype = QUANTAL_U8;
  conv.weight_dtype = QUANTAL_S8;
  conv.in_zero_point = 128;
  conv.threads = THREADS;
  conv.epilogue = &conv_end;
  fc_end.ratios = fc_ratio;
  fc_end.count = 1;
  fc_end.zero_point = 128;
  fc.m = 1;
  fc.n = CLASSES;
  fc.k = FLAT;
  fc.lhs_dtype = fc.out_dtype = QUANTAL_U8;
  fc.rhs_dtype = QUANTAL_S8;
  fc.lhs_zero_point = 10;
  fc.threads = THREADS;
  fc.epilogue = &fc_end;

  if (posix_memalign((void **)&arena, 64, arena_size) != 0) return 1;
  quantal_conv2d_plan_size(&conv, &conv_bytes, &alignment);
  quantal_gemm_plan_size(&fc, &fc_bytes, &alignment);
  conv_plan = take(conv_bytes);
  fc_plan = take(fc_bytes);
  if ((s = quantal_conv2d_plan_init(conv_plan, conv_bytes, &conv, &diag)) != 0) return fail("conv", s, &diag);
  if ((s = quantal_gemm_plan_init(fc_plan, fc_bytes, &fc, &diag)) != 0) return fail("fc", s, &diag);
  quantal_plan_get_info(conv_plan, &conv_info);
  quantal_plan_get_info(fc_plan, &fc_info);
  conv_packed = take(conv_info.packed_bytes);
  fc_packed = take(fc_info.packed_bytes);
  image = take(conv_info.in_bytes);
  features = take(conv_info.out_bytes);
  logits = take(fc_info.out_bytes);
  workspace = take(conv_info.workspace_bytes > fc_info.workspace_bytes ? conv_info.workspace_bytes : fc_info.workspace_bytes);
  if (workspace == NULL) return 1;
  w.data = conv_w, w.bytes = sizeof conv_w, w.bias = conv_bias, w.epilogue = &conv_end;
  if ((s = quantal_conv2d_pack(conv_plan, &w, conv_packed, conv_info.packed_bytes, &diag)) != 0) return fail("conv", s, &diag);
  w.data = fc_w, w.bytes = sizeof fc_w, w.bias = fc_bias, w.epilogue = &fc_end;
  if ((s = quantal_gemm_pack(fc_plan, &w, fc_packed, fc_info.packed_bytes, &diag)) != 0) return fail("fc", s, &diag);

  for (i = 0; i < conv_info.in_bytes; ++i) image[i] = (uint8_t)((state = state * 1664525u + 1013904223u) >> 24);
  threads.call = parallel_for;
  threads.threads = THREADS;
  run.workspace = workspace, run.workspace_bytes = arena_size - (size_t)((unsigned char *)workspace - arena);
  run.in = image, run.in_bytes = conv_info.in_bytes;
  run.packed = conv_packed, run.packed_bytes = conv_info.packed_bytes;
  run.out = features, run.out_bytes = conv_info.out_bytes;
  if ((s = quantal_conv2d_run(conv_plan, &run, &threads)) != 0) return fail("conv", s, &diag);
  run.in = features, run.in_bytes = fc_info.in_bytes;
  run.packed = fc_packed, run.packed_bytes = fc_info.packed_bytes;
  run.out = logits, run.out_bytes = fc_info.out_bytes;
  if ((s = quantal_gemm_run(fc_plan, &run, &threads)) != 0) return fail("fc", s, &diag);
  printf("logits");
  for (i = 0; i < CLASSES; ++i) printf(" %d", logits[i]);
  printf("\n");
  free(arena);
  return 0;
}
