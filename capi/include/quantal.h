/* quantal.h: the C interface of Quantal.

   Quantal makes smaller integer models out of float ONNX models, and offers the arithmetic behind them. This header is
   the whole public C interface: C99, only <stddef.h> and <stdint.h>, usable from C++ and through any foreign function
   interface. The parts, simplest first:

     1. version and status        what the library is, what its numbers mean
     2. numbers                   scale and zero point of a range; arrays to integers and back
     3. whole-model quantization  a file or bytes in, a quantized model out
     4. sessions                  run a float or quantized model
     5. comparison                how far two models are apart
     6. this machine              what the CPU offers
     7. DLPack                    tensors of other frameworks, without a copy
     8. kernels                   products and convolutions of integers, for engines that bring their own memory and threads
     9. elementwise kernels       what an integer network needs besides
     10. observers                statistics of data, and ranges and parameters from them

   Rules that hold for every function:

   - The return value is a status: 0 (QUANTAL_OK) or a negative QUANTAL_E_* number. Nothing else travels in it. No
     function aborts, prints, throws, changes the locale or the floating point environment, or keeps a pointer that it
     was given beyond the call (the exceptions say so).
   - Validation is complete before the first byte of an output is written: after an error the outputs are as they were.
   - Structs begin with `struct_size`: set it to sizeof(the struct) and everything you do not use to zero
     (`quantal_x v = {sizeof v}` does both in C). That is how an older program works with a newer library and the other
     way round: the library reads the part both know, and refuses a newer struct only if it uses what the library does
     not know (QUANTAL_E_VERSION). Unknown flag bits are an error (QUANTAL_E_FLAGS).
   - Strings are UTF-8, zero-terminated. Sizes in bytes are exact: a buffer that is too small is QUANTAL_E_BUFFER.
   - What the library allocates for you is freed with the function that its description names.
   - Functions may be called from several threads at once; one object at a time only where it says so.
   - `quantal_diag *diag` may be NULL. Where it is not, a failure fills it with a readable message.

   Numbers never change meaning: a status code, a dtype or a flag keeps its value for ever. */
#ifndef QUANTAL_H
#define QUANTAL_H

#include <stddef.h>
#include <stdint.h>

#if defined(QUANTAL_STATIC) || !defined(__GNUC__)
#define QUANTAL_API
#else
#define QUANTAL_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- 1. Version and status ------------------------------------------------------------------------------------- */

#define QUANTAL_VERSION_MAJOR 0
#define QUANTAL_VERSION_MINOR 1
#define QUANTAL_VERSION_PATCH 0
/* Grows when something is added to this header. Programs need a library of at least the number they were built with. */
#define QUANTAL_ABI_VERSION 2

/* The library that is loaded: major * 10000 + minor * 100 + patch, and as text ("0.1.0"). Static memory. */
QUANTAL_API uint32_t quantal_version(void);
QUANTAL_API const char *quantal_version_string(void);
QUANTAL_API uint32_t quantal_abi_version(void);

/* One number per cause. The groups of ten say whose fault it is: the call, the quantization parameters, the data, files
   and process, the model, what was asked for, Quantal itself. */
enum {
  QUANTAL_OK = 0,
  QUANTAL_E_NULL = -1,           /* a required pointer is NULL */
  QUANTAL_E_STRUCT_SIZE = -2,    /* struct_size is 0 or smaller than version 1 of the struct */
  QUANTAL_E_VERSION = -3,        /* a newer struct or blob than this library knows */
  QUANTAL_E_FLAGS = -4,          /* unknown flag bit or non-zero reserved word */
  QUANTAL_E_SHAPE = -5,          /* negative or inconsistent dimension */
  QUANTAL_E_STRIDE = -6,         /* stride smaller than the row, or of the wrong sign */
  QUANTAL_E_OVERFLOW = -7,       /* a size does not fit */
  QUANTAL_E_BUFFER = -8,         /* a buffer is smaller than the shape needs */
  QUANTAL_E_OVERLAP = -9,        /* input and output overlap where they must not */
  QUANTAL_E_SCRATCH = -10,       /* workspace missing, short or misaligned */
  QUANTAL_E_PLAN = -11,          /* plan memory is not a valid plan */
  QUANTAL_E_STATE = -12,         /* call order */
  QUANTAL_E_ARGUMENT = -13,      /* any other bad argument */
  QUANTAL_E_SCALE = -20,         /* zero, negative, NaN, infinite or denormal scale */
  QUANTAL_E_ZERO_POINT = -21,    /* outside the type's range */
  QUANTAL_E_RANGE = -22,         /* min > max, or a ratio of scales that cannot be represented */
  QUANTAL_E_COUNT = -23,         /* number of scales, zero points or channels disagree */
  QUANTAL_E_DTYPE = -24,         /* type not allowed here */
  QUANTAL_E_CONTRACT = -25,      /* unknown rounding contract */
  QUANTAL_E_NAN = -30,           /* NaN where it is forbidden */
  QUANTAL_E_CALIBRATION = -31,   /* nothing was observed, or too little */
  QUANTAL_E_DATA_FORMAT = -32,   /* an array or image file cannot be used */
  QUANTAL_E_DATA_SHAPE = -33,    /* an array does not fit the model's input */
  QUANTAL_E_DATA_MISSING = -34,  /* no data where data is required */
  QUANTAL_E_IO = -40,            /* read, write or rename failed */
  QUANTAL_E_NOT_FOUND = -41,     /* file or directory does not exist */
  QUANTAL_E_PATH = -42,          /* a path leaves the directory it must stay in */
  QUANTAL_E_OUT_OF_MEMORY = -43,
  QUANTAL_E_CANCELLED = -44,     /* a callback asked to stop */
  QUANTAL_E_MODEL_SYNTAX = -50,  /* the bytes are not what the format says */
  QUANTAL_E_MODEL_GRAPH = -51,   /* cycle, missing producer, duplicate name */
  QUANTAL_E_MODEL_TYPE = -52,    /* types or shapes of a model contradict each other */
  QUANTAL_E_LIMIT = -53,         /* a count, size or depth is above the limit */
  QUANTAL_E_BOMB = -54,          /* compressed data that would explode */
  QUANTAL_E_USAGE = -60,         /* configuration */
  QUANTAL_E_UNSUPPORTED = -61,   /* valid, but not something Quantal can do */
  QUANTAL_E_GATE = -62,          /* done, but below the quality that was asked for */
  QUANTAL_E_INTERNAL = -70       /* a defect of Quantal */
};

