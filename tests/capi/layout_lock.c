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

SIZE(quantal_job, 296);
FIELD(quantal_job, struct_size, 0); FIELD(quantal_job, flags, 4); FIELD(quantal_job, quant_type, 8); FIELD(quantal_job, preset, 16);
FIELD(quantal_job, activation_observer, 24); FIELD(quantal_job, weight_observer, 32); FIELD(quantal_job, activation_type, 40);
FIELD(quantal_job, weight_type, 48); FIELD(quantal_job, format, 56); FIELD(quantal_job, include, 64); FIELD(quantal_job, include_count, 72);
FIELD(quantal_job, exclude, 80); FIELD(quantal_job, exclude_count, 88); FIELD(quantal_job, calibration_cache, 96);
FIELD(quantal_job, batch_size, 104); FIELD(quantal_job, num_calib_batches, 112); FIELD(quantal_job, min_samples, 120);
FIELD(quantal_job, workers, 128); FIELD(quantal_job, threads, 132); FIELD(quantal_job, data, 136); FIELD(quantal_job, pull, 144);
FIELD(quantal_job, rewind, 152); FIELD(quantal_job, pull_context, 160); FIELD(quantal_job, progress, 168);
FIELD(quantal_job, progress_context, 176); FIELD(quantal_job, labels, 184); FIELD(quantal_job, split, 192);
FIELD(quantal_job, eval_data, 200); FIELD(quantal_job, imgsz, 208); FIELD(quantal_job, layout, 216); FIELD(quantal_job, mean, 224);
FIELD(quantal_job, std, 232); FIELD(quantal_job, value_range, 240); FIELD(quantal_job, color, 248); FIELD(quantal_job, percentile, 256);
FIELD(quantal_job, stddev, 264); FIELD(quantal_job, scale, 272); FIELD(quantal_job, bins, 280); FIELD(quantal_job, reserved, 284);
FIELD(quantal_job, target, 288);

SIZE(quantal_value_info, 88);
FIELD(quantal_value_info, struct_size, 0); FIELD(quantal_value_info, flags, 4); FIELD(quantal_value_info, name, 8);
FIELD(quantal_value_info, dtype, 16); FIELD(quantal_value_info, rank, 20); FIELD(quantal_value_info, dims, 24);

SIZE(quantal_observer_options, 56);
FIELD(quantal_observer_options, struct_size, 0); FIELD(quantal_observer_options, flags, 4); FIELD(quantal_observer_options, bins, 8);
FIELD(quantal_observer_options, quantized_bins, 12); FIELD(quantal_observer_options, percentile, 16); FIELD(quantal_observer_options, stddev, 24);
FIELD(quantal_observer_options, scale, 32); FIELD(quantal_observer_options, averaging_constant, 40); FIELD(quantal_observer_options, axis, 48);
FIELD(quantal_observer_options, reserved, 52);

SIZE(quantal_view, 152);
FIELD(quantal_view, struct_size, 0); FIELD(quantal_view, flags, 4); FIELD(quantal_view, dtype, 8); FIELD(quantal_view, rank, 12);
FIELD(quantal_view, data, 16); FIELD(quantal_view, dims, 24); FIELD(quantal_view, strides, 88);

SIZE(quantal_multiplier, 8);
FIELD(quantal_multiplier, multiplier, 0); FIELD(quantal_multiplier, shift, 4);

SIZE(quantal_epilogue, 80);
FIELD(quantal_epilogue, struct_size, 0); FIELD(quantal_epilogue, flags, 4); FIELD(quantal_epilogue, contract, 8);
FIELD(quantal_epilogue, zero_point, 12); FIELD(quantal_epilogue, min, 16); FIELD(quantal_epilogue, max, 20);
FIELD(quantal_epilogue, ratios, 24); FIELD(quantal_epilogue, multipliers, 32); FIELD(quantal_epilogue, count, 40);
FIELD(quantal_epilogue, residual_dtype, 48); FIELD(quantal_epilogue, residual_zero_point, 52);
FIELD(quantal_epilogue, residual_ratio, 56); FIELD(quantal_epilogue, reserved, 60); FIELD(quantal_epilogue, residual_multiplier, 64);
FIELD(quantal_epilogue, table, 72);

