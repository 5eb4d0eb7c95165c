// Models and samples as verbs get them: paths from the command line to IR models and data sources.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "args.hpp"
#include "quantal/base/result.hpp"
#include "quantal/data/source.hpp"
#include "quantal/ir/graph.hpp"
#include "quantal/pipeline/quantize.hpp"

namespace quantal::cli {

struct data_options {
  std::string path;
  std::string labels;
  std::string split = "train";
  std::int64_t batch_size = 16;
  std::int64_t num_calib_batches = 100;  // -1: all
  std::int64_t workers = 4;
  data::image_options image;
  std::string evaluation;  // --eval-data
};

// What add_data_options adds beside --data: without samples none of it has an effect.
inline constexpr const char* sample_options[] = {
    "--batch-size", "--num-calib-batches", "--workers", "--labels",   "--split", "--imgsz", "--layout", "--mean",
    "--std",        "--value-range",       "--color",   "--letterbox"};

// --data and what goes with it. `limit` is the default of --num-calib-batches.
void add_data_options(args& a, data_options& d, std::int64_t limit);
// Which images of a data set, and how they become tensors.
void add_image_options(args& a, data_options& d);
// --min-samples and --eval-data: what the calibration linter needs to know.
void add_lint_options(args& a, data_options& d, pipeline::quantize_config& c);
// What the observers can be told: --percentile, --stddev, --scale, --bins.
void add_method_options(args& a, pipeline::quantize_config& c, std::int64_t& bins);
// Errors: not_found "model file not found: X".
result<void> check_model_exists(const std::string& path);
result<std::shared_ptr<ir::model>> load_model(const std::string& path);
result<std::unique_ptr<data::source>> open_samples(const data_options& d, const ir::model& m);
// --eval-data, read as --data is; of a dataset yaml the other split. None given: none.
result<std::unique_ptr<data::source>> open_evaluation(const data_options& d, const ir::model& m);
// "best.onnx" -> "best"
std::string stem_of(const std::string& path);
bool is_directory(const std::string& path) noexcept;
bool exists(const std::string& path) noexcept;

// A file that a verb reads or writes, and how the user calls it ("the model", "--data"). An empty path: none.
struct named_file {
  std::string what, path;
};
// Before any work: an output must not replace a file that the same command reads or writes. Errors: usage.
result<void> refuse_overwrite(const std::string& option, const std::string& output,
                              const std::vector<named_file>& others);

// Directories for results, made before the work so that it is not lost; those still empty go again unless there was a
// result.
class result_directory {
 public:
  static result<result_directory> make(const std::string& path);
  result_directory(result_directory&& other) noexcept : made_(std::move(other.made_)) { other.made_.clear(); }
  ~result_directory();

 private:
  result_directory() = default;
  std::vector<std::string> made_;  // the deepest first
};

}  // namespace quantal::cli
