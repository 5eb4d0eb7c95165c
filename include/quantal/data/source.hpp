// source: samples for calibration, comparison and runs, one feed at a time, whatever they are stored in.
//
// Lazy: a source holds at most the feeds that its workers read ahead; memory does not grow with their number.
// What the forms of `--data` mean is in docs/data.md (npz, npy, directories, images, lists, dataset yaml).
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "quantal/base/result.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/tensor/buffer.hpp"

namespace quantal::data {

// One call of the model: tensors by input name, already of the input's type. `label` holds `_label` of these samples,
// if any.
struct feed {
  std::vector<std::pair<std::string, tensor_buffer>> inputs;
  tensor_buffer label;                // s64 [samples], or empty
  std::vector<std::int64_t> classes;  // of the objects in these samples (detection label files), for the linter
  std::int64_t samples = 1;  // how many samples this feed holds (the batch, without repeats that fill a fixed batch)
  std::string origin;        // file and position, for messages: "calib.npz: samples 16..31"
};

class source {
 public:
  virtual ~source() = default;
  // The next feed; nullptr at the end. Errors name file and sample (status::data_*).
  virtual result<std::unique_ptr<feed>> next() = 0;
  virtual result<void> rewind() = 0;
  // Number of samples, if it is known without reading all (-1 otherwise).
  virtual std::int64_t samples() const = 0;
  // Number of feeds, the same way.
  virtual std::int64_t feeds() const { return -1; }
  // What the classes are called (a dataset yaml's `names`, sub-directories), by class number; empty if unknown.
  virtual std::vector<std::string> class_names() const { return {}; }
  // Images, not arrays: the image options were read.
  virtual bool images() const { return false; }
};

// How an image becomes a tensor; the words of the command line (docs/data.md). Empty: taken from the model where it
// says (size, layout, channels), else the default in brackets.
struct image_options {
  std::string imgsz;        // "640" (square) or "480x640" (height x width)
  std::string layout;       // "nchw" | "nhwc" [nchw]
  std::string mean, std;    // "0.485,0.456,0.406": (x - mean) / std after value_range, one number or one per channel
  std::string value_range;  // "0..1" | "0..255" | "-1..1", any a..b [0..1 for float inputs, 0..255 for integers]
  std::string color;        // "rgb" | "bgr" | "gray" [rgb; gray for one channel]
  bool letterbox = false;   // keep the aspect ratio, fill with grey 114
};

// Samples in a damaged, hostile or unreadable file are bad data, whatever the file's format calls it: model_syntax,
// limit, bomb, path and unsupported become data_format; others stay. open() and next() answer so.
error bad_data(error e);

struct source_options {
  std::int64_t batch_size = 16;
  std::int64_t max_feeds = -1;  // --num-calib-batches; -1: all
  std::int32_t workers = 4;     // readers ahead; 0: read when asked
  std::string labels;           // --labels
  std::string split = "train";  // of a dataset yaml
  image_options image;
};

// For the samples that those of `options` are held against (--eval-data): no labels, the other split of a dataset yaml.
source_options held_out(source_options options);

// A line for each image option that was given although none of the sources (nullptr: not opened) holds images.
std::vector<std::string> unread_options(const image_options& given, const source* samples,
                                        const source* evaluation = nullptr);

// Opens `path` (file or directory) for a model with these inputs.
// Errors: not_found, data_missing (an empty directory, no array for an input), data_format (a damaged file, unknown
// names, a type that does not convert), data_shape, usage (an option that does not read).
result<std::unique_ptr<source>> open(const std::string& path, const std::vector<ir::value_info>& inputs,
                                     const source_options& options = {});

// Feeds in memory (Python, C): the caller pulls; nullptr ends. Each feed is checked against `inputs` and converted as
// those of files are. Without `rewind` the source can be read once.
using pull_fn = std::function<result<std::unique_ptr<feed>>()>;
using rewind_fn = std::function<result<void>()>;
std::unique_ptr<source> from_pull(pull_fn pull, std::vector<ir::value_info> inputs, rewind_fn rewind = {});

}  // namespace quantal::data