/* "data_shape"; "an array does not fit the model's input". Never NULL: "unknown" for numbers it does not know. */
QUANTAL_API const char *quantal_status_name(int32_t status);
QUANTAL_API const char *quantal_strerror(int32_t status);

/* What went wrong, for people. Filled by a failing call; unchanged by one that succeeds. All texts are cut to fit and
   zero-terminated; control characters in names are escaped. */
typedef struct quantal_diag {
  uint32_t struct_size;
  uint32_t flags;        /* 0 */
  int32_t code;          /* the returned status */
  uint32_t reserved;     /* 0 */
  char message[512];     /* "<what> (<where>): <what to do>" on one line */
  char where[256];       /* file, node, tensor, sample or argument; may be empty */
} quantal_diag;

/* ---- 2. Numbers ------------------------------------------------------------------------------------------------ */

/* Element types. */
enum {
  QUANTAL_DTYPE_NONE = 0,
  QUANTAL_F32 = 1, QUANTAL_F64 = 2, QUANTAL_F16 = 3, QUANTAL_BF16 = 4,
  QUANTAL_S8 = 16, QUANTAL_U8 = 17, QUANTAL_S16 = 18, QUANTAL_U16 = 19, QUANTAL_S32 = 20, QUANTAL_U32 = 21,
  QUANTAL_S64 = 22, QUANTAL_U64 = 23, QUANTAL_S4 = 24, QUANTAL_U4 = 25, QUANTAL_S2 = 26, QUANTAL_U2 = 27,
  QUANTAL_BOOL = 32
};
/* Size of one element in bits (4 for QUANTAL_S4), 0 for a number that is no such type. */
QUANTAL_API uint32_t quantal_dtype_bits(int32_t dtype);
/* "s8" -> QUANTAL_S8; QUANTAL_DTYPE_NONE for an unknown name. Case-insensitive. "int8", "float32"... are accepted too. */
QUANTAL_API int32_t quantal_dtype_from_name(const char *name);
/* QUANTAL_S8 -> "s8"; "?" for a number that is no such type. */
QUANTAL_API const char *quantal_dtype_name(int32_t dtype);

enum {
  QUANTAL_SYMMETRIC = 1,     /* the range is widened to +-max(|min|, |max|); zero point in the middle */
  QUANTAL_REDUCE_RANGE = 2,  /* one bit less: for kernels whose 16-bit intermediate sums would saturate */
  QUANTAL_POWER_OF_TWO = 4   /* scale rounded up to a power of two */
};

/* The parameters that map the real range [min, max] onto an integer type:  real = (q - zero_point) * scale.
   The range is widened to contain 0, so that 0 is exact.
   preset: whose rounding and whose precision decide the last bit: NULL or "quantal" (double precision), "onnxruntime"
   (the same), "torch" (single precision), "tflite", "tensorrt", "ai8x". For [-2, 2] and s8, torch gives zero point -1
   and onnxruntime 0; both from the same formula. A range with nothing in it (0, 0) gives scale 1, zero point 0.
   Errors: NULL, RANGE (min > max, an infinite bound), NAN (a bound is NaN), DTYPE, ARGUMENT (unknown preset), FLAGS. */
QUANTAL_API int32_t quantal_choose_params(double min, double max, int32_t dtype, const char *preset, uint32_t flags,
                                          float *scale, int32_t *zero_point);

/* How an array is quantized: one scale for all (axis = -1, count = 1), or one per index of an axis (count = dims[axis]).
   Row-major, dense; rank 0 is one element. */
typedef struct quantal_quant_desc {
  uint32_t struct_size;
  uint32_t flags;              /* 0 */
  int32_t dtype;               /* of the integers: S8 U8 S16 U16 S32, and S4 U4 S2 U2 packed, first element in the low bits */
  int32_t rank;                /* 0..8 */
  const int64_t *dims;         /* [rank]; may be NULL for rank 0 */
  int32_t axis;                /* -1: per tensor; 0..rank-1: per channel */
  uint32_t reserved;           /* 0 */
  const float *scales;         /* [count] positive, finite, normal */
  const int32_t *zero_points;  /* [count] within dtype; NULL: all 0 */
  uint64_t count;
  const char *preset;          /* whose rounding and NaN: NULL is the formula below */
} quantal_quant_desc;

