// Status codes: one number per cause, the same in C++, C, Python and the CLI's messages.
//
// 0 is success, every failure is negative, a number is never reused or changed (a C caller may have
// compiled it in). The groups of ten say who is at fault; `exit_code` in cli/ and the Python exception
// types are derived from the groups, so a new code belongs into the right one.
// Freestanding: no libc, no heap.
#pragma once
#include <stdint.h>

namespace quantal {

enum class status : int32_t {
  ok = 0,
  // Arguments of a call (the caller's mistake).
  null_pointer = -1,   // a required pointer is null
  struct_size = -2,    // struct_size is 0 or smaller than version 1 of the struct
  version = -3,        // newer struct or blob than this library knows
  flags = -4,          // unknown flag or non-zero reserved word
  shape = -5,          // negative or inconsistent dimension
  stride = -6,         // stride smaller than the row, or of the wrong sign
  overflow = -7,       // a size does not fit
  buffer = -8,         // a buffer is smaller than the shape needs
  overlap = -9,        // input and output overlap where they must not
  scratch = -10,       // workspace missing, short or misaligned
  plan = -11,          // plan memory is not a valid plan
  state = -12,         // call order: run before init, use after failure
  argument = -13,      // any other bad argument
  // Quantization parameters.
  scale = -20,         // zero, negative, NaN, infinite or denormal scale
  zero_point = -21,    // outside the type's range, or not zero where it must be
  range = -22,         // ratio of scales outside what the contract can represent; min > max
  count = -23,         // number of scales, zero points or channels disagree
  dtype = -24,         // type not allowed here
  contract = -25,      // unknown rounding contract
  // Data.
  nan_value = -30,     // NaN where strict mode forbids it
  calibration = -31,   // nothing was observed, or too little
  data_format = -32,   // an array or image file cannot be used
  data_shape = -33,    // an array does not fit the model's input
  data_missing = -34,  // no data where data is required
  // Files and process.
  io = -40,            // read, write or rename failed
  not_found = -41,     // file or directory does not exist
  path = -42,          // a path leaves the directory it must stay in
  out_of_memory = -43,
  cancelled = -44,     // a progress callback asked to stop
  // Models, caches, checkpoints.
  model_syntax = -50,  // the bytes are not what the format says
  model_graph = -51,   // cycle, missing producer, duplicate name...
  model_type = -52,    // types or shapes of a model contradict each other
  limit = -53,         // a count, size or depth is above the limit
  bomb = -54,          // compressed data that would explode
  // What was asked for.
  usage = -60,         // command line or configuration
  unsupported = -61,   // valid, but not something Quantal can do
  gate = -62,          // done, but below the quality that was asked for
  internal = -70,      // a defect of Quantal
};

constexpr bool is_ok(status s) noexcept { return s == status::ok; }

}  // namespace quantal
