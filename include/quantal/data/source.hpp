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

// One call of the model: tensors by input name, already of the input's type. `label` holds `_label` of these samples, if any.
struct feed {
  std::vector<std::pair<std::string, tensor_buffer>> inputs;
  tensor_buffer label;       // s64 [samples], or empty
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
};

struct source_options {
  std::int64_t batch_size = 16;
  std::int64_t max_feeds = -1;   // --num-calib-batches; -1: all
  std::int32_t workers = 4;      // readers ahead; 0: read when asked
  std::string labels;            // --labels
  std::string split = "train";   // of a dataset yaml
  // image options (--imgsz, --layout, --mean, --std, --value-range, --color, --letterbox) join here
};

// Opens `path` (file or directory) for a model with these inputs.
result<std::unique_ptr<source>> open(const std::string& path, const std::vector<ir::value_info>& inputs,
                                     const source_options& options = {});
// Feeds in memory (Python, C): the caller pulls.
using pull_fn = std::function<result<std::unique_ptr<feed>>()>;

}  // namespace quantal::data