/* q = saturate(round_half_to_even(x / scale) + zero_point). NaN becomes the zero point, infinities saturate.
   x: float [elements], x_bytes its size; q: the integers, q_bytes their size. The same bits on every CPU.
   Errors: SCALE, ZERO_POINT, COUNT, DTYPE, SHAPE, BUFFER, OVERFLOW, OVERLAP. */
QUANTAL_API int32_t quantal_quantize(const quantal_quant_desc *desc, const float *x, size_t x_bytes, void *q, size_t q_bytes);
/* x = (q - zero_point) * scale. Errors as above. */
QUANTAL_API int32_t quantal_dequantize(const quantal_quant_desc *desc, const void *q, size_t q_bytes, float *x, size_t x_bytes);

/* ---- 3. Whole-model quantization ------------------------------------------------------------------------------- */

/* A tensor that the caller owns: dense, row-major, data[bytes]. In arrays of these the first one's struct_size is the
   distance to the next. */
typedef struct quantal_tensor {
  uint32_t struct_size;
  uint32_t flags;        /* 0 */
  const char *name;
  int32_t dtype;
  int32_t rank;          /* 0..8 */
  const int64_t *dims;
  const void *data;
  uint64_t bytes;
} quantal_tensor;

/* Samples come from the caller, one feed (= one call of the model) at a time: `pull` fills `tensors` and `count` with one
   tensor per model input, and returns 1; 0 says that there are no more; a negative number stops the job with
   QUANTAL_E_CANCELLED. What it points to must stay valid until the next call. `rewind`, if there, starts over (returns 0);
   without it the library keeps a copy of the first feeds for measuring the result. */
typedef struct quantal_feed {
  uint32_t struct_size;
  uint32_t flags;
  const quantal_tensor *tensors;
  uint64_t count;
  int64_t samples;       /* how many samples this feed holds; 0: the first dimension of the first tensor */
} quantal_feed;
typedef int32_t (*quantal_pull_fn)(void *context, quantal_feed *feed);
typedef int32_t (*quantal_rewind_fn)(void *context);

/* stage: "import", "calibrate", "quantize", "evaluate", "export". done and total count samples; total is -1 while
   unknown. Return 0 to go on, anything else to stop the job (QUANTAL_E_CANCELLED, nothing is written). */
typedef int32_t (*quantal_progress_fn)(void *context, const char *stage, int64_t done, int64_t total);

enum { QUANTAL_STRICT = 8, QUANTAL_LETTERBOX = 32 };  /* with QUANTAL_SYMMETRIC, QUANTAL_REDUCE_RANGE: flags of quantal_job */

/* What to do. Names are the words of the command line (`quantal quantize --help`), in any case; NULL and 0 are the
   defaults. */
typedef struct quantal_job {
  uint32_t struct_size;
  uint32_t flags;                    /* QUANTAL_STRICT | QUANTAL_SYMMETRIC | QUANTAL_REDUCE_RANGE | QUANTAL_LETTERBOX */
  const char *quant_type;            /* "static_int8" (default), "per_channel_int8", "dynamic_int8", "fp16" */
  const char *preset;
  const char *activation_observer;   /* "minmax"... */
  const char *weight_observer;
  const char *activation_type;       /* "u8" */
  const char *weight_type;           /* "s8" */
  const char *format;                /* "qdq" */
  const char *const *include;        /* globs over node names and operator types */
  uint64_t include_count;
  const char *const *exclude;
  uint64_t exclude_count;
  const char *calibration_cache;     /* read if it fits the model, else written */
  int64_t batch_size;                /* 0: 16; for `data` */
  int64_t num_calib_batches;         /* 0: 100; -1: all */
  int64_t min_samples;               /* 0: 100; -1: no minimum */
  int32_t workers;                   /* 0: 4; -1: none, samples are read when needed */
  int32_t threads;                   /* 0: all cores the process may use */
  const char *data;                  /* a file or directory of samples, or: */
  quantal_pull_fn pull;              /* samples from memory */
  quantal_rewind_fn rewind;
  void *pull_context;
  quantal_progress_fn progress;
  void *progress_context;
  const char *labels;                /* classes of `data`: a .npy of integers or a .txt */
  const char *split;                 /* of a data set .yaml: "train" (default), "val" */
  const char *eval_data;             /* held-out samples: warn where `data` differs from them */
  const char *imgsz;                 /* images of `data`: "640", "480x640"... */
  const char *layout;                /* "nchw", "nhwc" */
  const char *mean;                  /* "0.485,0.456,0.406" */
  const char *std;
  const char *value_range;           /* "0..1" */
  const char *color;                 /* "rgb", "bgr", "gray" */
  double percentile;                 /* of the observers; 0: 99.999 */
  double stddev;                     /* 0: 2 */
  double scale;                      /* 0: 0.85 */
  int32_t bins;                      /* 0: the observer's own */
  uint32_t reserved;                 /* 0 */
  const char *target;                /* "onnxruntime" (default), "any" */
} quantal_job;

/* File to file. The output appears complete or not at all; it must be none of the files that the job reads (USAGE).
   report_json (may be NULL) receives a JSON object with the keys of `quantal quantize --json`; free it with quantal_free. */
