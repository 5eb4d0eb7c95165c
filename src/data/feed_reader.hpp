// feed_reader: one form of data (an array file, a directory, images) cut into numbered feeds.
//
// What the forms share lives around it: read_ahead() adds the worker threads, --num-calib-batches and --labels. A
// reader with random access may be asked for any feed on any thread; the others are asked in order, 0 after a rewind.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "quantal/data/source.hpp"

namespace quantal::data {

class feed_reader {
 public:
  virtual ~feed_reader() = default;
  virtual std::int64_t feeds() const = 0;
  virtual std::int64_t samples() const = 0;                          // -1: unknown
  virtual std::int64_t samples_before(std::int64_t feed) const = 0;  // in the feeds [0, feed); -1: unknown
  virtual bool random_access() const = 0;
  virtual result<std::unique_ptr<feed>> read(std::int64_t index) = 0;
};

using inputs_list = std::vector<ir::value_info>;

// One .npz or .npy with many samples (or feeds).
result<std::unique_ptr<feed_reader>> open_array_file(const std::string& path, const inputs_list& inputs,
                                                     const source_options& options);
// Files that are one feed each, all .npz or all .npy.
result<std::unique_ptr<feed_reader>> open_feed_files(std::vector<std::string> paths, const inputs_list& inputs);
// One image each; `classes` is parallel to `paths` or empty.
result<std::unique_ptr<feed_reader>> open_images(std::vector<std::string> paths, std::vector<std::int64_t> classes,
                                                 const inputs_list& inputs, const source_options& options);

// Class labels of a .npy (integers, one axis) or of a text file (one integer a line).
result<std::vector<std::int64_t>> read_labels(const std::string& path);

// Threads, limits and labels around a reader.
result<std::unique_ptr<source>> read_ahead(std::unique_ptr<feed_reader> reader, const source_options& options);

// The batch of an input: its fixed first dimension, else --batch-size. Rank 0 or unknown rank: --batch-size.
std::int64_t batch_of(const ir::value_info& input, std::int64_t batch_size, bool& fixed);
// A batch tensor from `count` samples at its beginning: the last one is repeated up to the end.
void repeat_last(tensor_buffer& batch, std::int64_t count);
// An integer array as s64 labels; none if it does not hold class labels (floats, more than one axis).
std::optional<tensor_buffer> class_labels(const tensor_buffer& value);

}  // namespace quantal::data