SIZE(quantal_gemm_desc, 112);
FIELD(quantal_gemm_desc, struct_size, 0); FIELD(quantal_gemm_desc, flags, 4); FIELD(quantal_gemm_desc, m, 8);
FIELD(quantal_gemm_desc, n, 16); FIELD(quantal_gemm_desc, k, 24); FIELD(quantal_gemm_desc, lhs_dtype, 32);
FIELD(quantal_gemm_desc, rhs_dtype, 36); FIELD(quantal_gemm_desc, out_dtype, 40); FIELD(quantal_gemm_desc, lhs_zero_point, 44);
FIELD(quantal_gemm_desc, rhs_zero_point, 48); FIELD(quantal_gemm_desc, threads, 52); FIELD(quantal_gemm_desc, lhs_stride, 56);
FIELD(quantal_gemm_desc, out_stride, 64); FIELD(quantal_gemm_desc, residual_stride, 72); FIELD(quantal_gemm_desc, rhs_row_stride, 80);
FIELD(quantal_gemm_desc, rhs_column_stride, 88); FIELD(quantal_gemm_desc, epilogue, 96); FIELD(quantal_gemm_desc, kernel, 104);

SIZE(quantal_conv_desc, 280);
FIELD(quantal_conv_desc, struct_size, 0); FIELD(quantal_conv_desc, flags, 4); FIELD(quantal_conv_desc, batch, 8);
FIELD(quantal_conv_desc, in_h, 16); FIELD(quantal_conv_desc, in_w, 24); FIELD(quantal_conv_desc, in_c, 32);
FIELD(quantal_conv_desc, out_c, 40); FIELD(quantal_conv_desc, kernel_h, 48); FIELD(quantal_conv_desc, kernel_w, 56);
FIELD(quantal_conv_desc, stride_h, 64); FIELD(quantal_conv_desc, stride_w, 72); FIELD(quantal_conv_desc, dilation_h, 80);
FIELD(quantal_conv_desc, dilation_w, 88); FIELD(quantal_conv_desc, pad_top, 96); FIELD(quantal_conv_desc, pad_left, 104);
FIELD(quantal_conv_desc, pad_bottom, 112); FIELD(quantal_conv_desc, pad_right, 120); FIELD(quantal_conv_desc, groups, 128);
FIELD(quantal_conv_desc, in_dtype, 136); FIELD(quantal_conv_desc, weight_dtype, 140); FIELD(quantal_conv_desc, out_dtype, 144);
FIELD(quantal_conv_desc, in_zero_point, 148); FIELD(quantal_conv_desc, weight_zero_point, 152); FIELD(quantal_conv_desc, threads, 156);
FIELD(quantal_conv_desc, in_strides, 160); FIELD(quantal_conv_desc, out_strides, 184); FIELD(quantal_conv_desc, residual_strides, 208);
FIELD(quantal_conv_desc, weight_strides, 232); FIELD(quantal_conv_desc, epilogue, 264); FIELD(quantal_conv_desc, kernel, 272);

SIZE(quantal_weights, 48);
FIELD(quantal_weights, struct_size, 0); FIELD(quantal_weights, flags, 4); FIELD(quantal_weights, data, 8);
FIELD(quantal_weights, bytes, 16); FIELD(quantal_weights, bias, 24); FIELD(quantal_weights, real_bias, 32);
FIELD(quantal_weights, epilogue, 40);

SIZE(quantal_run_buffers, 112);
FIELD(quantal_run_buffers, struct_size, 0); FIELD(quantal_run_buffers, flags, 4); FIELD(quantal_run_buffers, in, 8);
FIELD(quantal_run_buffers, in_bytes, 16); FIELD(quantal_run_buffers, packed, 24); FIELD(quantal_run_buffers, packed_bytes, 32);
FIELD(quantal_run_buffers, out, 40); FIELD(quantal_run_buffers, out_bytes, 48); FIELD(quantal_run_buffers, workspace, 56);
FIELD(quantal_run_buffers, workspace_bytes, 64); FIELD(quantal_run_buffers, residual, 72);
FIELD(quantal_run_buffers, residual_bytes, 80); FIELD(quantal_run_buffers, row_zero_points, 88);
FIELD(quantal_run_buffers, row_scales, 96); FIELD(quantal_run_buffers, row_sums, 104);