QUANTAL_API int32_t quantal_quantize_file(const quantal_job *job, const char *model_path, const char *output_path,
                                          char **report_json, quantal_diag *diag);
/* Bytes to bytes: a serialized ONNX model without external data. Free *output with quantal_free. */
QUANTAL_API int32_t quantal_quantize_memory(const quantal_job *job, const void *model, size_t model_bytes, void **output,
                                            size_t *output_bytes, char **report_json, quantal_diag *diag);
/* Frees what the library returned through a char** or void**. NULL is allowed. */
QUANTAL_API void quantal_free(void *memory);

/* ---- 4. Sessions ----------------------------------------------------------------------------------------------- */

/* A loaded model. Immutable: any number of threads may run one session at once. */
typedef struct quantal_session quantal_session;
/* The outputs of one run. */
typedef struct quantal_results quantal_results;

/* threads: 0 = all cores the process may use, 1 = only the caller's. */
QUANTAL_API int32_t quantal_session_create_file(const char *model_path, int32_t threads, quantal_session **session, quantal_diag *diag);
QUANTAL_API int32_t quantal_session_create_memory(const void *model, size_t model_bytes, int32_t threads, quantal_session **session,
                                                  quantal_diag *diag);
QUANTAL_API void quantal_session_free(quantal_session *session);

/* An input or output as the model declares it. The memory belongs to the session. */
typedef struct quantal_value_info {
  uint32_t struct_size;
  uint32_t flags;
  const char *name;
  int32_t dtype;
  int32_t rank;          /* -1: unknown */
  int64_t dims[8];       /* -1: not fixed by the model */
} quantal_value_info;
QUANTAL_API uint64_t quantal_session_input_count(const quantal_session *session);
QUANTAL_API uint64_t quantal_session_output_count(const quantal_session *session);
/* Errors: ARGUMENT (no such index). */
QUANTAL_API int32_t quantal_session_input(const quantal_session *session, uint64_t index, quantal_value_info *info);
QUANTAL_API int32_t quantal_session_output(const quantal_session *session, uint64_t index, quantal_value_info *info);

/* Runs the model once. `outputs` (output_count names) says which values to return; 0: the model's outputs in order.
   Errors: DATA_MISSING, DATA_SHAPE, DATA_FORMAT for feeds that do not fit, what an operator reports. */
QUANTAL_API int32_t quantal_session_run(const quantal_session *session, const quantal_tensor *feeds, uint64_t feed_count,
                                        const char *const *outputs, uint64_t output_count, quantal_results **results,
                                        quantal_diag *diag);
QUANTAL_API uint64_t quantal_results_count(const quantal_results *results);
/* Fills `tensor` with pointers into `results`, valid until quantal_results_free. */
QUANTAL_API int32_t quantal_results_get(const quantal_results *results, uint64_t index, quantal_tensor *tensor);
QUANTAL_API void quantal_results_free(quantal_results *results);

/* ---- 5. Comparison --------------------------------------------------------------------------------------------- */

/* Runs two models over the same samples. Of `job`, only data (with labels, split and what images need) or pull, batch_size,
   num_calib_batches (-1 or 0: all), workers, threads and progress are used. metric: NULL, "top1" or "top5" (needs labels: files with `_label`). json: an object with the keys of
   `quantal compare --json`; free it with quantal_free. */
QUANTAL_API int32_t quantal_compare(const quantal_job *job, const char *model_a, const char *model_b, const char *metric,
                                    char **json, quantal_diag *diag);

/* ---- 6. This machine ------------------------------------------------------------------------------------------- */

/* A JSON object as `quantal cpu --json` prints it; free it with quantal_free. */
QUANTAL_API int32_t quantal_cpu(char **json);
/* Runs every integer kernel of this CPU on known inputs. json (may be NULL): an object as `quantal selftest --json` prints it;
   free it with quantal_free. Errors: INTERNAL (a kernel computes something else than the reference; json is set too). */
QUANTAL_API int32_t quantal_selftest(char **json);

/* ---- 7. DLPack ------------------------------------------------------------------------------------------------- */

/* Tensors of other frameworks without a copy (dmlc.github.io/dlpack). A view of memory that somebody else owns: element
   (i, j, ...) is the element number i * strides[0] + j * strides[1] + ... counted from data. Strides may be negative or 0.
   Types of less than 8 bits are packed and dense. */
#define QUANTAL_VIEW_READ_ONLY 1u
typedef struct quantal_view {
  uint32_t struct_size;
  uint32_t flags;        /* QUANTAL_VIEW_READ_ONLY */
  int32_t dtype;
  int32_t rank;          /* 0..8 */
  void *data;            /* element (0, 0, ...) */
  int64_t dims[8];
  int64_t strides[8];
} quantal_view;

/* What a DLManagedTensor (major 0) or DLManagedTensorVersioned (major 1) describes. Who has it keeps it: its deleter is not
   called. Errors: UNSUPPORTED (not in CPU memory, vectors of lanes, padded sub-byte types), DTYPE (no type of Quantal's),
   VERSION (another major version: only its deleter may be called), LIMIT (rank), SHAPE, STRIDE, OVERFLOW, NULL. */
