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
  virtual std::vector<std::string> class_names() const { return {}; }
  virtual bool images() const { return false; }
  virtual result<std::unique_ptr<feed>> read(std::int64_t index) = 0;
};

using inputs_list = std::vector<ir::value_info>;

// One .npz or .npy with many samples (or feeds).
result<std::unique_ptr<feed_reader>> open_array_file(const std::string& path, const inputs_list& inputs,
                                                     const source_options& options);
// Files that are one feed each, all .npz or all .npy.
result<std::unique_ptr<feed_reader>> open_feed_files(std::vector<std::string> paths, const inputs_list& inputs);
// Images, in order. A class below 0 is unknown; `names` may be empty.
struct image_list {
  std::vector<std::string> paths;
  std::vector<std::int64_t> classes;
  std::vector<std::string> names;
};
result<std::unique_ptr<feed_reader>> open_images(image_list images, const inputs_list& inputs,
                                                 const source_options& options);
// The images below a directory: sub-directory names are classes where the directory itself holds no images. `names`
// (of a dataset yaml) numbers them; without it, their order does. No images: an empty list.
result<image_list> find_images(const std::string& directory, const std::vector<std::string>& names);
// The classes in a detection label file ("class x y w h" a line) that belongs to an image: .../images/a.jpg ->
// .../labels/a.txt. No such file: none.
result<std::vector<std::int64_t>> object_classes(const std::string& image_path);

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
