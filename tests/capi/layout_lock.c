/* The binary interface, frozen: a program that was compiled against version 1 must work with every later library.
   This file only grows. If an assertion fails, the change breaks compiled programs: append to structs instead. C11. */
#include <quantal.h>

#define FIELD(type, field, offset) _Static_assert(offsetof(type, field) == (offset), #type "." #field " moved")
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), "size of " #type " changed")
#define VALUE(name, value) _Static_assert((name) == (value), #name " changed")

/* Layouts are those of 64-bit systems (8-byte pointers and 8-byte alignment of 64-bit integers). */
#if UINTPTR_MAX == UINT64_MAX
SIZE(quantal_diag, 784);
FIELD(quantal_diag, struct_size, 0); FIELD(quantal_diag, flags, 4); FIELD(quantal_diag, code, 8); FIELD(quantal_diag, reserved, 12);
FIELD(quantal_diag, message, 16); FIELD(quantal_diag, where, 528);

SIZE(quantal_quant_desc, 64);
FIELD(quantal_quant_desc, struct_size, 0); FIELD(quantal_quant_desc, flags, 4); FIELD(quantal_quant_desc, dtype, 8);
FIELD(quantal_quant_desc, rank, 12); FIELD(quantal_quant_desc, dims, 16); FIELD(quantal_quant_desc, axis, 24);
FIELD(quantal_quant_desc, reserved, 28); FIELD(quantal_quant_desc, scales, 32); FIELD(quantal_quant_desc, zero_points, 40);
FIELD(quantal_quant_desc, count, 48); FIELD(quantal_quant_desc, preset, 56);

SIZE(quantal_tensor, 48);
FIELD(quantal_tensor, struct_size, 0); FIELD(quantal_tensor, flags, 4); FIELD(quantal_tensor, name, 8); FIELD(quantal_tensor, dtype, 16);
FIELD(quantal_tensor, rank, 20); FIELD(quantal_tensor, dims, 24); FIELD(quantal_tensor, data, 32); FIELD(quantal_tensor, bytes, 40);

SIZE(quantal_feed, 32);
FIELD(quantal_feed, struct_size, 0); FIELD(quantal_feed, flags, 4); FIELD(quantal_feed, tensors, 8); FIELD(quantal_feed, count, 16);
FIELD(quantal_feed, samples, 24);

SIZE(quantal_job, 184);
FIELD(quantal_job, struct_size, 0); FIELD(quantal_job, flags, 4); FIELD(quantal_job, quant_type, 8); FIELD(quantal_job, preset, 16);
FIELD(quantal_job, activation_observer, 24); FIELD(quantal_job, weight_observer, 32); FIELD(quantal_job, activation_type, 40);
FIELD(quantal_job, weight_type, 48); FIELD(quantal_job, format, 56); FIELD(quantal_job, include, 64); FIELD(quantal_job, include_count, 72);
FIELD(quantal_job, exclude, 80); FIELD(quantal_job, exclude_count, 88); FIELD(quantal_job, calibration_cache, 96);
FIELD(quantal_job, batch_size, 104); FIELD(quantal_job, num_calib_batches, 112); FIELD(quantal_job, min_samples, 120);
FIELD(quantal_job, workers, 128); FIELD(quantal_job, threads, 132); FIELD(quantal_job, data, 136); FIELD(quantal_job, pull, 144);
FIELD(quantal_job, rewind, 152); FIELD(quantal_job, pull_context, 160); FIELD(quantal_job, progress, 168);
FIELD(quantal_job, progress_context, 176);

SIZE(quantal_value_info, 88);
FIELD(quantal_value_info, struct_size, 0); FIELD(quantal_value_info, flags, 4); FIELD(quantal_value_info, name, 8);
FIELD(quantal_value_info, dtype, 16); FIELD(quantal_value_info, rank, 20); FIELD(quantal_value_info, dims, 24);