QUANTAL_API int32_t quantal_dlpack_read(const void *managed, int32_t major, quantal_view *view);
/* The other way: *managed becomes a new DLManagedTensor (major 0) or DLManagedTensorVersioned (major 1) of the caller's memory.
   The consumer calls its deleter once, from any thread; that calls release(owner), if release is not NULL. Errors:
   UNSUPPORTED (version 0 cannot say "read only"), VERSION, DTYPE, SHAPE, STRIDE, OVERFLOW, NULL, OUT_OF_MEMORY. */
QUANTAL_API int32_t quantal_dlpack_write(const quantal_view *view, int32_t major, void (*release)(void *owner), void *owner,
                                         void **managed);

/* ---- 8. Kernels ------------------------------------------------------------------------------------------------ */

/* Describe once, check once, pack the weights once, then run as often as you like:

     quantal_gemm_plan_size(&desc, &bytes, &alignment)     how much memory a plan takes
     quantal_gemm_plan_init(memory, bytes, &desc, diag)    every check there is; chooses the kernel
     quantal_plan_get_info(plan, &info)                    sizes of packed weights and workspace, the kernel's name
     quantal_gemm_pack(plan, &weights, packed, bytes, diag)
     quantal_gemm_run(plan, &buffers, parallel)            checks pointers and sizes, allocates nothing

   The same for conv2d and depthwise. Plan, packed weights and workspace are the caller's memory; the library keeps no
   pointer to them. A plan is plain bytes: it may be copied and moved within the process, and any number of threads may
   run it at once, each with its own workspace. Packed weights may be stored, and used by every plan that differs only in
   what packing does not touch: rows, batch, image size, stride, padding, strides in memory, clamp, output zero point,
   residual, threads; and only where it has chosen the same kernel and layout: one row may have another kernel than many
   (desc.kernel fixes it), and on some CPUs stride, padding or a pixel stride choose another layout of a convolution's weights.
   A run on others says QUANTAL_E_PLAN: pack again.
   Results are equal to the bit on every CPU, for every kernel, any number of threads, any alignment of 8-bit data.
   4-byte data (bias, ratios, S32 and F32 outputs) is aligned to 4 bytes, plan memory to 8, packed weights and workspace to 64.
   Input and output must not overlap (QUANTAL_E_OVERLAP); a residual may be the output itself. */

typedef struct quantal_multiplier {
  int32_t multiplier;          /* 0, or 2^30..2^31-1 */
  int32_t shift;               /* -31..30: the real number is multiplier * 2^(shift - 31) */
} quantal_multiplier;

/* How a sum becomes a code: round(sum * ratio) + zero point. Which "round" is the contract. */
enum {
  QUANTAL_FP32_RNE = 0,        /* one float product, ties to even: ONNX Runtime, oneDNN, XNNPACK */
  QUANTAL_FIXED_DOUBLE = 1,    /* multiplier and shift, two roundings: TFLite's kernels, CMSIS-NN */
  QUANTAL_FIXED_SINGLE = 2     /* multiplier and shift, one rounding: ruy, newer TFLite */
};
/* The nearest multiplier and shift of a real ratio. Errors: NULL, SCALE, RANGE. */
QUANTAL_API int32_t quantal_multiplier_of(double ratio, quantal_multiplier *out);

enum {
  QUANTAL_CLAMP = 16,          /* quantal_epilogue, quantal_codes_desc, quantal_pool_desc: min and max are set (a fused ReLU) */
  QUANTAL_ROW_SCALES = 32,     /* quantal_epilogue, F32 out of a gemm: each run brings a scale per row */
  QUANTAL_DYNAMIC_LHS = 64     /* quantal_gemm_desc: each run brings the zero point of every lhs row */
};

/* What happens to the s32 sum (with its bias). 8-bit out: all of it; F32 out: ratios, clamp; S32 out: no epilogue (NULL,
   anything else is UNSUPPORTED). */
typedef struct quantal_epilogue {
  uint32_t struct_size;
  uint32_t flags;
  int32_t contract;
  int32_t zero_point;          /* of the output */
  int32_t min, max;            /* with QUANTAL_CLAMP: lowest and highest code; F32 out: number (ReLU6: 0, 6;
                                  INT32_MIN, INT32_MAX: no bound) */
  const float *ratios;         /* [count] FP32_RNE and F32 out: input scale * weight scale / output scale */
  const quantal_multiplier *multipliers; /* [count] the fixed contracts */
  uint64_t count;              /* 1, or one per output channel */
  int32_t residual_dtype;      /* a second input that is added before the rounding: S8 or U8; 0: none */
  int32_t residual_zero_point;
  float residual_ratio;        /* its scale / output scale */
  uint32_t reserved;           /* 0 */
  quantal_multiplier residual_multiplier;
  const uint8_t *table;        /* [256] applied to the finished code; NULL: none. See quantal_look_up */
} quantal_epilogue;

/* out[m, n] = epilogue(sum over k of (lhs[m, k] - lhs_zero_point) * (rhs[k, n] - rhs_zero_point) + bias[n]) */
typedef struct quantal_gemm_desc {
  uint32_t struct_size;
  uint32_t flags;              /* QUANTAL_DYNAMIC_LHS */
  int64_t m, n, k;             /* k = 0: the bias alone; m or n = 0: a run does nothing; k up to 2^23, sums above s32 saturate */
  int32_t lhs_dtype, rhs_dtype;  /* U8 or S8 */
  int32_t out_dtype;           /* S32, S8, U8, F32 */
  int32_t lhs_zero_point, rhs_zero_point;
  uint32_t threads;            /* how many tasks can run at once; 0: 1 */
  /* Elements, not negative. Rows of lhs, out and residual are contiguous and do not overlap (no transposed lhs); rhs takes any
     two strides, a 0 beside another repeats. The stride of a dimension of size 1 is not looked at. */
  int64_t lhs_stride, out_stride, residual_stride;  /* between rows; 0: dense */
  int64_t rhs_row_stride, rhs_column_stride;        /* 0, 0: dense [k, n] */
  const quantal_epilogue *epilogue;
  const char *kernel;          /* an ISA's name: its kernel, or its nearest ancestor's, also past QUANTAL_ISA; NULL: the best */
} quantal_gemm_desc;

