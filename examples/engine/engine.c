/* A small inference engine in C99 with its own tensors, memory and threads, which borrows only Quantal's kernels: a 3x3
   convolution, then a product, both planned once and run often. engine.cpp is the same network on the header-only core;
   both print the same bytes.

     one arena:  [plan][packed weights][plan][packed weights][image][features][logits][workspace]
     threads:    a pool that waits between operators; pool_run is all that Quantal knows of it */
#include <pthread.h>
#include <quantal.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 12, IN_C = 4, MID_C = 24, CLASSES = 10, FLAT = SIDE * SIDE * MID_C, HELPERS = 1, ARENA = 4 << 20 };

/* ---- The engine's own parts --------------------------------------------------------------------------------------- */

typedef struct tensor { uint8_t *data; size_t bytes; float scale; int32_t zero_point; } tensor;

static unsigned char *arena;
static size_t arena_used;
static void *take(uint64_t bytes) {
  void *p = arena + arena_used;
  arena_used += (size_t)(bytes + 63) / 64 * 64;
  if (arena_used <= ARENA) return p;
  fprintf(stderr, "the arena is full\n");
  exit(1);
}

/* One job at a time: its tasks are taken one by one, by the helpers and by the thread that brought it. */
static struct {
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  pthread_t helpers[HELPERS];
  quantal_task_fn task;
  void *argument;
  size_t next, count, unfinished;
  int started, stop;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static void take_tasks(void) { /* holds the lock, but not during a task */
  while (pool.next < pool.count) {
    const size_t i = pool.next++;
    pthread_mutex_unlock(&pool.lock);
    pool.task(pool.argument, i);
    pthread_mutex_lock(&pool.lock);
    if (--pool.unfinished == 0) pthread_cond_signal(&pool.done);
  }
}
static void *help(void *unused) {
  pthread_mutex_lock(&pool.lock);
  for (take_tasks(); !pool.stop; take_tasks()) pthread_cond_wait(&pool.work, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
  return unused;
}
static void pool_run(void *context, size_t count, quantal_task_fn task, void *argument) {
  (void)context;
  pthread_mutex_lock(&pool.lock);
  pool.task = task, pool.argument = argument, pool.next = 0, pool.count = pool.unfinished = count;
  pthread_cond_broadcast(&pool.work);
  take_tasks();
  while (pool.unfinished > 0) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
}
static void pool_start(void) { /* a helper that does not start is one less: the caller works too */
  while (pool.started < HELPERS && pthread_create(&pool.helpers[pool.started], NULL, help, NULL) == 0) ++pool.started;
}
static void pool_stop(void) {
  pthread_mutex_lock(&pool.lock);
  pool.stop = 1;
  pthread_cond_broadcast(&pool.work);
  pthread_mutex_unlock(&pool.lock);
  while (pool.started > 0) pthread_join(pool.helpers[--pool.started], NULL);
}

/* ---- What it borrows ---------------------------------------------------------------------------------------------- */

typedef struct layer {
  void *plan, *packed;
  quantal_plan_info info;
  int32_t (*run)(const void *, const quantal_run_buffers *, const quantal_parallel *);
} layer;
static quantal_diag diag = {.struct_size = sizeof diag};

static void check(const char *what, int32_t status) {
  if (status == QUANTAL_OK) return;
  fprintf(stderr, "%s: %s %s\n", what, quantal_strerror(status), diag.message);
  exit(1);
}
static layer make_conv(const quantal_conv_desc *d, const int8_t *weights, size_t weight_bytes, const int32_t *bias) {
  const quantal_weights w = {.struct_size = sizeof w, .data = weights, .bytes = weight_bytes, .bias = bias, .epilogue = d->epilogue};
  layer l = {.info = {.struct_size = sizeof l.info}, .run = quantal_conv2d_run};
  size_t bytes, alignment;
  check("conv", quantal_conv2d_plan_size(d, &bytes, &alignment));
  check("conv", quantal_conv2d_plan_init(l.plan = take(bytes), bytes, d, &diag));
  check("conv", quantal_plan_get_info(l.plan, &l.info));
  check("conv", quantal_conv2d_pack(l.plan, &w, l.packed = take(l.info.packed_bytes), l.info.packed_bytes, &diag));
  return l;
}
static layer make_dense(const quantal_gemm_desc *d, const int8_t *weights, size_t weight_bytes, const int32_t *bias) {
  const quantal_weights w = {.struct_size = sizeof w, .data = weights, .bytes = weight_bytes, .bias = bias, .epilogue = d->epilogue};
  layer l = {.info = {.struct_size = sizeof l.info}, .run = quantal_gemm_run};
  size_t bytes, alignment;
  check("dense", quantal_gemm_plan_size(d, &bytes, &alignment));
  check("dense", quantal_gemm_plan_init(l.plan = take(bytes), bytes, d, &diag));
  check("dense", quantal_plan_get_info(l.plan, &l.info));
  check("dense", quantal_gemm_pack(l.plan, &w, l.packed = take(l.info.packed_bytes), l.info.packed_bytes, &diag));
  return l;
}
static void run(const layer *l, const tensor *in, tensor *out, void *workspace) {
  const quantal_parallel threads = {.struct_size = sizeof threads, .call = pool_run, .threads = HELPERS + 1};
  const quantal_run_buffers b = {.struct_size = sizeof b, .in = in->data, .in_bytes = in->bytes, .packed = l->packed,
    .packed_bytes = l->info.packed_bytes, .out = out->data, .out_bytes = out->bytes, .workspace = workspace,
    .workspace_bytes = l->info.workspace_bytes};
  check("run", l->run(l->plan, &b, &threads));
}

/* ---- A network ---------------------------------------------------------------------------------------------------- */

static uint32_t state = 1;
static uint8_t next(void) { return (uint8_t)((state = state * 1664525u + 1013904223u) >> 24); }

int main(void) {
  static int8_t conv_w[MID_C * 9 * IN_C], dense_w[FLAT * CLASSES];
  int32_t conv_bias[MID_C], dense_bias[CLASSES];
  float conv_ratio[MID_C], dense_ratio;
  tensor image = {NULL, SIDE * SIDE * IN_C, 0.5f, 128}, features = {NULL, FLAT, 0.25f, 10}, logits = {NULL, CLASSES, 2.0f, 128};
  size_t i;
  for (i = 0; i < sizeof conv_w; ++i) conv_w[i] = (int8_t)next();
  for (i = 0; i < sizeof dense_w; ++i) dense_w[i] = (int8_t)next();
  for (i = 0; i < MID_C; ++i) conv_bias[i] = (int32_t)i * 50 - 600;
  for (i = 0; i < CLASSES; ++i) dense_bias[i] = (int32_t)i * 100;
  for (i = 0; i < MID_C; ++i) conv_ratio[i] = image.scale * (0.001f + 0.00005f * (float)i) / features.scale;
  dense_ratio = features.scale * 0.0032f / logits.scale;

  const quantal_epilogue conv_end = {.struct_size = sizeof conv_end, .flags = QUANTAL_CLAMP, /* a fused ReLU */
    .min = features.zero_point, .max = 255, .zero_point = features.zero_point, .ratios = conv_ratio, .count = MID_C};
  const quantal_conv_desc conv = {.struct_size = sizeof conv, .batch = 1, .in_h = SIDE, .in_w = SIDE, .in_c = IN_C,
    .out_c = MID_C, .kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1,
    .in_dtype = QUANTAL_U8, .weight_dtype = QUANTAL_S8, .out_dtype = QUANTAL_U8, .in_zero_point = image.zero_point,
    .threads = HELPERS + 1, .epilogue = &conv_end};
  const quantal_epilogue dense_end = {.struct_size = sizeof dense_end, .zero_point = logits.zero_point,
    .ratios = &dense_ratio, .count = 1};
  const quantal_gemm_desc dense = {.struct_size = sizeof dense, .m = 1, .n = CLASSES, .k = FLAT, .lhs_dtype = QUANTAL_U8,
    .rhs_dtype = QUANTAL_S8, .out_dtype = QUANTAL_U8, .lhs_zero_point = features.zero_point, .threads = HELPERS + 1,
    .epilogue = &dense_end};

  if (posix_memalign((void **)&arena, 64, ARENA) != 0) return 1;
  const layer first = make_conv(&conv, conv_w, sizeof conv_w, conv_bias);
  const layer second = make_dense(&dense, dense_w, sizeof dense_w, dense_bias);
  image.data = take(image.bytes), features.data = take(features.bytes), logits.data = take(logits.bytes);
  void *workspace = take(first.info.workspace_bytes > second.info.workspace_bytes ? first.info.workspace_bytes
                                                                                  : second.info.workspace_bytes);
  for (i = 0; i < image.bytes; ++i) image.data[i] = next();
  pool_start();
  run(&first, &image, &features, workspace);
  run(&second, &features, &logits, workspace);
  pool_stop();
  printf("logits");
  for (i = 0; i < CLASSES; ++i) printf(" %d", logits.data[i]);
  printf("\n");
  free(arena);
  return 0;
}