SIZE(quantal_view, 152);
FIELD(quantal_view, struct_size, 0); FIELD(quantal_view, flags, 4); FIELD(quantal_view, dtype, 8); FIELD(quantal_view, rank, 12);
FIELD(quantal_view, data, 16); FIELD(quantal_view, dims, 24); FIELD(quantal_view, strides, 88);
#endif

VALUE(QUANTAL_OK, 0); VALUE(QUANTAL_E_NULL, -1); VALUE(QUANTAL_E_STRUCT_SIZE, -2); VALUE(QUANTAL_E_VERSION, -3); VALUE(QUANTAL_E_FLAGS, -4);
VALUE(QUANTAL_E_SHAPE, -5); VALUE(QUANTAL_E_STRIDE, -6); VALUE(QUANTAL_E_OVERFLOW, -7); VALUE(QUANTAL_E_BUFFER, -8);
VALUE(QUANTAL_E_OVERLAP, -9); VALUE(QUANTAL_E_SCRATCH, -10); VALUE(QUANTAL_E_PLAN, -11); VALUE(QUANTAL_E_STATE, -12);
VALUE(QUANTAL_E_ARGUMENT, -13); VALUE(QUANTAL_E_SCALE, -20); VALUE(QUANTAL_E_ZERO_POINT, -21); VALUE(QUANTAL_E_RANGE, -22);
VALUE(QUANTAL_E_COUNT, -23); VALUE(QUANTAL_E_DTYPE, -24); VALUE(QUANTAL_E_CONTRACT, -25); VALUE(QUANTAL_E_NAN, -30);
VALUE(QUANTAL_E_CALIBRATION, -31); VALUE(QUANTAL_E_DATA_FORMAT, -32); VALUE(QUANTAL_E_DATA_SHAPE, -33); VALUE(QUANTAL_E_DATA_MISSING, -34);
VALUE(QUANTAL_E_IO, -40); VALUE(QUANTAL_E_NOT_FOUND, -41); VALUE(QUANTAL_E_PATH, -42); VALUE(QUANTAL_E_OUT_OF_MEMORY, -43);
VALUE(QUANTAL_E_CANCELLED, -44); VALUE(QUANTAL_E_MODEL_SYNTAX, -50); VALUE(QUANTAL_E_MODEL_GRAPH, -51); VALUE(QUANTAL_E_MODEL_TYPE, -52);
VALUE(QUANTAL_E_LIMIT, -53); VALUE(QUANTAL_E_BOMB, -54); VALUE(QUANTAL_E_USAGE, -60); VALUE(QUANTAL_E_UNSUPPORTED, -61);
VALUE(QUANTAL_E_GATE, -62); VALUE(QUANTAL_E_INTERNAL, -70);
VALUE(QUANTAL_F32, 1); VALUE(QUANTAL_F64, 2); VALUE(QUANTAL_F16, 3); VALUE(QUANTAL_BF16, 4); VALUE(QUANTAL_S8, 16); VALUE(QUANTAL_U8, 17);
VALUE(QUANTAL_S16, 18); VALUE(QUANTAL_U16, 19); VALUE(QUANTAL_S32, 20); VALUE(QUANTAL_U32, 21); VALUE(QUANTAL_S64, 22); VALUE(QUANTAL_U64, 23);
VALUE(QUANTAL_S4, 24); VALUE(QUANTAL_U4, 25); VALUE(QUANTAL_S2, 26); VALUE(QUANTAL_U2, 27); VALUE(QUANTAL_BOOL, 32);
VALUE(QUANTAL_SYMMETRIC, 1); VALUE(QUANTAL_REDUCE_RANGE, 2); VALUE(QUANTAL_POWER_OF_TWO, 4); VALUE(QUANTAL_STRICT, 8);
VALUE(QUANTAL_VIEW_READ_ONLY, 1);

int quantal_layout_lock; /* a translation unit is not empty */