/* NHWC. in [batch, in_h, in_w, in_c], weights [out_c, kernel_h, kernel_w, in_c / groups], out [batch, out_h, out_w, out_c]
   with out_h = (in_h + pad_top + pad_bottom - (kernel_h - 1) * dilation_h - 1) / stride_h + 1. Padding has the value
   in_zero_point (a real 0). Strides, dilations and groups of 0 mean 1. A depthwise convolution has groups = in_c.
   Windows have up to 2^23 products (kernel_h * kernel_w * in_c / groups), sums above s32 saturate; quantal_depthwise_* up to 33025,
   quantal_conv2d_* takes the same description where it needs more. */
typedef struct quantal_conv_desc {
  uint32_t struct_size;
  uint32_t flags;              /* 0 */
  int64_t batch, in_h, in_w, in_c, out_c;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  int64_t groups;
  int32_t in_dtype, weight_dtype;  /* U8 or S8 */
  int32_t out_dtype;           /* S32, S8, U8, F32 */
  int32_t in_zero_point, weight_zero_point;
  uint32_t threads;
  /* Elements between images, rows, pixels; all 0: dense. Channels are contiguous; none is negative or smaller than what it steps
     over, and that of a dimension of size 1 is not looked at. Weights take any that are not negative. */
  int64_t in_strides[3], out_strides[3], residual_strides[3];
  int64_t weight_strides[4];   /* all 0: dense */
  const quantal_epilogue *epilogue;
  const char *kernel;
} quantal_conv_desc;

/* What pack needs. The epilogue is that of the plan: packing stores its ratios beside the weights. */
typedef struct quantal_weights {
  uint32_t struct_size;
  uint32_t flags;              /* 0 */
  const void *data;
  uint64_t bytes;
  const int32_t *bias;         /* [n] or [out_c]; NULL: 0 */
  const float *real_bias;      /* gemm with F32 out: added after scaling; NULL: 0 */
  const quantal_epilogue *epilogue;
} quantal_weights;

/* The memory of one run. */
typedef struct quantal_run_buffers {
  uint32_t struct_size;
  uint32_t flags;              /* 0 */
  const void *in;              /* lhs, or the images */
  uint64_t in_bytes;
  const void *packed;
  uint64_t packed_bytes;
  void *out;
  uint64_t out_bytes;
  void *workspace;             /* contents do not matter */
  uint64_t workspace_bytes;
  const void *residual;
  uint64_t residual_bytes;
  const int32_t *row_zero_points;  /* [m] with QUANTAL_DYNAMIC_LHS */
  const float *row_scales;         /* [m] with QUANTAL_ROW_SCALES */
  const int32_t *row_sums;         /* [m] gemm: sums of each row's codes, as quantal_quantize_rows gives them; read where weights have
                                      a zero point. NULL: they are added up */
} quantal_run_buffers;

typedef struct quantal_plan_info {
  uint32_t struct_size;
  uint32_t flags;
  uint64_t packed_bytes;       /* of the packed weights, 64-byte aligned */
  uint64_t workspace_bytes;    /* for the `threads` of the description, 64-byte aligned */
  uint64_t tasks;
  uint64_t in_bytes, out_bytes, weight_bytes, residual_bytes;  /* that a run or pack reads or writes */
  const char *kernel;          /* static memory */
} quantal_plan_info;

/* The caller's threads. `call` runs task(argument, i) once for each i in [0, count), in any order, on any threads, and
   returns when all are done. NULL instead of this struct: everything on the calling thread. */
typedef void (*quantal_task_fn)(void *argument, size_t index);
typedef struct quantal_parallel {
  uint32_t struct_size;
  uint32_t flags;              /* 0 */
  void *context;
  void (*call)(void *context, size_t count, quantal_task_fn task, void *argument);
  uint64_t threads;            /* tasks at once, at most the description's `threads` */
} quantal_parallel;

/* plan_size: bytes and alignment of a plan. plan_init: errors leave the memory as it was; diag says which field, which
   index. Errors: STRUCT_SIZE, VERSION, FLAGS, NULL, DTYPE, SHAPE, STRIDE, OVERFLOW, ZERO_POINT, SCALE, RANGE, COUNT, CONTRACT,
   UNSUPPORTED (a kernel this CPU or build has not), BUFFER and ARGUMENT (plan memory short or misaligned).
   pack: BUFFER (weights or packed memory short), SCRATCH (packed memory misaligned), ARGUMENT (a bias misaligned), OVERLAP (packed
   memory with what is read), PLAN (another epilogue than the description's), and those of the epilogue.
   run: STATE (memory that was never initialised), PLAN (not a plan of this kind, corrupt, from another process; packed weights
   of another plan), NULL, BUFFER, OVERLAP, SCRATCH (workspace missing, short, misaligned), ARGUMENT (alignment of 4-byte data).
   No error of pack or run has written anything. */