SIZE(quantal_plan_info, 72);
FIELD(quantal_plan_info, struct_size, 0); FIELD(quantal_plan_info, flags, 4); FIELD(quantal_plan_info, packed_bytes, 8);
FIELD(quantal_plan_info, workspace_bytes, 16); FIELD(quantal_plan_info, tasks, 24); FIELD(quantal_plan_info, in_bytes, 32);
FIELD(quantal_plan_info, out_bytes, 40); FIELD(quantal_plan_info, weight_bytes, 48); FIELD(quantal_plan_info, residual_bytes, 56);
FIELD(quantal_plan_info, kernel, 64);

SIZE(quantal_parallel, 32);
FIELD(quantal_parallel, struct_size, 0); FIELD(quantal_parallel, flags, 4); FIELD(quantal_parallel, context, 8);
FIELD(quantal_parallel, call, 16); FIELD(quantal_parallel, threads, 24);

SIZE(quantal_codes_desc, 64);
FIELD(quantal_codes_desc, struct_size, 0); FIELD(quantal_codes_desc, flags, 4); FIELD(quantal_codes_desc, contract, 8);
FIELD(quantal_codes_desc, in_dtype, 12); FIELD(quantal_codes_desc, out_dtype, 16); FIELD(quantal_codes_desc, a_zero_point, 20);
FIELD(quantal_codes_desc, b_zero_point, 24); FIELD(quantal_codes_desc, zero_point, 28); FIELD(quantal_codes_desc, min, 32);
FIELD(quantal_codes_desc, max, 36); FIELD(quantal_codes_desc, ratio, 40); FIELD(quantal_codes_desc, other_ratio, 44);
FIELD(quantal_codes_desc, multiplier, 48); FIELD(quantal_codes_desc, other_multiplier, 56);

SIZE(quantal_pool_desc, 152);
FIELD(quantal_pool_desc, struct_size, 0); FIELD(quantal_pool_desc, flags, 4); FIELD(quantal_pool_desc, batch, 8);
FIELD(quantal_pool_desc, in_h, 16); FIELD(quantal_pool_desc, in_w, 24); FIELD(quantal_pool_desc, channels, 32);
FIELD(quantal_pool_desc, kernel_h, 40); FIELD(quantal_pool_desc, kernel_w, 48); FIELD(quantal_pool_desc, stride_h, 56);
FIELD(quantal_pool_desc, stride_w, 64); FIELD(quantal_pool_desc, dilation_h, 72); FIELD(quantal_pool_desc, dilation_w, 80);
FIELD(quantal_pool_desc, pad_top, 88); FIELD(quantal_pool_desc, pad_left, 96); FIELD(quantal_pool_desc, pad_bottom, 104);
FIELD(quantal_pool_desc, pad_right, 112); FIELD(quantal_pool_desc, dtype, 120); FIELD(quantal_pool_desc, contract, 124);
FIELD(quantal_pool_desc, in_scale, 128); FIELD(quantal_pool_desc, out_scale, 132); FIELD(quantal_pool_desc, in_zero_point, 136);
FIELD(quantal_pool_desc, out_zero_point, 140); FIELD(quantal_pool_desc, min, 144); FIELD(quantal_pool_desc, max, 148);
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
VALUE(QUANTAL_FP32_RNE, 0); VALUE(QUANTAL_FIXED_DOUBLE, 1); VALUE(QUANTAL_FIXED_SINGLE, 2); VALUE(QUANTAL_CLAMP, 16);
VALUE(QUANTAL_ROW_SCALES, 32); VALUE(QUANTAL_DYNAMIC_LHS, 64); VALUE(QUANTAL_COUNT_PADDING, 128); VALUE(QUANTAL_CEIL, 256);
VALUE(QUANTAL_VIEW_READ_ONLY, 1);

int quantal_layout_lock; /* a translation unit is not empty */