QUANTAL_API int32_t quantal_gemm_plan_size(const quantal_gemm_desc *desc, size_t *bytes, size_t *alignment);
QUANTAL_API int32_t quantal_gemm_plan_init(void *plan, size_t bytes, const quantal_gemm_desc *desc, quantal_diag *diag);
QUANTAL_API int32_t quantal_gemm_pack(const void *plan, const quantal_weights *weights, void *packed, size_t bytes, quantal_diag *diag);
QUANTAL_API int32_t quantal_gemm_run(const void *plan, const quantal_run_buffers *buffers, const quantal_parallel *parallel);

QUANTAL_API int32_t quantal_conv2d_plan_size(const quantal_conv_desc *desc, size_t *bytes, size_t *alignment);
QUANTAL_API int32_t quantal_conv2d_plan_init(void *plan, size_t bytes, const quantal_conv_desc *desc, quantal_diag *diag);
QUANTAL_API int32_t quantal_conv2d_pack(const void *plan, const quantal_weights *weights, void *packed, size_t bytes, quantal_diag *diag);
QUANTAL_API int32_t quantal_conv2d_run(const void *plan, const quantal_run_buffers *buffers, const quantal_parallel *parallel);

QUANTAL_API int32_t quantal_depthwise_plan_size(const quantal_conv_desc *desc, size_t *bytes, size_t *alignment);
QUANTAL_API int32_t quantal_depthwise_plan_init(void *plan, size_t bytes, const quantal_conv_desc *desc, quantal_diag *diag);
QUANTAL_API int32_t quantal_depthwise_pack(const void *plan, const quantal_weights *weights, void *packed, size_t bytes, quantal_diag *diag);
QUANTAL_API int32_t quantal_depthwise_run(const void *plan, const quantal_run_buffers *buffers, const quantal_parallel *parallel);

/* Of any plan. Errors: NULL, STATE, PLAN, STRUCT_SIZE. */
QUANTAL_API int32_t quantal_plan_get_info(const void *plan, quantal_plan_info *info);

/* ---- 9. Elementwise kernels ------------------------------------------------------------------------------------ */

/* sums[rows, channels] (+ bias[channels], may be NULL) -> codes of `dtype` (S8, U8), dense, as the epilogue says (without
   residual and table). Errors: as above. */
QUANTAL_API int32_t quantal_requantize(const quantal_epilogue *how, int32_t dtype, const int32_t *sums, const int32_t *bias,
                                       uint64_t rows, uint64_t channels, void *out, size_t out_bytes);

/* rescale:  out = round((a - a_zero_point) * ratio) + zero_point
   add:      out = round((a - a_zero_point) * ratio + (b - b_zero_point) * other_ratio) + zero_point
   multiply: out = round((a - a_zero_point) * (b - b_zero_point) * ratio) + zero_point
   each saturated, or clamped with QUANTAL_CLAMP. ratio = input scale(s) / output scale. The fixed contracts use the
   multipliers. a, b and the output of add and multiply have one type. `out` may be a or b. */
typedef struct quantal_codes_desc {
  uint32_t struct_size;
  uint32_t flags;              /* QUANTAL_CLAMP */
  int32_t contract;
  int32_t in_dtype, out_dtype; /* S8 or U8 */
  int32_t a_zero_point, b_zero_point, zero_point;
  int32_t min, max;
  float ratio, other_ratio;
  quantal_multiplier multiplier, other_multiplier;
} quantal_codes_desc;
QUANTAL_API int32_t quantal_rescale(const quantal_codes_desc *desc, const void *a, void *out, size_t elements);
QUANTAL_API int32_t quantal_add(const quantal_codes_desc *desc, const void *a, const void *b, void *out, size_t elements);
QUANTAL_API int32_t quantal_multiply(const quantal_codes_desc *desc, const void *a, const void *b, void *out, size_t elements);

/* out[i] = table[codes[i]], a signed code being its byte: any function of one 8-bit tensor. fill_table makes the table:
   code -> real -> f(real) -> code. `out` may be `codes`. Errors: NULL, OVERLAP; fill_table: NULL, DTYPE, SCALE, ZERO_POINT. */
QUANTAL_API int32_t quantal_look_up(const uint8_t *table, const void *codes, void *out, size_t elements);
QUANTAL_API int32_t quantal_fill_table(int32_t in_dtype, float in_scale, int32_t in_zero_point, int32_t out_dtype, float out_scale,
                                       int32_t out_zero_point, float (*f)(void *context, float x), void *context, uint8_t *table);

enum { QUANTAL_COUNT_PADDING = 128, QUANTAL_CEIL = 256 };  /* flags of quantal_pool_desc */

/* NHWC, dense. Maximum: the scales are not read. Average: clamp(round(sum of (code - in_zero_point) * in_scale / (out_scale *
   count)) + out_zero_point); count: the taps inside the image, with QUANTAL_COUNT_PADDING inside the padded image.
   QUANTAL_CEIL rounds output sizes up. A global pool has the image's size as its kernel. Strides, dilations of 0 mean 1. */
typedef struct quantal_pool_desc {
  uint32_t struct_size;
  uint32_t flags;
  int64_t batch, in_h, in_w, channels;
  int64_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right;
  int32_t dtype;               /* S8 or U8, of both sides */
  int32_t contract;
  float in_scale, out_scale;
  int32_t in_zero_point, out_zero_point;
  int32_t min, max;
} quantal_pool_desc;
/* Errors: SHAPE, OVERFLOW, DTYPE, SCALE, ZERO_POINT, RANGE, CONTRACT, NULL, BUFFER, OVERLAP. */
QUANTAL_API int32_t quantal_max_pool(const quantal_pool_desc *desc, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                     const quantal_parallel *parallel);
QUANTAL_API int32_t quantal_average_pool(const quantal_pool_desc *desc, const void *in, size_t in_bytes, void *out, size_t out_bytes,
                                         const quantal_parallel *parallel);

/* Each row of x[rows, k] by its own range: codes[rows, k] of `dtype` (U8: ONNX DynamicQuantizeLinear; S8: symmetric, codes
   -127..127), scales[rows], zero_points[rows], and, unless NULL, the sums of each row's codes. Errors: NULL, DTYPE, OVERFLOW,
   BUFFER, OVERLAP, ARGUMENT (alignment). */
QUANTAL_API int32_t quantal_quantize_rows(int32_t dtype, const float *x, uint64_t rows, uint64_t k, void *codes, size_t codes_bytes,
                                          float *scales, int32_t *zero_points, int32_t *sums);

/* ---- 10. Observers --------------------------------------------------------------------------------------------- */

/* Sees tensors, remembers statistics (never values), and turns them into a range by a method: "minmax", "moving_average",
   "percentile", "percentile_symmetric", "entropy", "entropy_onnxruntime", "mse", "histogram", "octav", "avgmax", "stddev",
   "scale", "max", "qat_shift". One thread at a time: give each thread its own and merge them, which is exact. */
typedef struct quantal_observer quantal_observer;

enum { QUANTAL_PER_CHANNEL = 16 };

/* 0 is the default everywhere. */
typedef struct quantal_observer_options {
  uint32_t struct_size;
  uint32_t flags;             /* QUANTAL_PER_CHANNEL: one range per index of `axis` */
  int32_t bins;               /* of histograms: 2048 */
  int32_t quantized_bins;     /* entropy_onnxruntime: 128 */
  double percentile;          /* in (0, 100]: 99.999 */
  double stddev;              /* 2 */
  double scale;               /* 0.85 */
  double averaging_constant;  /* in (0, 1]: 0.01 */
  int32_t axis;               /* with QUANTAL_PER_CHANNEL: 0..7 */
  uint32_t reserved;          /* 0 */
} quantal_observer_options;

/* options may be NULL. Errors: ARGUMENT (unknown method, an option out of range), SHAPE (axis), FLAGS. */
QUANTAL_API int32_t quantal_observer_create(const char *method, const quantal_observer_options *options,
                                            quantal_observer **observer, quantal_diag *diag);
QUANTAL_API void quantal_observer_free(quantal_observer *observer);
/* Adds one batch: F32, F16, BF16 or F64. NaN and infinities are counted and enter no range. x->name is not used.
   Errors: DTYPE, SHAPE (no such axis), BUFFER, COUNT (another number of channels than before). */
QUANTAL_API int32_t quantal_observer_observe(quantal_observer *observer, const quantal_tensor *x, quantal_diag *diag);
/* Adds what `other`, of the same method and options, has seen: bit for bit what one observer of both would hold. Errors:
   UNSUPPORTED (moving_average depends on order), CALIBRATION, COUNT; then nothing has changed. */
QUANTAL_API int32_t quantal_observer_merge(quantal_observer *observer, const quantal_observer *other, quantal_diag *diag);
/* How many ranges there are: 1, or the channels seen so far. */
QUANTAL_API uint64_t quantal_observer_count(const quantal_observer *observer);
/* The ranges chosen for an integer type, [count] each; candidates (may be NULL): how many the method tried, 0 if it does
   not search. flags: QUANTAL_SYMMETRIC, QUANTAL_REDUCE_RANGE. Errors: CALIBRATION (nothing was observed), COUNT, DTYPE. */
QUANTAL_API int32_t quantal_observer_ranges(const quantal_observer *observer, int32_t dtype, uint32_t flags, double *min, double *max,
                                            int32_t *candidates, uint64_t count, quantal_diag *diag);
/* Their parameters, as quantal_choose_params gives them. */
QUANTAL_API int32_t quantal_observer_params(const quantal_observer *observer, int32_t dtype, const char *preset, uint32_t flags,
                                            float *scales, int32_t *zero_points, uint64_t count, quantal_diag *diag);
/* The statistics as JSON, in the form of a calibration cache with one tensor; free it with quantal_free. */
QUANTAL_API int32_t quantal_observer_save(const quantal_observer *observer, char **json, quantal_diag *diag);
/* Continues from saved statistics. method: NULL, or another than was saved (it must find what it needs: statistics of
   "histogram" serve most). Errors: MODEL_SYNTAX, COUNT, ARGUMENT, CALIBRATION. */
QUANTAL_API int32_t quantal_observer_load(const char *json, size_t bytes, const char *method, const quantal_observer_options *options,
                                          quantal_observer **observer, quantal_diag *diag);

#ifdef __cplusplus
}
#endif

#endif /* QUANTAL_H */
